"""A wafer's prefill of one prompt, where there is a figure: WaferLLM's, for Llama-like models on one wafer."""

from wse_emu.baseline import experts_of
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.kernels.waferllm import LayerShape, prefill_gemms
from wse_emu.models.config import ModelConfig
from wse_emu.program.precision import ITEMSIZE
from wse_emu.validation import programs

EDGES = (480, 600, 720)
"""PEs along the edge of the grids on which WaferLLM's table 3 measures it."""


def wafer_prefill(config: ModelConfig, spec: WaferSpec, dtype: str, length: int) -> float:
    """Tokens/s of a prompt of ``length`` tokens on the best of the grids; WseError where nothing is known of it."""
    plain = config.gated and config.activation == "silu" and config.norm == "rms" and config.q_width == config.hidden
    if dtype != "float16" or not plain or any(config.windowed) or experts_of(config):
        raise WseError("a wafer's prefill is known of dense Llama-like models in float16 alone")
    shape = LayerShape(config.hidden, config.kv_width, config.intermediate)
    edges = [
        edge for edge in EDGES if edge <= min(spec.rows, spec.columns, length) and _fits(spec, edge, shape, length)
    ]
    if not edges:
        grids = ", ".join(f"{edge}²" for edge in EDGES)
        raise WseError(f"a wafer's prefill is known on {grids} PEs alone; {length:,} tokens of this model fit none")
    cycles = min(programs.prefill_cycles(spec, edge, shape, length) for edge in edges)
    return spec.clock_hz * length / (config.layers * cycles)


def _fits(spec: WaferSpec, edge: int, shape: LayerShape, length: int) -> bool:
    """Whether a PE holds the largest GEMM's three tiles."""
    tiles = prefill_gemms(edge, shape, length).values()
    return max(m * k + k * n + m * n for m, k, n in tiles) * ITEMSIZE["float16"] <= spec.user_bytes
