"""A wafer: its mesh, its memory, its timing constants. Presets are TOML files; a user's own file works as well."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any

from wse_emu.errors import WseError

PRESETS = files("wse_emu.hardware.presets")
DTYPES = ("float16", "bfloat16", "float32")
UNITS = ("fma", "add", "copy", "special")


@dataclass(frozen=True)
class WaferSpec:
    """One kind of wafer. Cycles are of ``clock_hz``; sources and confidence of every number stand in its TOML file."""

    name: str
    fabric_columns: int
    fabric_rows: int
    columns: int
    """Columns of PEs that programs may use, as rows below."""
    rows: int
    sram_bytes: int
    """Per PE; the runtime keeps ``runtime_bytes`` of them."""
    runtime_bytes: int
    clock_hz: float
    hop_cycles: int
    link_interval: Fraction
    """Cycles per wavelet on a link."""
    ramp_cycles: int
    """Between a router and its own PE, each way."""
    combine_cycles: int
    """From a wavelet's arrival at a PE until the combined one leaves."""
    receive_cycles: int
    """From a wavelet's arrival at a PE until it is stored."""
    stream_setup: int
    """Cycles to set up a send or receive instruction."""
    vector_setup: int
    """Cycles to set up a vector instruction on memory."""
    rates: Mapping[str, Fraction]
    """Elements per cycle of "<unit>_<dtype>": fma, add, copy, special (exp, division, root) of each of DTYPES."""
    colors: int
    runtime_colors: int
    switch_positions: int
    input_queue_words: tuple[int, ...]
    """Depths of queues 0-1, 2-3, 4-5, 6-7."""
    output_queue_words: tuple[int, ...]
    edge_bits_per_second: float
    edge_latency_seconds: float
    published: Mapping[str, float]
    """The vendor's aggregates: cores, sram_bytes, memory_bytes_per_second, fabric_bits_per_second."""

    @property
    def user_bytes(self) -> int:
        """SRAM of a PE that programs may use."""
        return self.sram_bytes - self.runtime_bytes

    @property
    def pes(self) -> int:
        """PEs that programs may use."""
        return self.columns * self.rows

    @property
    def stage_cycles(self) -> int:
        """Receive, combine, send on: from one PE to its neighbour, the first wavelet."""
        return 2 * self.ramp_cycles + self.hop_cycles + self.combine_cycles

    @property
    def ticks_per_cycle(self) -> int:
        """Ticks in which a link keeps time in integers: 8 for 9/8 cycles a wavelet."""
        return self.link_interval.denominator


def wafer_names() -> tuple[str, ...]:
    """The shipped presets."""
    return ("wse1", "wse2", "wse3", "mini")


def load_wafer(name: str) -> WaferSpec:
    """The preset ``name``, or the wafer described by the TOML file ``name``.

    Raises WseError for an unknown name, an unreadable file, or keys that are missing, unknown or out of range.
    """
    if name in wafer_names():
        return _parse((PRESETS / f"{name}.toml").read_text("utf-8"), name, f"preset {name}")
    path = Path(name)
    if not path.is_file():
        raise WseError(f"unknown wafer {name!r}; what works: {', '.join(wafer_names())}, or the path of a TOML file")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WseError(f"wafer file {name}: cannot be read as text ({error})") from None
    return _parse(text, path.stem, name)


def _parse(text: str, name: str, source: str) -> WaferSpec:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WseError(f"wafer file {source}: no valid TOML: {error}") from None
    known = {field.name for field in fields(WaferSpec)} - {"name"}
    missing, extra = sorted(known - table.keys()), sorted(table.keys() - known - {"name"})
    if missing or extra:
        what = f"key {missing[0]!r} is missing" if missing else f"key {extra[0]!r} is unknown"
        raise WseError(f"wafer file {source}: {what}; the keys are {', '.join(sorted(known))}")
    values = {key: _READERS.get(key, _whole)(table[key], f"wafer file {source}: {key}") for key in known}
    spec = WaferSpec(name=str(table.get("name", name)), **values)
    _check(spec, source)
    return spec


def _check(spec: WaferSpec, source: str) -> None:
    if spec.columns > spec.fabric_columns or spec.rows > spec.fabric_rows:
        raise WseError(
            f"wafer file {source}: {spec.columns}×{spec.rows} usable PEs exceed the fabric of "
            f"{spec.fabric_columns}×{spec.fabric_rows}"
        )
    if spec.runtime_bytes >= spec.sram_bytes:
        raise WseError(f"wafer file {source}: runtime_bytes {spec.runtime_bytes} leave nothing of {spec.sram_bytes}")
    for key in ("columns", "rows", "clock_hz", "link_interval", "colors", "edge_bits_per_second"):
        if not getattr(spec, key) > 0:
            raise WseError(f"wafer file {source}: {key} must be above 0")


def _whole(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WseError(f"{where} is {value!r}; a whole number from 0 works")
    return value


def _real(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
        raise WseError(f"{where} is {value!r}; a number from 0 works")
    return float(value)


def _ratio(value: Any, where: str) -> Fraction:
    try:
        ratio = Fraction(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    except (ValueError, ZeroDivisionError):
        ratio = None
    if ratio is None or ratio <= 0:
        raise WseError(f'{where} is {value!r}; a ratio above 0 in quotes works, as "9/8" or "2.92"')
    return ratio


def _rates(value: Any, where: str) -> dict[str, Fraction]:
    wanted = {f"{unit}_{dtype}" for unit in UNITS for dtype in DTYPES}
    if not isinstance(value, dict) or value.keys() != wanted:
        raise WseError(f"{where} must be a table with exactly {', '.join(sorted(wanted))}")
    return {key: _ratio(rate, f"{where}.{key}") for key, rate in value.items()}


def _published(value: Any, where: str) -> dict[str, float]:
    if not isinstance(value, dict):
        raise WseError(f"{where} must be a table of numbers")
    return {key: _real(number, f"{where}.{key}") for key, number in value.items()}


def _depths(value: Any, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) != 4:
        raise WseError(f"{where} is {value!r}; four whole numbers work, for queues 0-1, 2-3, 4-5 and 6-7")
    return tuple(_whole(depth, where) for depth in value)


_READERS: dict[str, Any] = {
    "clock_hz": _real,
    "edge_bits_per_second": _real,
    "edge_latency_seconds": _real,
    "link_interval": _ratio,
    "rates": _rates,
    "published": _published,
    "input_queue_words": _depths,
    "output_queue_words": _depths,
}
