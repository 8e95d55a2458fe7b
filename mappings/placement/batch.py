"""Many placements of one problem at once: where blocks and flows lie, and what the links carry.

Arrays of any library of the array API (numpy, jax, cupy), ``[placements, …]``. A flow of one lane goes from centre to
centre; one of several from every row of its source to the same row of its target. It goes along y first, in the columns
of its source, then along x, in the rows of its target (dimension order, as :class:`wse_emu.program.Transfer`).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from wse_emu.mappings.placement.problem import PlacementProblem

EAST, WEST, NORTH, SOUTH = range(4)
WAYS = (EAST, WEST, NORTH, SOUTH)


class Flows:
    """The flows of a problem as arrays: a pair of blocks for every target of every flow."""

    def __init__(self, problem: PlacementProblem) -> None:
        held = [(f.source, target, f.wavelets, f.lanes, i) for i, f in enumerate(problem.flows) for target in f.targets]
        table = np.array(held, dtype=np.float64).reshape(-1, 5)
        self.source, self.target, flow = (table[:, i].astype(np.intp) for i in (0, 1, 4))
        self.wavelets, self.wide = table[:, 2], table[:, 3] > 1
        several = [i for i, f in enumerate(problem.flows) if len(f.targets) > 1]
        self.multicast = [np.flatnonzero(flow == i) for i in several]
        """Pairs of each flow with several targets."""
        self.unicast = np.flatnonzero(~np.isin(flow, several))


@dataclass(frozen=True)
class Spans:
    """Half-open ranges of rows and columns ``[placements, pairs]``, and the wavelets on each link in them."""

    top: Any
    bottom: Any
    left: Any
    right: Any
    wavelets: Any


class Batch:
    """Placements by corners ``x``, ``y`` and ``size``, the blocks' widths and heights, ``[placements, blocks]``."""

    def __init__(self, problem: PlacementProblem, flows: Flows, x: Any, y: Any, size: tuple[Any, Any]) -> None:
        self.xp = array_namespace(x, y)
        self.problem, self.flows = problem, flows
        self.x, self.y, (self.width, self.height) = x, y, size

    def of_pairs(self, blocks: Any, ends: np.ndarray) -> Any:
        """``blocks`` ``[placements, blocks]`` at the given end of every pair."""
        return self.xp.take(blocks, self.xp.asarray(ends), axis=1)

    @cached_property
    def distance(self) -> Any:
        """Hops between the centres of each pair's blocks, ``[placements, pairs]``."""
        total = 0
        for corner, size in ((self.x, self.width), (self.y, self.height)):
            centre = corner + (size - 1) / 2
            ends = (self.of_pairs(centre, end) for end in (self.flows.source, self.flows.target))
            total = total + self.xp.abs(next(ends) - next(ends))
        return total

    @cached_property
    def lane_wavelets(self) -> Any:
        """Wavelets of each lane of a pair, ``[placements, pairs]``."""
        return self.xp.asarray(self.flows.wavelets) / self._rectangle(self.flows.target)[3]

    def _rectangle(self, ends: np.ndarray) -> tuple[Any, Any, Any, Any]:
        """Column, row, width and height of what the lanes of each pair leave or enter: a PE, or the whole block."""
        xp, wide = self.xp, self.xp.asarray(self.flows.wide)
        found = []
        for corner, size in ((self.x, self.width), (self.y, self.height)):
            start, extent = self.of_pairs(corner, ends), self.of_pairs(size, ends)
            found.append((xp.where(wide, start, start + (extent - 1) // 2), xp.where(wide, extent, 1)))
        (x, width), (y, height) = found
        return x, y, width, height

    def spans(self, way: int) -> Spans:
        """The links that leave PEs ``way`` on each pair's way."""
        xp = self.xp
        x, y, width, height = self._rectangle(self.flows.source)
        to_x, to_y, to_width, to_height = self._rectangle(self.flows.target)
        wavelets = xp.asarray(self.flows.wavelets)
        if way in {NORTH, SOUTH}:
            rows = (y, to_y + to_height - 1) if way == SOUTH else (to_y + 1, y + height)
            goes = to_y > y if way == SOUTH else to_y < y
            rows = rows[0], xp.where(goes, rows[1], rows[0])
            sharing = (height + width - 1) // width  # lanes that leave by the same column
            return Spans(*rows, x, x + width, wavelets / height * sharing)
        columns = (x, to_x + to_width - 1) if way == EAST else (to_x + 1, x + width)
        return Spans(to_y, to_y + to_height, *columns, wavelets / to_height)

    def samples(self, way: int) -> tuple[Any, Any]:
        """Rows and columns ``[placements, some]`` among which the busiest link lies: where some span begins."""
        rows = self._starts(self.y, self.height, self.problem.rows, int(way == NORTH))
        return rows, self._starts(self.x, self.width, self.problem.columns, int(way == WEST))

    def _starts(self, corner: Any, size: Any, extent: int, later: int) -> Any:
        wide = self.flows.wide
        parts = [corner] * bool(wide.any()) + [corner + (size - 1) // 2] * (not wide.any() or not wide.all())
        if extent <= len(parts) * corner.shape[1]:
            return self.xp.broadcast_to(self.xp.arange(extent), (corner.shape[0], extent))
        return self.xp.concat(parts, axis=1) + later

    def loads(self, spans: Spans, rows: Any, columns: Any) -> Any:
        """Wavelets on the links at ``rows`` and ``columns``: ``[placements, rows, columns]``; multicasts count once."""
        xp, single = self.xp, self.xp.asarray(self.flows.unicast)
        in_row, in_column = within(rows, spans.top, spans.bottom), within(columns, spans.left, spans.right)
        weighted = xp.where(in_row, spans.wavelets[:, :, None], 0.0)
        one = xp.take(weighted, single, axis=1), xp.where(xp.take(in_column, single, axis=1), 1.0, 0.0)
        total = xp.matmul(xp.matrix_transpose(one[0]), one[1])
        for pairs in map(xp.asarray, self.flows.multicast):
            crossed = xp.take(weighted, pairs, axis=1)[..., None] * xp.take(in_column, pairs, axis=1)[:, :, None, :]
            total = total + xp.max(crossed, axis=1)
        return total

    @cached_property
    def sampled_loads(self) -> list[tuple[Spans, Any, Any, Any]]:
        """By way: spans, sampled rows and columns, and the loads there."""
        found = []
        for way in WAYS:
            spans, (rows, columns) = self.spans(way), self.samples(way)
            found.append((spans, rows, columns, self.loads(spans, rows, columns)))
        return found

    def busiest_link(self) -> Any:
        """Wavelets a token on the busiest link, ``[placements]``."""
        return self.xp.max(self.xp.stack([self.xp.max(one[3], axis=(1, 2)) for one in self.sampled_loads]), axis=0)

    def busiest_on_way(self) -> Any:
        """Wavelets a token on the busiest link of each pair's way, ``[placements, pairs]``."""
        xp, found = self.xp, []
        if not len(self.flows.source):
            return self.lane_wavelets
        for spans, rows, columns, loads in self.sampled_loads:
            in_row, in_column = within(rows, spans.top, spans.bottom), within(columns, spans.left, spans.right)
            pairs = range(in_row.shape[1])
            of_row = (xp.max(xp.where(in_row[:, p, :, None], loads, 0.0), axis=1) for p in pairs)
            most = [xp.max(xp.where(in_column[:, p], row, 0.0), axis=1) for p, row in enumerate(of_row)]
            found.append(xp.stack(most, axis=1))
        return xp.max(xp.stack(found), axis=0)

    def colors(self) -> Any:
        """The most flows that meet at one PE, ``[placements]``: each needs a color of its own there."""
        xp = self.xp
        x, y, width, height = self._rectangle(self.flows.source)
        to_x, to_y, to_width, to_height = self._rectangle(self.flows.target)
        one = xp.ones_like(self.lane_wavelets)
        upright = Spans(xp.minimum(y, to_y), xp.maximum(y + height, to_y + to_height), x, x + width, one)
        flat = Spans(to_y, to_y + to_height, xp.minimum(x, to_x), xp.maximum(x + width, to_x + to_width), one)
        corner = Spans(flat.top, flat.bottom, upright.left, upright.right, one)
        rows, columns = self.samples(SOUTH)
        meeting = [self.loads(spans, rows, columns) for spans in (upright, flat, corner)]
        return xp.max(meeting[0] + meeting[1] - meeting[2], axis=(1, 2))


def within(places: Any, start: Any, stop: Any) -> Any:
    """Whether ``places`` ``[placements, some]`` lie in each pair's range: ``[placements, pairs, some]``."""
    return (places[:, None, :] >= start[:, :, None]) & (places[:, None, :] < stop[:, :, None])
