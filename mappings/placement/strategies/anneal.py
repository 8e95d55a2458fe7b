"""Simulated annealing of an assignment (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983), many walks at once.

Every walk proposes one random swap a round; the temperature falls from the spread of random swaps to a thousandth of it
over the time that there is.
"""

from time import perf_counter

import numpy as np

from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.cells import distances, free_cells, placed

WALKS = 32
LOOK = 32
"""Rounds between two looks at the clock."""


@strategy("annealing")
def annealing(problem: PlacementProblem, search: Search) -> Placement:
    """The best that any walk has seen; free cells take part as blocks without flows."""
    cells, rng = free_cells(problem, "annealing"), search.rng
    n, hops = len(cells), distances(problem, cells)
    flow = np.zeros((n, n))
    flow[: len(problem.blocks), : len(problem.blocks)] = Evaluator(problem).matrix
    walks = np.arange(WALKS)
    order = np.array([rng.permutation(n) for _ in walks])
    cost = np.array([(flow * hops[np.ix_(one, one)]).sum() / 2 for one in order])
    search.found(placed(problem, cells[order[cost.argmin()]]), float(cost.min()))
    if n < 2:
        return placed(problem, cells)
    hot = max(float(np.std([_gain(flow, hops, order, *_pair(rng, n)) for _ in range(8)])), 1e-9)
    while search.running:
        heat = hot * 1e-3 ** min(1.0, (perf_counter() - search.began) / search.seconds)
        for _ in range(LOOK):
            a, b = _pair(rng, n)
            gain = _gain(flow, hops, order, a, b)
            take = gain < -heat * np.log(np.maximum(rng.random(WALKS), 1e-300))
            order[walks[take], a[take]], order[walks[take], b[take]] = (
                order[walks[take], b[take]],
                order[walks[take], a[take]],
            )
            cost += np.where(take, gain, 0)
            best = int(cost.argmin())
            if cost[best] < search.best_cost - 1e-9:
                search.found(placed(problem, cells[order[best]]), float(cost[best]))
    assert search.best is not None
    return search.best


def _pair(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two different blocks for every walk."""
    a = rng.integers(0, n, WALKS)
    return a, (a + rng.integers(1, n, WALKS)) % n


def _gain(flow: np.ndarray, hops: np.ndarray, order: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """By how much the cost of each walk grows when its blocks a and b change places."""
    walks = np.arange(len(order))
    at_a, at_b = order[walks, a], order[walks, b]
    difference = flow[a] - flow[b]
    difference[walks, a] = difference[walks, b] = 0
    farther = np.take_along_axis(hops[at_b] - hops[at_a], order, axis=1)
    return np.asarray((difference * farther).sum(axis=1))
