"""Rooms: rectangles of free PEs that do not overlap, and runs of a chain of blocks to fill them in turn."""

import numpy as np

from wse_emu.fabric.region import Region
from wse_emu.mappings.placement.strategies.slicing import Layout, Slicing

MOST = 64
"""Rooms that are looked for; what is free beside them is not used."""


def free_rooms(free: np.ndarray) -> list[Region]:
    """The largest rectangle of ``free`` [rows, columns], then the largest of the rest and so on, in a short walk."""
    left, found = free.copy(), list[Region]()
    while left.any() and len(found) < MOST:
        found.append(largest_rectangle(left))
        room = found[-1]
        left[room.y : room.bottom, room.x : room.right] = False
    walk, at = list[Region](), (0.0, 0.0)
    while found:
        walk.append(min(found, key=lambda room: _hops(at, _middle(room))))
        found.remove(walk[-1])
        at = _middle(walk[-1])
    return walk


def largest_rectangle(free: np.ndarray) -> Region:
    """The largest rectangle of free PEs: for each PE, the widest one as high as the free PEs above it reach."""
    columns = free.shape[1]
    at, best = np.arange(columns), Region(0, 0, 0, 0)
    height, left, right = np.zeros(columns, dtype=int), np.zeros(columns, dtype=int), np.full(columns, columns)
    for y, row in enumerate(free):
        height = np.where(row, height + 1, 0)
        start = np.maximum.accumulate(np.where(row, 0, at + 1))
        stop = np.minimum.accumulate(np.where(row, columns, at)[::-1])[::-1]
        left, right = np.where(row, np.maximum(left, start), 0), np.where(row, np.minimum(right, stop), columns)
        x = int((height * (right - left)).argmax())
        if height[x] * (right[x] - left[x]) > best.pes:
            best = Region(int(left[x]), y + 1 - int(height[x]), int(right[x] - left[x]), int(height[x]))
    return best


def cut_rooms(slicing: Slicing, rooms: list[Region]) -> tuple[Layout, np.ndarray] | None:
    """Runs of the chain cut into the rooms in turn, with the shortest way from block to block; None if they do not fit.

    With the room (x, y, width, height) of each block.
    """
    parts = _best_parts(slicing, rooms)
    if parts is None:
        return None
    boxes, runs, held = [], list[tuple[int, int]](), []
    for room, first, beyond in parts:
        layout = slicing.layout(first, beyond, room.height)
        boxes.append(layout.boxes + np.array([room.x, room.y, 0, 0]))
        runs += layout.runs
        held += [(room.x, room.y, room.width, room.height)] * (beyond - first)
    return Layout(np.concatenate(boxes), runs), np.array(held)


def _best_parts(slicing: Slicing, rooms: list[Region]) -> list[tuple[Region, int, int]] | None:
    """Rooms that are used, with the first block and the one beyond the last: a shortest path, room by room."""
    count = slicing.count
    reached: dict[int, tuple[float, list[tuple[Region, int, int]]]] = {0: (0.0, [])}
    for room in rooms:
        longer = dict(reached)
        for first, (way, parts) in reached.items():
            for beyond in range(first + 1, count + 1):
                if not slicing.known(first, beyond):
                    break
                if not slicing.fits(first, beyond, room.width, room.height):
                    continue
                total = way + slicing.way(first, beyond, room.height)
                if parts:
                    total += slicing.bonds[first] * _hops(_middle(parts[-1][0]), _middle(room))
                if beyond not in longer or total < longer[beyond][0]:
                    longer[beyond] = total, [*parts, (room, first, beyond)]
        reached = longer
    return reached[count][1] if count in reached else None


def _middle(room: Region) -> tuple[float, float]:
    return room.x + room.width / 2, room.y + room.height / 2


def _hops(a: tuple[float, float], b: tuple[float, float]) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])
