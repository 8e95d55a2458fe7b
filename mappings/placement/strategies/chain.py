"""The blocks of a problem as a chain: their order, what flows along it, and which extents they may have."""

from copy import copy

import networkx as nx
import numpy as np

from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem

Curves = tuple[np.ndarray, np.ndarray]
"""Least width by height and least height by width, ∞ where there is none."""


class Chain:
    """Blocks in the order of the flows, or another; arrays are in that order."""

    def __init__(self, problem: PlacementProblem) -> None:
        self.order = chain_order(problem)
        same = {block.shapes: i for i, block in reversed(list(enumerate(problem.blocks)))}
        self.kinds = [same[problem.blocks[i].shapes] for i in self.order]
        """One number for blocks that have the same shapes."""
        self._shapes = {
            kind: np.array(
                [(s.width, s.height, s.cycles if problem.usable(s) else np.inf) for s in problem.blocks[kind].shapes]
            )
            for kind in set(self.kinds)
        }
        limits = np.unique(np.concatenate([shapes[:, 2] for shapes in self._shapes.values()]))
        self.limits = limits[np.isfinite(limits)]
        """All cycles that a block may take, rising."""
        place = {block: at for at, block in enumerate(self.order)}
        pairs = [(place[flow.source], place[to], flow.wavelets) for flow in problem.flows for to in flow.targets]
        self.flows = np.array([(a, b, w) for a, b, w in pairs if a != b]).reshape(-1, 3)
        """Rows (from, to, wavelets)."""

    def moved(self, block: int, to: int) -> "Chain":
        """A chain with the block from one place at another."""
        old = list(range(len(self.order)))
        old.insert(to, old.pop(block))
        new = np.argsort(old)
        chain = copy(self)
        chain.order, chain.kinds = [self.order[i] for i in old], [self.kinds[i] for i in old]
        chain.flows = np.column_stack([new[self.flows[:, :2].astype(np.intp)], self.flows[:, 2]])
        return chain

    @property
    def bonds(self) -> np.ndarray:
        """Wavelets between each block and the one before it, ``[blocks + 1]``; longer flows are shared out."""
        bonds = np.zeros(len(self.order) + 1)
        for a, b, wavelets in self.flows:
            low, high = int(min(a, b)), int(max(a, b))
            bonds[low + 1 : high + 1] += wavelets / (high - low)
        return bonds

    def least_limit(self, area: int) -> int:
        """The number of the least limit with which the blocks take no more than ``area`` PEs."""
        low, high = 0, len(self.limits) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._area(self.limits[middle]) <= area else (middle + 1, high)
        return low

    def _area(self, limit: float) -> float:
        least = {
            kind: (shapes[:, 0] * shapes[:, 1]).min(initial=np.inf, where=shapes[:, 2] <= limit)
            for kind, shapes in self._shapes.items()
        }
        return float(sum(least[kind] for kind in self.kinds))

    def curves(self, limit: float, columns: int, rows: int) -> list[Curves]:
        """Of every block within ``limit`` cycles, for heights up to ``rows`` and widths up to ``columns``."""
        found = {}
        for kind, shapes in self._shapes.items():
            held = shapes[(shapes[:, 2] <= limit) & (shapes[:, 0] <= columns) & (shapes[:, 1] <= rows)]
            width, height = held[:, 0].astype(np.intp), held[:, 1].astype(np.intp)
            found[kind] = _least(height, width, rows), _least(width, height, columns)
        return [found[kind] for kind in self.kinds]

    def placement(self, boxes: np.ndarray, limit: float) -> Placement:
        """Blocks on ``boxes`` (x, y, width, height), each in its fastest shape of that size."""
        count = len(self.order)
        x, y, shape = [0] * count, [0] * count, [0] * count
        for block, kind, (left, top, width, height) in zip(self.order, self.kinds, boxes.astype(int), strict=True):
            shapes = self._shapes[kind]
            same = np.flatnonzero((shapes[:, 0] == width) & (shapes[:, 1] == height) & (shapes[:, 2] <= limit))
            x[block], y[block] = int(left), int(top)
            shape[block] = int(same[shapes[same, 2].argmin()])
        return Placement(tuple(x), tuple(y), tuple(shape))


def chain_order(problem: PlacementProblem) -> list[int]:
    """Blocks in the order of the flows: a topological one that follows a chain as far as it goes.

    Where flows go round in rings, those to blocks with lower numbers are left out of account.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(problem.blocks)))
    graph.add_edges_from((flow.source, to) for flow in problem.flows for to in flow.targets if to != flow.source)
    if not nx.is_directed_acyclic_graph(graph):
        graph.remove_edges_from([(a, b) for a, b in graph.edges if b < a])
    depth: dict[int, int] = {}
    for node in reversed(list(nx.topological_sort(graph))):
        depth[node] = 1 + max((depth[after] for after in graph[node]), default=0)
    waits, order = dict(graph.in_degree), list[int]()
    while waits:
        ready = [node for node, others in waits.items() if not others]
        following = [node for node in ready if order and graph.has_edge(order[-1], node)]
        order.append(max(following or ready, key=lambda node: depth[node]))
        del waits[order[-1]]
        for after in graph[order[-1]]:
            waits[after] -= 1
    return order


def _least(by: np.ndarray, extents: np.ndarray, most: int) -> np.ndarray:
    """The least of ``extents`` whose other extent is at most 0, 1, … ``most``."""
    least = np.full(most + 1, np.inf)
    np.minimum.at(least, by, extents)
    return np.asarray(np.minimum.accumulate(least))
