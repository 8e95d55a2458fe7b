"""Placement problems finer than layers: every kernel of a model a block of its own, or every expert of a layer.

Cycles and bytes of a kernel on a shape are those of its steps in the layer's program on a region of that shape, on PEs
that start together. Flows go from centre to centre; between kernels, every number of a tensor travels once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from math import prod

import numpy as np

from wse_emu.engines.timing import BodyClock
from wse_emu.errors import WseError
from wse_emu.kernels.decoder import Shapes, embed_body, head_body, inner_columns, layer_body
from wse_emu.mappings.placement.problem import Block, Charges, Flow, Objective, PlacementProblem, Shape
from wse_emu.mappings.plan import Request
from wse_emu.mappings.shapes import extents
from wse_emu.program import Body, Value
from wse_emu.program.precision import ITEMSIZE
from wse_emu.program.value import WAVELET_BYTES

CANDIDATES = 6
"""Extents tried along each axis."""


@dataclass(frozen=True)
class _Part:
    """Consecutive steps of a body that belong to one kernel."""

    name: str
    first: int
    beyond: int


def kernel_problem(request: Request) -> PlacementProblem:
    """A block for every kernel of every layer, for the embedding and for the head.

    Raises WseError where a kernel fits the SRAM in no shape that is tried.
    """
    shapes = _Shapes(request)
    layer = shapes.bodies["layer"][0][0]
    parts = _parts(layer)
    blocks, flows = [Block("embedding", shapes.of_whole("embed"))], []
    inner, entering, leaving = _layer_flows(layer, parts)
    before = 0
    for number in range(request.config.layers):
        start = len(blocks)
        blocks += [Block(f"layer {number} {part.name}", shapes.of_part(i)) for i, part in enumerate(parts)]
        flows.append(Flow(before, tuple(start + i for i in entering), float(_wavelets(layer.inputs[0]))))
        flows += [Flow(start + a, tuple(start + b for b in targets), float(w)) for a, targets, w in inner]
        before = start + leaving
    flows.append(Flow(before, (len(blocks),), float(_wavelets(layer.inputs[0]))))
    blocks.append(Block("head", shapes.of_whole("head")))
    return _problem(request, "kernels", blocks, flows)


def expert_problem(
    request: Request, experts: int, active: int, shares: Sequence[float] | None = None
) -> PlacementProblem:
    """One layer's experts, each an MLP of the model's shape, around the router that sends them the hidden state.

    ``active`` of ``experts`` see a token. ``shares`` are the chances of each to do so (None: all alike); what flows to
    an expert and back is the hidden state times its chance. Raises WseError for numbers that contradict each other.
    """
    if not 1 <= active <= experts:
        raise WseError(f"{active} of {experts} experts are active: 1 to {experts} work")
    chances = [active / experts] * experts if shares is None else list(shares)
    if len(chances) != experts or min(chances) < 0 or abs(sum(chances) - active) > 1e-6 * active:
        raise WseError(f"{len(chances)} chances that add up to {sum(chances):g}: {experts} with a sum of {active} work")
    config = request.config
    if config.experts is not None:  # an expert of the model's own is an MLP of that width
        dense = replace(config, intermediate=config.experts.intermediate, experts=None, sparse=())
        request = replace(request, config=dense)
    shapes = _Shapes(request)
    layer = shapes.bodies["layer"][0][0]
    names = [part.name for part in _parts(layer)]
    router, expert = (shapes.of_part(names.index(name)) for name in ("norm 2", "mlp"))
    blocks = [Block("router", router), *(Block(f"expert {i}", expert) for i in range(experts))]
    hidden = _wavelets(layer.inputs[0])
    ends = [(0, 1 + i, chance) for i, chance in enumerate(chances)]
    flows = [Flow(a, (b,), hidden * chance) for i, j, chance in ends for a, b in ((i, j), (j, i))]
    return _problem(request, f"{experts} experts", blocks, flows)


def _problem(request: Request, name: str, blocks: list[Block], flows: list[Flow]) -> PlacementProblem:
    spec = request.spec
    return PlacementProblem(
        f"{request.config.family} {name}",
        tuple(blocks),
        tuple(flows),
        spec.columns,
        spec.rows,
        request.defects.pes,
        objective=Objective(hop_wavelets=0.0, cycles=1.0),
        charges=Charges.of(spec),
        sram_bytes=spec.sram_bytes - spec.runtime_bytes,
        dead_links=request.defects.links,
    )


class _Shapes:
    """The bodies of a model on regions of many shapes, and what their parts take there."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.bodies: dict[str, list[tuple[Body, list[int]]]] = {"embed": [], "layer": [], "head": []}
        """By name, on each shape, with the cycles of each part."""
        for rows, cols in self._tried():
            for body in self._made(rows, cols):
                self.bodies[body.name].append((body, self._cycles(body)))

    def of_part(self, index: int) -> tuple[Shape, ...]:
        """The shapes worth taking for a part of the layer."""
        part = _parts(self.bodies["layer"][0][0])[index]
        found = [
            Shape(body.cols, body.rows, float(cycles[index]), _bytes(body, part))
            for body, cycles in self.bodies["layer"]
        ]
        return self._worth(found, f"kernel {part.name}")

    def of_whole(self, name: str) -> tuple[Shape, ...]:
        """The same for a body as one block."""
        found = [
            Shape(body.cols, body.rows, float(sum(cycles)), _bytes(body, _Part(name, 0, len(body.steps))))
            for body, cycles in self.bodies[name]
        ]
        return self._worth(found, f"the {name}")

    def _worth(self, shapes: list[Shape], what: str) -> tuple[Shape, ...]:
        """Those that fit the SRAM, without any that takes as many PEs as another and more cycles."""
        spec = self.request.spec
        room = spec.sram_bytes - spec.runtime_bytes
        kept: list[Shape] = []
        for shape in sorted((s for s in shapes if s.bytes <= room), key=lambda s: (s.width * s.height, s.cycles)):
            if not kept or shape.cycles < kept[-1].cycles:
                kept.append(shape)
        if not kept:
            least = min(shape.bytes for shape in shapes)
            raise WseError(f"{what}: takes {least:,} bytes a PE on the largest region tried; {spec.name} has {room:,}")
        return tuple(kept)

    def _tried(self) -> Iterator[tuple[int, int]]:
        config, spec = self.request.config, self.request.spec
        for rows in _few(extents(config.hidden, spec.rows)):
            for cols in _few(extents(config.narrowest, spec.columns)):
                yield rows, cols

    def _made(self, rows: int, cols: int) -> tuple[Body, Body, Body]:
        config, style = self.request.config, self.request.style
        shapes = Shapes(config, cols, inner_columns(config, cols)[-1])
        return (
            embed_body(config, style, rows, cols),
            layer_body(shapes, style, rows, positions=self.request.positions, kind=config.heaviest),
            head_body(config, style, rows, cols),
        )

    def _cycles(self, body: Body) -> list[int]:
        """Growth of the latest clock, part after part, at half the context."""
        start = np.zeros((body.rows, body.cols), dtype=np.int64)
        clock = BodyClock(self.request.spec, body, start, self.request.positions // 2 // body.rows + 1)
        times = [0]
        for part in _parts(body):
            for step in body.steps[part.first : part.beyond]:
                clock.step(step)
            times.append(int(clock.clock.max()) + clock.offset)
        return [after - before for before, after in pairwise(times)]


def _few(values: list[int]) -> list[int]:
    """At most CANDIDATES of them, the ends among them."""
    wanted = np.unique(np.linspace(0, len(values) - 1, CANDIDATES).round().astype(int))
    return [values[i] for i in wanted]


def _parts(body: Body) -> list[_Part]:
    """Kernels in order; of several with one name, each has a number."""
    runs = [(name, len(list(steps))) for name, steps in groupby(body.steps, key=lambda step: step.kernel)]
    names = [name for name, _ in runs]
    found, first = [], 0
    for i, (name, count) in enumerate(runs):
        label = f"{name} {names[: i + 1].count(name)}" if names.count(name) > 1 else name
        found.append(_Part(label, first, first + count))
        first += count
    return found


def _bytes(body: Body, part: _Part) -> int:
    """Bytes on a PE: weights and cache that the part reads, and what it takes in and yields."""
    steps = body.steps[part.first : part.beyond]
    held = {value.name: value.block_bytes for step in steps for value in (*step.inputs, *step.outputs)}
    return sum(held.values())


def _layer_flows(layer: Body, parts: list[_Part]) -> tuple[list[tuple[int, tuple[int, ...], int]], list[int], int]:
    """(part, parts that read it, wavelets) of every value in the layer; who reads the layer's input; who ends it."""
    made, read = dict[str, int](), dict[str, list[int]]()
    values: dict[str, Value] = {}
    for i, part in enumerate(parts):
        for step in layer.steps[part.first : part.beyond]:
            for value in step.inputs:
                if value.kind in {"temporary", "input"} and made.get(value.name) != i:
                    values[value.name] = value
                    read.setdefault(value.name, []).append(i)
            made |= {value.name: i for value in step.outputs}
    inner = [
        (made[name], tuple(dict.fromkeys(targets)), _wavelets(values[name]))
        for name, targets in read.items()
        if name in made
    ]
    return inner, sorted(set(read[layer.inputs[0].name])), made[layer.outputs[0].name]


def _wavelets(value: Value) -> int:
    """That carry every number of the tensor once."""
    return -(-prod(value.shape) * ITEMSIZE[value.dtype] // WAVELET_BYTES)
