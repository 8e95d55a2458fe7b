"""The JSON object of a decode: what `wse-emu decode --json` prints and `report.json` holds."""

from dataclasses import asdict
from typing import Any

import numpy as np

from wse_emu.baseline import GpuRate, fit
from wse_emu.decode import Result
from wse_emu.engines.lowering import program_routes
from wse_emu.errors import WseError
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.routes import allocate_colors
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.mappings.plan import Plan
from wse_emu.program import Memory, Program
from wse_emu.report.regions import region_facts
from wse_emu.report.run.record import SCHEMA

LEVELS = {"timing": "timing model", "wavelet": "cycle-exact"}
"""How the wafer's figures were obtained, by engine; the tokens themselves are computed."""


def summary(result: Result, spec: WaferSpec, plan: Plan, rates: list[GpuRate], facts: dict[str, Any]) -> dict[str, Any]:
    """A finished decode as plain data; ``facts`` (model, mapping, …) come first.

    ``docs/run-folder.md`` has every field; :mod:`wse_emu.report.run.schema` the types.
    """
    return {
        "schema": SCHEMA,
        "command": "decode",
        **facts,
        "prompt_ids": result.prompt_ids,
        "token_ids": result.token_ids,
        "text": result.text,
        "cycles_per_token": result.cycles_per_token,
        "modelled_cycles_per_token": result.modelled_cycles_per_token,
        "prefill_cycles": result.prefill_cycles,
        "prefill": None if result.prefill is None else asdict(result.prefill),
        "prefill_tokens_per_second": result.prefill_tokens_per_second,
        "time_to_first_token_seconds": result.time_to_first_token_seconds,
        "tokens_per_second": result.tokens_per_second,
        "cycles_by_kernel": result.cycles_by_kernel,
        "wavelet_hops": int(result.links.sum()),
        "max_link_wavelets": int(result.links.max()),
        "busiest_link": busiest_link(result.links),
        "sram": sram(plan.memory),
        "colors": colors(plan.program.routed(result.tokens[-1].timing.routing), spec),
        "experts": experts_load(result.met),
        "regions": region_facts(plan),
        "defects": {"pes": len(plan.program.defects.pes), "links": len(plan.program.defects.links)},
        "wafer": {"name": spec.name, "columns": spec.columns, "rows": spec.rows, "clock_hz": spec.clock_hz},
        "baseline": [asdict(rate) for rate in rates],
        "baseline_fit": {"hbm_efficiency": fit().figures.hbm_share, "median_abs_error": fit().median_abs_error},
        "level": LEVELS[facts["engine"]],
        "prefill_level": LEVELS["timing"],
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


def experts_load(met: dict[int, np.ndarray]) -> dict[str, Any] | None:
    """Tokens that each expert met, by layer, and how uneven that is; None for a model without experts."""
    if not met:
        return None
    layers = [
        {"layer": layer, "tokens": tokens.tolist(), "max_over_mean": float(tokens.max() / max(tokens.mean(), 1e-300))}
        for layer, tokens in met.items()
    ]
    return {"layers": layers, "max_over_mean": max(layer["max_over_mean"] for layer in layers)}


def colors(program: Program, spec: WaferSpec) -> dict[str, Any]:
    """Colors that all routes of a token take, of those that the runtime leaves; None if they are too few."""
    available = spec.colors - spec.runtime_colors
    try:
        used = len(
            set(allocate_colors(program_routes(program, Mesh.from_spec(spec, defects=program.defects)), spec).values())
        )
    except WseError as error:
        return {"used": None, "available": available, "note": str(error)}
    return {"used": used, "available": available, "note": ""}


def busiest_link(links: np.ndarray) -> dict[str, Any]:
    """The link with most wavelets: the PE (x, y) they leave and the way they go, of ``[E W N S, rows, columns]``."""
    direction, y, x = (int(i) for i in np.unravel_index(links.argmax(), links.shape))
    return {"x": x, "y": y, "towards": "EWNS"[direction], "wavelets": int(links[direction, y, x])}
