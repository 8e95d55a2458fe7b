"""The regions of a pipeline: how large each layer's is, and what runs on it, wherever it lies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.kernels.decoder import Shapes, angle_names, angles_body, embed_body, head_body, layer_body, layer_call
from wse_emu.mappings.expert_regions import Beside, ExpertShapes, ExpertSteps, expert_call
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
    beside: Beside | None = None
    """How a layer's experts lie around its region, where each has one of its own."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Columns of each region, with a layer's experts: that of embedding and head first, then layer by layer."""
        layer = self.cols if self.beside is None else self.beside.width
        return (self.ends_cols, *(layer,) * self.request.config.layers)

    @property
    def height(self) -> int:
        """Rows of a layer with its experts."""
        return self.rows if self.beside is None else self.beside.height

    def home(self, block: Region) -> Region:
        """The layer's own region in the rectangle ``block`` of the layer and its experts."""
        return block if self.beside is None else self.beside.home(block)

    @cached_property
    def _around(self) -> ExpertSteps | None:
        return None if self.beside is None else ExpertSteps(self.request, self.beside)

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

        The rotary angles, if any, the move and the layer; then its experts, where they have regions of their own.
        """
        kind, home = self.request.config.kind(layer), self.home(region)
        *angles, body = (replace(call, region=home) for call in self.layer_steps[kind])
        move = Transfer("hidden", self.hidden, before, home)
        alone: list[Call | Transfer] = [*angles, move, layer_call(body.body, home, body.takes[1:], layer)]
        if self._around is None or not kind.sparse:
            return tuple(alone)
        return (*alone, *self._around.steps(layer, region, self.hidden))

    def last_move(self, before: Region, ends: Region) -> Transfer:
        """From the last layer to the head."""
        return Transfer("hidden", self.hidden, before, ends)

    def program(self, regions: Sequence[Region]) -> Program:
        """A token on ``regions``, as :attr:`widths` are in order."""
        embed, head = self.ends(regions[0])
        homes = [regions[0], *map(self.home, regions[1:])]
        steps: list[Call | Transfer] = [embed]
        for i, region in enumerate(regions[1:]):
            steps += self.step(i, homes[i], region)
        return Program("pipeline", (*steps, self.last_move(homes[-1], regions[0]), head), self.request.defects)


def fitted_pipeline(request: Request) -> Pipeline:
    """The regions with the fewest predicted cycles that fit the SRAM and that the wafer has room for."""
    ends, experts = cache(lambda rows: _head_columns(request, rows)), ExpertShapes(request) if request.apart else None

    def room(rows: int, cols: int) -> bool:
        layer = Shape(cols, rows)
        if experts is not None:
            around = experts.beside(rows, cols)
            if around is None:
                return False
            layer = Shape(around.width, around.height)
        try:
            return _has_room(request, layer, Shape(ends(rows), rows))
        except WseError:
            return False  # embedding and head fit no region of so many rows

    def program(_: Request, rows: int, cols: int, inner: int) -> Program:
        return _layers_alone(request, rows, cols, inner, experts)

    what = f"a pipeline with a region per {'layer' if experts is None else 'expert'}"
    rows, cols, inner = best_shape(request, program, what, room)
    around = None if experts is None else experts.beside(rows, cols)
    if experts is not None and around is None:
        raise WseError(f"{what}: {request.spec.name} has no room for experts around {rows} rows × {cols} columns")
    return Pipeline(request, rows, cols, inner, ends(rows), around)


def _has_room(request: Request, layer: Shape, ends: Shape) -> bool:
    """Whether the wafer has a place for every region, as :func:`find_slots` lays them."""
    spec, layers = request.spec, request.config.layers
    if layer.height > spec.rows or max(layer.width, ends.width) > spec.columns:
        return False
    if not request.defects:
        shelves, slots = spec.rows // layer.height, spec.columns // layer.width
        beside = (spec.columns - ends.width) // layer.width
        return shelves * slots - (slots - beside if ends.width > layer.width else 1) >= layers
    blocks = tuple(Block(f"{i}", (shape,)) for i, shape in enumerate([ends, *[layer] * layers]))
    try:
        problem = PlacementProblem(
            "", blocks, (), spec.columns, spec.rows, request.defects.pes, dead_links=request.defects.links
        )
        return bool(find_slots(problem, request.placement))
    except WseError:
        return False


def _layers_alone(request: Request, rows: int, cols: int, inner: int, experts: ExpertShapes | None) -> Program:
    """What the choice of a layer's shape looks at: one layer, times the number of layers; none if they don't fit.

    The kind that holds the most bytes stands for all. Of experts on regions of their own one stands for those that a
    token meets, which are at work at once.
    """
    shapes, region = Shapes(request.config, cols, inner), Region(0, 0, cols, rows)
    alone = _layer_calls(request, shapes, region, request.config.heaviest)
    if experts is None:
        return Program("layer", alone)
    around = experts.beside(rows, cols)
    expert = experts.widest(rows) if around is None else expert_call(request, rows, around.expert_cols)
    return Program("layer", (*alone, replace(expert, region=replace(expert.region, x=cols))))


def _layer_calls(request: Request, shapes: Shapes, region: Region, kind: LayerKind) -> tuple[Call, ...]:
    """The rotary angles, if any, and the first layer."""
    names, rows = angle_names(request.config, kind), region.height
    apart = request.apart and kind.sparse
    layer = layer_body(shapes, request.style, rows, positions=request.positions, kind=kind, apart=apart)
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
