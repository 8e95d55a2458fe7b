"""The regions of a plan as plain data: where each lies, what runs on it, and what each of its PEs holds."""

from dataclasses import asdict
from typing import Any

from wse_emu.engines.step_times import ANY_LAYER, layer_of
from wse_emu.fabric.region import Region
from wse_emu.mappings.plan import Plan
from wse_emu.program import Call
from wse_emu.program.memory import held_tensors


def region_facts(plan: Plan) -> dict[str, dict[str, Any]]:
    """By name: rectangle, layers, kernels in order, bytes on each PE by cause and by tensor."""
    calls: dict[Region, list[Call]] = {}
    for call in plan.program.calls:
        calls.setdefault(call.region, []).append(call)
    tensors: dict[Region, list[dict[str, Any]]] = {}
    for (region, name), value in held_tensors(plan.program).items():
        tensors.setdefault(region, []).append({"name": name, "kind": value.kind, "bytes": value.block_bytes})
    return {
        name: {
            **asdict(region),
            "layers": sorted({layer_of(call) for call in calls.get(region, [])} - {ANY_LAYER}),
            "kernels": list(dict.fromkeys(step.kernel for call in calls.get(region, []) for step in call.body.steps)),
            "memory": dict(plan.memory.by_region.get(region, {})),
            "tensors": tensors.get(region, []),
        }
        for name, region in plan.regions.items()
    }
