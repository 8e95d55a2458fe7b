"""The step `Move` as routes: row i of a region goes along y in one column, then along row i of the target, multicast.

Rows whose ways never meet share a channel. Two orders of columns are tried, since L-shaped ways that nest never cross.
"""

from functools import lru_cache

import numpy as np

from wse_emu.fabric.directions import Direction
from wse_emu.fabric.region import Region
from wse_emu.fabric.routes import RAMP, Route, port
from wse_emu.program.body import Transfer

Paths = tuple[tuple[int, int], ...]
"""Of every row: the column that it leaves by, counted from the source's left, and its channel."""


def move_routes(move: Transfer) -> list[Route]:
    """One route a channel, on the box of both regions."""
    plan = move_plan(move.source, move.target)
    box = around(move.source, move.target)
    routes = []
    for channel in range(max(channel for _, channel in plan) + 1):
        inputs, outputs = np.zeros((2, box.height, box.width), dtype=np.uint8)
        for row, (column, held) in enumerate(plan):
            if held == channel:
                _Way(move.source, move.target, row, column, box).draw(inputs, outputs)
        routes.append(Route(f"move {move.source} to {move.target} #{channel}", move.kernel, box, inputs, outputs))
    return routes


def move_plan(source: Region, target: Region) -> Paths:
    """The way of every row, with as few channels as the two orders of columns need."""
    away = Region(target.x - source.x, target.y - source.y, target.width, target.height)
    return _plan_away(source.width, source.height, away)


@lru_cache(maxsize=256)
def _plan_away(width: int, height: int, target: Region) -> Paths:
    """The same, which depends on the target's place beside the source alone."""
    source = Region(0, 0, width, height)
    return min((_plan(source, target, order) for order in (1, -1)), key=lambda plan: max(c for _, c in plan))


def around(source: Region, target: Region) -> Region:
    """The smallest box that holds both."""
    x, y = min(source.x, target.x), min(source.y, target.y)
    return Region(x, y, max(source.right, target.right) - x, max(source.bottom, target.bottom) - y)


def _plan(source: Region, target: Region, order: int) -> Paths:
    box = around(source, target)
    channels: list[np.ndarray] = []
    plan = []
    for row in range(source.height):
        column = row % source.width if order > 0 else source.width - 1 - row % source.width
        way = _Way(source, target, row, column, box)
        channel = next((i for i, held in enumerate(channels) if not way.meets(held)), len(channels))
        if channel == len(channels):
            channels.append(np.zeros((box.height, box.width), dtype=bool))
        for part in way.parts:
            channels[channel][part] = True
        plan.append((column, channel))
    return tuple(plan)


class _Way:
    """The way of one row inside ``box``: down (or up) column ``x``, then along row ``stop``."""

    def __init__(self, source: Region, target: Region, row: int, column: int, box: Region) -> None:
        self.x, self.start, self.stop = source.x + column - box.x, source.y + row - box.y, target.y + row - box.y
        self.left, self.right = target.x - box.x, target.right - 1 - box.x
        low, high = min(self.start, self.stop), max(self.start, self.stop)
        self.upright = slice(low, high + 1)
        self.across = slice(min(self.x, self.left), max(self.x, self.right) + 1)
        self.parts = ((self.upright, self.x), (self.stop, self.across))

    def meets(self, used: np.ndarray) -> bool:
        """Whether the way crosses a PE that is ``used``."""
        return any(used[part].any() for part in self.parts)

    def draw(self, inputs: np.ndarray, outputs: np.ndarray) -> None:
        """Add the way to the ports of the box."""
        x, start, stop = self.x, self.start, self.stop
        inputs[start, x] |= RAMP
        outputs[stop, self.left : self.right + 1] |= RAMP
        if stop > start:
            _join(inputs, outputs, (slice(start, stop), x), (slice(start + 1, stop + 1), x), Direction.SOUTH)
        elif stop < start:
            _join(inputs, outputs, (slice(stop + 1, start + 1), x), (slice(stop, start), x), Direction.NORTH)
        if self.right > x:
            _join(inputs, outputs, (stop, slice(x, self.right)), (stop, slice(x + 1, self.right + 1)), Direction.EAST)
        if self.left < x:
            _join(inputs, outputs, (stop, slice(self.left + 1, x + 1)), (stop, slice(self.left, x)), Direction.WEST)


Part = tuple[slice | int, slice | int]


def _join(inputs: np.ndarray, outputs: np.ndarray, leaving: Part, entered: Part, way: Direction) -> None:
    outputs[leaving] |= port(way)
    inputs[entered] |= port(way.opposite)
