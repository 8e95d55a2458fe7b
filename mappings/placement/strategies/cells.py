"""Blocks of one PE each: the cells that they may take, and placements from lists of cells."""

import numpy as np

from wse_emu.errors import WseError
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem


def free_cells(problem: PlacementProblem, name: str) -> np.ndarray:
    """Numbers of the free PEs, row by row; WseError where a block is larger than one PE."""
    if not problem.is_assignment:
        block = next(b for b in problem.blocks if any((s.width, s.height) != (1, 1) for s in b.shapes))
        raise WseError(f"strategy {name}: places blocks of one PE; block {block.name} is larger")
    return np.flatnonzero(problem.free)


def placed(problem: PlacementProblem, cells: np.ndarray) -> Placement:
    """Block i on ``cells[i]``."""
    return Placement.of_cells(cells[: len(problem.blocks)], problem.columns)


def distances(problem: PlacementProblem, cells: np.ndarray) -> np.ndarray:
    """Hops between every two of ``cells``, float64."""
    y, x = np.divmod(cells, problem.columns)
    hops = np.abs(x[:, None] - x) + np.abs(y[:, None] - y)
    return np.asarray(hops, dtype=np.float64)
