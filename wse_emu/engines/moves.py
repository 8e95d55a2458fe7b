"""The step `Move` as routes: row i of a region goes along y in one column, then along row i of the target, multicast.

A row whose L would cross a defect takes a shortest way around it (:mod:`wse_emu.engines.detours`). Rows whose ways
never meet share a channel. Two orders of columns are tried, since L-shaped ways that nest never cross.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from wse_emu.engines.detours import detour
from wse_emu.fabric.defects import Defects
from wse_emu.fabric.directions import DIRECTIONS, Direction
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region
from wse_emu.fabric.routes import RAMP, Route, port
from wse_emu.program.body import Transfer

Corners = Sequence[Sequence[int]]
"""(x, y) of the PEs between which a way is straight, the first and the last PE among them."""
Part = tuple[slice | int, slice | int]
"""An index of arrays [rows, columns]."""


@dataclass(frozen=True, eq=False)
class Ways:
    """How rows move: each from the PE that sends it to the first PE of its row of the target, then along that row.

    Both are in ``corners``, (x, y), int64 ``[rows, corners, 2]``; ways with fewer corners repeat their last. Rows with
    the same number in ``channels``, int64 ``[rows]``, share a channel.
    """

    corners: np.ndarray
    channels: np.ndarray

    @property
    def columns(self) -> np.ndarray:
        """Column of the PE that sends each row, ``[rows]``."""
        return np.asarray(self.corners[:, 0, 0])

    @property
    def entries(self) -> np.ndarray:
        """Column in which each row enters the target's row, ``[rows]``."""
        return np.asarray(self.corners[:, -1, 0])

    @property
    def hops(self) -> np.ndarray:
        """Links from the PE that sends each row to that entry, ``[rows]``."""
        return np.asarray(np.abs(np.diff(self.corners, axis=1)).sum(axis=(1, 2)))

    def legs(self, target: Region) -> Iterator[list["Leg"]]:
        """The straight parts of every row's way, along its row of ``target`` to both ends as well."""
        for corners in self.corners.tolist():
            yield list(_legs(corners, target.x, target.right - 1))


class Leg(NamedTuple):
    """A straight part of a way: the PEs that it leaves in a direction, and those that it enters."""

    direction: Direction
    leaving: Part
    entered: Part


def move_routes(move: Transfer, mesh: Mesh | None = None) -> list[Route]:
    """One route a channel, on the box of all its ways."""
    span = move.span
    plan = move_plan(move.source, span, mesh)
    box = _box(plan.corners, move.source, span)
    inside = Ways(plan.corners - (box.x, box.y), plan.channels)
    target = Region(span.x - box.x, span.y - box.y, span.width, span.height)
    ports = np.zeros((int(plan.channels.max()) + 1, 2, box.height, box.width), dtype=np.uint8)
    starts, channels = inside.corners[:, 0].tolist(), inside.channels.tolist()
    for row, legs in enumerate(inside.legs(target)):
        inputs, outputs = ports[channels[row]]
        inputs[starts[row][1], starts[row][0]] |= RAMP
        for taking in move.targets:
            outputs[target.y + row, taking.x - box.x : taking.right - box.x] |= RAMP
        for leg in legs:
            out, into = _PORTS[leg.direction]
            outputs[leg.leaving] |= out
            inputs[leg.entered] |= into
    name = f"move {move.source} to {' and '.join(map(str, move.targets))}"
    return [Route(f"{name} #{channel}", move.kernel, box, *ports[channel]) for channel in range(len(ports))]


_PORTS = [(port(way), port(way.opposite)) for way in DIRECTIONS]
"""By direction: the port that a wavelet leaves by, and that by which it comes in at the next PE."""


def move_plan(source: Region, target: Region, mesh: Mesh | None = None) -> Ways:
    """The way of every row, with as few channels as the two orders of columns need, around the defects of ``mesh``.

    Raises WseError, naming regions and row, where the defects leave no way.
    """
    if mesh is not None and mesh.defects:
        return _plan_around(source, target, mesh.columns, mesh.rows, mesh.defects)
    away = Region(target.x - source.x, target.y - source.y, target.width, target.height)
    plan = _plan_away(source.width, source.height, away)
    return Ways(np.add(plan.corners, (source.x, source.y)), plan.channels)


