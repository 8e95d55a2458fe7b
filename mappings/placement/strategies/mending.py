"""Shorter flows at the same sizes: runs are mirrored in their rectangles, and blocks slide where there is room."""

import numpy as np

from wse_emu.mappings.placement.strategies.slicing import Layout

ROUNDS = 10
"""Times that everything is looked at, at most."""


def mend(layout: Layout, rooms: np.ndarray, flows: np.ndarray) -> np.ndarray:
    """The boxes (x, y, width, height), moved so that Σ wavelets · hops of ``flows`` (from, to, wavelets) is less.

    A block stays in its room ``[blocks, (x, y, width, height)]``. x and y are independent of each other.
    """
    boxes = layout.boxes.copy()
    for _ in range(ROUNDS):
        before = boxes.copy()
        for axis in (0, 1):
            _mirror(boxes, layout.runs, flows, axis)
            _slide(boxes, rooms, flows, axis)
        if (boxes == before).all():
            break
    return boxes


def _length(corners: np.ndarray, extents: np.ndarray, flows: np.ndarray) -> float:
    source, target = flows[:, 0].astype(np.intp), flows[:, 1].astype(np.intp)
    middle = corners + extents / 2
    return float(np.abs(middle[source] - middle[target]) @ flows[:, 2])


def _mirror(boxes: np.ndarray, runs: list[tuple[int, int]], flows: np.ndarray, axis: int) -> None:
    """Mirror each run along the axis, within what its blocks take up, where that is shorter and no other lies there."""
    corners, extents = boxes[:, axis], boxes[:, axis + 2]
    length = _length(corners, extents, flows)
    for first, beyond in runs:
        part = slice(first, beyond)
        low, high = boxes[part, :2].min(axis=0), (boxes[part, :2] + boxes[part, 2:]).max(axis=0)
        inside = ((boxes[:, :2] < high) & (low < boxes[:, :2] + boxes[:, 2:])).all(axis=1)
        if inside.sum() > beyond - first:
            continue
        old = corners[part].copy()
        corners[part] = low[axis] + high[axis] - corners[part] - extents[part]
        new = _length(corners, extents, flows)
        if new < length - 1e-9:
            length = new
        else:
            corners[part] = old


def _slide(boxes: np.ndarray, rooms: np.ndarray, flows: np.ndarray, axis: int) -> None:
    """Slide each block along the axis to the median of its partners, as far as the others let it."""
    extents, across, wide = boxes[:, axis + 2], boxes[:, 1 - axis], boxes[:, 3 - axis]
    for block in range(len(boxes)):
        corners = boxes[:, axis]
        here = corners[block]
        beside = (across < across[block] + wide[block]) & (across[block] < across + wide)
        low = (corners + extents)[beside & (corners < here)].max(initial=rooms[block, axis])
        high = corners[beside & (corners > here)].min(initial=rooms[block, axis] + rooms[block, axis + 2])
        corners[block] = _best_corner(block, corners + extents / 2, flows, extents[block], (low, high - extents[block]))


def _best_corner(
    block: int, middles: np.ndarray, flows: np.ndarray, extent: float, within: tuple[float, float]
) -> float:
    """The whole corner from which the block's flows are shortest: next to the weighted median of its partners."""
    mine = (flows[:, 0] == block) | (flows[:, 1] == block)
    ends = flows[mine, :2].astype(np.intp)
    partners, weights = middles[np.where(ends[:, 0] == block, ends[:, 1], ends[:, 0])], flows[mine, 2]
    here = middles[block] - extent / 2
    if not weights.sum():
        return float(here)
    order = partners.argsort()
    median = partners[order][np.searchsorted(weights[order].cumsum(), weights.sum() / 2)] - extent / 2
    corners = np.clip([here, np.floor(median), np.ceil(median)], *within)
    return float(min(corners, key=lambda corner: np.abs(corner + extent / 2 - partners) @ weights))
