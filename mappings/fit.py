"""When a model does not fit: who is over, by how much, and what would fit."""

from math import ceil

from wse_emu.errors import WseError
from wse_emu.mappings.plan import Request
from wse_emu.program import Program, memory


def too_large(request: Request, program: Program, what: str) -> WseError:
    """The report of a model that fits no shape: its fullest PE on the largest region, and what would be enough."""
    spec = request.spec
    result = memory(program, spec)
    region, parts = max(result.by_region.items(), key=lambda item: sum(item[1].values()))
    used = sum(parts.values())
    listed = ", ".join(f"{name.replace('_', ' ')} {size:,}" for name, size in parts.items() if size)
    tensors = sum(parts[name] for name in ("weights", "kv_cache"))
    total = tensors * region.pes
    wafers = ceil(total / (spec.user_bytes * spec.pes))
    return WseError(
        f"{what}: needs {used:,} bytes on a PE of {region}, {used - spec.sram_bytes:,} more than its {spec.sram_bytes:,} "
        f"({listed}); what fits: {_advice(request, parts, wafers)}"
    )


def _advice(request: Request, parts: dict[str, int], wafers: int) -> str:
    """The smallest change that fits: a shorter context, a larger wafer, or more wafers."""
    spec = request.spec
    room = spec.sram_bytes - parts["weights"] - parts["activations"] - parts["runtime"]
    advice = []
    if room > 0 and parts["kv_cache"]:
        advice.append(f"a context of about {request.positions * room // parts['kv_cache']:,} tokens")
    if parts["weights"] // 2 + parts["kv_cache"] // 2 + parts["activations"] + parts["runtime"] <= spec.sram_bytes:
        advice.append("16-bit weights and cache")
    if wafers > 1:
        advice.append(f"{wafers} such wafers")
    else:
        pes = ceil((parts["weights"] + parts["kv_cache"]) * spec.pes / max(1, spec.user_bytes - parts["activations"]))
        advice.append(f"about {pes:,} PEs of this SRAM (wse3 has 883,350)")
    return "; ".join(advice)
