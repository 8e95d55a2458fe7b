"""One region of each wafer for all its layers."""

from math import ceil

from wse_emu.fabric.region import Region
from wse_emu.mappings.shared import shared_program
from wse_emu.program import Program
from wse_emu.wafers.layers import PeRoom
from wse_emu.wafers.layout import BETWEEN, ENDS, Held, WaferLayout


class Shared(WaferLayout):
    """One region of each wafer for all its layers."""

    name = "shared"

    def wafers(self, rows: int, cols: int, inner: int) -> int | None:
        room = self.layers.room(rows, cols, inner)
        free = self.spec.sram_bytes - room.working
        most, beside_ends = free // room.layer, (free - room.ends) // room.layer
        if most < 1 or beside_ends < 0:
            return None
        return 1 + ceil(max(0, self.config.layers - beside_ends) / most)

    def program(self, rows: int, cols: int, inner: int) -> Program:
        return shared_program(self.layers.few, Region(0, 0, cols, rows), inner)

    def slowest_cycles(self, layer: int, wafers: int) -> float:
        return self.config.layers * layer / wafers

    def stage_cycles(self, kernels: dict[str, float], wafers: int) -> float:
        ends = sum(cycles for name, cycles in kernels.items() if name in ENDS)
        layers = sum(kernels.values()) - ends - kernels[BETWEEN]
        return max(layers / wafers, ends) if wafers > 1 else layers + ends

    def held(self, room: PeRoom, wafers: int) -> Held:
        most = (self.spec.sram_bytes - room.working) // room.layer
        layers = min(most, self.config.layers) if wafers > 1 else self.config.layers
        return Held(layers, layers)
