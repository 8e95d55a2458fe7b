"""`wse-emu validate`: published measurements, our predictions, the errors; as tables, as JSON, as a picture."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from wse_emu.errors import WseError
from wse_emu.hardware.wafer import load_wafer
from wse_emu.report.folder import check_parent, prepare_folder, write_file
from wse_emu.report.progress import bar
from wse_emu.report.run.record import record_run, run_facts
from wse_emu.validation import Case, ValidationSet, read_rows, shipped_files, validate

ROUNDING = 5e-5
"""Recorded errors are rounded to four digits."""


def run_validate(
    data: Sequence[Path],
    *,
    cases: bool = False,
    plot: Path | None = None,
    check: bool = False,
    json_output: bool = False,
    out: Path | None = None,
) -> bool:
    """Predict and show, and leave run.json and report.json in ``out``.

    With ``check`` False is returned where an error is beyond its record. Raises WseError for what the user got wrong.
    """
    if plot is not None:
        check_parent(plot, "--plot")
    if out is not None:
        prepare_folder(out)
    rows = [row for path in data or shipped_files() for row in read_rows(path)]
    with bar("validating", "rows") as shown:
        sets, skipped = validate(rows, progress=shown)
    if not sets:
        raise WseError(f"{', '.join(map(str, data))}: no row that can be predicted ({'; '.join(skipped) or 'no rows'})")
    grown = list(_grown(sets)) if check else []
    report = {"sets": [one.as_dict() for one in sets], "skipped": skipped, "grown": grown}
    if json_output:
        print(json.dumps(report))  # noqa: T201
    else:
        _show(sets, skipped, every=cases or bool(data))
    if plot is not None:
        draw(sets, plot)
    options = {"data": data, "cases": cases, "plot": plot, "check": check}
    record_run(out, run_facts("validate", options, levels={"predicted": "timing model"}), report)
    for line in grown:
        print(f"wse-emu: {line}", file=sys.stderr)  # noqa: T201
    return not grown


def _grown(sets: Sequence[ValidationSet]) -> Iterator[str]:
    for one in sets:
        recorded = load_wafer(one.wafer).calibration.get(one.name)
        if recorded is None:
            yield f"{one.name}: no error is recorded in {one.wafer}.toml"
            continue
        for (name, found), most in zip(one.figures().items(), recorded, strict=True):
            if found > most + ROUNDING:
                yield f"{one.name}: {name} is {found:.4f}, beyond the recorded {most:.4f}"


def _show(sets: Sequence[ValidationSet], skipped: Sequence[str], *, every: bool) -> None:
    console = Console()
    if every:
        for one in sets:
            console.print(cases_table(one), end="\n\n")
    console.print(sets_table(sets))
    for line in skipped:
        console.print(f"[dim]not predicted: {line}[/]", highlight=False)


def sets_table(sets: Sequence[ValidationSet]) -> Table:
    """One row a set: how far the timing model is from what was measured."""
    heads = ("set", "rows", "median", "95 %", "worst", "source")
    title = "absolute relative errors of the timing model"
    table = Table(*heads, title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    for column in table.columns[1:5]:
        column.justify, column.no_wrap = "right", True
    for one in sets:
        errors = (f"{value:.1%}" for value in one.figures().values())
        table.add_row(one.title, str(len(one.cases)), *errors, one.confidence)
    return table


def cases_table(one: ValidationSet) -> Table:
    """One row a case: its parameters, what was measured, what is predicted."""
    names = list(one.cases[0].values)
    table = Table(*names, "measured", "predicted", "error", title=one.title, title_justify="left", box=SIMPLE)
    for column in table.columns:
        column.justify = "right"
    for case in one.cases:
        numbers = f"{case.measured:,.10g}", f"{case.predicted:,.6g}", f"{case.error:+.1%}"
        table.add_row(*(str(value) for value in case.values.values()), *numbers)
    table.caption = f"in {one.cases[0].unit}"
    return table


def draw(sets: Sequence[ValidationSet], path: Path) -> None:
    """Predicted over measured, both logarithmic, and the error of every case below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 9), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 2))
    for i, one in enumerate(sets):
        measured = [case.measured for case in one.cases]
        style = {"s": 14, "alpha": 0.7, "color": f"C{i}", "linewidths": 0, "marker": "os^vD<>P"[i % 8]}
        label = f"{one.title} ({len(one.cases)}): median {one.figures()['median_abs_error']:.1%}"
        above.scatter(measured, [case.predicted for case in one.cases], label=label, **style)
        below.scatter(measured, [100 * case.error for case in one.cases], **style)
    ends = _ends([case for one in sets for case in one.cases])
    above.plot(ends, ends, color="0.5", linewidth=0.8)
    above.fill_between(ends, [0.9 * x for x in ends], [1.1 * x for x in ends], color="0.5", alpha=0.15, linewidth=0)
    above.set(xscale="log", yscale="log", ylabel="predicted (cycles, tokens/s or tokens)")
    above.set_title("Published measurements of wafers, and the timing model; the band is ±10 %")
    above.legend(fontsize=8, frameon=False)
    below.axhline(0, color="0.5", linewidth=0.8)
    below.set(xscale="log", xlabel="measured (cycles, tokens/s or tokens)", ylabel="error in %")

    def write(partial: Path) -> None:
        figure.savefig(partial, dpi=120, format="png")

    write_file(path, write)


def _ends(cases: Sequence[Case]) -> list[float]:
    values = [value for case in cases for value in (case.measured, case.predicted)]
    return [0.8 * min(values), 1.25 * max(values)]
