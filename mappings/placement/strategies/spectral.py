"""Spectral placement: blocks lie as the Laplacian's second and third eigenvectors say (K. M. Hall, 1970)."""

import numpy as np

from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.cells import free_cells, placed


@strategy("spectral")
def spectral(problem: PlacementProblem, _search: Search) -> Placement:
    """Rows of the mesh are filled by the third eigenvector, each from left to right by the second."""
    cells = free_cells(problem, "spectral")
    flow = Evaluator(problem).matrix
    _, vectors = np.linalg.eigh(np.diag(flow.sum(axis=1)) - flow)
    count = len(problem.blocks)
    across, down = vectors[:, min(1, count - 1)], vectors[:, min(2, count - 1)]
    chosen = np.empty(count, dtype=np.intp)
    order, taken = np.argsort(down, kind="stable"), 0
    for row in np.unique(cells // problem.columns):
        there = cells[cells // problem.columns == row]
        part = order[taken : taken + len(there)]
        chosen[part[np.argsort(across[part], kind="stable")]] = there[: len(part)]
        taken += len(part)
    return placed(problem, chosen)