@lru_cache(maxsize=256)
def _plan_away(width: int, height: int, target: Region) -> Ways:
    """The way of every row without defects, which depends on the target's place beside the source alone."""
    source = Region(0, 0, width, height)
    return min((_plan(source, target, order) for order in (1, -1)), key=lambda plan: int(plan.channels.max()))


@lru_cache(maxsize=256)
def _plan_around(source: Region, target: Region, columns: int, rows: int, defects: Defects) -> Ways:
    """The same with detours of the rows that need one; they leave by the same columns."""
    plan, mesh = move_plan(source, target), Mesh(columns, rows, defects=defects)
    blocked = [
        row
        for row, legs in enumerate(plan.legs(target))
        if any(mesh.closed[leg.direction][leg.leaving].any() for leg in legs)
    ]
    if not blocked:
        return plan
    ways: list[Corners] = plan.corners.tolist()
    for row in blocked:
        ways[row] = detour(source, target, row, int(plan.columns[row]), mesh)
    longest = max(map(len, ways))
    corners = np.array([[*way, *[way[-1]] * (longest - len(way))] for way in ways], dtype=np.int64)
    return _shared(corners, source, target)


def _plan(source: Region, target: Region, order: int) -> Ways:
    rows = np.arange(source.height)
    column = rows % source.width if order > 0 else source.width - 1 - rows % source.width
    x, stop = source.x + column, target.y + rows
    entry = np.clip(x, target.x, target.right - 1)
    corners = [np.stack(places, axis=1) for places in ((x, source.y + rows), (x, stop), (entry, stop))]
    return _shared(np.stack(corners, axis=1), source, target)


def _shared(corners: np.ndarray, source: Region, target: Region) -> Ways:
    """The ways with their channels: each the first whose ways it does not meet."""
    box = _box(corners, source, target)
    left, right = target.x - box.x, target.right - box.x
    channels: list[np.ndarray] = []
    found = []
    for way in (corners - (box.x, box.y)).tolist():
        parts = list(_parts(way, left, right))
        channel = next((i for i, held in enumerate(channels) if not _meets(held, parts)), len(channels))
        if channel == len(channels):
            channels.append(np.zeros((box.height, box.width), dtype=bool))
        for part in parts:
            channels[channel][part] = True
        found.append(channel)
    return Ways(corners, np.array(found, dtype=np.int64))


def _meets(used: np.ndarray, parts: list[Part]) -> bool:
    return any(used[part].any() for part in parts)


def _parts(corners: Corners, left: int, right: int) -> Iterator[Part]:
    """All PEs of a way, its row of the target from ``left`` to before ``right`` among them."""
    for (ax, ay), (bx, by) in pairwise(corners[:-1]):
        yield (slice(min(ay, by), max(ay, by) + 1), ax) if ax == bx else (ay, slice(min(ax, bx), max(ax, bx) + 1))
    (x, y), (_, stop) = corners[-2:]
    if y == stop:
        yield y, slice(min(x, left), max(x + 1, right))
    else:
        yield slice(min(y, stop), max(y, stop) + 1), x
        yield stop, slice(left, right)


def _legs(corners: Corners, left: int, right: int) -> Iterator[Leg]:
    for a, b in pairwise(corners):
        if a != b:
            yield _leg(*a, *b)
    x, y = corners[-1]
    if x < right:
        yield _leg(x, y, right, y)
    if x > left:
        yield _leg(x, y, left, y)


def _leg(x: int, y: int, to_x: int, to_y: int) -> Leg:
    if to_x > x:
        return Leg(Direction.EAST, (y, slice(x, to_x)), (y, slice(x + 1, to_x + 1)))
    if to_x < x:
        return Leg(Direction.WEST, (y, slice(to_x + 1, x + 1)), (y, slice(to_x, x)))
    if to_y > y:
        return Leg(Direction.SOUTH, (slice(y, to_y), x), (slice(y + 1, to_y + 1), x))
    return Leg(Direction.NORTH, (slice(to_y + 1, y + 1), x), (slice(to_y, y), x))


def _box(corners: np.ndarray, source: Region, target: Region) -> Region:
    """The smallest box that holds both regions and all ways."""
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1)) + 1
    x, y = min(source.x, target.x, int(low[0])), min(source.y, target.y, int(low[1]))
    right, bottom = max(source.right, target.right, int(high[0])), max(source.bottom, target.bottom, int(high[1]))
    return Region(x, y, right - x, bottom - y)
