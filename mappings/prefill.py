"""Where a prefill by GEMMs lies: all layers on one square of PEs, of the edge with the fewest cycles that fits."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wse_emu.engines.timing import BodyClock
from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.kernels.prefill import Chunk, check_prefill, embed_chunk, prefill_layer
from wse_emu.mappings.plan import Request
from wse_emu.program import Call, Memory, Program, memory
from wse_emu.program.precision import FLOATS

PATIENCE = 3
"""Edges in a row that are slower than the best before the search ends."""


@dataclass(frozen=True)
class PrefillPlan:
    """A chunk's program, and what it takes on each PE. Its weights lie apart from those of the decode."""

    chunk: Chunk
    region: Region
    program: Program
    memory: Memory


def plan_prefill(request: Request, tokens: int, edge: int | None = None) -> PrefillPlan:
    """The fastest square for a chunk of ``tokens``, or the one of that ``edge``.

    Raises WseError for a chunk of no token or longer than the cache, for layers that this prefill does not compute, for
    quantised weights, and where no square fits: with the bytes, and what fits.
    """
    check_prefill(request.config)
    if request.precision.weights not in FLOATS:
        raise WseError(
            f"a prefill by GEMMs multiplies {', '.join(FLOATS)}: {request.precision} works with --prefill tokens"
        )
    if tokens > request.positions:
        raise WseError(f"a prefill of {tokens} tokens is longer than the cache of {request.positions}: fewer work")
    if edge is not None:
        return _checked(request, _plan(request, tokens, edge))
    return _fastest(request, tokens)


def prefill_program(request: Request, chunk: Chunk, region: Region) -> Program:
    """The chunk's hidden state in, then layer by layer; every layer gives its keys and values."""
    style = request.style
    embed, layer = embed_chunk(chunk, style), prefill_layer(chunk, style)
    calls = [Call(embed, region, ("hidden",), ("hidden", "cos", "sin"))]
    for i in range(request.config.layers):
        prefix = f"layers.{i}."
        gives = ("hidden", f"{prefix}keys", f"{prefix}values")
        calls.append(Call(layer, region, ("hidden", "cos", "sin"), gives, prefix))
    return Program("prefill", tuple(calls), request.defects)


def _plan(request: Request, tokens: int, edge: int) -> PrefillPlan:
    chunk = Chunk(request.config, edge, tokens)
    region = request.room.first(edge, edge)
    if region is None:
        raise WseError(f"a prefill on {edge}² PEs: {request.spec.name} has no such square free; a smaller edge works")
    program = prefill_program(request, chunk, region)
    return PrefillPlan(chunk, region, program, memory(program, request.spec))


def _fastest(request: Request, tokens: int) -> PrefillPlan:
    best: tuple[int, PrefillPlan] | None = None
    largest, slower = None, 0
    for edge in _edges(request):
        largest = _plan(request, tokens, edge)
        if not largest.memory.fits:
            continue
        cycles = _layer_cycles(request, largest)
        if best is None or cycles < best[0]:
            best, slower = (cycles, largest), 0
        elif (slower := slower + 1) == PATIENCE:
            break
    if best is not None:
        return best[1]
    assert largest is not None
    return _checked(request, largest)


def _edges(request: Request) -> Iterator[int]:
    """Edges of squares that the wafer has free, each some 1/5 longer than the one before."""
    edge, most = 1, min(request.spec.rows, request.spec.columns)
    while edge <= most:
        if request.room.first(edge, edge) is not None:
            yield edge
        edge = max(edge + 1, edge * 6 // 5)


def _layer_cycles(request: Request, plan: PrefillPlan) -> int:
    body = plan.program.calls[1].body
    clock = BodyClock(request.spec, body, np.zeros((body.rows, body.cols), dtype=np.int64), 1)
    clock.run()
    return int(clock.clock.max()) + clock.offset


def _checked(request: Request, plan: PrefillPlan) -> PrefillPlan:
    """WseError, with the bytes and what would fit, where a PE holds less than the plan needs."""
    if plan.memory.fits:
        return plan
    (parts,), spec, chunk = plan.memory.by_region.values(), request.spec, plan.chunk
    used = sum(parts.values())
    listed = ", ".join(f"{name} {size:,}" for name, size in parts.items() if size)
    advice = ["--prefill tokens"]
    if parts["weights"] + parts["runtime"] < spec.sram_bytes:
        advice.insert(0, "a shorter prompt")
    if request.precision.name == "float32":
        advice.insert(0, "16-bit numbers")
    raise WseError(
        f"a prefill of {chunk.tokens} tokens by GEMMs: needs {used:,} bytes on each of {chunk.edge}² PEs, "
        f"{used - spec.sram_bytes:,} more than the {spec.sram_bytes:,} of {spec.name} ({listed}); what may fit: "
        f"{'; '.join(advice)}"
    )
