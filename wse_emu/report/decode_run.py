"""What `wse-emu decode` does: load, map, stream the text, then the table, the JSON and the files."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console

from wse_emu.baseline import baselines, gpu_format, model_work
from wse_emu.decode import Decoded, Result, Sampling, Session, check_prompt, map_model
from wse_emu.engines.wavelet.recorder import Recorder
from wse_emu.engines.wavelet_clock import WaveletClock
from wse_emu.errors import WseError
from wse_emu.fabric.defects import Defects, read_defects
from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.models import Model, load_model
from wse_emu.report.decode_options import DecodeOptions, check_options
from wse_emu.report.folder import write_array
from wse_emu.report.progress import Bar, bar
from wse_emu.report.run.decode_folder import open_folder, write_folder
from wse_emu.report.run.outcomes import KeptOutcomes, clear_outcomes
from wse_emu.report.run.reader import load_run
from wse_emu.report.run.resume import StateKeeper, is_complete
from wse_emu.report.summary import summary
from wse_emu.report.tables import decode_table
from wse_emu.report.trace import write_trace

TRACE_RECORDS = 1_500_000
"""Moves and waits that a trace holds: some 30 MB of JSON, what a browser still opens at ease."""
DEFAULT_PROMPT = "Once upon a time"


def run_decode(options: DecodeOptions) -> None:
    """Decode and show it. Raises WseError for anything that the user got wrong, before the long work where possible."""
    check_options(options)
    if options.resume and options.out is not None and is_complete(options.out):
        _show_again(options.out, options)
        return
    wafer = _wafer(options)
    started = perf_counter()
    model = load_model(options.model)
    opening = perf_counter() - started
    text, ids = _prompt(model, options)
    check_prompt(model.config, ids, options.tokens, model.config.context)
    cycles = Bar("a token", "cycles")
    session = _session(model, wafer, options, len(ids) + options.tokens, cycles)
    session.seconds["load"] += opening
    show = not options.json_output
    keeper = open_folder(session, options)
    with cycles, Bar("decoding", "tokens") as done:
        decoded, complete = _stream(session, text, ids, options, Watch(keeper, cycles, done, Text(shown=show)))
    report, result = _report(session, ids, decoded, options)
    if show:
        Console().print(decode_table(report))
    else:
        _say(json.dumps(report, ensure_ascii=False) + "\n")
    _write(report, result, session, options)
    keeper.save(complete=complete)
    if complete and options.out is not None:
        clear_outcomes(options.out)


def _show_again(out: Path, options: DecodeOptions) -> None:
    """A run that is complete already: what it said in the end."""
    run = load_run(out)
    report = run.as_json()
    if options.json_output:
        _say(json.dumps(report, ensure_ascii=False) + "\n")
        return
    print(f"wse-emu: {out} is complete: nothing is left to do", file=sys.stderr)  # noqa: T201
    _say(run.decode.text + "\n\n")
    Console().print(decode_table(report))


def _prompt(model: Model, options: DecodeOptions) -> tuple[str, list[int]]:
    if options.prompt_ids is not None:
        return "", options.prompt_ids
    if model.tokenizer is None:
        raise WseError(f"{model.name} has no tokenizer: give --prompt-ids")
    text = DEFAULT_PROMPT if options.prompt is None else options.prompt
    if options.chat:
        text = model.tokenizer.chat([{"role": "user", "content": text}])
    return text, model.tokenizer.encode(text)


def _wafer(options: DecodeOptions) -> tuple[WaferSpec, Defects]:
    spec = load_wafer(options.wafer)
    return spec, Defects() if options.defects is None else read_defects(options.defects, spec.columns, spec.rows)


def _session(
    model: Model, wafer: tuple[WaferSpec, Defects], options: DecodeOptions, positions: int, cycles: Bar
) -> Session:
    with bar("loading", "tensors") as loaded:
        return map_model(
            model,
            wafer=wafer[0],
            defects=wafer[1],
            mapping=options.mapping,
            experts=options.experts,
            placement=options.placement,
            reduce=options.reduce,
            dtype=options.dtype,
            backend=options.backend,
            positions=positions,
            shape=options.grid,
            on_host=options.temperature > 0,
            engine=options.engine,
            progress=loaded,
            on_cycles=cycles.show,
            recorder=None if options.trace is None else Recorder(TRACE_RECORDS),
            record_steps=options.out is not None,
            kept=None if options.out is None else KeptOutcomes(options.out),
            prefill=options.prefill,
        )


class Text:
    """What is written on stdout. A bar on the same terminal wipes the line at hand, which is then written again."""

    def __init__(self, *, shown: bool) -> None:
        self._shown, self._line = shown, ""

    def say(self, text: str) -> None:
        """Write ``text`` at once."""
        if self._shown:
            self._line = (self._line + text).rpartition("\n")[2]
            _say(text)

    def again(self) -> None:
        """Write what a bar wiped: the row of the terminal that the text had come to."""
        if self._shown and sys.stdout.isatty():
            _say(self._line[len(self._line) - len(self._line) % Console().width :])


@dataclass(frozen=True)
class Watch:
    """What looks on while tokens are decoded: who saves them, a bar for the cycles of each, a bar for all."""

    keeper: StateKeeper
    cycles: Bar
    tokens: Bar
    text: Text

    def add(self, decoded: Decoded, state: dict[str, Any] | None, count: int, options: DecodeOptions) -> None:
        """One more token. Where the text itself is seen, it is all the progress that is needed."""
        if self.cycles.close():
            self.text.again()
        self.keeper.add(decoded, state)
        if options.engine == "timing" and (options.json_output or not sys.stdout.isatty()):
            self.tokens.show(count, options.tokens)


def _stream(
    session: Session, text: str, ids: list[int], options: DecodeOptions, watch: Watch
) -> tuple[list[Decoded], bool]:
    """Decode, writing the text as it comes; Ctrl-C ends the text, and what there is by then is reported.

    The tokens, and whether they are all that were asked for.
    """
    sampling = Sampling(options.temperature, options.top_k, options.top_p, options.seed)
    tokenizer = session.model.tokenizer
    pieces = tokenizer.stream() if tokenizer else None
    decoded: list[Decoded] = []
    complete = True
    watch.text.say(text)
    try:
        for token in session.stream(ids, options.tokens, sampling):
            decoded.append(token)
            watch.add(token, None if sampling.greedy else session.sampling_state, len(decoded), options)
            watch.text.say(pieces.push(token.token) if pieces else f"{token.token} ")
    except KeyboardInterrupt:
        if not decoded:
            raise
        complete = False
        print(f"\nwse-emu: interrupted after {len(decoded)} tokens", file=sys.stderr)  # noqa: T201
    watch.text.say((pieces.flush() if pieces else "") + "\n\n")
    return decoded, complete


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _report(
    session: Session, ids: list[int], decoded: list[Decoded], options: DecodeOptions
) -> tuple[dict[str, Any], Result]:
    result = session.result(ids, decoded)
    facts = {
        "model": session.model.name,
        "mapping": session.plan.mapping,
        "placement": session.plan.placement,
        "experts_lie": options.experts,
        "reduce": options.reduce,
        "backend": options.backend,
        "engine": options.engine,
        "precision": session.precision.name,
    }
    kept = "bf16" if session.precision.weights == "float32" else gpu_format(session.precision)  # as GPUs would run it
    rates = baselines(model_work(session.model.config), position=len(ids) + len(decoded) // 2, weights=kept)
    return summary(result, session.spec, session.plan, rates, facts), result


def _write_trace(path: Path, session: Session) -> None:
    clock = session.clock
    assert isinstance(clock, WaveletClock)
    assert clock.recorded is not None
    assert clock.recorder is not None
    print(write_trace(path, *clock.recorded, clock.recorder), file=sys.stderr)  # noqa: T201


def _write(report: dict[str, Any], result: Result, session: Session, options: DecodeOptions) -> None:
    if options.save_logits is not None:
        write_array(options.save_logits, np.stack([token.logits for token in result.tokens]).astype(np.float32))
    if options.trace is not None:
        _write_trace(options.trace, session)
    if options.out is not None:
        write_folder(options.out, report, result, session)
