"""What do 16 bits, quantised weights and the order of additions cost a real model?

`python -m benchmarks.precision` sets a decode in every precision and with every reduction beside one in float32, all on
the same region and made to read the same text, and prints the tables of docs/precision.md. ``--model tiny`` takes
seconds, ``smollm2`` some minutes and the fetched file.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.console import Console
from rich.progress import track

from wse_emu.comparison import Comparison, Run, compare
from wse_emu.decode import Session, map_model
from wse_emu.models import Model, load_model
from wse_emu.program.precision import PRESETS

REDUCTIONS = ("chain", "two_way", "tree", "two_phase", "ktree")
PROMPT = "Once upon a time"
REFERENCE = ("float32", "chain")


@dataclass(frozen=True)
class Row:
    """One precision with one reduction, beside the reference."""

    precision: str
    reduce: str
    cosine: float
    """Mean over the tokens."""
    worst_cosine: float
    max_error: float
    max_ulp: int
    chosen_ulp: int
    differing: int
    """How many of the tokens it would have chosen otherwise, each after the reference's text."""
    first_differing: int | None
    pe_bytes: int
    """Weights, cache, activations and runtime on the fullest PE."""
    cycles: int
    """A token's, half-way through the text."""

    def __str__(self) -> str:
        first = "–" if self.first_differing is None else str(self.first_differing)
        return (
            f"{self.precision:<9} {self.reduce:<9} {_distance(self.cosine):>8} {_distance(self.worst_cosine):>8}"
            f" {self.max_error:>8.1e} {self.max_ulp:>11} {self.chosen_ulp:>7} {first:>6} {self.differing:>7}"
            f" {self.pe_bytes:>9,} {self.cycles:>8,}"
        )


HEAD = "precision reduce    1−cosine    worst    error     max ULP  chosen  first  others  bytes/PE   cycles"


def _distance(cosine: float) -> str:
    """1 − cosine; what float64 cannot tell from 0 is 0."""
    distance = 1 - cosine
    return "0" if distance < 1e-13 else f"{distance:.1e}"


def forced_run(session: Session, prompt_ids: Sequence[int], text_ids: Sequence[int]) -> Run:
    """What ``session`` chooses after the prompt and each of ``text_ids`` but the last, which it is made to read."""
    session.reset()
    for token in prompt_ids[:-1]:
        session.step(token, head=False)
    chosen, rows = [], []
    for token in (prompt_ids[-1], *text_ids[:-1]):
        logits = session.step(token)
        assert logits is not None
        rows.append(logits.copy())
        chosen.append(session.best)
    return Run(chosen, np.stack(rows), session.precision.activations)


def rows(model: Model, tokens: int, reductions: Sequence[str]) -> Iterator[Row]:
    """Every precision with every reduction, on the region that suits float32."""
    assert model.tokenizer is not None
    prompt = model.tokenizer.encode(PROMPT)
    positions = len(prompt) + tokens
    region = map_model(model, positions=positions).plan.program.calls[0].region
    shape = (region.height, region.width)
    reference = map_model(model, reduce=REFERENCE[1], positions=positions, shape=shape).decode(prompt, tokens)
    text = reference.token_ids
    for precision in PRESETS:
        for reduce in reductions:
            session = map_model(model, dtype=precision, reduce=reduce, positions=positions, shape=shape)
            found = compare(reference, forced_run(session, prompt, text), forced=True)
            yield _row(session, found, (precision, reduce), len(prompt) + tokens // 2)


def _row(session: Session, found: Comparison, names: tuple[str, str], position: int) -> Row:
    return Row(
        *names,
        float(np.mean(found.cosines)),
        found.cosine,
        found.max_error,
        found.max_ulp,
        found.chosen_ulp,
        found.differing,
        found.first_differing,
        session.plan.memory.max_pe_bytes,
        session.clock.token(position).cycles,
    )


def best(model: Model, tokens: int) -> Iterator[str]:
    """Each precision on the region that suits it best."""
    assert model.tokenizer is not None
    positions = len(model.tokenizer.encode(PROMPT)) + tokens
    for precision in PRESETS:
        session = map_model(model, dtype=precision, positions=positions)
        region, memory = session.plan.program.calls[0].region, session.plan.memory
        grid = f"{region.height}×{region.width}"
        weights = next(iter(memory.by_region.values()))["weights"]
        total = region.pes * memory.max_pe_bytes
        cycles = session.clock.token(positions - tokens // 2).cycles
        yield f"{precision:<9} {grid:>8} {weights:>9,} {memory.max_pe_bytes:>9,} {total / 1e6:>8.1f} {cycles:>9,}"


BEST_HEAD = "precision rows×col   weights  bytes/PE       MB    cycles"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2", help="as for wse-emu decode (default: smollm2)")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--reduce", nargs="+", default=list(REDUCTIONS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    model = load_model(options.model)
    count, console = len(PRESETS) * len(options.reduce), Console(stderr=True)
    made = list(track(rows(model, options.tokens, options.reduce), total=count, console=console, transient=True))
    if options.json:
        print(json.dumps([asdict(row) for row in made]))
        return
    print(f"{model.name}, {options.tokens} tokens after {PROMPT!r}, beside {' by '.join(REFERENCE)}\n")
    print("\n".join([HEAD, "─" * len(HEAD), *map(str, made)]))
    print(f"\n{model.name}, each on the region that suits it, reductions by auto\n")
    print("\n".join([BEST_HEAD, "─" * len(BEST_HEAD), *best(model, options.tokens)]))


if __name__ == "__main__":
    main()
