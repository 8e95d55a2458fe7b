"""All layers on a region of each wafer, for weights that find no place: what is left over comes in for every token."""

from collections.abc import Mapping
from math import ceil

from wse_emu.models.config import LayerKind
from wse_emu.program.precision import find_precision
from wse_emu.wafers.layers import Layers, PeRoom
from wse_emu.wafers.layout import Held, Shape
from wse_emu.wafers.shared import Shared


class Streamed(Shared):
    """Caches and as many layers as fit stay; the others are streamed over the edge through two buffers of a matrix.

    One pass of them serves one token of every user, on one wafer after the other. It runs beside the layers' work;
    what it takes longer, tokens wait. Of several kinds of layers, their mean is streamed and the largest is held.
    """

    name = "streamed"

    def __init__(self, layers: Layers, count: int) -> None:
        super().__init__(layers)
        self.count = count
        """Wafers that there are."""

    def wafers(self, rows: int, cols: int, inner: int) -> int | None:
        return self.count if self._resident(self.layers.room(rows, cols, inner)) >= 0 else None

    def stage_cycles(self, ends: float, layers: Mapping[LayerKind, float], _wafers: int, shape: Shape) -> float:
        return super().stage_cycles(ends, layers, 1, shape)

    def waiting_cycles(self, room: PeRoom, cycles: float) -> float:
        streamed = max(0, self.config.layers - self.count * self._resident(room))
        numbers = self.layers.of_all({kind: self.config.parameters_of(kind) for kind in self.config.kinds})
        mean = 8 * numbers / self.config.layers * float(find_precision(self.workload.dtype).weight_bytes)
        return max(0.0, streamed * mean / self.spec.edge_bits_per_second * self.spec.clock_hz - cycles)

    def held(self, room: PeRoom) -> Held:
        return Held(self._caches, self._resident(room) * max(room.weights.values()), 2 * room.largest)

    @property
    def _caches(self) -> int:
        """Layers whose caches lie on a wafer."""
        return ceil(self.config.layers / self.count)

    def _resident(self, room: PeRoom) -> int:
        """Layers of a wafer that stay, beside caches and buffers; below 0 if these alone are too large."""
        taken = room.working + room.ends + self._caches * room.cache + 2 * room.largest
        return min((self.spec.sram_bytes - taken) // max(room.weights.values()), self._caches)
