"""Blocks in their order along a curve over the mesh: rows, a snake, Hilbert's curve, rings.

Hilbert: D. Hilbert, Math. Annalen 38 (1891), in the iterative form of Warren, Hacker's Delight, chapter 16.
Interleaved: WaferLLM (OSDI 2025, arXiv 2502.04563), section 5.1: every other place on the way out, the others back.
"""

from math import isqrt

import numpy as np

from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.slots import Slots, find_slots


@strategy("row_major")
def row_major(problem: PlacementProblem, _search: Search) -> Placement:
    """From left to right, row below row."""
    slots = find_slots(problem, "row_major")
    return slots.along(slots.free)


@strategy("snake")
def snake(problem: PlacementProblem, _search: Search) -> Placement:
    """Left to right and right to left in turn: neighbours in the order are neighbours on the mesh."""
    slots = find_slots(problem, "snake")
    return slots.along(_snake(slots))


@strategy("hilbert")
def hilbert(problem: PlacementProblem, _search: Search) -> Placement:
    """Along Hilbert's curve over the smallest power of two that covers the mesh."""
    slots = find_slots(problem, "hilbert")
    (_, row), (_, column) = (np.unique(part[slots.free], return_inverse=True) for part in (slots.y, slots.x))
    side = 1 << int(max(row.max(), column.max())).bit_length()
    return slots.along(slots.free[np.argsort(_hilbert(column, row, side), kind="stable")])


@strategy("interleave")
def interleave(problem: PlacementProblem, _search: Search) -> Placement:
    """Along the snake, every other place first and the others on the way back: the ring closes within two places."""
    slots = find_slots(problem, "interleave")
    path = _snake(slots)[: len(slots.movable)]
    return slots.along(np.concatenate([path[::2], path[1::2][::-1]]))


@strategy("ring")
def ring(problem: PlacementProblem, _search: Search) -> Placement:
    """Down a snake that leaves the first column free, and back up that column: a closed way of neighbours.

    On a band of evenly many rows, as nearly square as the blocks allow.
    """
    slots = find_slots(problem, "ring")
    shelves = _shelves(slots)
    rows = _band(len(slots.movable), [len(shelf) for shelf in shelves])
    columns = -(-len(slots.movable) // rows)
    band = [shelf[:columns] for shelf in shelves[:rows]]
    out = [shelf[1:] if i % 2 == 0 else shelf[:0:-1] for i, shelf in enumerate(band)]
    back = [shelf[:1] for shelf in reversed(band)]
    rest = [shelf[columns:] for shelf in shelves[:rows]] + shelves[rows:]
    return slots.along(np.concatenate([*out, *back, *rest]))


def _band(count: int, shelves: list[int]) -> int:
    """Rows of the band: even, with the fewest places to spare among those that hold ``count`` blocks, then squarest."""
    fitting = [
        rows
        for rows in range(2, len(shelves) + 1, 2)
        if sum(min(shelf, -(-count // rows)) for shelf in shelves[:rows]) >= count
    ]
    return min(fitting, key=lambda rows: (-count % rows, abs(rows - isqrt(count))), default=1)


def _shelves(slots: Slots) -> list[np.ndarray]:
    """The free places row by row, each from left to right."""
    free = slots.free
    return [free[slots.y[free] == row] for row in np.unique(slots.y[free])]


def _snake(slots: Slots) -> np.ndarray:
    return np.concatenate([shelf[:: 1 if i % 2 == 0 else -1] for i, shelf in enumerate(_shelves(slots))])


def _hilbert(x: np.ndarray, y: np.ndarray, side: int) -> np.ndarray:
    """Place on the curve of each (x, y) of a square of ``side``, a power of two."""
    x, y = x.copy(), y.copy()
    along = np.zeros(len(x), dtype=np.int64)
    step = side // 2
    while step:
        right, down = (x & step) > 0, (y & step) > 0
        along += step * step * ((3 * right) ^ down)
        turn = ~down
        flip = turn & right
        x[flip], y[flip] = side - 1 - x[flip], side - 1 - y[flip]
        x[turn], y[turn] = y[turn], x[turn]
        step //= 2
    return along
