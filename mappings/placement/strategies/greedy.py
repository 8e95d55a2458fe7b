"""Greedy construction: the block with most traffic to those placed goes where it costs least.

As in constructive heuristics for mapping cores on a mesh (Murali and De Micheli, NMAP, DATE 2004, section 4).
"""

import numpy as np

from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.slots import Slots, find_slots, random_order


@strategy("greedy")
def greedy(problem: PlacementProblem, _search: Search) -> Placement:
    """The busiest block to the middle, then always the one that talks most to those that lie."""
    slots = find_slots(problem, "greedy").searched()
    return slots.placed(greedy_places(slots, Evaluator(problem).matrix))


def greedy_places(slots: Slots, flow: np.ndarray) -> np.ndarray:
    """The place of every block, where ``flow`` ``[blocks, blocks]`` are the wavelets between them."""
    hops, count = slots.distances, len(flow)
    chosen = np.full(count, -1, dtype=np.intp)
    chosen[list(slots.fixed)] = np.arange(len(slots.fixed))
    taken, waiting = np.zeros(len(hops), dtype=bool), np.zeros(count, dtype=bool)
    taken[: len(slots.fixed)], waiting[slots.movable] = True, True
    while waiting.any():
        lying = ~waiting
        pull = flow[:, lying].sum(axis=1) if lying.any() else flow.sum(axis=1)
        block = int(np.argmax(np.where(waiting, pull, -np.inf)))
        cost = hops[:, chosen[lying]] @ flow[block, lying] if lying.any() else hops.sum(axis=1)
        place = int(np.argmin(np.where(taken, np.inf, cost)))
        chosen[block], taken[place], waiting[block] = place, True, False
    return chosen


def start_orders(slots: Slots, flow: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Where ``count`` searches begin: places ``[count, places]`` of as many blocks as places, the problem's first.

    Random where every place is taken; else as greedy lays the blocks, since random ones are far too spread out.
    """
    if len(slots.free) == len(slots.movable):
        return np.array([random_order(slots, rng) for _ in range(count)])
    chosen = greedy_places(slots, flow)
    rest = np.setdiff1d(np.arange(len(slots.x)), chosen)
    return np.tile(np.concatenate([chosen, rest]), (count, 1))
