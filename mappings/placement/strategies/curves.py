"""Blocks in their order along a curve over the mesh: rows, a snake, Hilbert's curve, an interleaved ring.

Hilbert: D. Hilbert, Math. Annalen 38 (1891), in the iterative form of Warren, Hacker's Delight, chapter 16.
Interleaved: WaferLLM (OSDI 2025, arXiv 2502.04563), section 5.1: every other place on the way out, the others back.
"""

import numpy as np

from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.cells import free_cells, placed


@strategy("row_major")
def row_major(problem: PlacementProblem, _search: Search) -> Placement:
    """From left to right, row below row."""
    return placed(problem, free_cells(problem, "row_major"))


@strategy("snake")
def snake(problem: PlacementProblem, _search: Search) -> Placement:
    """Left to right and right to left in turn: neighbours in the order are neighbours on the mesh."""
    return placed(problem, _snake(problem, free_cells(problem, "snake")))


@strategy("hilbert")
def hilbert(problem: PlacementProblem, _search: Search) -> Placement:
    """Along Hilbert's curve over the smallest power of two that covers the mesh."""
    cells = free_cells(problem, "hilbert")
    y, x = np.divmod(cells, problem.columns)
    side = 1 << (max(problem.columns, problem.rows) - 1).bit_length()
    return placed(problem, cells[np.argsort(_hilbert(x, y, side), kind="stable")])


@strategy("interleave")
def interleave(problem: PlacementProblem, _search: Search) -> Placement:
    """Along the snake, every other place first and the others on the way back: the ring closes within two hops."""
    path = _snake(problem, free_cells(problem, "interleave"))[: len(problem.blocks)]
    return placed(problem, np.concatenate([path[::2], path[1::2][::-1]]))


def _snake(problem: PlacementProblem, cells: np.ndarray) -> np.ndarray:
    y, x = np.divmod(cells, problem.columns)
    return cells[np.lexsort((np.where(y % 2, -x, x), y))]


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
