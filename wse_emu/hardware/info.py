"""A wafer's parts, the peaks that follow from them, and the vendor's aggregates beside them."""

from typing import Any

from wse_emu.hardware.gpu import load_gpu
from wse_emu.hardware.wafer import WaferSpec

SRAM_BYTES_PER_CYCLE = 24
"""Two 64-bit reads and one 64-bit write per PE and cycle (wse_arch_params.csv: sram_port)."""
FABRIC_BITS_PER_WAVELET_TIME = 256
"""A wavelet of 32 bits in and one out on each of four links (wse_arch_params.csv: clock_implied_by_fabric_bw)."""

Row = dict[str, Any]


def wafer_info(spec: WaferSpec) -> dict[str, list[Row]]:
    """Rows of name, value, unit and how it was obtained: "parts", "peaks", "published", "beside a B200"."""
    return {"parts": _parts(spec), "peaks": _peaks(spec), "published": _published(spec), "beside a B200": _b200(spec)}


def _row(name: str, value: float | str, unit: str, level: str) -> Row:
    return {"name": name, "value": value, "unit": unit, "level": level}


def _parts(spec: WaferSpec) -> list[Row]:
    source = "from its TOML"
    return [
        _row("fabric", f"{spec.fabric_columns} × {spec.fabric_rows}", "columns × rows", source),
        _row("usable", f"{spec.columns} × {spec.rows}", "columns × rows", source),
        _row("usable PEs", spec.pes, "PEs", "derived"),
        _row("SRAM per PE", spec.sram_bytes, "bytes", source),
        _row("kept by the runtime", spec.runtime_bytes, "bytes", source),
        _row("clock", spec.clock_hz / 1e9, "GHz", source),
        _row("hop", spec.hop_cycles, "cycles", source),
        _row("link", float(spec.link_interval), "cycles per wavelet", source),
        _row("stage", spec.stage_cycles, "cycles to receive, combine, send", "derived"),
        _row("fma float16", float(spec.rates["fma_float16"]), "per cycle and PE", source),
        _row("fma float32", float(spec.rates["fma_float32"]), "per cycle and PE", source),
        _row("colors", spec.colors, f"of which the runtime keeps {spec.runtime_colors}", source),
    ]


def derived_aggregates(spec: WaferSpec) -> dict[str, float]:
    """What the published number of cores would give at this clock: bytes, bytes/s and bits/s."""
    cores = spec.published.get("cores", spec.fabric_columns * spec.fabric_rows)
    return {
        "sram_bytes": cores * spec.sram_bytes,
        "memory_bytes_per_second": cores * SRAM_BYTES_PER_CYCLE * spec.clock_hz,
        "fabric_bits_per_second": cores * FABRIC_BITS_PER_WAVELET_TIME / float(spec.link_interval) * spec.clock_hz,
    }


def implied_clocks(spec: WaferSpec) -> dict[str, float]:
    """The clock in Hz that each published bandwidth implies."""
    derived = derived_aggregates(spec)
    names = ("memory_bytes_per_second", "fabric_bits_per_second")
    return {name: spec.published[name] / derived[name] * spec.clock_hz for name in names if name in spec.published}


def _peaks(spec: WaferSpec) -> list[Row]:
    derived = derived_aggregates(spec)
    return [
        _row("SRAM", derived["sram_bytes"] / 1e9, "GB", "derived: cores × SRAM per PE"),
        _row("memory bandwidth", derived["memory_bytes_per_second"] / 1e15, "PB/s", "derived: cores × 24 B × clock"),
        _row(
            "fabric bandwidth",
            derived["fabric_bits_per_second"] / 1e15,
            "Pb/s",
            "derived: cores × 256 bit × clock / link",
        ),
        *(
            _row(
                f"peak {dtype}",
                2 * float(spec.rates[f"fma_{dtype}"]) * spec.pes * spec.clock_hz / 1e15,
                "PFLOP/s",
                level,
            )
            for dtype, level in (
                ("float16", "derived: 2 × rate × usable PEs"),
                ("float32", "derived: 2 × rate × usable PEs"),
            )
        ),
    ]


def _published(spec: WaferSpec) -> list[Row]:
    units = {
        "cores": ("cores", 1.0, "PEs"),
        "sram_bytes": ("SRAM", 1e9, "GB"),
        "memory_bytes_per_second": ("memory bandwidth", 1e15, "PB/s"),
        "fabric_bits_per_second": ("fabric bandwidth", 1e15, "Pb/s"),
    }
    clocks = implied_clocks(spec)
    rows = []
    for key, (name, scale, unit) in units.items():
        if key in spec.published:
            level = f"published; implies {clocks[key] / 1e9:.2f} GHz" if key in clocks else "published"
            rows.append(_row(name, spec.published[key] / scale, unit, level))
    return rows


def _b200(spec: WaferSpec) -> list[Row]:
    gpu = load_gpu("B200")
    derived = derived_aggregates(spec)["memory_bytes_per_second"] / gpu.hbm_bytes_per_second
    rows = [_row("memory, from the parts", derived, "× a B200's 8 TB/s", "derived")]
    if "memory_bytes_per_second" in spec.published:
        ratio = spec.published["memory_bytes_per_second"] / gpu.hbm_bytes_per_second
        rows.insert(0, _row("memory, published", ratio, "× a B200's 8 TB/s", "published / published"))
    return rows
