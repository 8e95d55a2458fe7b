"""Slots: equal places for blocks, so that a placement is an assignment of blocks to slots.

Blocks that are larger than most would make every slot large; these are laid first, one after another in the first free
place row by row, and stay there. Of a block that may take many shapes, the fastest is taken with which all have room.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wse_emu.errors import WseError
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem, Shape

SPARE = 4
"""Slots a block that a search looks at; on a larger mesh, those nearest to its middle."""


@dataclass(frozen=True, eq=False)
class Slots:
    """Where the blocks of ``problem`` may lie: corners ``x``, ``y`` of all places, those of ``fixed`` blocks first.

    A block that is not fixed may take any place from ``len(fixed)`` on.
    """

    problem: PlacementProblem
    shape: tuple[int, ...]
    """Of each block."""
    fixed: tuple[int, ...]
    """Blocks that lie at the first places, in this order."""
    x: np.ndarray
    y: np.ndarray
    centre_x: np.ndarray
    centre_y: np.ndarray

    @property
    def free(self) -> np.ndarray:
        """Numbers of the places that are not a fixed block's, row by row."""
        return np.arange(len(self.fixed), len(self.x))

    @property
    def movable(self) -> np.ndarray:
        """Blocks that are not fixed."""
        return np.setdiff1d(np.arange(len(self.problem.blocks)), np.array(self.fixed, dtype=np.intp))

    @property
    def distances(self) -> np.ndarray:
        """Hops between the centres of every two places, float64."""
        across = np.abs(self.centre_x[:, None] - self.centre_x)
        return np.asarray(across + np.abs(self.centre_y[:, None] - self.centre_y))

    def along(self, path: np.ndarray) -> Placement:
        """The blocks in their order at the places of ``path``; the fixed ones where they are."""
        chosen = np.empty(len(self.problem.blocks), dtype=np.intp)
        chosen[list(self.fixed)] = np.arange(len(self.fixed))
        chosen[self.movable] = path[: len(self.movable)]
        return self.placed(chosen)

    def placed(self, chosen: np.ndarray) -> Placement:
        """Block i at the place ``chosen[i]``, in the middle of it."""
        x, y = self.corners(chosen)
        return Placement(tuple(x.tolist()), tuple(y.tolist()), self.shape)

    def corners(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns and rows of the blocks' corners, as ``chosen`` ``[…, blocks or more]``."""
        chosen = chosen[..., : len(self.shape)]
        x = np.ceil(self.centre_x[chosen] - (self._sizes[:, 0] - 1) / 2)
        y = np.ceil(self.centre_y[chosen] - (self._sizes[:, 1] - 1) / 2)
        return x.astype(np.int64), y.astype(np.int64)

    @cached_property
    def _sizes(self) -> np.ndarray:
        blocks = zip(self.problem.blocks, self.shape, strict=True)
        return np.array([_size(block.shapes[shape]) for block, shape in blocks])

    def searched(self) -> "Slots":
        """Without places far from the middle, where there are many more than blocks."""
        free, wanted = self.free, SPARE * len(self.movable) + 16
        if len(free) <= wanted:
            return self
        middle = (self.problem.columns - 1) / 2, (self.problem.rows - 1) / 2
        away = np.maximum(np.abs(self.centre_x[free] - middle[0]), np.abs(self.centre_y[free] - middle[1]))
        near = np.sort(free[np.argsort(away, kind="stable")[:wanted]])
        kept = np.concatenate([np.arange(len(self.fixed)), near])
        places = (part[kept] for part in (self.x, self.y, self.centre_x, self.centre_y))
        return Slots(self.problem, self.shape, self.fixed, *places)


def find_slots(problem: PlacementProblem, name: str) -> Slots:
    """Slots for all blocks; WseError, with the name of the strategy that asked, where there is no room for so many."""
    limits = np.unique([shape.cycles for block in problem.blocks for shape in block.shapes])
    low, high, best = 0, len(limits), None
    while low < high:  # the fastest blocks need most room
        middle = (low + high) // 2
        found = _slots_within(problem, float(limits[middle]))
        if found is None:
            low = middle + 1
        else:
            best, high = found, middle
    if best is None:
        size = f"{problem.columns}×{problem.rows}"
        raise WseError(f"strategy {name}: the mesh of {size} has no {len(problem.blocks)} equal places for the blocks")
    return best


def _slots_within(problem: PlacementProblem, limit: float) -> Slots | None:
    """Slots for blocks of up to ``limit`` cycles each, with as few fixed blocks as need be; None without room."""
    shape = [_smallest(problem, block.shapes, limit) for block in problem.blocks]
    if None in shape:
        return None
    chosen = tuple(index for index in shape if index is not None)
    sizes = np.array([_size(block.shapes[i]) for block, i in zip(problem.blocks, chosen, strict=True)])
    by_size = np.argsort(-sizes.prod(axis=1), kind="stable")
    for fixed in _worth_fixing(sizes[by_size]):
        found = _try(problem, chosen, sizes, by_size[:fixed].tolist())
        if found is not None:
            return found
    return None


def _smallest(problem: PlacementProblem, shapes: Sequence[Shape], limit: float) -> int | None:
    """Which shape takes the fewest PEs, of those that are fast enough."""
    usable = [i for i, shape in enumerate(shapes) if shape.cycles <= limit and problem.usable(shape)]
    return min(usable, key=lambda i: shapes[i].width * shapes[i].height, default=None)


def _size(shape: Shape) -> tuple[int, int]:
    return shape.width, shape.height


def _worth_fixing(sizes: np.ndarray) -> list[int]:
    """How many blocks to fix, the largest first: until the rest are of a smaller kind, and a quarter of all at most."""
    changes = np.flatnonzero((sizes[1:] != sizes[:-1]).any(axis=1)) + 1
    return [0, *(int(count) for count in changes if count <= max(1, len(sizes) // 4))]


def _try(problem: PlacementProblem, shape: tuple[int, ...], sizes: np.ndarray, fixed: list[int]) -> Slots | None:
    free = problem.free
    corners = []
    for block in fixed:
        width, height = sizes[block].tolist()
        where = np.argwhere(free_corners(problem, free, width, height))
        if not len(where):
            return None
        y, x = where[0].tolist()
        free[y : y + height, x : x + width] = False
        corners.append((x, y))
    rest = np.delete(sizes, fixed, axis=0)
    width, height = rest.max(axis=0).tolist() if len(rest) else (1, 1)
    grid = _grid(problem, free, width, height)
    if len(grid) < len(rest):
        return None
    x, y = np.concatenate([np.array(corners, dtype=np.int64).reshape(-1, 2), grid]).T
    extents = np.concatenate([sizes[fixed], np.full((len(grid), 2), (width, height))])
    return Slots(problem, shape, tuple(fixed), x, y, x + (extents[:, 0] - 1) / 2, y + (extents[:, 1] - 1) / 2)


def free_corners(problem: PlacementProblem, free: np.ndarray, width: int, height: int) -> np.ndarray:
    """Where a rectangle has only ``free`` PEs: corners, bool ``[rows − height + 1, columns − width + 1]``."""
    taken = np.pad(np.cumsum(np.cumsum(~free, axis=0, dtype=np.int32), axis=1), ((1, 0), (1, 0)))
    inside = taken[height:, width:] - taken[:-height, width:] - taken[height:, :-width] + taken[:-height, :-width]
    return np.asarray((inside == 0) & problem.room.free(width, height) if problem.dead_links else inside == 0)


def _grid(problem: PlacementProblem, free: np.ndarray, width: int, height: int) -> np.ndarray:
    """Corners (x, y) ``[places, 2]`` of rectangles apart from each other, shelf by shelf from the left."""
    if (width, height) == (1, 1):
        return np.argwhere(free)[:, ::-1]
    corners = free_corners(problem, free, width, height)
    found = [np.zeros((0, 2), dtype=np.int64)]
    y = 0
    while y < len(corners):
        change = np.flatnonzero(np.diff(corners[y], prepend=False, append=False))
        shelf = [np.arange(first, beyond, width) for first, beyond in change.reshape(-1, 2).tolist()]
        found += [np.stack([x, np.full_like(x, y)], axis=1) for x in shelf]
        y += height if shelf else 1
    return np.concatenate(found)


def padded_flow(slots: Slots, flow: np.ndarray) -> np.ndarray:
    """``flow`` ``[places, places]`` of as many blocks as places: those without flows stand for free places."""
    padded = np.zeros((len(slots.x), len(slots.x)))
    padded[: len(flow), : len(flow)] = flow
    return padded


def random_order(slots: Slots, rng: np.random.Generator) -> np.ndarray:
    """A place for each of as many blocks as places, fixed ones at theirs."""
    order = np.empty(len(slots.x), dtype=np.intp)
    order[list(slots.fixed)] = np.arange(len(slots.fixed))
    order[np.setdiff1d(np.arange(len(order)), slots.fixed)] = rng.permutation(slots.free)
    return order
