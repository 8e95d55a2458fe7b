"""Simulated annealing of an assignment (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983), many walks at once.

Every walk proposes one random swap a round; the temperature falls from the spread of random swaps to a thousandth of it
over the time that there is.
"""

import numpy as np

from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.slots import find_slots, padded_flow, random_order

WALKS = 32
LOOK = 32
"""Rounds between two looks at the clock."""


@strategy("annealing")
def annealing(problem: PlacementProblem, search: Search) -> Placement:
    """The best that any walk has seen; free places take part as blocks without flows."""
    slots, rng = find_slots(problem, "annealing").searched(), search.rng
    hops, flow = slots.distances, padded_flow(slots, Evaluator(problem).matrix)
    may_move = np.setdiff1d(np.arange(len(flow)), slots.fixed)
    walks = np.arange(WALKS)
    order = np.array([random_order(slots, rng) for _ in walks])
    cost = np.array([(flow * hops[np.ix_(one, one)]).sum() / 2 for one in order])
    search.found(slots.placed(order[cost.argmin()]), float(cost.min()))
    if len(may_move) < 2:
        return slots.placed(order[0])
    hot = max(float(np.std([_gain(flow, hops, order, *_pair(rng, may_move)) for _ in range(8)])), 1e-9)
    while search.running:
        heat = hot * 1e-3 ** min(1.0, search.spent)
        for _ in range(LOOK):
            a, b = _pair(rng, may_move)
            gain = _gain(flow, hops, order, a, b)
            take = gain < -heat * np.log(np.maximum(rng.random(WALKS), 1e-300))
            order[walks[take], a[take]], order[walks[take], b[take]] = (
                order[walks[take], b[take]],
                order[walks[take], a[take]],
            )
            cost += np.where(take, gain, 0)
            best = int(cost.argmin())
            if cost[best] < search.best_cost - 1e-9:
                search.found(slots.placed(order[best]), float(cost[best]))
    assert search.best is not None
    return search.best


def _pair(rng: np.random.Generator, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two different blocks for every walk."""
    a = rng.integers(0, len(blocks), WALKS)
    return blocks[a], blocks[(a + rng.integers(1, len(blocks), WALKS)) % len(blocks)]


def _gain(flow: np.ndarray, hops: np.ndarray, order: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """By how much the cost of each walk grows when its blocks a and b change places."""
    walks = np.arange(len(order))
    at_a, at_b = order[walks, a], order[walks, b]
    difference = flow[a] - flow[b]
    difference[walks, a] = difference[walks, b] = 0
    farther = np.take_along_axis(hops[at_b] - hops[at_a], order, axis=1)
    return np.asarray((difference * farther).sum(axis=1))
