"""A region for each layer and one for each of its experts."""

from collections.abc import Mapping
from functools import cache
from math import ceil

from wse_emu.mappings.expert_regions import Beside, ExpertShapes, ExpertSteps, expert_call
from wse_emu.mappings.layers import Pipeline
from wse_emu.models.config import LayerKind
from wse_emu.program import Body, Program
from wse_emu.program.memory import peak_activation_bytes
from wse_emu.program.routing import busiest_load
from wse_emu.wafers.layers import Layers, PeRoom
from wse_emu.wafers.layout import Held, Shape
from wse_emu.wafers.pipeline import Pipelined


class Apart(Pipelined):
    """A region for each layer and one for each of its experts, on the fewest columns that hold an expert."""

    name = "pipeline, a region per expert"

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self.shapes = ExpertShapes(layers.request)
        self.beside = cache(self._beside)
        self._busiest = cache(busiest_load)

    def wafers(self, rows: int, cols: int, inner: int) -> int | None:
        found, room, ends = self.beside(rows, cols), self.layers.room(rows, cols, inner), self.ends_columns(rows)
        if found is None or ends is None or max(map(room.layer, room.weights)) + room.working > self.spec.sram_bytes:
            return None
        places = (self.spec.rows // found.height) * (self.spec.columns // found.width)
        return ceil((self.config.layers + ceil(ends / found.width)) / places)

    def program(self, rows: int, cols: int, inner: int, kind: LayerKind) -> Program:
        ends, found = self.ends_columns(rows), self.beside(rows, cols)
        assert ends is not None
        return self._laid(Pipeline(self.layers.few(kind), rows, cols, inner, ends, found))

    def cycles(self, rows: int, cols: int, inner: int) -> dict[LayerKind, int]:
        estimator, layers = self.layers.request.estimator, super().cycles(rows, cols, inner)
        more = sum(estimator.body_cycles(body, 1) for body in self._beside_layer(rows, cols))
        return {kind: cycles + more * kind.sparse for kind, cycles in layers.items()}

    def stage_cycles(self, ends: float, _layers: Mapping[LayerKind, float], _wafers: int, shape: Shape) -> float:
        """The layer's own region works on every token, an expert's on those that meet it; the busiest sets the pace."""
        rows, cols, inner = shape
        estimator, experts, users = self.layers.request.estimator, self.shapes.experts, self.workload.users
        own = max(super().cycles(rows, cols, inner).values())
        own += sum(estimator.body_cycles(body, 1) for body in self._at_home(rows, cols))
        share = self._busiest(experts.count, experts.active, users, self.workload.chances) / users
        return max(ends, own, share * estimator.body_cycles(self._expert(rows, cols), 1))

    def _beside_layer(self, rows: int, cols: int) -> list[Body]:
        """One expert stands for those that a token meets, which are at work at once."""
        return [self._expert(rows, cols), *self._at_home(rows, cols)]

    def fullest(self, room: PeRoom, held: Held, rows: int) -> dict[str, int]:
        """A PE of the layer's own region, or of an expert's."""
        own = super().fullest(room, held, rows)
        _, columns = self.shapes.tried(rows)[0]
        body = expert_call(self.layers.request, rows, columns).body
        working = peak_activation_bytes(body) + self.spec.runtime_bytes
        expert = {"weights": sum(value.block_bytes for value in body.weights), "kv_cache": 0, "working": working}
        return max(own, expert, key=lambda parts: sum(parts.values()))

    def bodies(self, rows: int, cols: int, inner: int, kind: LayerKind) -> list[Body]:
        layer = super().bodies(rows, cols, inner, kind)
        return [*layer, *self._beside_layer(rows, cols)] if kind.sparse else layer

    def _expert(self, rows: int, cols: int) -> Body:
        found = self.beside(rows, cols)
        assert found is not None
        return expert_call(self.layers.request, rows, found.expert_cols).body

    def _at_home(self, rows: int, cols: int) -> list[Body]:
        """What the layer's own region does after its router."""
        found = self.beside(rows, cols)
        assert found is not None
        return [body for body in ExpertSteps(self.layers.request, found).at_home if body is not None]

    def _beside(self, rows: int, cols: int) -> Beside | None:
        tried = self.shapes.tried(rows)
        return self.shapes.around(rows, cols, tried[0][1]) if tried else None
