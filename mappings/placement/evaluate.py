"""One evaluator for every strategy: many placements at once, and single moves.

Costs, by name, each a number per placement:

- ``hop_wavelets``: Σ over flows and their targets of wavelets × Manhattan distance between the blocks' centres.
- ``slowest_cycles``: cycles of the slowest block in the shape that it has.
- ``cost``: both, weighted by the problem's objective.

:meth:`Evaluator.link_loads` counts the wavelets on every link, each stream first along x, then along y; a multicast is
counted once on links that its branches share.
"""

from functools import cached_property

import numpy as np

from wse_emu.errors import WseError
from wse_emu.mappings.placement.placement import Placement, check_placement
from wse_emu.mappings.placement.problem import PlacementProblem

BATCH_BYTES = 1 << 26
"""Of one array of an evaluation: what a batch is cut into pieces for."""
EAST, WEST, NORTH, SOUTH = range(4)


class Evaluator:
    """The costs of placements of one problem."""

    def __init__(self, problem: PlacementProblem) -> None:
        self.problem = problem
        most = max(len(block.shapes) for block in problem.blocks)
        self.sizes = np.ones((len(problem.blocks), most, 2))
        """Width and height by block and shape."""
        self.cycles = np.zeros((len(problem.blocks), most))
        for i, block in enumerate(problem.blocks):
            for j, shape in enumerate(block.shapes):
                self.sizes[i, j] = shape.width, shape.height
                self.cycles[i, j] = shape.cycles
        pairs = [(flow.source, target, flow.wavelets) for flow in problem.flows for target in flow.targets]
        self.source = np.array([a for a, _, _ in pairs], dtype=np.intp)
        self.target = np.array([b for _, b, _ in pairs], dtype=np.intp)
        self.wavelets = np.array([w for _, _, w in pairs], dtype=np.float64)

    @cached_property
    def matrix(self) -> np.ndarray:
        """Wavelets between every two blocks, both ways added, float64 ``[blocks, blocks]``, symmetric."""
        n = len(self.problem.blocks)
        matrix = np.zeros((n, n))
        np.add.at(matrix, (self.source, self.target), self.wavelets)
        np.fill_diagonal(matrix, 0)  # a block is no hop from itself
        return np.asarray(matrix + matrix.T)

    def costs(self, x: np.ndarray, y: np.ndarray, shape: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Costs of placements ``[placements, blocks]``: the corners' columns and rows, and shapes (None: the first)."""
        x, y = np.atleast_2d(x), np.atleast_2d(y)
        shape = np.zeros(x.shape, dtype=np.intp) if shape is None else np.atleast_2d(shape)
        blocks = np.arange(x.shape[1])
        hops = np.concatenate(
            [self._hop_wavelets(x[part], y[part], shape[part]) for part in self._parts(len(x))] or [np.zeros(0)]
        )
        slowest = self.cycles[blocks, shape].max(axis=1)
        weights = self.problem.objective
        cost = weights.hop_wavelets * hops + weights.slowest_cycles * slowest
        return {"hop_wavelets": hops, "slowest_cycles": slowest, "cost": cost}

    def cost(self, placement: Placement) -> dict[str, float]:
        """All costs of one placement; WseError if it is not legal."""
        check_placement(self.problem, placement)
        held = (np.array(part) for part in (placement.x, placement.y, placement.shape))
        return {name: float(value[0]) for name, value in self.costs(*held).items()}

    def _parts(self, count: int) -> list[slice]:
        step = max(1, BATCH_BYTES // (8 * max(1, len(self.source))))
        return [slice(start, start + step) for start in range(0, count, step)]

    def _hop_wavelets(self, x: np.ndarray, y: np.ndarray, shape: np.ndarray) -> np.ndarray:
        if self.problem.is_assignment and len(self.source) > 4 * len(self.problem.blocks):
            crossing = self._cut_wavelets(x, self.problem.columns) + self._cut_wavelets(y, self.problem.rows)
            return np.asarray(crossing)
        sizes = self.sizes[np.arange(x.shape[1]), shape]
        total = np.zeros(len(x))
        for corner, size in ((x, sizes[..., 0]), (y, sizes[..., 1])):
            centre = corner + (size - 1) / 2
            total += np.abs(centre[:, self.source] - centre[:, self.target]) @ self.wavelets
        return np.asarray(total)

    def _cut_wavelets(self, places: np.ndarray, extent: int) -> np.ndarray:
        """Σ w·|a − b| of dense flows: what crosses each line between two columns (or rows), added up.

        With s = ±1 for the side of a block, the wavelets that cross a line are (Σ w − sᵀ W s) / 4 of the symmetric W.
        """
        crossing = np.zeros(len(places))
        everything = float(self.matrix.sum())
        for line in range(1, extent):
            side = np.where(places < line, 1.0, -1.0)
            crossing += (everything - np.einsum("ij,ij->i", side @ self.matrix, side)) / 4
        return crossing

    def swap_gains(self, cells_x: np.ndarray, cells_y: np.ndarray) -> np.ndarray:
        """By how much hop_wavelets grow when two blocks of one PE change places, float64 ``[blocks, blocks]``.

        Taillard's formula for symmetric assignment (Parallel Computing 17, 1991), all pairs at once: with M = W·D over
        the distances D between the blocks' places, M + Mᵀ − diag − diagᵀ + 2·W∘D.
        """
        if not self.problem.is_assignment:
            raise WseError(f"{self.problem.name}: swaps are for blocks of one PE each")
        distance = np.abs(cells_x[:, None] - cells_x) + np.abs(cells_y[:, None] - cells_y)
        mixed = self.matrix @ distance
        own = np.diag(mixed)
        return np.asarray(mixed + mixed.T - own[:, None] - own + 2 * self.matrix * distance)

    def link_loads(self, placement: Placement) -> np.ndarray:
        """Wavelets that leave every PE, float64 ``[E W N S, rows, columns]``, from centre to centre."""
        regions = placement.regions(self.problem)
        at = [(r.x + (r.width - 1) // 2, r.y + (r.height - 1) // 2) for r in regions]
        loads = np.zeros((4, self.problem.rows, self.problem.columns))
        for flow in self.problem.flows:
            used = {link for target in flow.targets for link in _links(at[flow.source], at[target])}
            for way, y, x in used:
                loads[way, y, x] += flow.wavelets
        return loads


def _links(start: tuple[int, int], stop: tuple[int, int]) -> list[tuple[int, int, int]]:
    """(way, y, x) of every link left on the way, first along x, then along y."""
    (x, y), (to_x, to_y) = start, stop
    along_x = [(EAST, y, at) for at in range(x, to_x)] + [(WEST, y, at) for at in range(x, to_x, -1)]
    along_y = [(SOUTH, at, to_x) for at in range(y, to_y)] + [(NORTH, at, to_x) for at in range(y, to_y, -1)]
    return along_x + along_y
