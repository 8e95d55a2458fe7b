"""Who waits for whom when nothing moves any more."""

from collections.abc import Iterator

import networkx as nx
import numpy as np

from wse_emu.engines.code import FabricProgram, Instruction
from wse_emu.engines.wavelet.control import Control
from wse_emu.engines.wavelet.fabric import Fabric
from wse_emu.fabric.directions import DIRECTIONS

Node = tuple[str, int, int]
"""("PE" or "router", the PE's bit, the color that it waits on or −1)."""
SHOWN = 6


def explain(program: FabricProgram, fabric: Fabric, control: Control, time: int) -> str:
    """One line: the cycle of PEs and routers that wait for each other, or the chain that ends where nobody acts."""
    waits = Waits(program, fabric, control)
    graph, looking = nx.DiGraph(), list(waits.stuck())
    while looking:
        node = looking.pop()
        others = waits.of(node)
        looking += [other for other in others if other not in graph]
        graph.add_node(node)
        graph.add_edges_from((node, other) for other in others)
    try:
        loop = [edge[0] for edge in nx.find_cycle(graph)]
        shown = " → ".join(waits.text(node) for node in [*loop[:SHOWN], *(["…"] if len(loop) > SHOWN else [])])
        return f"deadlock in cycle {time}: {shown} → {waits.text(loop[0])}"
    except nx.NetworkXNoCycle:
        shown = " → ".join(waits.text(node) for node in nx.dag_longest_path(graph)[-SHOWN:])
        return f"deadlock in cycle {time}: {shown}, and nothing more will come"


class Waits:
    """The state at the end, read PE by PE."""

    def __init__(self, program: FabricProgram, fabric: Fabric, control: Control) -> None:
        self.program, self.fabric, self.control, self.grid = program, fabric, control, fabric.grid
        home, unpack, colors = fabric.bank.home, fabric.grid.unpack, range(len(program.colors))
        self.ports = {name: [unpack(home[name][:, color]) for color in colors] for name in ("inputs", "outputs")}
        self.streams = {name: [unpack(home[name][color]) for color in colors] for name in ("take", "send")}
        self.heads = {
            name: [queue.at_hand(color) for color in colors]
            for name, queue in (("link", fabric.link), ("own", fabric.own), ("in", fabric.into))
        }

    def stuck(self) -> Iterator[Node]:
        """PEs with an instruction under way."""
        unfinished = np.flatnonzero(self.control.at >= 0)
        busy = {int(pe) for pe in unfinished}
        for planes in self.streams.values():
            for held in planes:
                rows, cols = np.nonzero(held)
                busy |= set((rows * self.grid.stride + cols).tolist())
        yield from (("PE", pe, -1) for pe in sorted(busy)[:2000])

    def of(self, node: Node) -> list[Node]:
        """What ``node`` waits for."""
        kind, pe, color = node
        if kind == "router":
            return self._router(pe, color)
        found = []
        y, x = divmod(pe, self.grid.stride)
        for color in range(len(self.program.colors)):
            if self.streams["send"][color][y, x]:
                found.append(("router", pe, color))
            if self.streams["take"][color][y, x]:
                found.append(self._receiver(pe, color))
        told = self.told(pe)
        if told is not None and told.kind == "host":
            others = np.flatnonzero((self.control.at >= 0) & (self.control.at != self.control.at[pe]))
            found += [("PE", int(other), -1) for other in others[:4]]
        return [other for other in found if other != node]

    def _receiver(self, pe: int, color: int) -> Node:
        y, x = divmod(pe, self.grid.stride)
        if self.heads["in"][color][y, x]:
            told = self.told(pe)
            return ("router", pe, told.target if told is not None and told.target >= 0 else color)
        return self._upstream(pe, color)

    def _upstream(self, pe: int, color: int) -> Node:
        """The router that holds the next wavelet of ``color``, or the PE that has yet to send it."""
        seen = set()
        while pe not in seen:
            seen.add(pe)
            y, x = divmod(pe, self.grid.stride)
            if self.heads["link"][color][y, x] or self.heads["own"][color][y, x]:
                return ("router", pe, color)
            if self.ports["inputs"][color][4, y, x]:
                return ("PE", pe, color)
            ways = [way for way in DIRECTIONS if self.ports["inputs"][color][way, y, x]]
            if not ways:
                return ("router", pe, color)
            pe += ways[0].step[0] + ways[0].step[1] * self.grid.stride
        return ("router", pe, color)

    def _router(self, pe: int, color: int) -> list[Node]:
        y, x = divmod(pe, self.grid.stride)
        found: list[Node] = []
        for way in DIRECTIONS:
            if self.ports["outputs"][color][way, y, x]:
                to = pe + way.step[0] + way.step[1] * self.grid.stride
                ty, tx = divmod(to, self.grid.stride)
                if self.heads["link"][color][ty, tx] or not self.ports["inputs"][color][way.opposite, ty, tx]:
                    found.append(("router", to, color))
        if self.ports["outputs"][color][4, y, x]:
            found.append(("PE", pe, -1))
        return found

    def told(self, pe: int) -> Instruction | None:
        """The instruction of the PE's main thread."""
        at = int(self.control.at[pe])
        return self.program.code.instructions[at] if at >= 0 else None

    def text(self, node: Node | str) -> str:
        if isinstance(node, str):
            return node
        kind, pe, color = node
        place = self.program.place(self.control.flat(pe))
        if kind == "router":
            return f"{self.program.color_name(color)} at router {place}"
        told = self.told(pe)
        if told is None:
            return f"PE {place}, which has ended"
        on = {told.source, told.target} - {-1}
        return f"PE {place} in `{told.kind}`" + "".join(f" of {self.program.color_name(c)}" for c in sorted(on))
