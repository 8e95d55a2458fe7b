"""Kernel sizing and strips, by dynamic programming: for chains of blocks that may take many shapes.

The fabric is cut into strips; blocks follow each other along them in a snake, each in the narrowest shape that its
strip and a limit on its cycles allow. For one limit, the best cut into strips is a shortest path over (blocks placed,
height used); the limit is what bisection and a walk over the shapes' cycles find. After the kernel placers of the
ISPD 2020 contest, which size kernels first and then pack rows (Jiang et al., CU.POKer, ICCAD 2020).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx
import numpy as np

from wse_emu.errors import WseError
from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy

CLOSE = 12
"""Rows up to which every height of a strip is tried that is higher than it must be; beyond, in steps of a tenth."""
STACKING = ((1, 0.0), (2, 1.0), (3, 0.3), (3, 3.0))
"""Ways to stack that are tried: how many blocks one below the other, and what a hop up or down counts beside one along
the strip when stacks are chosen."""
ROUNDS = 20
"""Times that all strips are looked at to slide them."""
Cut = tuple[tuple[int, int, int], ...]
"""Strips: (first block, block beyond the last, height)."""


@strategy("strips")
def strips(problem: PlacementProblem, search: Search) -> Placement:
    """The best over limits on the slowest block, for strips along x and along y."""
    if problem.dead or problem.reserved:
        raise WseError("strategy strips: needs a mesh without dead or reserved PEs")
    order = chain_order(problem)
    times = np.unique([shape.cycles for block in problem.blocks for shape in block.shapes])
    for number, how in enumerate(STACKING):
        ways = [_Way(problem, order, turned, *how) for turned in (False, True)]
        share = (number + 1) / len(STACKING)
        _try_limits(problem, search, ways, times, share)
        if not search.running:
            break
    if search.best is None:
        raise WseError(f"strategy strips: the blocks of {problem.name} fit the mesh in no strips")
    return search.best


def _try_limits(problem: PlacementProblem, search: Search, ways: list["_Way"], times: np.ndarray, share: float) -> None:
    """Look for the best limit, until that ``share`` of the time is over."""
    evaluator, costs = Evaluator(problem), dict[int, float]()
    start = min(_first_feasible(way, times, search) for way in ways)
    if start == len(times):
        return
    for place in _limits(times, start, costs):
        if search.spent > share and search.best is not None:
            return
        costs[place] = np.inf
        if problem.objective.slowest_cycles * times[place] >= search.best_cost:
            continue
        for way in ways:
            placement = way.placement(float(times[place]))
            if placement is not None:
                cost = evaluator.cost(placement)["cost"]
                search.found(placement, cost)
                costs[place] = min(costs[place], cost)


def _limits(times: np.ndarray, start: int, costs: dict[int, float]) -> Iterator[int]:
    """Which limits to try: ever larger ones in steps of 5 %, then all between the best and its neighbours.

    ``costs`` tells what came of those that were tried.
    """
    if times[start] <= 0:
        yield start
    limit = float(max(times[start], times[times > 0].min(initial=1.0)))
    last = 50 * limit
    while limit <= last:
        place = int(np.searchsorted(times, limit))
        if place < len(times) and place not in costs:
            yield place
        limit *= 1.05
    while True:
        best = min(costs, key=lambda place: costs[place])
        around = sorted(costs)
        at = around.index(best)
        gaps = [(around[i], around[i + 1]) for i in (at - 1, at) if 0 <= i < len(around) - 1]
        wide = [(b - a, a, b) for a, b in gaps if b - a > 1]
        if not wide:
            rest = [place for place in range(start, len(times)) if place not in costs]
            if not rest:
                return
            yield min(rest, key=lambda place: abs(place - best))
            continue
        _, low, high = max(wide)
        yield (low + high) // 2


def chain_order(problem: PlacementProblem) -> list[int]:
    """Blocks in the order of the flows: a topological one that follows a chain as far as it goes."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(problem.blocks)))
    graph.add_edges_from((flow.source, target) for flow in problem.flows for target in flow.targets)
    if not nx.is_directed_acyclic_graph(graph):
        return list(graph)
    depth: dict[int, int] = {}
    for node in reversed(list(nx.topological_sort(graph))):
        depth[node] = 1 + max((depth[after] for after in graph[node]), default=0)
    return list(nx.lexicographical_topological_sort(graph, key=lambda node: -depth[node]))


