"""Kernel sizing and slicing, for chains of blocks that may take many shapes.

For a limit on the slowest block's cycles and a price of area, :mod:`slicing` cuts the free rectangles of the mesh into
blocks. A higher price packs more densely and lets the way between the blocks grow; a higher limit needs less area.
Which pairs of the two just fit is a staircase, and it is walked in ever smaller steps. As the kernel placers of the
ISPD 2020 contest, it sizes kernels and packs them at once (Jiang et al., CU.POKer, ICCAD 2020).
"""

from collections.abc import Iterator

import numpy as np

from wse_emu.errors import WseError
from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.chain import Chain
from wse_emu.mappings.placement.strategies.mending import mend
from wse_emu.mappings.placement.strategies.rooms import cut_rooms, free_rooms
from wse_emu.mappings.placement.strategies.slicing import Slicing

PRICES = np.geomspace(4.0, 1e-3, 37)
"""Hops a PE: from where area counts most to where next to none does; ten steps are about a tenth."""
DENSE = 100.0
"""The price where nothing but area counts."""
STEPS = ((0.08, 9), (0.02, 4), (0.005, 2))
"""Of the walks, one after another: to the next limit, as a share of it, and to the next price."""
VARIED = 12
"""Of the best attempts: they are varied while there is time."""
FAR = 3
"""Places that a block is moved along the chain, at most."""


@strategy("strips")
def strips(problem: PlacementProblem, search: Search) -> Placement:
    """The best over limits on the slowest block and prices of area, in the time that there is."""
    packer = _Packer(problem, search)
    costs = dict[tuple[int, int], float]()
    for step, jump in STEPS:
        for limit, price in _walk(packer, step, jump, costs):
            costs[limit, price] = packer.cost(packer.chain, float(packer.limits[limit]), float(PRICES[price]))
        if search.best is None and packer.cost(packer.chain, float(packer.limits[-1]), DENSE) == np.inf:
            raise WseError(f"strategy strips: found no way to cut the mesh into the blocks of {problem.name}")
    _vary(packer, costs)
    assert search.best is not None
    return search.best


def _walk(packer: "_Packer", step: float, jump: int, costs: dict[tuple[int, int], float]) -> Iterator[tuple[int, int]]:
    """Limits and prices, by number, along the border of what fits; those of which no cost is known are yielded."""
    limits, limit, price = packer.limits, packer.least_limit, 0
    while limit < len(limits) and packer.promising(float(limits[limit])):
        if (limit, price) not in costs:
            yield limit, price
        if costs[limit, price] < np.inf and price + jump < len(PRICES):
            price += jump
        else:
            limit = max(limit + 1, int(np.searchsorted(limits, limits[limit] * (1 + step))))


def _vary(packer: "_Packer", costs: dict[tuple[int, int], float]) -> None:
    """Move blocks along the chain near the best limits and prices; what turns out better is varied in its turn."""
    rng, limits = packer.search.rng, packer.limits
    best = sorted(costs, key=lambda pair: costs[pair])[:VARIED]
    pool = [(costs[pair], float(limits[pair[0]]), float(PRICES[pair[1]]), packer.chain) for pair in best]
    while pool and packer.search.running:
        _, limit, price, chain = pool[rng.integers(len(pool))]
        near = int(np.searchsorted(limits, limit * np.exp(rng.normal(0, 0.003)))) - 1
        limit, price = float(limits[max(near, 0)]), price * float(np.exp(rng.normal(0, 0.5)))
        for _ in range(rng.integers(1, 3)):
            block = int(rng.integers(len(chain.order)))
            chain = chain.moved(block, max(0, block + int(rng.integers(-FAR, FAR + 1))))
        cost = packer.cost(chain, limit, price)
        worst = max(range(len(pool)), key=lambda place: pool[place][0])
        if cost < pool[worst][0] and cost not in {one[0] for one in pool}:
            pool[worst] = cost, limit, price, chain


class _Packer:
    """Placements for limits and prices."""

    def __init__(self, problem: PlacementProblem, search: Search) -> None:
        self.problem, self.search = problem, search
        self.chain, self.evaluator = Chain(problem), Evaluator(problem)
        self.rooms = free_rooms(problem.clear)
        self.size = max(room.width for room in self.rooms), max(room.height for room in self.rooms)
        self.limits = self.chain.limits
        self.least_limit = self.chain.least_limit(sum(room.pes for room in self.rooms))
        """The number of the limit below which the blocks take too much area."""

    @property
    def going(self) -> bool:
        """Whether time is left; the first placement takes the time that it needs."""
        return self.search.running or self.search.best is None

    def promising(self, limit: float) -> bool:
        """Whether a placement whose slowest block is as slow as this could be the best, and there is time for it."""
        return self.going and self.problem.objective.slowest_cycles * limit < self.search.best_cost

    def cost(self, chain: Chain, limit: float, price: float) -> float:
        """Of the placement, which the search is told of; ∞ if none is found."""
        slicing = Slicing(chain.curves(limit, *self.size), chain.bonds, price)
        if not slicing.fill(lambda: self.going):
            return np.inf
        cut = cut_rooms(slicing, self.rooms)
        if cut is None:
            return np.inf
        placement = chain.placement(mend(*cut, chain.flows), limit)
        cost = self.evaluator.cost(placement)["cost"]
        self.search.found(placement, cost)
        return cost
