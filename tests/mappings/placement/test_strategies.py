"""Strategies: legal everywhere, as good as the literature, the same for the same seed."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tests.mappings.placement.problems import assignments, plain_cost, rectangles
from wse_emu.errors import WseError
from wse_emu.mappings.placement import Block, Flow, Placement, PlacementProblem, Shape, check_placement
from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.readers import read_problem
from wse_emu.mappings.placement.search import STRATEGIES, Search, find_strategy, run_strategy, strategy

find_strategy("row_major")
NAMES = tuple(STRATEGIES)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(problem=assignments(), seed=st.integers(0, 99))
def test_every_strategy_is_legal_on_any_mesh(name: str, problem: PlacementProblem, seed: int) -> None:
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


@pytest.mark.slow
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


def random_assignment(blocks: int, columns: int, rows: int) -> PlacementProblem:
    rng = np.random.default_rng(blocks)
    flows = tuple(
        Flow(i, (j,), float(rng.integers(1, 9))) for i in range(blocks) for j in range(blocks) if rng.random() < 0.5
    )
    return PlacementProblem("random", tuple(Block(str(i)) for i in range(blocks)), flows, columns, rows)


def test_searches_beat_what_they_begin_with() -> None:
    problem = read_problem(Path("sko42"))
    costs = {
        name: run_strategy(problem, name, seconds=0.3).cost["cost"] for name in NAMES if name not in {"strips", "ilp"}
    }
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
        assert run_strategy(read_problem(Path("sko100a")), name, seconds=0.2).seconds < 1.0


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
    with pytest.raises(WseError, match=r"strategy mine: failed at .*test_strategies.py, line \d+: ZeroDivisionError"):
        run_strategy(problem, "mine", function=lambda _p, _s: 1 // 0)  # type: ignore[arg-type,return-value]
    with pytest.raises(WseError, match="unknown strategy 'comet'; what works: annealing, greedy"):
        run_strategy(problem, "comet")


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12, deadline=None)
@given(problem=rectangles(), seed=st.integers(0, 99))
def test_rectangles_lie_apart_and_clear_of_dead_pes(name: str, problem: PlacementProblem, seed: int) -> None:
    try:
        result = run_strategy(problem, name, seconds=0.01, seed=seed)
    except WseError:
        reject()  # no room for so many equal places
    pes = [(x, y) for r in result.placement.regions(problem) for x in range(r.x, r.right) for y in range(r.y, r.bottom)]
    assert len(set(pes)) == len(pes)
    assert not set(pes) & problem.dead
    assert all(0 <= x < problem.columns and 0 <= y < problem.rows for x, y in pes)


def test_one_large_block_does_not_make_all_places_large() -> None:
    blocks = (Block("ends", (Shape(7, 2),)), *(Block(f"layer {i}", (Shape(3, 2),)) for i in range(6)))
    problem = PlacementProblem("p", blocks, tuple(Flow(i, (i + 1,), 1.0) for i in range(6)), 10, 6)
    found = run_strategy(problem, "row_major").placement
    assert list(zip(found.x, found.y, strict=True)) == [(0, 0), (7, 0), (0, 2), (3, 2), (6, 2), (0, 4), (3, 4)]
    found = run_strategy(problem, "snake").placement
    assert list(zip(found.x, found.y, strict=True)) == [(0, 0), (7, 0), (6, 2), (3, 2), (0, 2), (0, 4), (3, 4)]


def test_the_fastest_shapes_that_have_room_are_taken() -> None:
    shapes = (Shape(1, 1, 100.0), Shape(2, 2, 30.0), Shape(4, 4, 10.0))
    blocks = tuple(Block(f"b{i}", shapes) for i in range(4))
    for side, cycles in ((8, 10.0), (7, 30.0), (4, 30.0), (3, 100.0)):
        result = run_strategy(PlacementProblem("p", blocks, (), side, side), "row_major")
        assert result.cost["slowest_cycles"] == cycles


@pytest.mark.parametrize(("columns", "rows"), [(2, 2), (6, 4), (5, 4), (3, 8), (4, 3), (8, 5)])
def test_a_ring_closes_from_neighbour_to_neighbour(columns: int, rows: int) -> None:
    problem = PlacementProblem("p", tuple(Block(str(i)) for i in range(columns * rows)), (), columns, rows)
    placement = run_strategy(problem, "ring").placement
    x, y = np.array(placement.x), np.array(placement.y)
    assert (np.abs(x - np.roll(x, 1)) + np.abs(y - np.roll(y, 1)) == 1).all()


def test_the_ilp_proves_the_optimum() -> None:
    """PIP and small random problems against every permutation."""
    for problem in (read_problem(Path("PIP"), (3, 3)), random_assignment(6, 3, 2)):
        result = run_strategy(problem, "ilp", seconds=30)
        free = np.flatnonzero(problem.free)
        every = np.array(list(permutations(free, len(problem.blocks))))
        y, x = np.divmod(every, problem.columns)
        assert result.cost["cost"] == pytest.approx(Evaluator(problem).costs(x, y)["cost"].min())
        assert result.bound == pytest.approx(result.cost["cost"], rel=1e-4), "HiGHS stops at a gap of 1e-4"


def test_the_ilp_refuses_what_it_cannot_solve() -> None:
    with pytest.raises(WseError, match=r"strategy ilp: sko42 needs .* variables; up to 100,000 are solved"):
        run_strategy(read_problem(Path("sko42")), "ilp")


def test_a_strategy_of_ones_own_is_a_decorated_function() -> None:
    @strategy("last_cells")
    def last_cells(problem: PlacementProblem, _search: Search) -> Placement:
        return Placement.of_cells(np.flatnonzero(problem.free)[-len(problem.blocks) :], problem.columns)

    try:
        assert run_strategy(read_problem(Path("PIP"), (3, 3)), "last_cells").placement.x[0] == 1
    finally:
        del STRATEGIES["last_cells"]
