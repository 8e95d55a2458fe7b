"""Where on a mesh with defects a rectangle finds room."""

from bisect import bisect_right
from functools import cached_property

import numpy as np

from wse_emu.fabric.directions import Direction
from wse_emu.fabric.mesh import Mesh
from wse_emu.fabric.region import Region


class Room:
    """Rectangles of ``mesh`` without a dead PE or a dead link inside."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh

    def free(self, width: int, height: int) -> np.ndarray:
        """Where the top-left corner of such a rectangle may lie, bool ``[rows, columns]`` of all such corners."""
        shape = max(0, self.mesh.rows - height + 1), max(0, self.mesh.columns - width + 1)
        if not self.mesh.defects or 0 in shape:
            return np.ones(shape, dtype=bool)
        dead, east, south = self._tables
        defects = _inside(dead, width, height) + _inside(east, width - 1, height) + _inside(south, width, height - 1)
        return np.asarray(defects == 0)

    def first(self, width: int, height: int) -> Region | None:
        """The first such rectangle, row by row from the top-left corner; None if there is none."""
        free = self.free(width, height)
        if not free.any():
            return None
        y, x = np.unravel_index(int(free.argmax()), free.shape)
        return Region(int(x), int(y), width, height)

    def widest(self, height: int) -> int:
        """The most columns of such a rectangle of ``height`` rows; 0 if there is none."""
        return bisect_right(
            range(1, self.mesh.columns + 1), False, key=lambda width: not self.free(width, height).any()
        )

    @cached_property
    def _tables(self) -> tuple[np.ndarray, ...]:
        """Dead PEs, closed links to the east and those to the south, each summed up from the top-left corner."""
        closed = self.mesh.closed
        marked = (self.mesh.dead, closed[Direction.EAST, :, :-1], closed[Direction.SOUTH, :-1])
        return tuple(
            np.pad(m.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32), ((1, 0), (1, 0))) for m in marked
        )


def _inside(sums: np.ndarray, width: int, height: int) -> np.ndarray:
    """How many are marked in each rectangle of that size, ``[corners along y, corners along x]``."""
    rows, columns = sums.shape[0] - height, sums.shape[1] - width
    whole, left = sums[height:, width:] - sums[:rows, width:], sums[height:, :columns] - sums[:rows, :columns]
    return np.asarray(whole - left)
