"""Fit the few timing constants that nobody has measured alone to the published rows; show how far to trust them.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.calibrate

prints, for every fitted constant, the value in the wafer's file and the one that fits best; how the errors move when it
moves by 10 % (by one, where that is less); how well the rows of each grid size are predicted by constants that were
fitted without them; and the lines of [calibration] that the wafers' files keep. Takes some minutes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from wse_emu.hardware.wafer import WaferSpec, load_wafer
from wse_emu.validation import MeasuredRow, ValidationSet, read_rows, shipped_files, validate

FITTED: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("wse3", ("wse3_meshgemv",), ("combine_cycles", "stream_setup", "seam_cycles")),
    ("wse3", ("wse3_meshgemm",), ("row_cycles", "loop_cycles")),
    ("wse3", ("wse3_shift",), ("launch_cycles",)),
    ("wse2", ("wse2_decode", "wse2_prefill"), ("fma_float16", "row_cycles", "task_cycles")),
)
"""Wafer, the sets of rows, and the constants that are fitted to them. All others are measured or published."""
Specs = dict[str, WaferSpec]


def main() -> None:
    rows = rows_by_set()
    specs = {name: load_wafer(name) for name in ("wse2", "wse3")}
    for wafer, names, constants in FITTED:
        chosen = [row for name in names for row in rows[name]]
        print(f"\n{wafer}: {' and '.join(names)}, {len(chosen)} rows")
        best = fit(chosen, specs, wafer, constants)
        for constant in constants:
            now, found = (value(spec[wafer], constant) for spec in (specs, best))
            print(f"  {constant:15} {now!s:>5} in the file, {found!s:>5} fits best")
        sensitivity(chosen, specs, wafer, constants)
        leave_one_out(chosen, specs, wafer, constants)
    record(specs)


def rows_by_set() -> dict[str, list[MeasuredRow]]:
    """The shipped rows by the set that they end in."""
    found: dict[str, list[MeasuredRow]] = {}
    for row in (row for path in shipped_files() for row in read_rows(path)):
        for one in validate([row])[0]:
            found.setdefault(one.name, []).append(row)
    return found


def fit(rows: Sequence[MeasuredRow], specs: Specs, wafer: str, constants: Sequence[str]) -> Specs:
    """Coordinate descent from the file's values, by the mean absolute relative error of each set."""
    best, least = specs, loss(rows, specs)
    improved = True
    while improved:
        improved = False
        for constant in constants:
            for step in (-2, -1, 1, 2):
                moved = {**best, wafer: changed(best[wafer], constant, step)}
                if (found := loss(rows, moved)) < least - 1e-9:
                    best, least, improved = moved, found, True
    return best


def loss(rows: Sequence[MeasuredRow], specs: Specs) -> float:
    return sum(float(np.mean(one.errors)) for one in validate(rows, wafers=specs)[0])


def value(spec: WaferSpec, constant: str) -> int | Fraction:
    if constant in spec.rates:
        return spec.rates[constant]
    whole: int = getattr(spec, constant)
    return whole


def changed(spec: WaferSpec, constant: str, steps: int) -> WaferSpec:
    """``constant`` moved by ``steps`` of one cycle, or of a quarter of an element a cycle."""
    if constant in spec.rates:
        return set_to(spec, constant, max(Fraction(1, 4), spec.rates[constant] + Fraction(steps, 4)))
    return set_to(spec, constant, max(0, int(value(spec, constant)) + steps))


def set_to(spec: WaferSpec, constant: str, new: int | Fraction) -> WaferSpec:
    if constant in spec.rates:
        return replace(spec, rates={**spec.rates, constant: Fraction(new)})
    return replace(spec, **{constant: int(new)})  # type: ignore[arg-type]


def sensitivity(rows: Sequence[MeasuredRow], specs: Specs, wafer: str, constants: Iterable[str]) -> None:
    print(f"  as it is        {_figures(validate(rows, wafers=specs)[0])}")
    for constant in constants:
        now = value(specs[wafer], constant)
        by = Fraction(now) / 10 if constant in specs[wafer].rates else max(1, round(now / 10))
        for new in (Fraction(now - by), Fraction(now + by)):
            moved = {**specs, wafer: set_to(specs[wafer], constant, new)}
            print(f"  {constant:15} {float(new):5.4g}: {_figures(validate(rows, wafers=moved)[0])}")


def leave_one_out(rows: Sequence[MeasuredRow], specs: Specs, wafer: str, constants: Sequence[str]) -> None:
    """Every grid size, predicted by constants fitted to the others."""
    sizes = sorted({_size(row) for row in rows}, key=lambda text: (len(text), text))
    for size in sizes:
        others = [row for row in rows if _size(row) != size]
        left = [row for row in rows if _size(row) == size]
        best = fit(others, specs, wafer, constants)
        found = ", ".join(f"{constant} {value(best[wafer], constant)}" for constant in constants)
        print(f"  without P={size:12} {found}: {_figures(validate(left, wafers=best)[0])}")


def record(specs: Specs) -> None:
    """The lines that the wafers' files keep of the errors with their constants."""
    sets = validate([row for path in shipped_files() for row in read_rows(path)], wafers=specs)[0]
    for wafer in specs:
        print(f"\n{wafer}.toml\n[calibration]")
        for one in (one for one in sets if one.wafer == wafer):
            print(f"{one.name} = [{', '.join(f'{error:.4f}' for error in one.figures().values())}]")


def _size(row: MeasuredRow) -> str:
    return row.values["P"] if "P" in row.values else row.values["config"].split()[1]


def _figures(sets: Sequence[ValidationSet]) -> str:
    parts = [(one.name, *(f"{error:6.2%}" for error in one.figures().values())) for one in sets]
    return "; ".join(f"{name} median{median} 95 %{high} worst{worst}" for name, median, high, worst in parts)


if __name__ == "__main__":
    main()
