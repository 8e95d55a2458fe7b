"""One region of each wafer for all its layers."""

from collections.abc import Callable, Mapping
from math import ceil

from wse_emu.fabric.region import Region
from wse_emu.mappings.shared import shared_program
from wse_emu.models.config import LayerKind
from wse_emu.program import Program
from wse_emu.wafers.layers import PeRoom
from wse_emu.wafers.layout import Held, Shape, WaferLayout


class Shared(WaferLayout):
    """One region of each wafer for all its layers."""

    name = "shared"

    def wafers(self, rows: int, cols: int, inner: int) -> int | None:
        room = self.layers.room(rows, cols, inner)
        free = self.spec.sram_bytes - room.working
        if free < room.ends or free < max(map(room.layer, room.weights)):
            return None
        return self._filled(room)[0]

    def program(self, rows: int, cols: int, inner: int, kind: LayerKind) -> Program:
        return shared_program(self.layers.few(kind), Region(0, 0, cols, rows), inner)

    def stage_cycles(self, ends: float, layers: Mapping[LayerKind, float], wafers: int, _shape: Shape) -> float:
        total = self.layers.of_all(layers)
        return max(total / wafers, ends) if wafers > 1 else total + ends

    def held(self, room: PeRoom) -> Held:
        return self._filled(room)[1]

    def _filled(self, room: PeRoom) -> tuple[int, Held]:
        """How many wafers the layers fill one after another, the first beside the tables, and the fullest of them."""
        free = self.spec.sram_bytes - room.working
        wafers, left, held, fullest = 1, free - room.ends, Held(0, 0), Held(0, 0)
        for kind, count in self.config.runs:
            size, weights = room.layer(kind), room.weights[kind]
            here = min(count, left // size)
            held = Held(held.layers + here, held.weight_bytes + here * weights)
            left, rest, most = left - here * size, count - here, free // size
            fullest = max(fullest, held, key=self._bytes(room))
            if rest:
                more = ceil(rest / most)
                last = rest - (more - 1) * most
                wafers, left, held = wafers + more, free - last * size, Held(last, last * weights)
                full = min(rest, most)
                fullest = max(fullest, Held(full, full * weights), key=self._bytes(room))
        return wafers, fullest

    @staticmethod
    def _bytes(room: PeRoom) -> Callable[[Held], int]:
        return lambda held: held.weight_bytes + held.layers * room.cache
