"""Strategies: legal everywhere, as good as the literature, the same for the same seed."""

from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mappings.placement.problems import assignments, plain_cost
from wse_emu.errors import WseError
from wse_emu.mappings.placement import Block, Placement, PlacementProblem, Shape, check_placement
from wse_emu.mappings.placement.readers import read_problem
from wse_emu.mappings.placement.search import STRATEGIES, Search, find_strategy, run_strategy, strategy

find_strategy("row_major")
NAMES = tuple(STRATEGIES)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(problem=assignments(), seed=st.integers(0, 99))
def test_every_strategy_is_legal_on_any_mesh(name: str, problem: PlacementProblem, seed: int) -> None:
    if name == "strips" and problem.dead:
        with pytest.raises(WseError, match="strips: needs a mesh without dead or reserved PEs"):
            run_strategy(problem, name)
        return
    result = run_strategy(problem, name, seconds=0.01, seed=seed)
    regions = result.placement.regions(problem)
    cells = {(region.x, region.y) for region in regions}
    assert len(cells) == len(problem.blocks)
    assert all(0 <= x < problem.columns and 0 <= y < problem.rows for x, y in cells)
    assert not cells & problem.dead
    assert result.cost == pytest.approx(plain_cost(problem, result.placement))


@pytest.mark.parametrize(
    ("name", "mesh", "best"),
    [("VOPD", (4, 4), 4118), ("MPEG4", (4, 3), 58_212_352), ("MWD", (4, 3), 1184), ("PIP", (3, 3), 640)],
)
def test_core_graphs_reach_the_best_found(name: str, mesh: tuple[int, int], best: float) -> None:
    result = run_strategy(read_problem(Path(name), mesh), "robust_tabu", seconds=0.5)
    assert result.cost["hop_wavelets"] == pytest.approx(best, rel=1e-5), "volumes are kept with six digits"


def test_nug30_is_solved() -> None:
    """Optimal: 6,124 (QAPLIB); a second is enough on a machine that does nothing else."""
    assert run_strategy(read_problem(Path("nug30")), "robust_tabu", seconds=3.0).cost["cost"] == 6124


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seconds", "best", "above"),
    [("sko42", 5, 15812, 0.0), ("sko64", 10, 48498, 0.001), ("sko100a", 10, 152002, 0.002)],
)
def test_larger_instances_come_close_to_the_best_known(name: str, seconds: float, best: float, above: float) -> None:
    result = run_strategy(read_problem(Path(name)), "robust_tabu", seconds=seconds)
    assert best <= result.cost["cost"] <= (1 + above) * best


def test_searches_beat_what_they_begin_with() -> None:
    problem = read_problem(Path("sko42"))
    costs = {name: run_strategy(problem, name, seconds=0.3).cost["cost"] for name in NAMES if name != "strips"}
    assert max(costs["robust_tabu"], costs["annealing"]) < min(costs["greedy"], costs["spectral"])
    assert max(costs["greedy"], costs["spectral"]) < min(costs["row_major"], costs["snake"], costs["hilbert"])


def test_hilbert_goes_from_neighbour_to_neighbour() -> None:
    problem = PlacementProblem("p", tuple(Block(str(i)) for i in range(64)), (), 8, 8)
    placement = run_strategy(problem, "hilbert").placement
    steps = np.abs(np.diff(placement.x)) + np.abs(np.diff(placement.y))
    assert (steps == 1).all()


def test_the_interleaved_ring_has_no_hop_beyond_two() -> None:
    problem = PlacementProblem("p", tuple(Block(str(i)) for i in range(30)), (), 6, 5)
    placement = run_strategy(problem, "interleave").placement
    x, y = np.array(placement.x), np.array(placement.y)
    assert (np.abs(x - np.roll(x, 1)) + np.abs(y - np.roll(y, 1))).max() <= 2


def test_time_limits_are_kept() -> None:
    for name in ("robust_tabu", "annealing"):
        began = perf_counter()
        run_strategy(read_problem(Path("sko100a")), name, seconds=0.2)
        assert perf_counter() - began < 1.0


def test_ctrl_c_returns_the_best_so_far() -> None:
    def interrupted(problem: PlacementProblem, search: Search) -> Placement:
        placement = STRATEGIES["greedy"](problem, search)
        search.found(placement, 1.0)
        raise KeyboardInterrupt

    problem = read_problem(Path("PIP"), (3, 3))
    result = run_strategy(problem, "mine", function=interrupted)
    assert result.interrupted
    check_placement(problem, result.placement)


def test_nonsense_is_named() -> None:
    problem = read_problem(Path("PIP"), (3, 3))
    with pytest.raises(WseError, match="strategy mine: returned list; a Placement works"):
        run_strategy(problem, "mine", function=lambda _p, _s: [])  # type: ignore[arg-type,return-value]
    with pytest.raises(WseError, match=r"strategy mine: its placement is not legal: .* share PE \(0,0\)"):
        run_strategy(problem, "mine", function=lambda _p, _s: Placement((0,) * 8, (0,) * 8, (0,) * 8))
    with pytest.raises(WseError, match="unknown strategy 'comet'; what works: annealing, greedy"):
        run_strategy(problem, "comet")


def test_blocks_of_several_pes_are_refused_by_what_cannot_place_them() -> None:
    problem = PlacementProblem("p", (Block("big", (Shape(2, 1),)),), (), 4, 4)
    for name in NAMES:
        if name == "strips":
            continue
        with pytest.raises(WseError, match=f"strategy {name}: places blocks of one PE; block big is larger"):
            run_strategy(problem, name)


def test_a_strategy_of_ones_own_is_a_decorated_function() -> None:
    @strategy("last_cells")
    def last_cells(problem: PlacementProblem, _search: Search) -> Placement:
        return Placement.of_cells(np.flatnonzero(problem.free)[-len(problem.blocks) :], problem.columns)

    try:
        assert run_strategy(read_problem(Path("PIP"), (3, 3)), "last_cells").placement.x[0] == 1
    finally:
        del STRATEGIES["last_cells"]
