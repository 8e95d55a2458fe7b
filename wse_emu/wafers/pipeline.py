"""A region for each layer, and one for embedding and head."""

from bisect import bisect_left
from collections.abc import Mapping
from math import ceil

from wse_emu.fabric.region import Region
from wse_emu.mappings.layers import Pipeline
from wse_emu.mappings.shapes import extents
from wse_emu.models.config import LayerKind
from wse_emu.program import Program
from wse_emu.wafers.layers import PeRoom
from wse_emu.wafers.layout import Held, Shape, WaferLayout


class Pipelined(WaferLayout):
    """A region for each layer, and one for embedding and head."""

    name = "pipeline"

    def wafers(self, rows: int, cols: int, inner: int) -> int | None:
        room = self.layers.room(rows, cols, inner)
        ends = self.ends_columns(rows)
        if room.layer(self.config.heaviest) + room.working > self.spec.sram_bytes or ends is None:
            return None
        places = (self.spec.rows // rows) * (self.spec.columns // cols)
        return ceil((self.config.layers + ceil(ends / cols)) / places)

    def ends_columns(self, rows: int) -> int | None:
        """The fewest columns on which embedding and head fit; None if no wafer has so many."""
        choices = extents(self.config.vocabulary, self.spec.columns)
        free = self.spec.sram_bytes - self.spec.runtime_bytes
        place = bisect_left(choices, True, key=lambda cols: self.layers.ends_bytes(rows, cols) * 1.1 <= free)
        return choices[place] if place < len(choices) else None

    def program(self, rows: int, cols: int, inner: int, kind: LayerKind) -> Program:
        ends = self.ends_columns(rows)
        assert ends is not None
        return self._laid(Pipeline(self.layers.few(kind), rows, cols, inner, ends))

    def _laid(self, pipeline: Pipeline) -> Program:
        """On regions side by side, shelf after shelf."""
        rows, height, regions, x, y = pipeline.rows, pipeline.height, [], 0, 0
        for number, width in enumerate(pipeline.widths):
            if x + width > self.spec.columns:
                x, y = 0, (y + height) % max(height, self.spec.rows - height + 1)
            regions.append(Region(x, y, width, height if number else rows))
            x += width
        return pipeline.program(regions)

    def stage_cycles(self, ends: float, layers: Mapping[LayerKind, float], _wafers: int, _shape: Shape) -> float:
        return max(ends, *layers.values())

    def held(self, room: PeRoom) -> Held:
        return Held(1, max(room.weights.values()))
