"""Placement problems of mapped models."""

from dataclasses import replace

import numpy as np

from wse_emu.engines.timing import BodyClock
from wse_emu.fabric.region import Region
from wse_emu.mappings.layers import Pipeline
from wse_emu.mappings.placement.problem import Block, Charges, Flow, Objective, PlacementProblem, Shape
from wse_emu.mappings.placement.token_clock import TokenClock
from wse_emu.program import Body, Call, Program, memory


def layer_problem(pipeline: Pipeline, position: int | None = None) -> PlacementProblem:
    """Where the regions of a pipeline lie: embedding and head, then layer by layer, and the hidden state from one on.

    ``position`` is that of the token that is timed (None: half the context). Its ``clock`` is the timing engine's,
    unless experts have regions of their own: then ways are charged by hops and wavelets.
    """
    request, rows = pipeline.request, pipeline.rows
    position = request.positions // 2 if position is None else position
    ends = pipeline.ends(Region(0, 0, pipeline.ends_cols, rows))
    slots = position // rows + 1

    def shape(calls: tuple[Call, ...]) -> Shape:
        held = memory(Program("block", calls), request.spec).max_pe_bytes
        cycles = sum(alone_cycles(pipeline, call.body, slots) for call in calls)
        return Shape(calls[0].region.width, rows, float(cycles), held)

    width, height = pipeline.widths[-1], pipeline.height  # with the layer's experts, where they have regions
    of_kind = {
        kind: replace(shape(calls[-1:]), width=width, height=height) for kind, calls in pipeline.layer_steps.items()
    }
    shapes = [shape(ends), *(of_kind[request.config.kind(i)] for i in range(request.config.layers))]
    names = ["embedding and head", *(f"layer {i}" for i in range(request.config.layers))]
    hidden = pipeline.hidden.wavelets * rows
    flows = tuple(Flow(i, ((i + 1) % len(names),), float(hidden), lanes=rows) for i in range(len(names)))
    return PlacementProblem(
        request.config.family,
        tuple(Block(name, (held,)) for name, held in zip(names, shapes, strict=True)),
        flows,
        request.spec.columns,
        request.spec.rows,
        request.defects.pes,
        objective=Objective(hop_wavelets=0.0, cycles=1.0),
        charges=Charges.of(request.spec),
        sram_bytes=request.spec.sram_bytes,
        clock=None if pipeline.beside is not None else TokenClock(pipeline, position),
        dead_links=request.defects.links,
    )


def alone_cycles(pipeline: Pipeline, body: Body, slots: int) -> int:
    """Cycles of ``body`` on PEs that start together, in the wafer's corner."""
    clock = BodyClock(pipeline.request.spec, body, np.zeros((body.rows, body.cols), dtype=np.int64), slots)
    clock.run()
    return int(clock.clock.max()) + clock.offset
