"""Bodies of one collective step, and the streams that it must send, line by line."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from tests.engines import published
from wse_emu.program import Body, Builder, Layout
from wse_emu.program.steps import Axis

KINDS = ("reduce", "all_reduce", "broadcast", "shift")
EAST, WEST, NORTH, SOUTH = range(4)
Line = list[tuple[int, int]]
"""PEs (row, column) that one stream after another runs along."""


@dataclass(frozen=True)
class Case:
    """One collective of ``elements`` float32 or float16 per PE on ``rows`` × ``cols`` PEs."""

    kind: str
    algorithm: str
    axis: Axis
    rows: int
    cols: int
    elements: int
    dtype: str = "float32"
    group: int | None = None
    place: int = 0
    """Root of a broadcast, distance of a shift."""

    @property
    def wavelets(self) -> int:
        """A wavelet has 32 bits: one float32 or two float16."""
        return self.elements if self.dtype == "float32" else (self.elements + 1) // 2

    @property
    def extent(self) -> int:
        return self.rows if self.axis == "y" else self.cols

    def body(self) -> Body:
        b = Builder(self.kind, self.rows, self.cols)
        shape = (self.rows, self.cols, self.elements)
        x = b.input("x", shape, Layout(("y", "x", None)), self.dtype)
        if self.kind == "broadcast":
            return b.build(b.broadcast(x, axis=self.axis, root=self.place))
        if self.kind == "shift":
            return b.build(b.shift(x, axis=self.axis, distance=self.place))
        if self.kind == "reduce":
            return b.build(b.reduce(x, axis=self.axis, algorithm=self.algorithm))
        return b.build(b.all_reduce(x, axis=self.axis, algorithm=self.algorithm, group=self.group))

    def lines(self) -> Iterator[Line]:
        """Rows or columns of PEs, cut into groups; PEs left over by the groups take no part."""
        others = self.cols if self.axis == "y" else self.rows
        size = self.group or self.extent
        for other in range(others):
            for first in range(0, self.extent - size + 1, size):
                places = range(first, first + size)
                yield [(i, other) if self.axis == "y" else (other, i) for i in places]


def ring(extent: int) -> list[int]:
    """Even places outwards, odd ones back: WaferLLM (OSDI 2025), section 5.1."""
    places = range(extent)
    return [i for i in places if i % 2 == 0] + [i for i in reversed(places) if i % 2 == 1]


def next_on_ring(extent: int, distance: int) -> list[int]:
    """Where every place sends to in one step."""
    order = ring(extent)
    after = order[1:] + order[:1] if distance > 0 else order[-1:] + order[:-1]
    return [after[order.index(i)] for i in range(extent)]


def hops(line: Line, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """(direction, row, column) of every link from place ``start`` to ``stop`` of ``line``, one hop after another."""
    path = line[start : stop + 1] if stop >= start else line[stop : start + 1][::-1]
    for (y, x), (next_y, next_x) in pairwise(path):
        way = {(0, 1): EAST, (0, -1): WEST, (-1, 0): NORTH, (1, 0): SOUTH}[next_y - y, next_x - x]
        yield way, y, x


def routes(case: Case) -> np.ndarray:
    """Wavelets that leave every PE ``[E W N S, rows, cols]``, counted stream by stream, hop by hop."""
    links = np.zeros((4, case.rows, case.cols), dtype=np.int64)
    for line in case.lines():
        size = len(line)
        if case.kind in {"reduce", "all_reduce"}:
            for start, stop in published.streams(case.algorithm, size):
                for link in hops(line, start, stop):
                    links[link] += case.wavelets
        if case.kind in {"broadcast", "all_reduce"}:
            root = case.place if case.kind == "broadcast" else published.root(case.algorithm, size)
            for link in {link for stop in range(size) for link in hops(line, root, stop)}:
                links[link] += case.wavelets
        if case.kind == "shift" and size > 1:
            for start, stop in enumerate(next_on_ring(size, case.place)):
                for link in hops(line, start, stop):
                    links[link] += case.wavelets * abs(case.place)
    return links


@st.composite
def cases(draw: st.DrawFn, most: int = 12, elements: int = 7) -> Case:
    rows, cols = draw(st.integers(1, most)), draw(st.integers(1, most))
    axis: Axis = draw(st.sampled_from(("x", "y")))
    extent = rows if axis == "y" else cols
    kind = draw(st.sampled_from(KINDS))
    place, group = 0, None
    if kind == "broadcast":
        place = draw(st.integers(0, extent - 1))
    elif kind == "shift":
        place = draw(st.sampled_from((-3, -1, 1, 2)))
    elif kind == "all_reduce":
        group = draw(st.none() | st.integers(1, extent))
    return Case(
        kind,
        draw(st.sampled_from(published.ALGORITHMS)),
        axis,
        rows,
        cols,
        draw(st.integers(1, elements)),
        draw(st.sampled_from(("float32", "float16"))),
        group,
        place,
    )
