"""Robust tabu search for assignment: É. Taillard, Parallel Computing 17 (1991), with all swaps updated at once."""

import numpy as np

from wse_emu.mappings.placement.evaluate import Evaluator, swap_gains
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.greedy import start_orders
from wse_emu.mappings.placement.strategies.slots import Slots, find_slots, padded_flow

LOOK = 64
"""Swaps between two looks at the clock."""


@strategy("robust_tabu")
def robust_tabu(problem: PlacementProblem, search: Search) -> Placement:
    """The best swap that is not tabu, again and again; free places take part as blocks without flows."""
    slots = find_slots(problem, "robust_tabu").searched()
    state = _Tabu(padded_flow(slots, Evaluator(problem).matrix), slots, search.rng)
    search.found(slots.placed(state.order), state.cost)
    while search.running:
        for _ in range(LOOK):
            if state.swap():
                search.found(slots.placed(state.order), state.cost)
    assert search.best is not None
    return search.best


class _Tabu:
    """One walk. ``order[i]`` is the place of block i; ``mixed`` is W·D over the blocks' places."""

    def __init__(self, flow: np.ndarray, slots: Slots, rng: np.random.Generator) -> None:
        n = len(flow)
        self.flow, self.rng, self.n = flow, rng, n
        blocks = len(slots.shape)
        (self.order,) = start_orders(slots, flow[:blocks, :blocks], rng, 1)
        self.hops = slots.distances[np.ix_(self.order, self.order)]
        self.mixed = flow @ self.hops
        self.until = np.zeros((n, n), dtype=np.int64)
        """Until which swap block i may not go to where block j lies."""
        self.below = np.tril(np.full((n, n), np.inf))
        """∞ where no swap is tried: each pair once, and no block that is fixed."""
        self.below[list(slots.fixed)] = self.below[:, list(slots.fixed)] = np.inf
        self.cost = self.least = float((flow * self.hops).sum() / 2)
        self.swaps = 0
        self.patience = max(2, n * n * 2)
        """Swaps after which a block must go to a place where it has not been for so long."""

    def swap(self) -> bool:
        """Make one swap; whether it gave the best cost so far."""
        self.swaps += 1
        gains = swap_gains(self.flow, self.hops, self.mixed)
        gains += self.below
        tabu = np.minimum(self.until, self.until.T) > self.swaps
        allowed = np.where(tabu & (gains >= self.least - self.cost - 1e-9), np.inf, gains)
        place = int(allowed.argmin())
        if not np.isfinite(allowed.flat[place]):
            place = int(gains.argmin())
        if not np.isfinite(gains.flat[place]):
            return False
        a, b = divmod(place, self.n)
        self.cost += float(gains[a, b])
        self._exchange(a, b)
        if self.cost < self.least - 1e-9:
            self.least = self.cost
            return True
        return False

    def _exchange(self, a: int, b: int) -> None:
        """Blocks a and b change places; distances, their products and the tabu list follow."""
        change = self.hops[:, b] - self.hops[:, a]
        change[[a, b]] = 0
        self.hops[[a, b]] = self.hops[[b, a]]
        self.hops[:, [a, b]] = self.hops[:, [b, a]]
        self.mixed += np.multiply.outer(self.flow[:, a] - self.flow[:, b], change)
        self.mixed[:, [a, b]] = self.flow @ self.hops[:, [a, b]]
        self.until[:, [a, b]] = self.until[:, [b, a]]
        low, high = 0.9 * self.n, 1.1 * self.n + 4
        self.until[a, b] = self.swaps + int(self.rng.uniform(low, high))
        self.until[b, a] = self.swaps + int(self.rng.uniform(low, high))
        self.order[[a, b]] = self.order[[b, a]]
