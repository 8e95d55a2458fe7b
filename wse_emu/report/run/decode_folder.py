"""Everything that `wse-emu decode --out` leaves."""

from pathlib import Path
from typing import Any

import numpy as np

from wse_emu.decode import Result, Session
from wse_emu.engines.wavelet_clock import WaveletClock
from wse_emu.mappings.plan import Plan
from wse_emu.models import Model
from wse_emu.models.mapped_file import path_sha256
from wse_emu.report.decode_options import DecodeOptions
from wse_emu.report.folder import write_file
from wse_emu.report.heatmap import busy_picture, traffic_picture
from wse_emu.report.page.build import write_page
from wse_emu.report.page.data import collect, save
from wse_emu.report.run.arrays import pe_arrays, write_arrays
from wse_emu.report.run.export import WAVELETS
from wse_emu.report.run.outcomes import clear_outcomes
from wse_emu.report.run.record import Facts, begin_run, finish_run, run_facts, text_sha256
from wse_emu.report.run.resume import StateKeeper, check_same, load_state, saved_options
from wse_emu.report.run.steps import token_steps, write_steps
from wse_emu.report.run.timeline import write_timeline
from wse_emu.report.run.wavelets import wavelet_arrays
from wse_emu.report.summary import LEVELS


def open_folder(session: Session, options: DecodeOptions) -> StateKeeper:
    """Write run.json for a new run, or see that one that goes on is the same; where the tokens are to be kept."""
    if options.out is None:
        return StateKeeper(None)
    facts = decode_facts(session, options)
    if options.resume:
        check_same(options.out, facts)
        return StateKeeper(options.out, load_state(options.out))
    begin_run(options.out, facts)
    clear_outcomes(options.out)
    keeper = StateKeeper(options.out)
    keeper.save()
    return keeper


def decode_facts(session: Session, options: DecodeOptions) -> Facts:
    """run.json of a decode."""
    plan, level = session.plan, LEVELS[options.engine]
    mapped = "\n".join([str(plan.program), *map(str, plan.regions.items()), str(session.precision)])
    return run_facts(
        "decode",
        saved_options(options),
        seed=options.seed,
        model=model_facts(session.model),
        mapping={"name": plan.mapping, "placement": plan.placement, "sha256": text_sha256(mapped)},
        wafer=session.spec,
        levels={
            "tokens": "computed",
            "cycles": level,
            "prefill": LEVELS["timing"],
            "links": level,
            "busy_cycles": "timing model",
            "sram": "counted",
            "gpus": "estimate",
        },
    )


def model_facts(model: Model) -> Facts:
    """The model by name and the sha256 of its weights' files."""
    found = model.sha256 or path_sha256(Path(model.source))
    return {"name": model.name, "source": model.source, "sha256": found}


def write_folder(out: Path, report: dict[str, Any], result: Result, session: Session) -> None:
    """All files behind the last token, report.json as the last of them."""
    plan, spec, timings = session.plan, session.spec, [decoded.timing for decoded in result.tokens]
    names = {region: name for name, region in plan.regions.items()}
    tokens = token_steps(timings)
    arrays = pe_arrays(plan, spec, timings, result.links)
    write_steps(out / "steps.parquet", tokens, names)
    write_arrays(out / "links.npz", arrays)
    write_timeline(out / "trace.json.gz", tokens, names)
    _write_wavelets(out, session)
    _write_pictures(out, arrays, plan, f"{report['model']} on {spec.name}, {report['mapping']}", len(timings))
    _write_page(out, report, result, session)
    finish_run(out, report)


def _write_pictures(out: Path, arrays: dict[str, np.ndarray], plan: Plan, title: str, tokens: int) -> None:
    def traffic(path: Path) -> None:
        traffic_picture(path, arrays["links"], plan.regions, f"{title}: wavelets of {tokens} decoded tokens")

    def busy(path: Path) -> None:
        total = arrays["busy_cycles"] + arrays["wait_cycles"]
        share = arrays["busy_cycles"] / np.maximum(total, 1)
        busy_picture(path, share, plan.regions, f"{title}: PEs at work, {tokens} decoded tokens")

    write_file(out / "traffic.png", traffic)
    write_file(out / "busy.png", busy)


def _write_page(out: Path, report: dict[str, Any], result: Result, session: Session) -> None:
    facts = collect(session, result, report)
    save(out, facts)
    write_page(out / "report.html", [facts])


def _write_wavelets(out: Path, session: Session) -> None:
    """Those of the first token, where they were recorded."""
    clock = session.clock
    if isinstance(clock, WaveletClock) and clock.recorder is not None and clock.recorded is not None:
        write_arrays(out / WAVELETS, wavelet_arrays(clock.recorded[0], clock.recorder))
