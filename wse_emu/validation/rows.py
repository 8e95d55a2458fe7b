"""Reading measurement files: CSV with comment lines, of four kinds that their columns tell apart."""

import csv
from dataclasses import dataclass
from importlib.resources import as_file, files
from math import isfinite
from pathlib import Path

from wse_emu.errors import WseError

_WHOLE = ("P", "group_num", "tile_m", "tile_k", "tile_n", "L", "tile_f16_values")
KINDS: dict[str, tuple[str, ...]] = {
    "meshgemv": ("P", "group_num", "tile_m", "tile_n", "cycles"),
    "meshgemm": ("P", "tile_m", "tile_k", "tile_n", "cycles"),
    "shift": ("class", "P", "L", "tile_f16_values", "cycles"),
    "tables": ("table", "metric", "unit", "model_or_shape", "system", "config", "input_len", "output_len", "value"),
}
"""The columns that each kind of file needs; others are ignored."""


@dataclass(frozen=True)
class MeasuredRow:
    """One measurement: the columns of its kind as text, and the measured number in the unit of the file."""

    kind: str
    values: dict[str, str]
    measured: float
    where: str
    """File and line, for messages."""

    def whole(self, column: str) -> int:
        """A column that holds a whole number above 0."""
        return int(self.values[column])


def shipped_files() -> list[Path]:
    """The files that come with the package, copies of the collections of measurements that their headers name."""
    with as_file(files("wse_emu.validation") / "data") as folder:
        return sorted(folder.glob("*.csv"))


def read_rows(path: Path) -> list[MeasuredRow]:
    """The measurements in ``path``. Raises WseError, naming file and line, for what is no such file."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise WseError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise WseError(f"{path}: no UTF-8 text ({error.reason} at byte {error.start})") from None
    numbered = [(i, line) for i, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    table = [(i, _cells(line, f"{path}, line {i}")) for i, line in numbered]
    if not table:
        raise WseError(f"{path}: has no rows; {_what_works()}")
    head = table[0][1]
    kind = next((kind for kind, columns in KINDS.items() if set(columns) <= set(head)), None)
    if kind is None:
        raise WseError(
            f"{path}, line {table[0][0]}: the columns {', '.join(head)[:200]!r} are none that work; {_what_works()}"
        )
    return [_row(kind, head, cells, f"{path}, line {i}") for i, cells in table[1:]]


def _cells(line: str, where: str) -> list[str]:
    """A line is a row: no cell goes on in the next line."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True))]
    except csv.Error as error:
        raise WseError(f"{where}: no row of a CSV ({error})") from None


def whole(text: str) -> int | None:
    """A whole number above 0 that 32 bits hold, or None."""
    digits = text.isascii() and text.isdecimal() and len(text) < 11
    return int(text) if digits and 0 < int(text) < 2**31 else None


def _what_works() -> str:
    return "columns that work: " + "; or ".join(",".join(columns) for columns in KINDS.values())


def _row(kind: str, head: list[str], cells: list[str], where: str) -> MeasuredRow:
    if len(cells) != len(head):
        raise WseError(f"{where}: {len(cells)} cells, the header has {len(head)} columns")
    values = {column: cell for column, cell in zip(head, cells, strict=True) if column in KINDS[kind]}
    for column in _WHOLE:
        if column in values and whole(values[column]) is None:
            raise WseError(f"{where}: {column} is {values[column][:60]!r}; a whole number above 0 works")
    last = KINDS[kind][-1]
    try:
        measured = float(values[last])
    except ValueError:
        measured = 0.0
    if not isfinite(measured) or measured <= 0:
        raise WseError(f"{where}: {last} is {values[last][:60]!r}; a number above 0 works")
    return MeasuredRow(kind, values, measured, where)
