"""A wafer's parts, the peaks that follow from them, and the vendor's aggregates beside them."""

from typing import Any

from wse_emu.hardware.gpu import GpuSpec, load_gpu
from wse_emu.hardware.wafer import FABRIC_BITS_PER_CYCLE, SRAM_BYTES_PER_CYCLE, WaferSpec

Row = dict[str, Any]


def wafer_info(spec: WaferSpec, gpu: GpuSpec | None = None) -> dict[str, list[Row]]:
    """Rows of name, value, unit and level (how it was obtained): "parts", "peaks", "published", "beside a B200".

    ``gpu`` takes the place of the B200. "held to measurements" joins them where the wafer's file records errors.
    """
    gpu = gpu or load_gpu("B200")
    held = {"held to measurements": _held(spec)} if spec.calibration else {}
    return {
        "parts": _parts(spec),
        "peaks": _peaks(spec),
        "published": _published(spec),
        f"beside a {gpu.name}": _beside(spec, gpu),
        **held,
    }


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


def _peaks(spec: WaferSpec) -> list[Row]:
    kinds = (
        ("SRAM", "sram_bytes", 1e9, "GB", f"{spec.sram_bytes:,} B"),
        ("memory bandwidth", "memory_bytes_per_second", 1e15, "PB/s", f"{SRAM_BYTES_PER_CYCLE} B × clock"),
        ("fabric bandwidth", "fabric_bits_per_second", 1e15, "Pb/s", f"{FABRIC_BITS_PER_CYCLE} bit × clock / link"),
        ("sustained float16", "fp16_flops", 1e15, "PFLOP/s", "2 × fma × clock"),
        ("sustained float32", "fp32_flops", 1e15, "PFLOP/s", "2 × fma × clock"),
    )
    derived = spec.derived()
    return [
        _row(name, derived[key] / scale, unit, f"derived: {spec.cores:,} cores × {formula}")
        for name, key, scale, unit, formula in kinds
    ]


def _published(spec: WaferSpec) -> list[Row]:
    kinds = {
        "cores": ("cores", 1.0, "PEs"),
        "sram_bytes": ("SRAM", 1e9, "GB"),
        "memory_bytes_per_second": ("memory bandwidth", 1e15, "PB/s"),
        "fabric_bits_per_second": ("fabric bandwidth", 1e15, "Pb/s"),
    }
    clocks = spec.implied_clocks()
    rows = [
        _row(
            name,
            spec.published[key] / scale,
            unit,
            f"published; implies {clocks[key] / 1e9:.2f} GHz" if key in clocks else "published",
        )
        for key, (name, scale, unit) in kinds.items()
        if key in spec.published
    ]
    return rows or [_row("aggregates", "none", "", "nothing is published of this wafer")]


def _held(spec: WaferSpec) -> list[Row]:
    return [
        _row(name, f"{errors[0]:.1%}", f"median error, worst {errors[-1]:.1%}", "recorded; see wse-emu validate")
        for name, errors in spec.calibration.items()
    ]


def _beside(spec: WaferSpec, gpu: GpuSpec) -> list[Row]:
    bandwidth, key = gpu.hbm_bytes_per_second, "memory_bytes_per_second"
    unit = f"× a {gpu.name}'s {bandwidth / 1e12:g} TB/s"
    parts = f"{spec.cores:,} cores × {SRAM_BYTES_PER_CYCLE} B"
    level = f"derived: {parts} × {spec.clock_hz / 1e9:g} GHz"
    rows = [_row("memory, from the parts", spec.derived()[key] / bandwidth, unit, level)]
    if key in spec.published:
        level = f"published / published; {parts} × {spec.implied_clocks()[key] / 1e9:.3g} GHz"
        rows.insert(0, _row("memory, published", spec.published[key] / bandwidth, unit, level))
    return rows
