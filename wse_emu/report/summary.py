"""The JSON object of a decode: what `wse-emu decode --json` prints and `report.json` holds."""

from dataclasses import asdict
from typing import Any

from wse_emu.baseline import BaselineRate
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program import Memory
from wse_emu.fabric.region import Region

LEVEL = "timing model"
"""How the wafer's figures were obtained; the tokens themselves are computed."""


def summary(
    result: Any, spec: WaferSpec, memory: Memory, regions: dict[str, Region], rates: list[BaselineRate], facts: dict[str, Any]
) -> dict[str, Any]:
    """A finished decode (:class:`wse_emu.decode.Result`) as plain data; ``facts`` (model, mapping, …) come first."""
    return {
        **facts,
        "prompt_ids": result.prompt_ids,
        "token_ids": result.token_ids,
        "text": result.text,
        "cycles_per_token": result.cycles_per_token,
        "prefill_cycles": result.prefill_cycles,
        "tokens_per_second": result.tokens_per_second,
        "cycles_by_kernel": result.cycles_by_kernel,
        "wavelet_hops": int(result.links.sum()),
        "max_link_wavelets": int(result.links.max()),
        "busiest_link": busiest_link(result.links),
        "sram": sram(memory),
        "regions": {name: asdict(region) for name, region in regions.items()},
        "wafer": {"name": spec.name, "columns": spec.columns, "rows": spec.rows, "clock_hz": spec.clock_hz},
        "baseline": [asdict(rate) for rate in rates],
        "level": LEVEL,
        "seconds": {name: round(value, 6) for name, value in result.seconds.items()},
    }


def sram(memory: Memory) -> dict[str, Any]:
    """Bytes used on the wafer and on its fullest PE, by cause."""
    return {
        "used_bytes": memory.used_bytes,
        "capacity_bytes": memory.capacity_bytes,
        "max_pe_bytes": memory.max_pe_bytes,
        "capacity_pe_bytes": memory.capacity_pe_bytes,
        "max_pe": max(memory.by_region.values(), key=lambda parts: sum(parts.values())),
        "padding": memory.padding,
    }


def busiest_link(links: Any) -> dict[str, Any]:
    """The link with most wavelets: the PE (x, y) they leave and the way they go."""
    direction, y, x = (int(i) for i in divmod_index(links))
    return {"x": x, "y": y, "towards": "EWNS"[direction], "wavelets": int(links[direction, y, x])}


def divmod_index(links: Any) -> tuple[int, int, int]:
    """Index of the largest entry of an array ``[4, rows, columns]``."""
    flat = int(links.argmax())
    _, rows, columns = links.shape
    return flat // (rows * columns), flat // columns % rows, flat % columns
