"""Bytes on each PE, by tensor: weights, KV cache, activations at their peak, runtime."""

from dataclasses import dataclass
from math import prod

import numpy as np

from wse_emu.fabric.region import Region
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.program.body import Body, Program
from wse_emu.program.precision import QUANTISED
from wse_emu.program.steps import Local, Step
from wse_emu.program.value import Value


@dataclass(frozen=True)
class Memory:
    """Bytes by cause on the fullest PE of every region, and in all."""

    by_region: dict[Region, dict[str, int]]
    """Region -> bytes on one of its PEs: weights, kv_cache, activations, runtime."""
    capacity_pe_bytes: int
    used_bytes: int
    capacity_bytes: int
    useful_weight_elements: int
    padded_weight_elements: int

    @property
    def max_pe_bytes(self) -> int:
        return max(sum(parts.values()) for parts in self.by_region.values())

    @property
    def fits(self) -> bool:
        return self.max_pe_bytes <= self.capacity_pe_bytes

    @property
    def padding(self) -> float:
        """Share of the weight elements on the PEs that is padding, 0 to 1."""
        return 1 - self.useful_weight_elements / self.padded_weight_elements if self.padded_weight_elements else 0.0


def peak_activation_bytes(body: Body) -> int:
    """Most bytes of temporaries, inputs and dequantised rows that live at once on one PE."""
    live = {value.name: value.block_bytes for value in body.inputs}
    peak = sum(live.values())
    for index, step in enumerate(body.steps):
        live |= {value.name: value.block_bytes for value in step.outputs if value.kind == "temporary"}
        peak = max(peak, sum(live.values()) + _dequantised_bytes(step))
        for name in [name for name, last in body.last_use.items() if last == index]:
            live.pop(name, None)
    return peak


def _dequantised_bytes(step: Step) -> int:
    """A quantised matrix is dequantised row by row: as many numbers at a time as the PE yields."""
    if isinstance(step, Local) and step.inputs and step.inputs[0].dtype in QUANTISED:
        return step.outputs[0].block_bytes
    return 0


def held_tensors(program: Program) -> dict[tuple[Region, str], Value]:
    """Weights and caches by region and full name ("layers.3.q"); calls that share one hold it once."""
    tensors: dict[tuple[Region, str], Value] = {}
    for call in program.calls:
        for value in call.body.weights + call.body.states:
            tensors.setdefault((call.region, call.prefix + value.name), value)
    return tensors


def memory(program: Program, spec: WaferSpec) -> Memory:
    """SRAM of every region on the wafer ``spec``; regions that several calls share add up their weights and caches."""
    regions: dict[Region, dict[str, int]] = {}
    peaks = {body: peak_activation_bytes(body) for body in program.bodies}
    for call in program.calls:
        parts = regions.setdefault(
            call.region, {"weights": 0, "kv_cache": 0, "activations": 0, "runtime": spec.runtime_bytes}
        )
        parts["activations"] = max(parts["activations"], peaks[call.body])
    tensors = held_tensors(program)
    for (region, _), value in tensors.items():
        regions[region]["weights" if value.kind == "weight" else "kv_cache"] += value.block_bytes
    weights = [value for value in tensors.values() if value.kind == "weight"]
    return Memory(
        regions,
        spec.sram_bytes,
        sum(region.pes * sum(parts.values()) for region, parts in regions.items()),
        spec.pes * spec.sram_bytes,
        sum(prod(value.shape) for value in weights),
        sum(value.padded_elements for value in weights),
    )


def bytes_map(result: Memory, spec: WaferSpec) -> np.ndarray:
    """Bytes used on every PE of the wafer, int64 ``[rows, columns]``."""
    used = np.zeros((spec.rows, spec.columns), dtype=np.int64)
    for region, parts in result.by_region.items():
        used[region.y : region.bottom, region.x : region.right] += sum(parts.values())
    return used
