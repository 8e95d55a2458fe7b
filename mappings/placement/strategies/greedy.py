"""Greedy construction: the block with most traffic to those placed goes where it costs least (J. Hurink style).

As in constructive heuristics for mapping cores on a mesh (Murali and De Micheli, NMAP, DATE 2004, section 4).
"""

import numpy as np

from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.cells import distances, free_cells, placed


@strategy("greedy")
def greedy(problem: PlacementProblem, _search: Search) -> Placement:
    """The busiest block to the middle, then always the one that talks most to those that lie."""
    return placed(problem, greedy_cells(problem))


def greedy_cells(problem: PlacementProblem) -> np.ndarray:
    """The cell of every block."""
    cells = free_cells(problem, "greedy")
    flow, hops = Evaluator(problem).matrix, distances(problem, cells)
    count = len(problem.blocks)
    chosen = np.full(count, -1, dtype=np.intp)
    open_cells, waiting = np.ones(len(cells), dtype=bool), np.ones(count, dtype=bool)
    pull = flow.sum(axis=1)  # the first is the busiest of all
    cost = hops.sum(axis=1)
    for _ in range(count):
        block = int(np.argmax(np.where(waiting, pull, -np.inf)))
        cell = int(np.argmin(np.where(open_cells, cost, np.inf)))
        chosen[block], open_cells[cell], waiting[block] = cell, False, False
        pull = flow[:, ~waiting].sum(axis=1)
        following = int(np.argmax(np.where(waiting, pull, -np.inf)))
        cost = hops[:, chosen[~waiting]] @ flow[following, ~waiting]
    return np.asarray(cells[chosen])
