"""`wse-emu compare`: a wafer and GPUs with a model, by users: speed, energy, cost, and who is ahead in what."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from wse_emu.errors import WseError
from wse_emu.hardware.gpu import load_gpu
from wse_emu.hardware.wafer import load_wafer
from wse_emu.models.known import load_config
from wse_emu.program.precision import PRESETS
from wse_emu.report.compare_picture import draw
from wse_emu.report.folder import prepare_folder, write_json
from wse_emu.systems import Asked, Comparison, PublishedSpeed, SystemRow, answers, compare_systems

VERSION = 1
"""Of the JSON object: raised when a key changes its meaning or goes."""
LEVELS = {
    "tokens_per_second": "each row's own level",
    "count": "estimate: the fewest that hold weights and all caches, of GPUs a power of two",
    "joules_per_token": "estimate: whole systems at full power; wafers by press and vendor, GPUs by datasheet",
    "usd_per_million_tokens": "estimate: a price of an hour that was given, or a GPU's preset (secondary source)",
    "published": "published, each with source and confidence (P primary, S secondary)",
}
MOST_DIGITS = 10
"""Of a number of users."""
SHOWN = {"latency": "Latency", "mixture": "Dense or mixture", "cost": "Cost"}


@dataclass(frozen=True)
class CompareOptions:
    """The options of `wse-emu compare`."""

    model: str
    wafer: str
    wafers: int | None
    gpus: list[str]
    users: str
    context: int | None
    precision: str
    wafer_usd_per_hour: float | None
    gpu_usd_per_hour: float | None
    json_output: bool
    out: Path | None


def run_compare(options: CompareOptions) -> None:
    """Compare and show. Raises WseError for what the user got wrong."""
    asked_users = _users(options.users)
    if options.precision not in PRESETS:
        raise WseError(f"--precision {options.precision}: {', '.join(PRESETS)} work")
    gpus = [load_gpu(name) for name in dict.fromkeys(options.gpus)]
    config, spec = load_config(options.model), load_wafer(options.wafer)
    context = min(8192, config.context) if options.context is None else options.context
    asked = Asked(
        asked_users, context, options.precision, options.wafers, options.wafer_usd_per_hour, options.gpu_usd_per_hour
    )
    if options.out is not None:
        prepare_folder(options.out)
    found = compare_systems(config, spec, asked, gpus, name=options.model)
    report = comparison_report(found)
    if options.json_output:
        print(json.dumps(report, ensure_ascii=False))  # noqa: T201
    else:
        _show(found, report)
    if options.out is not None:
        write_json(options.out / "compare.json", report)
        draw(found, options.out / "compare.png")


def _users(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < MOST_DIGITS for part in parts):
        raise WseError(f"--users {text[:60]!r}: whole numbers separated by commas work, as 1,8,64")
    return tuple(int(part) for part in parts)


def comparison_report(found: Comparison) -> dict[str, Any]:
    """The JSON object of a comparison."""
    return {
        "version": VERSION,
        "model": found.work.name,
        "wafer": found.wafer,
        "context": found.asked.context,
        "precision": found.asked.dtype,
        "prompt": found.asked.prompt,
        "rows": [asdict(row) for row in found.rows],
        "missing": [asdict(one) for one in found.missing],
        "published": [_published(found, speed) for speed in found.published],
        "answers": answers(found),
        "levels": LEVELS,
    }


def _published(found: Comparison, speed: PublishedSpeed) -> dict[str, Any]:
    """A published figure, the row of one user of that system, and the one over the other."""
    row = found.predicted(speed)
    if row is None:
        return {**asdict(speed), "predicted": None, "predicted_count": None, "ratio": None}
    rate = row.tokens_per_second_per_user
    ratio = rate / speed.tokens_per_second
    return {**asdict(speed), "predicted": rate, "predicted_count": row.count, "ratio": ratio}


def _show(found: Comparison, report: dict[str, Any]) -> None:
    console = Console()
    console.print(_table(found))
    notes = [f"no {one.phase} on {one.system} for {one.users:,} at once: {one.reason}" for one in found.missing]
    for line in [*notes, *(_published_line(found, speed) for speed in found.published)]:
        console.print(line, highlight=False, soft_wrap=True)
    console.print()
    for question, answer in report["answers"].items():
        console.print(f"[bold]{SHOWN[question]}:[/] {answer}.", highlight=False, soft_wrap=True)


def _table(found: Comparison) -> Table:
    asked = found.asked
    title = f"{found.work.name}, {asked.dtype}, {asked.context:,} tokens of context a user: tokens/s, energy, cost"
    caption = (
        f"{found.wafer}: timing model, with estimates of queueing and of ways between wafers. GPUs, energy (at full "
        f"power), cost: estimates. prompt: tokens read, of one of {asked.prompt:,}. No price: not ahead in cost."
    )
    heads = ("users", "system", "each", "in total", "J/token", "$/M", "ahead in")
    table = Table(*heads, title=title, caption=caption, box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.title_justify = table.caption_justify = "left"
    for column in table.columns:
        column.no_wrap = True
    for column in (table.columns[0], *table.columns[2:6]):
        column.justify = "right"
    for users in asked.users:
        _section(table, found.of("decode", users), f"{users:,}")
    _section(table, found.of("prefill", 1), "prompt")
    return table


def _section(table: Table, rows: list[SystemRow], label: str) -> None:
    """The rows of one number of users, and a line after them."""
    for number, row in enumerate(rows):
        rates = (f"{row.tokens_per_second_per_user:,.0f}", f"{row.tokens_per_second_total:,.0f}")
        cost = "no price" if row.usd_per_million_tokens is None else f"{row.usd_per_million_tokens:,.3g}"
        cells = (*rates, f"{row.joules_per_token:,.3g}", cost, ", ".join(row.ahead))
        table.add_row("" if number else label, row.name, *cells, style="bold" if row.wafer else "")
    table.add_section()


def _published_line(found: Comparison, speed: PublishedSpeed) -> str:
    """What was published, the prediction beside it, and why they differ."""
    row = found.predicted(speed)
    if row is None:
        return f"published: {speed}"
    rate = row.tokens_per_second_per_user
    ratio = f"{rate / speed.tokens_per_second:.2g} times that"
    return f"published: {speed}; predicted: {rate:,.0f} on {row.name}, {ratio}. Why: {speed.gap}"