def _stacked(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The least width of one on the other, by height, where each has the least width ``[height]``."""
    room = len(low)
    heights = np.arange(room)
    rest = heights[None, :] - heights[:, None]
    both = np.maximum(low[:, None], high[np.maximum(rest, 0)])
    return np.asarray(np.where(rest >= 0, both, np.inf).min(axis=0))


def _climb(stacked: int) -> float:
    """Hops up and down of a stack, in heights of its strip: from block to block, and from and to the middle."""
    return 0.0 if stacked == 1 else 1 - 1 / stacked + 0.5


def _stacks(first: int, beyond: int, widths: list[np.ndarray]) -> range:
    """How many blocks the last stack may hold."""
    return range(1, min(beyond - first, len(widths)) + 1)


def _heights(least: int, room: int) -> Iterator[int]:
    """Heights of a strip worth trying: higher ones let blocks be narrower, and the way through them shorter."""
    height = least
    while height <= room:
        yield height
        height = height + 1 if height < least + CLOSE else max(height + 1, height * 11 // 10)


def _first_feasible(way: "_Way", times: np.ndarray, search: Search) -> int:
    """The place of the least limit with which everything fits; none once the time is over and something was found."""
    low, high = 0, len(times)
    while low < high:
        if not search.running and search.best is not None:
            return len(times)
        middle = (low + high) // 2
        if way.fits(float(times[middle])):
            high = middle
        else:
            low = middle + 1
    return low


@dataclass
class _Way:
    """Strips along x; or, turned, along y, with width and height changed round."""

    problem: PlacementProblem
    order: list[int]
    turned: bool
    stacked: int
    """Blocks that may lie one below the other."""
    reluctance: float
    """What a hop up or down counts when stacks are chosen."""

    def __post_init__(self) -> None:
        self.length = self.problem.rows if self.turned else self.problem.columns
        self.room = self.problem.columns if self.turned else self.problem.rows
        self.shapes = []
        for block in (self.problem.blocks[i] for i in self.order):
            held = np.array([(s.width, s.height, s.cycles) for s in block.shapes])
            self.shapes.append(held[:, [1, 0, 2]] if self.turned else held)

    def widths(self, limit: float) -> list[np.ndarray]:
        """The least width of each block, and of stacks of two and three of them, in a strip of each height.

        Arrays ``[blocks, room + 1]``, by the number of blocks in a stack less one; ∞ where there is none.
        """
        table = np.full((len(self.shapes), self.room + 1), np.inf)
        for row, held in zip(table, self.shapes, strict=True):
            allowed = held[(held[:, 2] <= limit) & (held[:, 1] <= self.room)]
            np.minimum.at(row, allowed[:, 1].astype(np.intp), allowed[:, 0])
        found = [np.asarray(np.minimum.accumulate(table, axis=1))]
        while len(found) < min(self.stacked, len(self.shapes)):
            below, single = found[-1], found[0]
            found.append(
                np.array([_stacked(low, high) for low, high in zip(below[:-1], single[len(found) :], strict=True)])
            )
        return found

    def fits(self, limit: float) -> bool:
        """Whether strips of the least heights fit."""
        widths = self.widths(limit)
        count = len(self.shapes)
        used = np.full(count + 1, np.inf)
        used[0] = 0
        for first in range(count):
            if used[first] > self.room:
                continue
            for beyond, total, _ in self._totals(widths, first):
                height = int(np.searchsorted(-total, -self.length))
                if height > self.room:
                    break
                used[beyond] = min(used[beyond], used[first] + height)
        return bool(used[-1] <= self.room)

    def _totals(self, widths: list[np.ndarray], first: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """For each block beyond ``first``: the least width of a strip of each height up to there, and the hops up and
        down in its stacks.
        """
        heights = np.arange(self.room + 1)
        totals, climbs = {first: np.zeros(self.room + 1)}, {first: np.zeros(self.room + 1)}
        for beyond in range(first + 1, len(self.shapes) + 1):
            sizes = _stacks(first, beyond, widths)
            ways = np.array([totals[beyond - k] + widths[k - 1][beyond - k] for k in sizes])
            climb = np.array([climbs[beyond - k] + _climb(k) * heights for k in sizes])
            chosen = (ways + self.reluctance * climb).argmin(axis=0)
            totals[beyond] = ways[chosen, heights]
            climbs[beyond] = climb[chosen, heights]
            yield beyond, totals[beyond], climbs[beyond]

    def placement(self, limit: float) -> Placement | None:
        """The best cut for this limit, its strips turned and slid to where their flows are shortest."""
        widths = self.widths(limit)
        cut = self._best_cut(widths)
        if cut is None:
            return None
        laid = [self._lay(strip, widths, limit) for strip in cut]
        align(laid, [(f.source, t, f.wavelets) for f in self.problem.flows for t in f.targets], self.length)
        return self._placed(laid)

    def _best_cut(self, widths: list[np.ndarray]) -> Cut | None:
        """The cut with the shortest way through all blocks: a way along each strip, and half a strip at its ends."""
        n, single = len(self.shapes), widths[0]
        best = np.full((n + 1, self.room + 1), np.inf)
        came = np.zeros((n + 1, self.room + 1, 2), dtype=np.int32)
        best[0, 0] = 0
        for first in range(n):
            if not np.isfinite(best[first]).any():
                continue
            for beyond, total, climb in self._totals(widths, first):
                least = int(np.searchsorted(-total, -self.length))
                if least > self.room:
                    break
                for height in _heights(least, self.room):
                    ends = min(single[first, height], total[height]) + min(single[beyond - 1, height], total[height])
                    half_strips = ((first > 0) + (beyond < n)) * height / 2
                    reached = best[first, : self.room + 1 - height] + (
                        total[height] + climb[height] - ends / 2 + half_strips
                    )
                    there = best[beyond, height:]
                    better = reached < there
                    there[better] = reached[better]
                    came[beyond, height:][better] = first, height
        if not np.isfinite(best[n]).any():
            return None
        cut, place = [], (n, int(best[n].argmin()))
        while place[0]:
            first, height = came[place].tolist()
            cut.append((first, place[0], height))
            place = (first, place[1] - height)
        return tuple(reversed(cut))

    def _lay(self, strip: tuple[int, int, int], widths: list[np.ndarray], limit: float) -> "Strip":
        """Stacks of a strip from left to right, every block as low as the width of its stack allows."""
        first, beyond, height = strip
        totals, climbs, came = {first: 0.0}, {first: 0.0}, {}
        for stop in range(first + 1, beyond + 1):
            sizes = _stacks(first, stop, widths)
            ways = {k: totals[stop - k] + widths[k - 1][stop - k][height] for k in sizes}
            climb = {k: climbs[stop - k] + _climb(k) * height for k in sizes}
            best = min(sizes, key=lambda k: ways[k] + self.reluctance * climb[k])
            came[stop], totals[stop], climbs[stop] = best, ways[best], climb[best]
        stacks = []
        while beyond > first:
            start = beyond - came[beyond]
            width = totals[beyond] - totals[start]
            heights = [int(np.searchsorted(-widths[0][place], -width)) for place in range(start, beyond)]
            chosen = [self._narrowest(start + i, high, limit) for i, high in enumerate(heights)]
            extents = [self.shapes[start + i][one, :2].astype(int).tolist() for i, one in enumerate(chosen)]
            stacks.append(Stack(self.order[start:beyond], chosen, extents, int(width)))
            beyond = start
        return Strip(stacks[::-1], height)

    def _placed(self, laid: list["Strip"]) -> Placement:
        count = len(self.problem.blocks)
        x, y, shape = [0] * count, [0] * count, [0] * count
        top = 0
        for strip in laid:
            for stack, left in strip.stacks_at():
                down = top + (strip.height - sum(high for _, high in stack.sizes)) // 2
                for block, chosen, (wide, high) in zip(stack.blocks, stack.shapes, stack.sizes, strict=True):
                    corner = left + (stack.width - wide) // 2, down
                    x[block], y[block] = corner[::-1] if self.turned else corner
                    shape[block] = chosen
                    down += high
            top += strip.height
        return Placement(tuple(x), tuple(y), tuple(shape))

    def _narrowest(self, place: int, height: int, limit: float) -> int:
        """Which shape: the narrowest, and of those the highest, so that it is as fast as its width allows."""
        held = self.shapes[place]
        allowed = np.flatnonzero((held[:, 1] <= height) & (held[:, 2] <= limit))
        return int(allowed[np.lexsort((held[allowed, 2], held[allowed, 0]))[0]])


@dataclass
class Stack:
    """Blocks one below the other: which shapes they have, and (width, height) of each."""

    blocks: list[int]
    shapes: list[int]
    sizes: list[list[int]]
    width: int


@dataclass
class Strip:
    """Stacks side by side, from ``offset`` on; ``mirrored``: the last one first."""

    stacks: list[Stack]
    height: int
    offset: int = 0
    mirrored: bool = False

    @property
    def width(self) -> int:
        return sum(stack.width for stack in self.stacks)

    @property
    def blocks(self) -> list[int]:
        return [block for stack in self.stacks for block in stack.blocks]

    def stacks_at(self) -> Iterator[tuple[Stack, int]]:
        """Every stack with its first column."""
        left = self.offset
        for stack in reversed(self.stacks) if self.mirrored else self.stacks:
            yield stack, left
            left += stack.width

    def centres(self) -> dict[int, float]:
        """Middle of each block along the strip."""
        return {block: left + (stack.width - 1) / 2 for stack, left in self.stacks_at() for block in stack.blocks}


def align(laid: list[Strip], flows: list[tuple[int, int, float]], length: int) -> None:
    """Mirror and slide the strips, one after another and again, while that shortens ``flows`` (from, to, wavelets)."""
    for number, strip in enumerate(laid):
        strip.mirrored = number % 2 == 1
        strip.offset = length - strip.width if strip.mirrored else 0
    centre = {block: at for strip in laid for block, at in strip.centres().items()}
    partners: dict[int, list[tuple[int, float]]] = {block: [] for block in centre}
    for a, b, wavelets in flows:
        partners[a].append((b, wavelets))
        partners[b].append((a, wavelets))
    for _ in range(ROUNDS):
        before = sum(w * abs(centre[a] - centre[b]) for a, b, w in flows)
        for strip in laid:
            _settle(strip, centre, partners, length)
        if sum(w * abs(centre[a] - centre[b]) for a, b, w in flows) > before - 1e-9:
            return


def _settle(strip: Strip, centre: dict[int, float], partners: dict[int, list[tuple[int, float]]], length: int) -> None:
    """Give the strip the side and the offset that are best with all others where they are."""
    inside = set(strip.blocks)
    best: tuple[float, int, bool] | None = None
    for mirrored in (strip.mirrored, not strip.mirrored):
        strip.mirrored, strip.offset = mirrored, 0
        at = strip.centres()
        wanted = [(centre[b] - at[a], w) for a in strip.blocks for b, w in partners[a] if b not in inside and w]
        places = np.array([place for place, _ in wanted] or [0.0])
        weights = np.array([weight for _, weight in wanted] or [1.0])
        order = np.argsort(places)
        middle = places[order][np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)]
        offset = int(np.clip(round(float(middle)), 0, length - strip.width))
        cost = float(np.abs(places - offset) @ weights)
        if best is None or cost < best[0]:
            best = cost, offset, mirrored
    assert best is not None
    _, strip.offset, strip.mirrored = best
    centre.update(strip.centres())
