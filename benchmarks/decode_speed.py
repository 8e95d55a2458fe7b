"""The emulator's speed on this machine, in turn with a plain numpy decoder of the same weights.

`OPENBLAS_NUM_THREADS=1 python -m benchmarks.decode_speed --model smollm2` prints tokens/s of the plain decoder and of
each backend, measured in turn, their ratios (medians), and what timing takes of the time that the numbers take.
"""

import argparse
import json
import os
import sys
from statistics import median
from time import perf_counter

from benchmarks.plain_decoder import PlainDecoder, seconds_per_token
from wse_emu.decode import Session, map_model
from wse_emu.models import load_model

PROMPT = "Once upon a time"


def emulated_seconds(session: Session, prompt_ids: list[int], tokens: int) -> float:
    """Seconds per pass through the model, new tokens only."""
    stream = session.stream(prompt_ids, tokens)
    next(stream)
    started = perf_counter()
    count = sum(1 for _ in stream)
    return (perf_counter() - started) / count


def timing_share(session: Session, prompt_ids: list[int], tokens: int) -> float:
    """Seconds of timing over seconds of numbers, for a stream of new tokens, the first one included."""
    before = dict(session.seconds)
    for _ in session.stream(prompt_ids, tokens):
        pass
    spent = {name: session.seconds[name] - before[name] for name in ("timing", "decode")}
    return spent["timing"] / spent["decode"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mapping", default="shared")
    parser.add_argument("--backends", nargs="+", default=["numpy", "jax"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        sys.exit("set OPENBLAS_NUM_THREADS=1: both sides get one BLAS thread")
    model = load_model(options.model)
    assert model.tokenizer is not None
    ids = model.tokenizer.encode(PROMPT)
    plain = PlainDecoder(model.config, model.weights)
    sessions = {
        name: map_model(model, mapping=options.mapping, backend=name, positions=len(ids) + options.tokens)
        for name in options.backends
    }
    shares = {name: timing_share(session, ids, options.tokens) for name, session in sessions.items()}
    times: dict[str, list[float]] = {name: [] for name in ("plain", *sessions)}
    for _ in range(options.rounds):
        times["plain"].append(median(seconds_per_token(plain, ids, options.tokens)))
        for name, session in sessions.items():
            times[name].append(emulated_seconds(session, ids, options.tokens))
    rows = {
        name: {
            "tokens_per_second": 1 / median(spent),
            "ratio_to_plain": median(p / s for p, s in zip(times["plain"], spent, strict=True)),
            "timing_over_numbers": shares.get(name),
        }
        for name, spent in times.items()
    }
    if options.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        share = f", timing {row['timing_over_numbers']:.1%} of it" if row["timing_over_numbers"] is not None else ""
        print(f"{name:6} {row['tokens_per_second']:7.1f} tokens/s, ratio {row['ratio_to_plain']:.2f}{share}")


if __name__ == "__main__":
    main()
