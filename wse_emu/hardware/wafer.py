"""A wafer: its mesh, its memory, its timing constants. Presets are TOML files; a user's own file works as well."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from wse_emu.errors import WseError
from wse_emu.hardware import toml_values

PRESETS = files("wse_emu.hardware.presets")
DTYPES = ("float16", "bfloat16", "float32")
UNITS = ("fma", "add", "copy", "special")
AGGREGATES = ("cores", "sram_bytes", "memory_bytes_per_second", "fabric_bits_per_second")
SRAM_BYTES_PER_CYCLE = 24
"""Two 64-bit reads and one 64-bit write per PE (wse_arch_params.csv: sram_port)."""
FABRIC_BITS_PER_CYCLE = 256
"""A 32-bit wavelet in and one out on each of four links (wse_arch_params.csv: clock_implied_by_fabric_bw)."""


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
    """Cycles per wavelet on a link: n, or (b+1)/b, which is b wavelets in b + 1 cycles."""
    seam_cycles: int
    """What a hop takes longer that crosses a seam between two dies."""
    row_seams: tuple[int, ...]
    """Rows of usable PEs whose link to the row before crosses a seam."""
    column_seams: tuple[int, ...]
    """The same for columns."""
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
    row_cycles: int
    """Cycles by which a vector instruction over rows of a block begins each row."""
    loop_cycles: int
    """Cycles of a software loop's round around its vector instruction."""
    task_cycles: int
    """From the activation of a task on an idle PE until its first instruction is issued."""
    launch_cycles: int
    """From a PE's start to its neighbour's where a signal that walks over the mesh starts a program.

    No engine starts PEs so by itself; :mod:`wse_emu.validation.programs` does, for runs from a standing start.
    """
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
    system_watts: float
    """Of the whole system around the wafer, at work."""
    published: Mapping[str, float]
    """The vendor's AGGREGATES, as far as there are any."""
    calibration: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """By set of published measurements: median, 95th percentile and largest relative error with these constants."""

    @property
    def user_bytes(self) -> int:
        """SRAM of a PE that programs may use."""
        return self.sram_bytes - self.runtime_bytes

    @property
    def pes(self) -> int:
        """PEs that programs may use."""
        return self.columns * self.rows

    @property
    def cores(self) -> int:
        """What the vendor counts, else the PEs of the fabric."""
        return int(self.published.get("cores", self.fabric_columns * self.fabric_rows))

    @property
    def stage_cycles(self) -> int:
        """Receive, combine, send on: from one PE to its neighbour, the first wavelet."""
        return 2 * self.ramp_cycles + self.hop_cycles + self.combine_cycles

    def seams_in(self, x: int, y: int, width: int, height: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Rows and columns of a region, counted from its corner, whose link to the one before crosses a seam."""
        rows = tuple(place - y for place in self.row_seams if y < place < y + height)
        return rows, tuple(place - x for place in self.column_seams if x < place < x + width)

    def derived(self) -> dict[str, float]:
        """What all cores give together at ``clock_hz``, from the parts: bytes, bytes/s, bits/s and sustained FLOP/s.

        Links count at their ``link_interval``; a multiply-add is two operations.
        """
        beats = self.cores * self.clock_hz
        return {
            "sram_bytes": float(self.cores * self.sram_bytes),
            "memory_bytes_per_second": beats * SRAM_BYTES_PER_CYCLE,
            "fabric_bits_per_second": beats * FABRIC_BITS_PER_CYCLE / float(self.link_interval),
            "fp16_flops": beats * 2 * float(self.rates["fma_float16"]),
            "fp32_flops": beats * 2 * float(self.rates["fma_float32"]),
        }

    def implied_clocks(self) -> dict[str, float]:
        """The clock in Hz at which the parts, with a wavelet per link and cycle, give each published bandwidth."""
        per_core = {
            "memory_bytes_per_second": SRAM_BYTES_PER_CYCLE,
            "fabric_bits_per_second": FABRIC_BITS_PER_CYCLE,
        }
        return {
            name: self.published[name] / (self.cores * amount)
            for name, amount in per_core.items()
            if name in self.published
        }


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
    try:
        if not path.is_file():
            raise WseError(
                f"unknown wafer {name!r}; what works: {', '.join(wafer_names())}, or the path of a TOML file"
            )
        text = path.read_text("utf-8")
    except OSError as error:
        raise WseError(f"wafer file {name[:200]}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise WseError(f"wafer file {name}: no UTF-8 text ({error.reason} at byte {error.start})") from None
    return _parse(text, path.stem, name)


def _parse(text: str, name: str, source: str) -> WaferSpec:
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError) as error:  # the latter for numbers of thousands of digits
        raise WseError(f"wafer file {source}: no valid TOML: {error}") from None
    known = {key.name for key in fields(WaferSpec)} - {"name"}
    missing, extra = sorted(known - table.keys() - {"calibration"}), sorted(table.keys() - known - {"name"})
    if missing or extra:
        what = f"key {missing[0]!r} is missing" if missing else f"key {extra[0]!r} is unknown"
        raise WseError(f"wafer file {source}: {what}; the keys are {', '.join(sorted(known))}")
    where = f"wafer file {source}: "
    values = {
        key: _READERS.get(key, toml_values.whole)(table[key], where + key) for key in sorted(known & table.keys())
    }
    spec = WaferSpec(name=toml_values.text(table.get("name", name), where + "name"), **values)
    _check(spec, source)
    return spec


def _check(spec: WaferSpec, source: str) -> None:
    for key in (
        "columns",
        "rows",
        "clock_hz",
        "hop_cycles",
        "ramp_cycles",
        "colors",
        "edge_bits_per_second",
        "system_watts",
    ):
        if not getattr(spec, key) > 0:
            raise WseError(f"wafer file {source}: {key} must be above 0")
    if spec.columns > spec.fabric_columns or spec.rows > spec.fabric_rows:
        raise WseError(
            f"wafer file {source}: {spec.columns}×{spec.rows} usable PEs (columns, rows) exceed the fabric of "
            f"{spec.fabric_columns}×{spec.fabric_rows} (fabric_columns, fabric_rows)"
        )
    for key, extent in (("row_seams", spec.rows), ("column_seams", spec.columns)):
        places = getattr(spec, key)
        if list(places) != sorted(set(places)) or any(not 0 < place < extent for place in places):
            raise WseError(f"wafer file {source}: {key} must rise, from 1 to at most {extent - 1}")
    over = spec.link_interval.numerator - spec.link_interval.denominator
    if spec.link_interval < 1 or (spec.link_interval.denominator > 1 and over != 1):
        raise WseError(
            f"wafer file {source}: link_interval {spec.link_interval} is neither a whole number of cycles nor one "
            "like 9/8 (eight wavelets in nine cycles)"
        )
    cores = spec.published.get("cores", 1.0)
    if not (1 <= cores < 2**63 and cores == int(cores)):
        raise WseError(f"wafer file {source}: published.cores is {cores:g}; a whole number from 1 works")
    for part, whole in (("runtime_bytes", "sram_bytes"), ("runtime_colors", "colors")):
        kept, have = getattr(spec, part), getattr(spec, whole)
        if kept >= have:
            raise WseError(f"wafer file {source}: {part} {kept} leave nothing of {have} {whole}")


_READERS: dict[str, Any] = {
    "clock_hz": toml_values.real,
    "edge_bits_per_second": toml_values.real,
    "edge_latency_seconds": toml_values.real,
    "system_watts": toml_values.real,
    "link_interval": toml_values.ratio,
    "rates": partial(toml_values.ratios, keys=[f"{unit}_{dtype}" for unit in UNITS for dtype in DTYPES]),
    "calibration": toml_values.errors,
    "published": partial(toml_values.numbers, keys=AGGREGATES),
    "row_seams": toml_values.places,
    "column_seams": toml_values.places,
    "input_queue_words": toml_values.depths,
    "output_queue_words": toml_values.depths,
}
