"""Simulated annealing of an assignment (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983), many walks at once.

Every walk proposes one random swap a round; the temperature falls from the spread of random swaps to a thousandth of it
over the time that there is.
"""

import numpy as np

from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.greedy import start_orders
from wse_emu.mappings.placement.strategies.slots import Slots, find_slots, padded_flow

WALKS = 32
LOOK = 32
"""Rounds between two looks at the clock."""
BY_HOPS = 0.6
"""Share of the time for cooling by hop-wavelets, where the objective is another."""
WARM = 0.1
"""Heat of walks that begin with a good placement, beside those that begin anywhere."""
OFTEN = 0.1
"""Share of the time after which the best so far is told, or longer where telling takes long."""
FEW = 4
"""Walks that then cool by the objective."""


@strategy("annealing")
def annealing(problem: PlacementProblem, search: Search) -> Placement:
    """The best that any walk has seen; free places take part as blocks without flows.

    An objective of more than hop-wavelets is dear to evaluate, and goes with them for the most part: walks cool by
    hop-wavelets first, and then the best few by the objective.
    """
    slots, evaluator = find_slots(problem, "annealing").searched(), Evaluator(problem)
    walks = _Walks(slots, evaluator, search)
    warm = 1.0 if len(slots.free) == len(slots.movable) else WARM
    if len(walks.may_move) > 1 and evaluator.weighs <= {"hop_wavelets"}:
        walks.cool(_HopGain(evaluator, slots, problem.objective.hop_wavelets), warm, 1.0)
    elif len(walks.may_move) > 1:
        cost = walks.cool(_HopGain(evaluator, slots, 1.0), warm, BY_HOPS)
        walks.order = walks.order[np.argsort(cost)[:FEW]]
        objective, before = _ObjectiveGain(evaluator, slots), search.spent
        objective.costs(walks.order)
        if 4 * (search.spent - before) < 1 - BY_HOPS:  # else a look at each takes too long to go on
            walks.cool(objective, 1e-2, 1.0)
    assert search.best is not None
    return search.best


class _Walks:
    """Places ``order`` ``[walks, blocks]`` that random swaps change."""

    def __init__(self, slots: Slots, evaluator: Evaluator, search: Search) -> None:
        self.slots, self.evaluator, self.search = slots, evaluator, search
        self.may_move = np.setdiff1d(np.arange(len(slots.x)), slots.fixed)
        self.order = start_orders(slots, evaluator.matrix, search.rng, WALKS)
        self._keep(self.order[0])

    def cool(self, gain_of: "_HopGain | _ObjectiveGain", warmth: float, until: float) -> np.ndarray:
        """Anneal until that share of the time is over, from ``warmth`` times the spread of gains; the costs then.

        ``gain_of`` says by how much costs grow when blocks a and b of each walk change places.
        """
        rng, search, begun = self.search.rng, self.search, self.search.spent
        cost = gain_of.costs(self.order)
        lowest, best, told = cost.min(), self.order[cost.argmin()].copy(), begun + OFTEN
        spread = [gain_of(self.order, cost, *self._pair(rng)) for _ in range(4)]
        hot = max(warmth * float(np.std(spread)), 1e-9)
        while search.spent < until:
            heat = hot * (1e-3 / warmth) ** min(1.0, (search.spent - begun) / max(until - begun, 1e-9))
            for _ in range(LOOK):
                a, b = self._pair(rng)
                gain = gain_of(self.order, cost, a, b)
                take = gain < -heat * np.log(np.maximum(rng.random(len(gain)), 1e-300))
                self.order[take] = _swapped(self.order[take], a[take], b[take])
                cost += np.where(take, gain, 0)
                if cost.min() < lowest - 1e-9:
                    lowest, best = cost.min(), self.order[cost.argmin()].copy()
                if search.spent >= until:
                    break
            if search.spent >= told:
                before = search.spent
                self._keep(best)
                told = search.spent + max(OFTEN, 4 * (search.spent - before))
        self._keep(best)
        return cost

    def _pair(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Two different blocks for every walk."""
        a, count = rng.integers(0, len(self.may_move), len(self.order)), len(self.may_move)
        return self.may_move[a], self.may_move[(a + rng.integers(1, count, len(a))) % count]

    def _keep(self, order: np.ndarray) -> None:
        """Tell the search of one walk's places, at their cost by the objective."""
        self.search.found(self.slots.placed(order), float(_costs(self.evaluator, self.slots, order[None])[0]))


def _costs(evaluator: Evaluator, slots: Slots, order: np.ndarray) -> np.ndarray:
    found = evaluator.costs(*slots.corners(order), np.tile(slots.shape, (len(order), 1)), ("cost",))
    return np.asarray(found["cost"])


def _swapped(order: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``order`` with blocks a and b of each walk at each other's places."""
    order, walks = order.copy(), np.arange(len(order))
    order[walks, a], order[walks, b] = order[walks, b], order[walks, a]
    return order


class _ObjectiveGain:
    """By the evaluator: any objective."""

    def __init__(self, evaluator: Evaluator, slots: Slots) -> None:
        self._evaluator, self._slots = evaluator, slots

    def costs(self, order: np.ndarray) -> np.ndarray:
        return _costs(self._evaluator, self._slots, order)

    def __call__(self, order: np.ndarray, cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(self.costs(_swapped(order, a, b)) - cost)


class _HopGain:
    """By what changes alone: hop-wavelets times ``weight``."""

    def __init__(self, evaluator: Evaluator, slots: Slots, weight: float) -> None:
        self._hops, self._flow = slots.distances, padded_flow(slots, weight * evaluator.matrix)

    def costs(self, order: np.ndarray) -> np.ndarray:
        return np.array([(self._flow * self._hops[np.ix_(one, one)]).sum() / 2 for one in order])

    def __call__(self, order: np.ndarray, _cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        walks = np.arange(len(order))
        difference = self._flow[a] - self._flow[b]
        difference[walks, a] = difference[walks, b] = 0
        farther = np.take_along_axis(self._hops[order[walks, b]] - self._hops[order[walks, a]], order, axis=1)
        return np.asarray((difference * farther).sum(axis=1))
