"""Simulated annealing of an assignment (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983), many walks at once.

Every walk proposes one random swap a round; the temperature falls from the spread of random swaps to a thousandth of it
over the time that there is.
"""

from collections.abc import Callable

import numpy as np

from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.slots import Slots, find_slots, padded_flow, random_order

WALKS = 32
LOOK = 32
"""Rounds between two looks at the clock."""


Gain = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(places ``[walks, blocks]``, their costs, blocks a, blocks b) -> growth of the costs when a and b change places."""


@strategy("annealing")
def annealing(problem: PlacementProblem, search: Search) -> Placement:
    """The best that any walk has seen, by the problem's objective; free places take part as blocks without flows."""
    slots, rng, evaluator = find_slots(problem, "annealing").searched(), search.rng, Evaluator(problem)
    may_move = np.setdiff1d(np.arange(len(slots.x)), slots.fixed)
    walks = np.arange(WALKS)
    order = np.array([random_order(slots, rng) for _ in walks])
    cost = _costs(evaluator, slots, order)
    search.found(slots.placed(order[cost.argmin()]), float(cost.min()))
    if len(may_move) < 2:
        return slots.placed(order[0])
    gain_of = _hop_gain(evaluator, slots) if evaluator.weighs <= {"hop_wavelets"} else _gain_of_all(evaluator, slots)
    spread = [gain_of(order, cost, *_pair(rng, may_move)) for _ in range(8)]
    hot = max(float(np.std(spread)), 1e-9)
    while search.running:
        heat = hot * 1e-3 ** min(1.0, search.spent)
        for _ in range(LOOK):
            a, b = _pair(rng, may_move)
            gain = gain_of(order, cost, a, b)
            take = gain < -heat * np.log(np.maximum(rng.random(WALKS), 1e-300))
            order[take] = _swapped(order[take], a[take], b[take])
            cost += np.where(take, gain, 0)
            best = int(cost.argmin())
            if cost[best] < search.best_cost - 1e-9:
                search.found(slots.placed(order[best]), float(cost[best]))
            if not search.running:
                break
    assert search.best is not None
    return search.best


def _costs(evaluator: Evaluator, slots: Slots, order: np.ndarray) -> np.ndarray:
    found = evaluator.costs(*slots.corners(order), np.tile(slots.shape, (len(order), 1)), ("cost",))
    return np.asarray(found["cost"])


def _swapped(order: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``order`` with blocks a and b of each walk at each other's places."""
    order, walks = order.copy(), np.arange(len(order))
    order[walks, a], order[walks, b] = order[walks, b], order[walks, a]
    return order


def _gain_of_all(evaluator: Evaluator, slots: Slots) -> Gain:
    """By the evaluator: any objective."""

    def gain(order: np.ndarray, cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(_costs(evaluator, slots, _swapped(order, a, b)) - cost)

    return gain


def _hop_gain(evaluator: Evaluator, slots: Slots) -> Gain:
    """By what changes alone: hop-wavelets."""
    weight = evaluator.problem.objective.hop_wavelets
    hops, flow = slots.distances, padded_flow(slots, weight * evaluator.matrix)

    def gain(order: np.ndarray, _cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        walks = np.arange(len(order))
        difference = flow[a] - flow[b]
        difference[walks, a] = difference[walks, b] = 0
        farther = np.take_along_axis(hops[order[walks, b]] - hops[order[walks, a]], order, axis=1)
        return np.asarray((difference * farther).sum(axis=1))

    return gain


def _pair(rng: np.random.Generator, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two different blocks for every walk."""
    a = rng.integers(0, len(blocks), WALKS)
    return blocks[a], blocks[(a + rng.integers(1, len(blocks), WALKS)) % len(blocks)]
