"""When a model does not fit: who is over, by how much, and what would fit."""

from math import ceil

from wse_emu.errors import WseError
from wse_emu.hardware.wafer import load_wafer, wafer_names
from wse_emu.mappings.plan import Request
from wse_emu.program import Program, memory
from wse_emu.program.precision import ITEMSIZE


def too_large(request: Request, program: Program, what: str) -> WseError:
    """The report of a model that fits no shape: a PE of the largest region tried, and what would be enough."""
    spec = request.spec
    result = memory(program, spec)
    region, parts = max(result.by_region.items(), key=lambda item: sum(item[1].values()))
    used = sum(parts.values())
    listed = ", ".join(f"{name.replace('_', ' ')} {size:,}" for name, size in parts.items() if size)
    return WseError(
        f"{what}: needs {used:,} bytes on each PE of {region}, {used - spec.sram_bytes:,} more than the "
        f"{spec.sram_bytes:,} of {spec.name} ({listed}); what fits: {'; '.join(_advice(request, parts))}"
    )


def _advice(request: Request, parts: dict[str, int]) -> list[str]:
    """Changes that fit, each by itself: a shorter context, half the bytes a number, more PEs, more wafers."""
    spec, advice = request.spec, []
    fixed = parts["activations"] + parts["runtime"]
    room = spec.sram_bytes - fixed - parts["weights"]
    if room > 0 and parts["kv_cache"]:
        advice.append(f"a context of about {request.positions * room // parts['kv_cache']:,} tokens")
    halved = (parts["weights"] + parts["kv_cache"]) // 2 + fixed
    if request.precision.name == "float32" and halved <= spec.sram_bytes:
        advice.append("16-bit weights and cache")
    pes = ceil(_stored_bytes(request) / max(1, spec.sram_bytes - fixed))
    advice.append(f"at least {pes:,} PEs ({spec.name} has {spec.pes:,}{_larger(request, pes)})")
    if pes > spec.pes:
        advice.append(f"{ceil(pes / spec.pes)} such wafers")
    return advice


def _larger(request: Request, pes: int) -> str:
    """Which preset has that many PEs, if this one has not."""
    fitting = [name for name in wafer_names() if load_wafer(name).pes >= pes]
    return f"; --wafer {fitting[0]} has enough" if request.spec.pes < pes and fitting else ""


def _stored_bytes(request: Request) -> int:
    """Bytes of all weights and the whole KV cache, without padding."""
    config, precision = request.config, request.precision
    cache = config.layers * config.cache_width * request.positions
    return ceil(config.parameters * precision.weight_bytes) + cache * ITEMSIZE[precision.activations]
