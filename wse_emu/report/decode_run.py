"""What `wse-emu decode` does: load, map, stream the text, then the table, the JSON and the files."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wse_emu.baseline import baselines, gpu_format, model_work
from wse_emu.decode import ENGINES, Decoded, Result, Sampling, Session, check_prompt, map_model
from wse_emu.decode import Progress as Loaded
from wse_emu.engines.wavelet.engine import TELL
from wse_emu.engines.wavelet.recorder import Recorder
from wse_emu.engines.wavelet_clock import WaveletClock
from wse_emu.errors import WseError
from wse_emu.fabric.defects import Defects, read_defects
from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.kernels.sample import check_sampling
from wse_emu.models import Model, load_model
from wse_emu.program.precision import find_precision
from wse_emu.report.folder import check_parent, prepare_folder, write_array, write_file, write_json
from wse_emu.report.heatmap import traffic_picture
from wse_emu.report.page.build import write_page
from wse_emu.report.page.data import collect, save
from wse_emu.report.summary import summary
from wse_emu.report.tables import decode_table
from wse_emu.report.trace import write_trace

TRACE_RECORDS = 1_500_000
"""Moves and waits that a trace holds: some 30 MB of JSON, what a browser still opens at ease."""
DEFAULT_PROMPT = "Once upon a time"


@dataclass(frozen=True)
class DecodeOptions:
    """The options of `wse-emu decode`; see `wse-emu decode --help`."""

    model: str
    prompt: str | None
    prompt_ids: list[int] | None
    chat: bool
    tokens: int
    wafer: str
    mapping: str
    experts: str
    placement: str
    grid: tuple[int, int] | None
    reduce: str
    dtype: str
    defects: str | None
    backend: str
    engine: str
    seed: int
    temperature: float
    top_k: int | None
    top_p: float | None
    json_output: bool
    save_logits: Path | None
    out: Path | None
    trace: Path | None


def run_decode(options: DecodeOptions) -> None:
    """Decode and show it. Raises WseError for anything that the user got wrong, before the long work where possible."""
    _check(options)
    wafer = _wafer(options)
    started = perf_counter()
    model = load_model(options.model)
    opening = perf_counter() - started
    text, ids = _prompt(model, options)
    check_prompt(model.config, ids, options.tokens, model.config.context)
    cycles = CycleBar()
    session = _session(model, wafer, options, len(ids) + options.tokens, cycles)
    session.seconds["load"] += opening
    show = not options.json_output
    decoded = _stream(session, text, ids, options, show=show)
    report, result = _report(session, ids, decoded, options)
    if show:
        Console().print(decode_table(report))
    else:
        _say(json.dumps(report, ensure_ascii=False) + "\n")
    _write(report, result, session, options)


def _check(options: DecodeOptions) -> None:
    if options.temperature < 0:
        raise WseError(f"--temperature {options.temperature:g}: 0 decodes greedily, above 0 samples")
    if options.temperature == 0 and (options.top_k is not None or options.top_p is not None):
        raise WseError("--top-k and --top-p choose among sampled tokens: they need a --temperature above 0")
    if options.temperature > 0:
        check_sampling(options.temperature, options.top_k, options.top_p)
    if options.tokens < 1:
        raise WseError(f"--tokens {options.tokens}: at least 1 works")
    if options.seed < 0:
        raise WseError(f"--seed {options.seed}: a whole number from 0 works")
    if options.out is not None:
        prepare_folder(options.out)
    find_precision(options.dtype)
    _check_engine(options)
    for name, path in (("--save-logits", options.save_logits), ("--trace", options.trace)):
        if path is not None:
            check_parent(path, name)


def _check_engine(options: DecodeOptions) -> None:
    if options.engine not in ENGINES:
        raise WseError(f"--engine {options.engine}: {' or '.join(ENGINES)} works")
    if options.trace is not None and options.engine != "wavelet":
        raise WseError("--trace shows wavelets: it needs --engine wavelet")


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
    model: Model, wafer: tuple[WaferSpec, Defects], options: DecodeOptions, positions: int, cycles: "CycleBar"
) -> Session:
    with _progress("loading") as loaded:
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
        )


@contextmanager
def _progress(what: str) -> Iterator[Loaded]:
    """A bar on stderr, where that is a terminal; it goes away when the work is done."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("tensors"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class CycleBar:
    """A line on stderr, where that is a terminal, while the wavelet engine is at work on a token."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._started = perf_counter()

    def show(self, cycle: int, expected: int) -> None:
        """At ``cycle`` of about ``expected``."""
        if self._console.is_terminal:
            seconds = perf_counter() - self._started
            text = f"\r[cycle {cycle:,} of about {expected:,}, {seconds:,.0f} s]\x1b[K"
            sys.stderr.write(text if cycle + TELL < expected else "\r\x1b[K")
            sys.stderr.flush()


def _stream(session: Session, text: str, ids: list[int], options: DecodeOptions, *, show: bool) -> list[Decoded]:
    """Decode, writing the text as it comes; Ctrl-C ends the text, and what there is by then is reported."""
    sampling = Sampling(options.temperature, options.top_k, options.top_p, options.seed)
    tokenizer = session.model.tokenizer
    pieces = tokenizer.stream() if tokenizer else None
    decoded: list[Decoded] = []
    if show:
        _say(text)
    try:
        for token in session.stream(ids, options.tokens, sampling):
            decoded.append(token)
            if show:
                _say(pieces.push(token.token) if pieces else f"{token.token} ")
    except KeyboardInterrupt:
        if not decoded:
            raise
        print(f"\nwse-emu: interrupted after {len(decoded)} tokens", file=sys.stderr)  # noqa: T201
    if show:
        _say((pieces.flush() if pieces else "") + "\n\n")
    return decoded


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
        write_json(options.out / "report.json", report)
        count = len(result.tokens)
        title = f"{report['model']} on {session.spec.name}, {report['mapping']}: wavelets of {count} decoded tokens"
        picture = options.out / "traffic.png"
        write_file(picture, lambda path: traffic_picture(path, result.links, session.plan.regions, title))
        facts = collect(session, result, report)
        save(options.out, facts)
        write_page(options.out / "report.html", [facts])
