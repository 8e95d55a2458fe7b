"""Tables for the console."""

from typing import Any

from rich.box import SIMPLE
from rich.table import Table

Summary = dict[str, Any]


def decode_table(report: Summary) -> Table:
    """One table: rates, cycles by kernel, traffic, SRAM, padding; every group says how it was obtained."""
    table = Table("", "", "", title=_title(report), title_justify="left", show_header=False, box=SIMPLE, pad_edge=False)
    table.columns[1].justify = "right"
    _rates(table, report)
    table.add_section()
    _kernels(table, report)
    table.add_section()
    _resources(table, report)
    return table


def _title(report: Summary) -> str:
    wafer = report["wafer"]
    where = f"{wafer['name']} ({wafer['columns']}×{wafer['rows']} PEs, {wafer['clock_hz'] / 1e9:g} GHz)"
    experts = "" if report["experts"] is None else f", experts {report['experts_lie']}"
    return f"{report['model']} on {where}, mapping {report['mapping']}{experts}"


def _rates(table: Table, report: Summary) -> None:
    rate = f"{report['tokens_per_second']:,.0f}"
    note = f"{report['level']}, {report['precision']}"
    table.add_row(f"[bold]{report['wafer']['name']}[/]", f"[bold]{rate}[/] tokens/s", note)
    for gpu in report["baseline"]:
        speed = f"{gpu['tokens_per_second_total']:,.0f} tokens/s"
        table.add_row(gpus_named(gpu), speed, f"{gpu['level']}, {gpu['weights']}, {gpu['bound_by']}")
    fit = report["baseline_fit"]
    table.add_row(
        "  of HBM bandwidth", f"{fit['hbm_efficiency']:.0%}", f"fit, median error {fit['median_abs_error']:.1%}"
    )


def gpus_named(gpu: Summary) -> str:
    """One of them by its name alone, several as 4 × H100."""
    return gpu["gpu"] if gpu["gpus"] == 1 else f"{gpu['gpus']} × {gpu['gpu']}"


def _kernels(table: Table, report: Summary) -> None:
    kernels: dict[str, float] = report["cycles_by_kernel"]
    total = sum(kernels.values())
    _prompt(table, report)
    table.add_row("[bold]cycles per token[/]", f"[bold]{total:,.0f}[/]", f"{report['level']}, mean")
    if modelled := report["modelled_cycles_per_token"]:
        expected = sum(modelled) / len(modelled)
        note = f"{(expected - total) / total:+.2%} beside it"
        table.add_row("  by the timing model", f"{expected:,.0f}", note)
    for name, cycles in sorted(kernels.items(), key=lambda item: -item[1]):
        if round(cycles):
            table.add_row(f"  {name}", f"{cycles:,.0f}", f"{cycles / total:5.1%} {'█' * round(24 * cycles / total)}")


def _prompt(table: Table, report: Summary) -> None:
    first = f"{1e6 * report['time_to_first_token_seconds']:,.1f} µs"
    table.add_row("time to first token", first, report["prefill_level"])
    if prefill := report["prefill"]:
        how = "token by token" if prefill["edge"] is None else f"by GEMMs on {prefill['edge']}² PEs"
        table.add_row("prompt", f"{report['prefill_tokens_per_second']:,.0f} tokens/s", f"{prefill['tokens']:,} {how}")
        table.add_row("  cycles", f"{prefill['cycles']:,}", report["prefill_level"])
        if prefill["handover_cycles"]:
            table.add_row("  of these hand-over", f"{prefill['handover_cycles']:,}", "estimate: load of the links")


def _resources(table: Table, report: Summary) -> None:
    link, memory = report["busiest_link"], report["sram"]
    tokens = len(report["token_ids"])
    table.add_row("wavelet-hops per token", f"{report['wavelet_hops'] / tokens:,.0f}", "counted per link")
    where = f"leaving PE ({link['x']},{link['y']}) to the {_WAYS[link['towards']]}"
    table.add_row("busiest link per token", f"{link['wavelets'] / tokens:,.0f} wavelets", where)
    _experts(table, report)
    colors = report["colors"]
    found = (
        f"{colors['used']} of {colors['available']}" if colors["used"] is not None else f"over {colors['available']}"
    )
    table.add_row("colors", found, "allocated" if colors["used"] is not None else "routes would change")
    if any(report["defects"].values()):
        defects = report["defects"]
        table.add_row("dead PEs", f"{defects['pes']:,}", f"and {defects['links']:,} dead links")
    used, capacity = memory["used_bytes"], memory["capacity_bytes"]
    table.add_row("SRAM", f"{_size(used)} of {_size(capacity)}", f"{used / capacity:.1%} of the wafer")
    table.add_row("fullest PE", f"{memory['max_pe_bytes']:,} of {memory['capacity_pe_bytes']:,} bytes", "")
    for name, size in memory["max_pe"].items():
        table.add_row(f"  {name.replace('_', ' ')}", f"{size:,} bytes", "")
    table.add_row("padding", f"{memory['padding']:.1%}", "of the weights' space")
    table.add_section()
    seconds = report["seconds"]
    passes = tokens + len(report["prompt_ids"]) - 1
    table.add_row("this machine", f"{passes / seconds['decode']:,.1f} tokens/s", f"measured, {report['backend']}")
    for name, value in seconds.items():
        table.add_row(f"  {name}", f"{value:.2f} s", "")


def _experts(table: Table, report: Summary) -> None:
    """The layer whose experts are least evenly met."""
    if report["experts"] is None:
        return
    worst = max(report["experts"]["layers"], key=lambda layer: layer["max_over_mean"])
    tokens, busiest = worst["tokens"], max(worst["tokens"])
    where = f"expert {tokens.index(busiest)} of layer {worst['layer']} met {busiest:,} tokens"
    table.add_row("busiest expert", f"{worst['max_over_mean']:.2f} × the mean", where)


_WAYS = {"E": "east", "W": "west", "N": "north", "S": "south"}


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:,.4g} {unit}"
        count /= 1000
    return f"{count:,.4g} GB"


def info_tables(info: dict[str, list[dict[str, Any]]]) -> list[Table]:
    """One table for each group of :func:`wse_emu.hardware.info.wafer_info`."""
    tables = []
    for title, rows in info.items():
        table = Table("", "", "", "", title=title, title_justify="left", show_header=False, box=SIMPLE, pad_edge=False)
        table.columns[1].justify = "right"
        for row in rows:
            value = row["value"] if isinstance(row["value"], str) else f"{row['value']:,.6g}"
            table.add_row(row["name"], value, row["unit"], f"[dim]{row['level']}[/]")
        tables.append(table)
    return tables
