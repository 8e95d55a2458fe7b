"""The best slicing floorplan of a chain of blocks with many shapes, by dynamic programming over runs of the chain.

A run of consecutive blocks fills a rectangle that straight cuts part down to single blocks (Otten, DAC 1982), each
part again a run. Runs keep their best rectangle for every extent across it, as Stockmeyer's shape curves do
(Information and Control 57, 1983), and with it the way of the flows from block to block: parts are mirrored so that the
end of one lies close to the beginning of the next. What is best weighs area against way: ``price`` hops a PE.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

import numpy as np

from wse_emu.mappings.placement.strategies.tables import LENGTH, NONE, WAY, Table, crossed, flipped

WORK = 1 << 26
"""Cuts that are looked at, about: it sets how many blocks a run may have that is cut in every way. Longer runs begin
with the first block of the chain, and end with a part that has no more blocks than that."""
PIECE = 1 << 16
"""Numbers of one array that are looked at together: few enough for a processor's cache."""


@dataclass
class Layout:
    """Where blocks lie."""

    boxes: np.ndarray
    """``[blocks, (x, y, width, height)]`` in the order of the chain."""
    runs: list[tuple[int, int]]
    """(first, beyond) of blocks that have a rectangle to themselves."""


class Slicing:
    """Best rectangles for all runs of the chain; they are there after :meth:`fill`.

    ``curves`` hold for each block its least width by height ``[rows + 1]`` and least height by width ``[columns + 1]``,
    ∞ where there is none; ``bonds`` ``[blocks + 1]`` the wavelets from each block's predecessor to it.
    """

    def __init__(self, curves: list[tuple[np.ndarray, np.ndarray]], bonds: np.ndarray, price: float) -> None:
        widths, heights = (np.minimum(one, NONE).astype(np.float32) for one in zip(*curves, strict=True))
        self.count, self.bonds = len(curves), bonds
        self.longest = min(self.count, max(8, isqrt(WORK // (self.count * widths.shape[1]))))
        self.tables = tuple(
            Table(single, other.shape[1] - 1, bonds, price, self.longest)
            for single, other in ((widths, heights), (heights, widths))
        )

    def fill(self, going: Callable[[], bool]) -> bool:
        """Look at all runs, short ones first; False if that did not go on to the end."""
        for size in range(2, self.count + 1):
            if not going():
                return False
            last = self.count - size if size <= self.longest else 0
            step = max(1, PIECE // (size * len(self.tables[0].across)))
            for start in range(0, last + 1, step):
                self._fill(np.arange(start, min(start + step, last + 1)), size)
        return True

    def _fill(self, firsts: np.ndarray, size: int) -> None:
        upright, turned = (table.joined(firsts, size) for table in self.tables)
        self.tables[0].keep(firsts, size, upright, turned[1])
        self.tables[1].keep(firsts, size, turned, upright[1])

    def known(self, first: int, beyond: int) -> bool:
        """Whether this run was looked at."""
        return first == 0 or beyond - first <= self.longest

    def fits(self, first: int, beyond: int, width: int, height: int) -> bool:
        """Whether the run has a rectangle of this height and at most this width."""
        return bool(self.tables[0].of(first, beyond - first, height)[LENGTH] <= width)

    def way(self, first: int, beyond: int, height: int) -> float:
        """Hops from block to block within the run's best rectangle of this height."""
        return float(self.tables[0].of(first, beyond - first, height)[WAY])

    def layout(self, first: int, beyond: int, height: int) -> Layout:
        """The run's best rectangle of this height, from (0, 0) on."""
        boxes, nodes = np.zeros((beyond - first, 4)), self._tree(_Node(0, first, beyond - first, height))
        for node in reversed(nodes):
            start = node.first - first
            self._arrange(boxes[start : start + node.size], node)
        return Layout(boxes, [(node.first, node.first + node.size) for node in nodes])

    def _tree(self, root: "_Node") -> list["_Node"]:
        """All runs that are parted, or single blocks, each before its parts."""
        nodes, waiting = list[_Node](), [root]
        while waiting:
            axis, first, size, across, _ = waiting.pop()
            table = self.tables[axis]
            if (turned := int(table.turned[table.place(first, size), across])) >= 0:
                axis, across = 1 - axis, turned
            nodes.append(_Node(axis, first, size, across, turned >= 0))
            if size > 1:
                waiting += (_Node(axis, *part, across) for part in self._parts(nodes[-1]))
        return nodes

    def _parts(self, node: "_Node") -> list[tuple[int, int]]:
        """First block and size of the parts before and after the cut."""
        table = self.tables[node.axis]
        cut = int(table.cut[table.place(node.first, node.size), node.across])
        return [(node.first, cut), (node.first + cut, node.size - cut)]

    def _arrange(self, boxes: np.ndarray, node: "_Node") -> None:
        """Give a single block its box, or put the boxes of two parts one after another."""
        table, across = self.tables[node.axis], node.across
        if node.size == 1:
            length = table.of(node.first, 1, across)[LENGTH]
            wide = self.tables[1 - node.axis].of(node.first, 1, int(length))[LENGTH]
            boxes[0] = 0, (across - wide) // 2, length, wide
        else:
            (first, cut), after = self._parts(node)
            left, right = table.of(first, cut, across), table.of(*after, across)
            for part, state, mirrored in zip(
                (boxes[:cut], boxes[cut:]), (left, right), flipped(left, right), strict=True
            ):
                if mirrored:
                    part[:, 0] = state[LENGTH] - part[:, 0] - part[:, 2]
            if crossed(left, right, across):
                boxes[cut:, 1] = across - boxes[cut:, 1] - boxes[cut:, 3]
            boxes[cut:, 0] += left[LENGTH]
        if node.turned:
            boxes[:] = boxes[:, [1, 0, 3, 2]]


class _Node(NamedTuple):
    """A run in the tree of cuts: cut across ``axis`` (0: x), in a rectangle of this extent across it."""

    axis: int
    first: int
    size: int
    across: int
    turned: bool = False
    """Whether it is a part of one that is cut the other way."""
