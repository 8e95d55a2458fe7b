"""A placement strategy of one's own and its study: ``pytest examples/test_my_strategy.py``. See docs/placement.md."""

import numpy as np
import pytest

from wse_emu.mappings.placement import Placement, PlacementProblem
from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.search import Search
from wse_emu.pytest_plugin.scores import Leaderboard


def iterated_descent(problem: PlacementProblem, search: Search) -> Placement:
    """Swap while that helps, then move a few blocks round and try again (iterated local search)."""
    evaluator, rng = Evaluator(problem), search.rng
    cells, best = rng.permutation(np.flatnonzero(problem.free))[: len(problem.blocks)], np.inf
    placement = Placement.of_cells(cells, problem.columns)
    while search.running:
        trial, moved = cells.copy(), rng.permutation(len(cells))[: rng.integers(3, 8)]
        trial[moved] = trial[np.roll(moved, 1)]
        while (gains := evaluator.swap_gains(*np.divmod(trial, problem.columns)[::-1])).min() < -1e-9:
            pair = list(np.unravel_index(gains.argmin(), gains.shape))
            trial[pair] = trial[pair[::-1]]
        candidate = Placement.of_cells(trial, problem.columns)
        cost = evaluator.cost(candidate)["cost"]
        search.found(candidate, cost)
        if cost <= best:
            cells, placement, best = trial, candidate, cost
    return placement


@pytest.mark.placement_problems("nug30", "sko42")
def test_iterated_descent(placement_problem: PlacementProblem, leaderboard: Leaderboard) -> None:
    rivals = ("robust_tabu", "annealing", "greedy")
    comparison = leaderboard.compare(iterated_descent, placement_problem, rivals, seconds=0.1, seeds=range(5))
    assert comparison.better_than("greedy", p=0.05)
