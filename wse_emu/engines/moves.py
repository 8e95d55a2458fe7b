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
                _draw(move.source, move.target, row, column, box, inputs, outputs)
        routes.append(Route(f"move {move.source} to {move.target} #{channel}", move.kernel, box, inputs, outputs))
    return routes


@lru_cache(maxsize=256)
def move_plan(source: Region, target: Region) -> Paths:
    """The way of every row, with as few channels as the two orders of columns need."""
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
        inputs, outputs = np.zeros((2, box.height, box.width), dtype=np.uint8)
        _draw(source, target, row, column, box, inputs, outputs)
        used = (inputs | outputs) != 0
        channel = next((i for i, held in enumerate(channels) if not (held & used).any()), len(channels))
        if channel == len(channels):
            channels.append(used)
        else:
            channels[channel] |= used
        plan.append((column, channel))
    return tuple(plan)


def _draw(  # noqa: PLR0917
    source: Region, target: Region, row: int, column: int, box: Region, inputs: np.ndarray, outputs: np.ndarray
) -> None:
    """Add the way of ``row`` to the ports of ``box``."""
    x, start, stop = source.x + column - box.x, source.y + row - box.y, target.y + row - box.y
    left, right = target.x - box.x, target.right - 1 - box.x
    inputs[start, x] |= RAMP
    down = Direction.SOUTH if stop > start else Direction.NORTH
    for y in range(start, stop, 1 if stop > start else -1):
        _join(inputs, outputs, (y, x), down)
    outputs[stop, left : right + 1] |= RAMP
    for at in range(x, right):
        _join(inputs, outputs, (stop, at), Direction.EAST)
    for at in range(x, left, -1):
        _join(inputs, outputs, (stop, at), Direction.WEST)


def _join(inputs: np.ndarray, outputs: np.ndarray, at: tuple[int, int], way: Direction) -> None:
    dx, dy = way.step
    outputs[at] |= port(way)
    inputs[at[0] + dy, at[1] + dx] |= port(way.opposite)
