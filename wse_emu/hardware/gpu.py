"""The GPUs that stand beside the wafer."""

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

from wse_emu.errors import WseError
from wse_emu.hardware.wafer import PRESETS


@dataclass(frozen=True)
class GpuEnergy:
    """Measured energy of a GPU's parts (source: energy.csv)."""

    constant_watts: float
    joules_per_hbm_bit: float
    """The whole path from HBM."""
    joules_per_flop: float
    """Tensor cores, FP16."""


@dataclass(frozen=True)
class GpuSpec:
    """Datasheet of one GPU (source: gpus.toml), in bytes, bytes/s, dense FLOP/s; None where nothing is published."""

    name: str
    hbm_bytes: float
    hbm_bytes_per_second: float
    fp16_flops: float
    tdp_watts: float
    nvlink_bytes_per_second: float
    """To other GPUs, both directions together; XGMI on AMD's."""
    fp8_flops: float | None = None
    l2_bytes: float | None = None
    usd_per_hour: float | None = None
    gpus_per_node: int = 8
    """That NVLink (or XGMI) joins."""
    all_reduce_seconds: float = 20.6e-6
    """A small all-reduce of stock NCCL over :attr:`all_reduce_gpus`; where nobody has measured it, the A100's."""
    all_reduce_gpus: int = 8
    energy: GpuEnergy | None = None


@cache
def load_gpus() -> tuple[GpuSpec, ...]:
    """All presets, in the order of their file."""
    tables = tomllib.loads((PRESETS / "gpus.toml").read_text("utf-8"))
    return tuple(_gpu(name, **table) for name, table in tables.items())


def _gpu(name: str, *, energy: dict[str, float] | None = None, **table: Any) -> GpuSpec:
    return GpuSpec(name=name, energy=GpuEnergy(**energy) if energy else None, **table)


def gpu_names() -> tuple[str, ...]:
    return tuple(gpu.name for gpu in load_gpus())


def load_gpu(name: str) -> GpuSpec:
    """The preset ``name``; WseError if there is none."""
    for gpu in load_gpus():
        if gpu.name == name:
            return gpu
    raise WseError(f"unknown GPU {name!r}; what works: {', '.join(gpu_names())}")
