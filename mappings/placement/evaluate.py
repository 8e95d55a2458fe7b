"""One evaluator for every strategy: many placements at once, and single moves.

Metrics, by name, each a number per placement:

- ``hop_wavelets``: Σ over flows and their targets of wavelets × Manhattan distance between the blocks' centres.
- ``slowest_cycles``: cycles of the slowest block in the shape that it has.
- ``busiest_link``: wavelets a token on the link that carries most; a multicast counts once on links that it shares. Of
  flows with several lanes an upper bound: each is taken to load all links between the outer edges of its blocks.
- ``cycles``: of a token that meets no other, by the timing engine where the blocks are those of a mapped model, else
  the longest way of :mod:`wse_emu.mappings.placement.cycles`.
- ``contended_cycles``: the same where each flow waits for all that the busiest link on its way carries.
- ``interval_cycles``: from token to token once the blocks work as a pipeline: the slowest block, or the busiest link
  times ``wavelet_cycles``. Tokens/s are the clock over it.
- ``colors``: the most flows that meet at one PE: what routing needs at least, besides the blocks' own colors.
- ``sram_bytes``: bytes of the fullest PE.
- ``cost``: the problem's objective, a weighted sum of the above.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from wse_emu.errors import WseError
from wse_emu.mappings.placement.batch import WAYS, Batch, Flows
from wse_emu.mappings.placement.cycles import Order, token_cycles
from wse_emu.mappings.placement.placement import Placement, check_placement
from wse_emu.mappings.placement.problem import PlacementProblem

METRICS = (
    "hop_wavelets", "slowest_cycles", "busiest_link", "cycles", "contended_cycles", "interval_cycles", "colors",
    "sram_bytes", "cost",
)  # fmt: skip
QUICK = ("hop_wavelets", "slowest_cycles", "cost")
"""Metrics that need no link."""
BATCH_BYTES = 1 << 26
"""Of one array of an evaluation: what a batch is cut into pieces for."""


class Evaluator:
    """The metrics of placements of one problem."""

    def __init__(self, problem: PlacementProblem) -> None:
        self.problem, self.flows = problem, Flows(problem)
        self._order = Order(len(problem.blocks), self.flows)
        most = max(len(block.shapes) for block in problem.blocks)
        self._shapes = np.zeros((len(problem.blocks), most, 4))
        """Width, height, cycles and bytes by block and shape."""
        for i, block in enumerate(problem.blocks):
            for j, shape in enumerate(block.shapes):
                self._shapes[i, j] = shape.width, shape.height, shape.cycles, shape.bytes
        weights = vars(problem.objective)
        self._weights = {name: weight for name, weight in weights.items() if weight}

    @property
    def weighs(self) -> set[str]:
        """The metrics that the objective gives any weight."""
        return set(self._weights)

    @cached_property
    def matrix(self) -> np.ndarray:
        """Wavelets between every two blocks, both ways added, float64 ``[blocks, blocks]``, symmetric."""
        n = len(self.problem.blocks)
        matrix = np.zeros((n, n))
        np.add.at(matrix, (self.flows.source, self.flows.target), self.flows.wavelets)
        np.fill_diagonal(matrix, 0)  # a block is no hop from itself
        return np.asarray(matrix + matrix.T)

    def costs(self, x: Any, y: Any, shape: Any = None, metrics: Sequence[str] = QUICK) -> dict[str, Any]:
        """``metrics`` of placements ``[placements, blocks]``: columns and rows of the corners, and shapes.

        Without ``shape``, blocks have their first. The results ``[placements]`` are arrays of the library that ``x`` is
        of, in its precision.
        """
        xp = array_namespace(x, y)
        x, y = (xp.reshape(part, (-1, part.shape[-1])) for part in (x, y))
        shape = xp.zeros_like(x) if shape is None else xp.reshape(shape, x.shape)
        wanted = list(dict.fromkeys([*metrics, *(self._weights if "cost" in metrics else ())]))
        parts = [self._part(x[part], y[part], shape[part], wanted) for part in self._parts(x.shape[0], wanted)]
        found = {name: xp.concat([one[name] for one in parts]) for name in wanted if name != "cost"}
        if "cost" in metrics:
            found["cost"] = sum((weight * found[name] for name, weight in self._weights.items()), 0 * x[:, 0])
        return {name: found[name] for name in metrics}

    def cost(self, placement: Placement, metrics: Sequence[str] = QUICK) -> dict[str, float]:
        """``metrics`` of one placement; WseError if it is not legal."""
        check_placement(self.problem, placement)
        x, y, shape = (np.array([part]) for part in (placement.x, placement.y, placement.shape))
        return {name: float(value[0]) for name, value in self.costs(x, y, shape, metrics).items()}

    def _parts(self, count: int, metrics: Sequence[str]) -> Iterator[slice]:
        """Pieces of a batch whose largest arrays take no more than BATCH_BYTES."""
        pairs, blocks = len(self.flows.source) + 1, 2 * len(self.problem.blocks)
        sampled = min(blocks, self.problem.columns) + min(blocks, self.problem.rows)
        linked = not {"busiest_link", "contended_cycles", "interval_cycles", "colors"}.isdisjoint(metrics)
        step = max(1, BATCH_BYTES // (8 * pairs * (sampled if linked else 1)))
        return (slice(start, start + step) for start in range(0, max(count, 1), step))

    def _part(self, x: Any, y: Any, shape: Any, metrics: Sequence[str]) -> dict[str, Any]:
        """The metrics, without their weighted sum, of as many placements as memory is meant for."""
        xp = array_namespace(x)
        blocks = xp.arange(x.shape[1])
        width, height, cycles, held = (xp.asarray(self._shapes[..., i])[blocks, shape] for i in range(4))
        batch = Batch(self.problem, self.flows, x, y, (xp.astype(width, x.dtype), xp.astype(height, x.dtype)))
        made: dict[str, Callable[[], Any]] = {
            "hop_wavelets": lambda: self._hop_wavelets(batch),
            "slowest_cycles": lambda: xp.max(cycles, axis=1),
            "busiest_link": batch.busiest_link,
            "cycles": lambda: self._cycles(batch, cycles),
            "contended_cycles": lambda: self._cycles(batch, cycles) + self._waiting(batch, cycles),
            "interval_cycles": lambda: xp.maximum(
                xp.max(cycles, axis=1), self.problem.charges.wavelet_cycles * batch.busiest_link()
            ),
            "colors": batch.colors,
            "sram_bytes": lambda: xp.max(held, axis=1),
        }
        if unknown := [name for name in metrics if name not in METRICS]:
            raise WseError(f"unknown metric {unknown[0]!r}; what works: {', '.join(METRICS)}")
        return {name: made[name]() for name in metrics if name != "cost"}

    def _hop_wavelets(self, batch: Batch) -> Any:
        if self.problem.is_assignment and len(self.flows.source) > 4 * len(self.problem.blocks):
            across = self._cut_wavelets(batch, batch.x, self.problem.columns)
            return across + self._cut_wavelets(batch, batch.y, self.problem.rows)
        return batch.distance @ batch.xp.asarray(self.flows.wavelets)

    def _cut_wavelets(self, batch: Batch, places: Any, extent: int) -> Any:
        """Σ w·|a − b| of dense flows: what crosses each line between two columns (or rows), added up.

        With s = ±1 for the side of a block, the wavelets that cross a line are (Σ w − sᵀ W s) / 4 of the symmetric W.
        """
        xp, matrix = batch.xp, batch.xp.asarray(self.matrix)
        total = xp.zeros(places.shape[0]) + (extent - 1) * xp.sum(matrix)
        for line in range(1, extent):
            side = xp.where(places < line, 1.0, -1.0)
            total = total - xp.einsum("ij,ij->i", side @ matrix, side)
        return total / 4

    def _cycles(self, batch: Batch, cycles: Any) -> Any:
        if self.problem.clock is None:
            return token_cycles(batch, cycles, self._order, batch.lane_wavelets)
        return batch.xp.asarray(self.problem.clock(np.asarray(batch.x), np.asarray(batch.y)))

    def _waiting(self, batch: Batch, cycles: Any) -> Any:
        """What contention adds to a token's cycles."""
        alone = token_cycles(batch, cycles, self._order, batch.lane_wavelets)
        return token_cycles(batch, cycles, self._order, batch.busiest_on_way()) - alone

    def swap_gains(self, cells_x: np.ndarray, cells_y: np.ndarray) -> np.ndarray:
        """By how much hop_wavelets grow when two blocks of one PE change places, float64 ``[blocks, blocks]``."""
        if not self.problem.is_assignment:
            raise WseError(f"{self.problem.name}: swaps are for blocks of one PE each")
        distance = np.abs(cells_x[:, None] - cells_x) + np.abs(cells_y[:, None] - cells_y)
        return swap_gains(self.matrix, distance, self.matrix @ distance)

    def link_loads(self, placement: Placement) -> np.ndarray:
        """Wavelets a token that leave every PE, float64 ``[E W N S, rows, columns]``."""
        shape = self._shapes[np.arange(len(placement.x)), np.array(placement.shape)].astype(np.int64)
        x, y = np.array([placement.x]), np.array([placement.y])
        batch = Batch(self.problem, self.flows, x, y, (shape[None, :, 0], shape[None, :, 1]))
        rows, columns = np.arange(self.problem.rows)[None], np.arange(self.problem.columns)[None]
        return np.stack([batch.loads(batch.spans(way), rows, columns)[0] for way in WAYS])


def swap_gains(flow: np.ndarray, distance: np.ndarray, mixed: np.ndarray) -> np.ndarray:
    """By how much Σ flow · distance / 2 grows when any two change places; ``mixed`` is their product. All ``[n, n]``.

    Taillard's formula for symmetric assignment (Parallel Computing 17, 1991), all pairs at once: with M = W·D over the
    distances D between the blocks' places, M + Mᵀ − diag − diagᵀ + 2·W∘D.
    """
    own = np.diag(mixed)
    gains = mixed + mixed.T
    gains -= own[:, None] + own
    gains += 2 * flow * distance
    return np.asarray(gains)
