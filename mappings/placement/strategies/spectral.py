"""Spectral placement: blocks lie as the Laplacian's second and third eigenvectors say (K. M. Hall, 1970)."""

import numpy as np

from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.placement import Placement
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Search, strategy
from wse_emu.mappings.placement.strategies.slots import find_slots


@strategy("spectral")
def spectral(problem: PlacementProblem, _search: Search) -> Placement:
    """Rows of the mesh are filled by the third eigenvector, each from left to right by the second."""
    slots = find_slots(problem, "spectral").searched()
    flow = Evaluator(problem).matrix
    _, vectors = np.linalg.eigh(np.diag(flow.sum(axis=1)) - flow)
    movable, last = slots.movable, len(flow) - 1
    across, down = vectors[movable, min(1, last)], vectors[movable, min(2, last)]
    path = np.empty(len(movable), dtype=np.intp)
    order, taken = np.argsort(down, kind="stable"), 0
    for row in np.unique(slots.y[slots.free]):
        there = slots.free[slots.y[slots.free] == row]
        part = order[taken : taken + len(there)]
        path[part[np.argsort(across[part], kind="stable")]] = there[: len(part)]
        taken += len(part)
    return slots.along(path)
