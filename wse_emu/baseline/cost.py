"""Energy and money of a token on GPUs: estimates from published powers and prices."""

from wse_emu.baseline.step import Step
from wse_emu.hardware.gpu import GpuSpec


def gpu_joules(gpu: GpuSpec, count: int, seconds: float, tokens: float) -> float:
    """Joules a token at the datasheet's power: an upper bound for the boards, without their host."""
    return count * gpu.tdp_watts * seconds / tokens


def gpu_joules_by_part(gpu: GpuSpec, count: int, step: Step, tokens: float) -> float | None:
    """Joules a token by measured constant power, energy of HBM bits and of FLOP; None where they are not published."""
    parts = gpu.energy
    if parts is None:
        return None
    idle = count * parts.constant_watts * step.seconds
    return (idle + 8 * step.hbm_bytes * parts.joules_per_hbm_bit + step.flops * parts.joules_per_flop) / tokens


def usd_per_million_tokens(usd_per_hour: float | None, tokens_per_second: float) -> float | None:
    """Of a machine that costs ``usd_per_hour``; None where no price is known."""
    return None if usd_per_hour is None else usd_per_hour / 3600 / tokens_per_second * 1e6
