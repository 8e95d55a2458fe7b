"""A prompt's prefill on wafers, from a model's shape alone: one layer on the best square of PEs, times the layers.

The layer is WaferLLM's (OSDI 2025, section 4), as :func:`wse_emu.validation.programs.prefill_cycles` times it and as
table 3 of the paper holds it: nine GEMMs of whole matrices, norms, one softmax over all queries, a gate. Layers follow
one another on as many squares as the wafers have room for; their weights lie there already.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wse_emu.engines.repeats import repeat
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.kernels.prefill import unlike_llama
from wse_emu.kernels.waferllm import LayerShape, gemm_step, prefill_gemms
from wse_emu.mappings.shapes import extents
from wse_emu.models.config import ModelConfig
from wse_emu.program.precision import FLOATS, ITEMSIZE
from wse_emu.validation import programs

RING = 6
"""Edge of the squares on which a GEMM's step is timed for the choice: a step looks the same on all of them."""
FINALISTS = 3
"""Edges that are then timed whole."""


@dataclass(frozen=True)
class PrefillEstimate:
    """A prompt of ``tokens`` on squares of ``edge``² PEs."""

    tokens: int
    edge: int
    wafers: int
    """That hold all layers' weights on such squares."""
    layer_cycles: int
    cycles: float
    """Of all layers, and of the ways between wafers."""
    pe_bytes: int
    """On a PE: weights of the layers of its square, tiles of the largest GEMM, and the runtime."""
    tokens_per_second: float


def estimate_prefill(
    config: ModelConfig, spec: WaferSpec, dtype: str, tokens: int, *, wafers: int | None = None, edge: int | None = None
) -> PrefillEstimate:
    """The fastest square for a prompt of ``tokens``, or the one of that ``edge``, on at most so many wafers.

    ``wafers`` None: on the fewest that hold the weights. Raises WseError for no token or more than the model's context,
    layers unlike Llama's, quantised weights, and where the weights fit no squares: with the bytes, and what fits.
    """
    if not 1 <= tokens <= config.context:
        raise WseError(f"a prompt of {tokens:,} tokens: 1 to {config.context:,}, the model's context, work")
    if found := unlike_llama(config):
        raise WseError(f"a wafer's prefill is known of dense Llama-like layers; {config.family} has {', '.join(found)}")
    if dtype not in FLOATS:
        raise WseError(f"a wafer's prefill is known in {', '.join(FLOATS)}, not in {dtype}")
    edges = _edges(config, spec, tokens) if edge is None else [edge]
    squares = [_Squares(config, spec, dtype, tokens, one) for one in edges]
    finalists = sorted(_fitting(squares, wafers), key=_Squares.quick_cycles)[:FINALISTS]
    return min((one.timed() for one in finalists), key=lambda one: one.cycles)


def _edges(config: ModelConfig, spec: WaferSpec, tokens: int) -> list[int]:
    """Edges that cut one of the sizes with little padding, and the longest there is."""
    most = min(spec.rows, spec.columns)
    sizes = (config.hidden, config.intermediate, config.q_width, tokens)
    return sorted({most, *(edge for size in sizes for edge in extents(size, most))})


def _fitting(squares: "list[_Squares]", wafers: int | None) -> "list[_Squares]":
    """Those that so many wafers hold; WseError, for the one that comes nearest, if there is none."""
    holding = [one for one in squares if one.layers_each]
    most = min((one.wafers for one in holding), default=0) if wafers is None else wafers
    if found := [one for one in holding if one.wafers <= most]:
        return found
    if holding:
        least = min(holding, key=lambda one: one.wafers)
        raise WseError(
            f"a prefill of {least.tokens:,} tokens: {least.config.layers} layers of {least.layer_bytes:,} bytes on "
            f"each of {least.edge}² PEs, {least.layers_each} a square, are too many for {wafers} {least.spec.name}: "
            f"{least.wafers} work"
        )
    least = min(squares, key=lambda one: one.layer_bytes + one.working_bytes)
    needs = least.layer_bytes + least.working_bytes
    raise WseError(
        f"a prefill of {least.tokens:,} tokens: needs {needs:,} bytes on each of {least.edge}² PEs for one layer "
        f"({least.layer_bytes:,} are weights), {needs - least.spec.sram_bytes:,} more than the "
        f"{least.spec.sram_bytes:,} of {least.spec.name}; "
        + ("a larger wafer works" if least.layer_bytes > least.spec.user_bytes else "a shorter prompt works")
    )


@dataclass(frozen=True)
class _Squares:
    """A model's layers on equal squares."""

    config: ModelConfig
    spec: WaferSpec
    dtype: str
    tokens: int
    edge: int

    def __post_init__(self) -> None:
        if not 1 <= self.edge <= min(self.spec.rows, self.spec.columns):
            size = f"{self.spec.columns}×{self.spec.rows} PEs"
            raise WseError(f"a prefill on {self.edge}² PEs: {self.spec.name} has {size}; such a square works")

    @property
    def shape(self) -> LayerShape:
        config = self.config
        return LayerShape(config.hidden, config.kv_width, config.intermediate, config.q_width)

    @cached_property
    def tiles(self) -> dict[str, tuple[int, int, int]]:
        return prefill_gemms(self.edge, self.shape, self.tokens)

    @property
    def layer_bytes(self) -> int:
        """Of one layer's weights."""
        elements = sum(k * n for name, (_, k, n) in self.tiles.items() if name not in ("scores", "mix"))
        return elements * ITEMSIZE[self.dtype]

    @property
    def working_bytes(self) -> int:
        """Of the GEMM with the largest tiles, of which both operands come while they are used, and the runtime."""
        working = max(2 * m * k + 2 * k * n + m * n for m, k, n in self.tiles.values()) * ITEMSIZE[self.dtype]
        return working + self.spec.sram_bytes - self.spec.user_bytes

    @property
    def layers_each(self) -> int:
        """Layers whose weights fit a square."""
        free = self.spec.sram_bytes - self.working_bytes
        return min(self.config.layers, max(0, free // self.layer_bytes))

    @property
    def wafers(self) -> int:
        squares = -(-self.config.layers // self.layers_each)
        return -(-squares // ((self.spec.columns // self.edge) * (self.spec.rows // self.edge)))

    def quick_cycles(self) -> float:
        """Of a layer's GEMMs, by steps on a small ring."""
        steps = {tile: _step_cycles(self.spec, tile, self.dtype) for tile in set(self.tiles.values())}
        return self.edge * sum(steps[tile] for tile in self.tiles.values())

    def timed(self) -> PrefillEstimate:
        """The layer on the timing engine; hidden states pass the edge of every wafer but the last."""
        layer = programs.prefill_cycles(self.spec, self.edge, self.shape, self.tokens, self.dtype)
        bits = 8 * ITEMSIZE[self.dtype] * self.tokens * self.config.hidden
        between = (bits / self.spec.edge_bits_per_second + self.spec.edge_latency_seconds) * self.spec.clock_hz
        cycles = self.config.layers * layer + (self.wafers - 1) * between
        held = self.layers_each * self.layer_bytes + self.working_bytes
        rate = self.tokens * self.spec.clock_hz / cycles
        return PrefillEstimate(self.tokens, self.edge, self.wafers, layer, cycles, held, rate)


def _step_cycles(spec: WaferSpec, tile: tuple[int, int, int], dtype: str) -> float:
    start = np.zeros((RING, RING), dtype=np.int64)
    return float(repeat(gemm_step(RING, tile, dtype=dtype), spec, RING, start).max()) / RING
