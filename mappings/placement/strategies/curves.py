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

    On a band of evenly many rows, as nearly square as the blocks allow; or of evenly many columns, along y.
    """
    slots = find_slots(problem, "ring")
    count = len(slots.movable)
    along = [(_band(count, shelves), shelves) for shelves in (_shelves(slots), _shelves(slots, upright=True))]
    (rows, columns), shelves = min(along, key=lambda band: (band[0][0] % 2, band[0][0] * band[0][1] - count))
    band = [shelf[:columns] for shelf in shelves[:rows]]
    out = [shelf[1:] if i % 2 == 0 else shelf[:0:-1] for i, shelf in enumerate(band)]
    back = [shelf[:1] for shelf in reversed(band)]
    rest = [shelf[columns:] for shelf in shelves[:rows]] + shelves[rows:]
    return slots.along(np.concatenate([*out, *back, *rest]))


def _band(count: int, shelves: list[np.ndarray]) -> tuple[int, int]:
    """Rows and columns of the band: evenly many rows, the fewest places to spare, then squarest; else all rows."""
    lengths = [len(shelf) for shelf in shelves]
    fitting = [
        rows
        for rows in range(2, len(shelves) + 1, 2)
        if sum(min(length, -(-count // rows)) for length in lengths[:rows]) >= count
    ]
    rows = min(fitting, key=lambda rows: (-count % rows, abs(rows - isqrt(count))), default=2 * (len(shelves) // 2) + 1)
    return rows, -(-count // rows)


def _shelves(slots: Slots, *, upright: bool = False) -> list[np.ndarray]:
    """The free places row by row, each from left to right; or column by column."""
    free, at = slots.free, slots.x if upright else slots.y
    return [free[at[free] == row] for row in np.unique(at[free])]


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
