"""The regions of a pipeline: how large each layer's is, and what runs on it, wherever it lies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.kernels.decoder import Shapes, angle_names, angles_body, embed_body, head_body, layer_body, layer_call
from wse_emu.mappings.fit import too_large
from wse_emu.mappings.placement.problem import Block, PlacementProblem, Shape
from wse_emu.mappings.placement.strategies.slots import find_slots
from wse_emu.mappings.plan import Request
from wse_emu.mappings.shapes import best_shape, extents
from wse_emu.models.config import LayerKind
from wse_emu.program import Call, Program, Transfer, Value, memory


@dataclass(frozen=True)
class Pipeline:
    """Equally high regions, ``rows`` × ``cols`` PEs for each layer, and what runs on them wherever they lie.

    ``inner`` columns share a key-value head; embedding and head have ``ends_cols`` columns.
    """

    request: Request
    rows: int
    cols: int
    inner: int
    ends_cols: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Columns of each region: that of embedding and head first, then layer by layer."""
        return (self.ends_cols, *(self.cols,) * self.request.config.layers)

    @cached_property
    def layer_steps(self) -> dict[LayerKind, tuple[Call, ...]]:
        """What a region does for a layer of each kind, on a region at the corner: angles, if any, and the layer."""
        config = self.request.config
        shapes, region = Shapes(config, self.cols, self.inner), Region(0, 0, self.cols, self.rows)
        return {kind: _layer_calls(self.request, shapes, region, kind) for kind in config.kinds}

    @cached_property
    def hidden(self) -> Value:
        """The hidden state as it lies on every region."""
        return self.layer_steps[self.request.config.kind(0)][-1].body.inputs[0]

    def first_alike(self, layer: int) -> int:
        """The first layer of the same kind."""
        config = self.request.config
        kind = config.kind(layer)
        return next(i for i in range(config.layers) if config.kind(i) == kind)

    def ends(self, region: Region) -> tuple[Call, Call]:
        """Embedding and head on their region."""
        return _ends(self.request, region)

    def step(self, layer: int, before: Region, region: Region) -> tuple[Call | Transfer, ...]:
        """What a token does for one layer on its ``region``, with the hidden state on the one ``before``.

        The rotary angles, if any, the move and the layer.
        """
        *angles, body = (replace(call, region=region) for call in self.layer_steps[self.request.config.kind(layer)])
        move = Transfer("hidden", self.hidden, before, region)
        return (*angles, move, layer_call(body.body, region, body.takes[1:], layer))

    def last_move(self, before: Region, ends: Region) -> Transfer:
        """From the last layer to the head."""
        return Transfer("hidden", self.hidden, before, ends)

    def program(self, regions: Sequence[Region]) -> Program:
        """A token on ``regions``, as :attr:`widths` are in order."""
        embed, head = self.ends(regions[0])
        steps: list[Call | Transfer] = [embed]
        for i, region in enumerate(regions[1:]):
            steps += self.step(i, regions[i], region)
        return Program("pipeline", (*steps, self.last_move(regions[-1], regions[0]), head), self.request.defects)


def fitted_pipeline(request: Request) -> Pipeline:
    """The regions with the fewest predicted cycles that fit the SRAM and that the wafer has room for."""
    ends = cache(lambda rows: _head_columns(request, rows))

    def room(rows: int, cols: int) -> bool:
        try:
            return _has_room(request, rows, cols, ends(rows))
        except WseError:
            return False  # embedding and head fit no region of so many rows

    rows, cols, inner = best_shape(request, _layers_alone, "a pipeline with a region per layer", room)
    return Pipeline(request, rows, cols, inner, ends(rows))


def _has_room(request: Request, rows: int, cols: int, ends: int) -> bool:
    """Whether the wafer has a place for every region, as :func:`find_slots` lays them."""
    spec, layers = request.spec, request.config.layers
    if rows > spec.rows or max(cols, ends) > spec.columns:
        return False
    if not request.defects:
        shelves, slots = spec.rows // rows, spec.columns // cols
        return shelves * slots - (slots - (spec.columns - ends) // cols if ends > cols else 1) >= layers
    blocks = tuple(Block(f"{i}", (Shape(width, rows),)) for i, width in enumerate([ends, *[cols] * layers]))
    try:
        problem = PlacementProblem(
            "", blocks, (), spec.columns, spec.rows, request.defects.pes, dead_links=request.defects.links
        )
        return bool(find_slots(problem, request.placement))
    except WseError:
        return False


def _layers_alone(request: Request, rows: int, cols: int, inner: int) -> Program:
    """What the choice of a layer's shape looks at: one layer, times the number of layers; none if they don't fit.

    The kind that holds the most bytes stands for all.
    """
    shapes, region = Shapes(request.config, cols, inner), Region(0, 0, cols, rows)
    return Program("layer", _layer_calls(request, shapes, region, request.config.heaviest))


def _layer_calls(request: Request, shapes: Shapes, region: Region, kind: LayerKind) -> tuple[Call, ...]:
    """The rotary angles, if any, and the first layer."""
    names, rows = angle_names(request.config, kind), region.height
    layer = layer_body(shapes, request.style, rows, positions=request.positions, kind=kind)
    call = layer_call(layer, region, names, 0)
    if not names:
        return (call,)
    return Call(angles_body(shapes, request.style, rows, kind), region, (), names), call


def _head_columns(request: Request, rows: int) -> int:
    """The fewest columns on which embedding and head fit beside each other's tables."""
    config, spec = request.config, request.spec
    for cols in extents(config.vocabulary, spec.columns):
        program = _ends(request, Region(0, 0, cols, rows))
        if memory(Program("ends", program), spec).fits:
            return cols
    raise too_large(request, Program("ends", _ends(request, Region(0, 0, spec.columns, rows))), "embedding and head")


def _ends(request: Request, region: Region) -> tuple[Call, Call]:
    rows, cols = region.height, region.width
    embed = embed_body(request.config, request.style, rows, cols)
    head = head_body(request.config, request.style, rows, cols, on_host=request.on_host)
    return (
        Call(embed, region, ("token",), ("hidden",)),
        Call(head, region, ("hidden",), ("logits", "token")),
    )
