"""`wse-emu bench fabric`: router-cycles per second of the wavelet engine, by workload, mesh, colors and load."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from wse_emu.engines.workloads import Traffic, measure, workload
from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.report.folder import prepare_folder
from wse_emu.report.machine_speed import copy_bandwidth
from wse_emu.report.progress import bar
from wse_emu.report.run.record import record_run, run_facts

SMALL = 64
"""Rows and columns up to which latencies are looked at; beyond, looking on would cost more than the run."""
LEVELS = {"cycles": "cycle-exact", "router_cycles_per_second": "measured"}
DEFAULT = (
    ("streams", 256, 256, 1, 1.0, 1500),
    ("streams", 256, 256, 4, 1.0, 1500),
    ("streams", 256, 256, 4, 0.2, 600),
    ("streams", 256, 256, 24, 1.0, 100),
    ("all_reduce:ktree", 256, 256, 4, 1.0, 16),
    ("streams", 0, 0, 4, 1.0, 200),
)
"""(workload, rows, columns (0: the whole wafer), colors, load, wavelets of a stream)"""


@dataclass(frozen=True)
class FabricOptions:
    """The options of `wse-emu bench fabric`."""

    workloads: list[str]
    grid: tuple[int, int] | None
    colors: int | None
    load: float | None
    wavelets: int | None
    wafer: str
    json_output: bool
    out: Path | None = None
    """Folder for run.json and report.json."""


def run_bench_fabric(options: FabricOptions) -> None:
    """Measure and show. Raises WseError for what the user got wrong."""
    spec = load_wafer(options.wafer)
    if options.out is not None:
        prepare_folder(options.out)
    bandwidth = copy_bandwidth()
    rows, cases = [], _cases(options, spec)
    with bar("measuring", "runs") as shown:
        for done, (name, traffic) in enumerate(cases):
            shown(done, len(cases), f"{name} on {traffic.rows}×{traffic.cols}")
            rows.append(_measure(spec, name, traffic, bandwidth))
    report = {"wafer": spec.name, "copy_bytes_per_second": bandwidth, "runs": rows}
    record_run(options.out, run_facts("bench fabric", asdict(options), wafer=spec, levels=LEVELS), report)
    if options.json_output:
        print(json.dumps(report))  # noqa: T201
    else:
        console = Console()
        console.print(_table(rows, spec, bandwidth))
        for line in _notes(rows):
            console.print(line)


def _cases(options: FabricOptions, spec: WaferSpec) -> list[tuple[str, Traffic]]:
    asked = (options.workloads or None, options.grid, options.colors, options.load, options.wavelets)
    if any(value is not None for value in asked):
        shape = options.grid or (min(256, spec.rows), min(256, spec.columns))
        load = 1.0 if options.load is None else options.load
        traffic = Traffic(
            *shape,
            4 if options.colors is None else options.colors,
            load,
            256 if options.wavelets is None else options.wavelets,
        )
        return [(name, traffic) for name in options.workloads or ["streams"]]
    found = []
    for name, rows, cols, colors, load, wavelets in DEFAULT:
        shape = min(rows or spec.rows, spec.rows), min(cols or spec.columns, spec.columns)
        found.append((name, Traffic(*shape, colors, load, wavelets)))
    return found


def _measure(spec: WaferSpec, name: str, traffic: Traffic, bandwidth: float) -> dict[str, Any]:
    small = max(traffic.rows, traffic.cols) <= SMALL
    measured = measure(workload(name, spec, traffic), latencies=small, metered=small)
    state = 2 * measured.state_bytes * measured.stepped / measured.seconds / bandwidth
    return {"workload": name, **asdict(traffic), **asdict(measured), "state_share_of_copy_bandwidth": state}


def _table(rows: list[dict[str, Any]], spec: WaferSpec, bandwidth: float) -> Table:
    title = f"wavelet engine on {spec.name}; this machine copies {bandwidth / 1e9:.0f} GB/s"
    heads = ("workload", "mesh", "colors", "load", "cycles", "rate", "link", "of copy")
    table = Table(*heads, title=title, title_justify="left", box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        streams = row["workload"] == "streams"
        table.add_row(
            row["workload"],
            f"{row['rows']}×{row['cols']}",
            str(row["colors"]) if streams else "",
            f"{row['load']:g}" if streams else "",
            f"{row['cycles']:,}",
            f"{row['router_cycles_per_second']:.2e}",
            f"{row['busiest_link']:.0%}",
            f"{row['state_share_of_copy_bandwidth']:.0%}",
        )
    return table


def _notes(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "[dim]rate: router-cycles per second; link: load of the busiest one; of copy: planes read and written[/]"
    for row in rows:
        if row["limit"]:
            yield f"{row['workload']}: the limit was {row['limit']}"
        if row["latency"]:
            found = ", ".join(f"{name} {cycles:g}" for name, cycles in row["latency"].items())
            yield f"{row['workload']}: {row['delivered']:,} wavelets delivered, latency in cycles: {found}"
