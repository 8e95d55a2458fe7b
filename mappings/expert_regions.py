"""A region for every expert beside its layer's own: how they lie in one rectangle, and what a token does there."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

from wse_emu.fabric.region import Region
from wse_emu.kernels.expert_regions import combine_body, expert_body, expert_prefix, shared_body
from wse_emu.mappings.plan import Request
from wse_emu.mappings.shapes import extents
from wse_emu.program import Body, Call, Expert, Program, Transfer, Value, memory


@dataclass(frozen=True)
class Beside:
    """The rectangle of a sparse layer: its own region of ``rows`` × ``cols`` PEs in the corner, experts around it.

    Each of ``count`` experts has ``rows`` × ``expert_cols``. They fill the rest of the first shelf, then others below.
    """

    rows: int
    cols: int
    expert_cols: int
    count: int
    shelves: int
    width: int

    @property
    def height(self) -> int:
        """Rows of the rectangle."""
        return self.rows * self.shelves

    def home(self, block: Region) -> Region:
        """The layer's own region in its rectangle."""
        return Region(block.x, block.y, self.cols, self.rows)

    def expert(self, block: Region, number: int) -> Region:
        """The region of one expert."""
        first, each = (self.width - self.cols) // self.expert_cols, self.width // self.expert_cols
        shelf, place = (0, number) if number < first else (1 + (number - first) // each, (number - first) % each)
        x = self.expert_cols * place + (0 if shelf else self.cols)
        return Region(block.x + x, block.y + self.rows * shelf, self.expert_cols, self.rows)


class ExpertShapes:
    """On how many columns the experts of ``request`` lie: on those that take the fewest cycles and find room."""

    def __init__(self, request: Request) -> None:
        assert request.config.experts is not None
        self.request, self.experts = request, request.config.experts
        self.tried = cache(self._tried)

    def beside(self, rows: int, cols: int) -> Beside | None:
        """The rectangle of a layer; None where the wafer has no room for as many of them as there are layers."""
        for _, each in sorted(self.tried(rows)):
            found = self.around(rows, cols, each)
            if found is not None and self._find_room(found):
                return found
        return None

    def widest(self, rows: int) -> Call:
        """An expert on as many columns as it can be cut over."""
        return expert_call(self.request, rows, extents(self.experts.intermediate, self.request.spec.columns)[-1])

    def _tried(self, rows: int) -> list[tuple[int, int]]:
        """(cycles, columns) of an expert wherever it fits the SRAM, the fewest columns first."""
        calls = (
            expert_call(self.request, rows, cols)
            for cols in extents(self.experts.intermediate, self.request.spec.columns)
        )
        fitting = (call.body for call in calls if memory(Program("expert", (call,)), self.request.spec).fits)
        return [(self.request.estimator.body_cycles(body, 1), body.cols) for body in fitting]

    def around(self, rows: int, cols: int, each: int) -> Beside | None:
        """With experts of ``each`` columns: the fewest shelves, and the narrowest of these."""
        count, most = self.experts.count, self.request.spec.columns
        for shelves in range(1, self.request.spec.rows // rows + 1):
            widths = range(cols, most + 1)
            fits = (width for width in widths if (width - cols) // each + (shelves - 1) * (width // each) >= count)
            if (width := next(fits, None)) is not None:
                return Beside(rows, cols, each, count, shelves, width)
        return None

    def _find_room(self, found: Beside) -> bool:
        """Whether the wafer has a place for every layer, and one for embedding and head."""
        spec = self.request.spec
        return (spec.rows // found.height) * (spec.columns // found.width) > self.request.config.layers


def expert_call(request: Request, rows: int, cols: int) -> Call:
    """An expert in the corner of the wafer."""
    body = expert_body(request.style.builder("expert", rows, cols), request.config)
    return Call(body, Region(0, 0, cols, rows), ("normed",), ("output",), expert_prefix(0, 0))


@dataclass(frozen=True)
class ExpertSteps:
    """What a token does for the experts of a layer: out to those that it meets, and back."""

    request: Request
    beside: Beside

    @cached_property
    def expert(self) -> Body:
        """On an expert's region."""
        return expert_call(self.request, self.beside.rows, self.beside.expert_cols).body

    @cached_property
    def at_home(self) -> tuple[Body | None, Body]:
        """On the layer's own region: the shared expert, if any, while others are at work, and the sum in the end."""
        config, style, shape = self.request.config, self.request.style, (self.beside.rows, self.beside.cols)
        experts = config.experts
        assert experts is not None
        shared = shared_body(style.builder("shared", *shape), config) if experts.shared_intermediate else None
        return shared, combine_body(style.builder("combine", *shape), config)

    def steps(self, layer: int, block: Region, hidden: Value) -> Iterator[Call | Transfer]:
        """In the rectangle ``block``: dispatch, the experts, the shared one, the way back, the sum."""
        home, (shared, combine), prefix = self.beside.home(block), self.at_home, f"layers.{layer}."
        experts = [Expert(layer, number) for number in range(self.beside.count)]
        regions = [self.beside.expert(block, number) for number in range(self.beside.count)]
        normed = f"{prefix}normed"
        for expert, region in zip(experts, regions, strict=True):
            yield Transfer(normed, hidden, home, region, "dispatch", expert)
        for expert, region in zip(experts, regions, strict=True):
            gives = (f"{prefix}output.{expert.number}",)
            yield Call(self.expert, region, (normed,), gives, expert_prefix(layer, expert.number), expert)
        if shared is not None:
            yield Call(shared, home, ("hidden", normed), ("hidden",), prefix)
        for expert, region in zip(experts, regions, strict=True):
            yield Transfer(f"{prefix}output.{expert.number}", hidden, region, home, "combine", expert, back=True)
        slots = (experts[0].slot(place) for place in range(len(combine.inputs) - 2))
        yield Call(combine, home, ("hidden", f"{prefix}weights", *slots), ("hidden",), prefix)
