"""`wse-emu estimate`: what wafers would do with a model, and GPUs beside them, from its shape alone."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from wse_emu.baseline import baselines, gpu_format, model_work
from wse_emu.errors import WseError
from wse_emu.hardware.gpu import load_gpu
from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.models.config import ModelConfig
from wse_emu.models.known import load_config
from wse_emu.program.precision import PRESETS
from wse_emu.program.routing import DRAWS, busiest_load
from wse_emu.report.tables import gpus_named
from wse_emu.systems import published_speeds
from wse_emu.wafers import Draft, WaferEstimate, Workload, estimate
from wse_emu.wafers.prefill import estimate_prefill

LEVELS = {
    "cycles_by_kernel": "timing model; between wafers an estimate",
    "tokens_per_second_per_user": "timing model, and an estimate of queueing and of the ways between wafers",
    "tokens_per_second_total": "estimate: stages that work on a token each",
    "bubbles": "estimate: stages that work on a token each",
    "wafers": "estimate: bytes of weights, caches, activations and runtime",
    "energy_j_per_token": "estimate: the whole system at work",
    "experts": "estimate: seeded draws",
    "prefill": "timing model: WaferLLM's layer times the layers; between wafers an estimate",
    "baseline": "estimate: the fewest GPUs, a power of two, that hold the model and all caches",
}


DRAFT = ("model", "tokens", "acceptance")


@dataclass(frozen=True)
class EstimateOptions:
    """The options of `wse-emu estimate`."""

    model: str
    wafer: str
    wafers: int | None
    users: int
    context: int | None
    precision: str
    kv: str
    experts: str
    chances: str | None
    draft: tuple[str, int, float] | None
    """Model, tokens at a time, probability that one is kept."""
    gpus: list[str]
    json_output: bool
    prompt: int | None
    """Tokens of a prompt whose prefill is asked for."""


def run_estimate(options: EstimateOptions) -> None:
    """Estimate and show. Raises WseError for what the user got wrong."""
    config, spec = load_config(options.model), load_wafer(options.wafer)
    if options.precision not in PRESETS:
        raise WseError(f"--precision {options.precision}: {', '.join(PRESETS)} work")
    gpus = [load_gpu(name) for name in options.gpus]
    context = min(8192, config.context) if options.context is None else options.context
    workload = Workload(
        options.users, context, options.precision, options.kv, options.experts, _chances(options.chances)
    )
    found = estimate(config, spec, workload, options.wafers, _draft(options))
    rates = baselines(
        model_work(config, name=options.model),
        gpus,
        users=workload.users,
        position=workload.position,
        context=workload.context,
        weights=gpu_format(workload.precision),
    )
    report = {
        "model": options.model,
        "wafer": spec.name,
        "workload": asdict(workload),
        "draft": None if options.draft is None else dict(zip(DRAFT, options.draft, strict=True)),
        **{key: value for key, value in asdict(found).items() if key != "pe_bytes"},
        "experts": _load(config, workload),
        "system_watts": spec.system_watts,
        **_prefill(options, config, spec, found),
        "sram": {**found.pe_bytes, "capacity": spec.sram_bytes},
        "published": [asdict(speed) for speed in published_speeds(config) if speed.system == spec.name],
        "baseline": [asdict(rate) for rate in rates],
        "levels": LEVELS,
    }
    if options.json_output:
        print(json.dumps(report))  # noqa: T201
    else:
        Console().print(_table(report))


def _chances(text: str | None) -> tuple[float, ...] | None:
    """Numbers after commas, or a JSON file with a list of them."""
    if text is None:
        return None
    try:
        found = json.loads(Path(text).read_text("utf-8")) if text.endswith(".json") else text.split(",")
        return tuple(float(number) for number in found)
    except (OSError, ValueError, TypeError) as error:
        raise WseError(
            f"--chances {text[:60]}: numbers with commas, or a .json file with a list of them, work"
        ) from error


def _load(config: ModelConfig, workload: Workload) -> dict[str, float] | None:
    """Tokens that an expert and the busiest one of a layer get, of one token of every user at once."""
    experts = config.experts
    if experts is None:
        return None
    mean = workload.users * experts.active / experts.count
    busiest = busiest_load(experts.count, experts.active, workload.users, workload.chances)
    return {"mean_tokens": mean, "busiest_tokens": busiest, "max_over_mean": busiest / mean}


def _prefill(options: EstimateOptions, config: ModelConfig, spec: WaferSpec, found: WaferEstimate) -> dict[str, Any]:
    """The prompt of a user who is alone, and the first token behind it."""
    if options.prompt is None:
        return {"prefill": None, "prefill_tokens_per_second": None, "time_to_first_token_seconds": None}
    read = estimate_prefill(config, spec, options.precision, options.prompt, wafers=options.wafers)
    first = (read.cycles + found.cycles_per_token) / spec.clock_hz
    return {
        "prefill": asdict(read),
        "prefill_tokens_per_second": read.tokens_per_second,
        "time_to_first_token_seconds": first,
    }


def _draft(options: EstimateOptions) -> Draft | None:
    if options.draft is None:
        return None
    model, tokens, acceptance = options.draft
    return Draft(load_config(model), tokens, acceptance)


def _rate(tokens_per_second: float) -> str:
    return f"{tokens_per_second:,.0f}" if tokens_per_second >= 10 else f"{tokens_per_second:.2g}"


def _table(report: dict[str, Any]) -> Table:
    title = f"{report['model']} on {report['wafers']} × {report['wafer']}, mapping {report['mapping']}"
    table = Table("", "", "", title=title, title_justify="left", show_header=False, box=SIMPLE, pad_edge=False)
    table.columns[1].justify = "right"
    asked = report["workload"]
    table.add_row("users, context", f"{asked['users']:,} × {asked['context']:,} tokens", asked["dtype"])
    each, total = report["tokens_per_second_per_user"], report["tokens_per_second_total"]
    table.add_row("[bold]for each user[/]", f"[bold]{_rate(each)}[/] tokens/s", "timing model")
    table.add_row("[bold]in total[/]", f"[bold]{_rate(total)}[/] tokens/s", "estimate")
    if draft := report["draft"]:
        said = f"{draft['tokens']} at a time by {draft['model']}"
        table.add_row("drafted", said, f"estimate: {draft['acceptance']:.0%} are kept")
    if read := report["prefill"]:
        where = f"{read['edge']}² PEs a layer, {read['wafers']} wafer{'s' * (read['wafers'] > 1)}, timing model"
        table.add_row("prompt", f"{_rate(read['tokens_per_second'])} tokens/s", f"{read['tokens']:,} tokens, {where}")
        first = f"{1e3 * report['time_to_first_token_seconds']:,.2f} ms"
        table.add_row("time to first token", first, "timing model, estimate between wafers")
    if report["replicas"] > 1:
        table.add_row("replicas", f"{report['replicas']}", "of the model, users and wafers shared out")
    table.add_row("bubbles", f"{report['bubbles']:.0%}", "of the slowest stage's time, for want of users")
    for speed in report["published"][:1]:
        where = f"{speed['systems'] or 'unknown number of'} CS-3, {speed['measured_by']}, {speed['date']}"
        table.add_row("published, one user", f"{speed['printed']} tokens/s", where)
    for gpu in report["baseline"]:
        each, total = (_rate(gpu[f"tokens_per_second_{what}"]) for what in ("per_user", "total"))
        table.add_row(
            gpus_named(gpu), f"{each}, in total {total} tokens/s", f"estimate, {gpu['weights']}, {gpu['bound_by']}"
        )
    table.add_section()
    rows, cols = report["region"]
    table.add_row("a layer lies on", f"{rows} rows × {cols} columns", f"bound by: {report['bound_by']}")
    table.add_row("cycles a token", f"{report['cycles_per_token']:,.0f}", "timing model")
    for name, cycles in sorted(report["cycles_by_kernel"].items(), key=lambda item: -item[1]):
        if round(cycles):
            table.add_row(f"  {name}", f"{cycles:,.0f}", f"{cycles / report['cycles_per_token']:.1%}")
    table.add_section()
    sram = report["sram"]
    used = sum(size for name, size in sram.items() if name != "capacity")
    table.add_row("fullest PE", f"{used:,} of {sram['capacity']:,} bytes", "layers' weights and caches, activations")
    table.add_row("KV cache", f"{report['kv_capacity_tokens']:,} tokens", "would fit, of all users together")
    if (load := report["experts"]) is not None:
        note = f"{load['max_over_mean']:.2f} × the mean of all; estimate: {DRAWS} seeded draws"
        table.add_row("busiest expert", f"{load['busiest_tokens']:,.1f} tokens at once", note)
    table.add_row(
        "energy",
        f"{report['energy_j_per_token']:,.2f} J a token",
        f"estimate: {report['system_watts']:,.0f} W a system",
    )
    return table
