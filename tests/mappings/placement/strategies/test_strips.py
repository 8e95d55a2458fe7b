"""Sizing and slicing: legal on damaged meshes, in time, and whatever the flows."""

from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mappings.placement.problems import plain_cost
from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.mappings.placement import Block, Flow, Objective, Placement, PlacementProblem, Shape
from wse_emu.mappings.placement.search import Search, run_strategy
from wse_emu.mappings.placement.strategies.chain import chain_order
from wse_emu.mappings.placement.strategies.strips import strips

EASY = tuple(Shape(width, 12 // width, float(12 // width)) for width in (1, 2, 3, 4, 6, 12))


def chain(count: int, columns: int, rows: int, dead: frozenset[tuple[int, int]] = frozenset()) -> PlacementProblem:
    blocks = tuple(Block(f"b{i}", EASY) for i in range(count))
    flows = tuple(Flow(i, (i + 1,), 1.0) for i in range(count - 1))
    return PlacementProblem("chain", blocks, flows, columns, rows, dead, (), Objective(1.0, 1.0))


@settings(max_examples=20, deadline=None)
@given(
    dead=st.sets(st.tuples(st.integers(0, 15), st.integers(0, 11)), max_size=5),
    count=st.integers(1, 6),
    seed=st.integers(0, 9),
)
def test_blocks_of_many_shapes_lie_beside_dead_pes(dead: set[tuple[int, int]], count: int, seed: int) -> None:
    problem = chain(count, 16, 12, frozenset(dead))
    result = run_strategy(problem, "strips", seconds=0.02, seed=seed)
    assert result.cost == pytest.approx(plain_cost(problem, result.placement))


def test_reserved_rows_are_left_free() -> None:
    whole = chain(3, 12, 6)
    problem = PlacementProblem(
        "p", whole.blocks, whole.flows, 12, 6, frozenset(), (Region(0, 0, 12, 2),), whole.objective
    )
    assert min(run_strategy(problem, "strips", seconds=0.1).placement.y) >= 2


def test_what_fits_no_free_rectangle_is_refused() -> None:
    block = Block("wide", (Shape(4, 2),))
    problem = PlacementProblem("p", (block,), (), 4, 4, frozenset({(0, 1), (3, 2)}))
    with pytest.raises(WseError, match="strategy strips: found no way to cut the mesh into the blocks of p"):
        run_strategy(problem, "strips", seconds=0.1)


def test_one_strip_is_best_where_only_the_way_counts() -> None:
    """Six blocks one tile wide in a row are five hops; none has fewer cycles than one twelve tiles wide."""
    problem = chain(6, 30, 30)
    cost = run_strategy(problem, "strips", seconds=0.2).cost
    assert cost["cost"] <= 5 + 12


@settings(max_examples=10, deadline=None)
@given(ends=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20), seed=st.integers(0, 9))
def test_any_flows_are_placed(ends: list[tuple[int, int]], seed: int) -> None:
    """Rings, a block that talks to itself, blocks without flows."""
    flows = tuple(Flow(a, (b,), 2.0) for a, b in ends)
    problem = PlacementProblem("p", (*chain(6, 12, 12).blocks, Block("c"), Block("d")), flows, 11, 12)
    result = run_strategy(problem, "strips", seconds=0.02, seed=seed)
    assert result.cost == pytest.approx(plain_cost(problem, result.placement))


def test_a_chain_is_followed_to_its_end() -> None:
    flows = tuple(Flow(a, (b,), 1.0) for a, b in ((0, 5), (5, 2), (2, 1), (3, 4)))
    problem = PlacementProblem("p", tuple(Block(str(i)) for i in range(6)), flows, 6, 1)
    assert chain_order(problem) == [0, 5, 2, 1, 3, 4]


def test_rings_are_ordered_by_number() -> None:
    flows = tuple(Flow(a, ((a + 1) % 4, a), 1.0) for a in range(4))
    problem = PlacementProblem("p", tuple(Block(str(i)) for i in range(4)), flows, 4, 1)
    assert chain_order(problem) == [0, 1, 2, 3]


def test_the_time_limit_is_kept() -> None:
    began = perf_counter()
    run_strategy(chain(30, 40, 40), "strips", seconds=0.3)
    assert perf_counter() - began < 0.6


def test_ctrl_c_keeps_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(problem: PlacementProblem, search: Search) -> Placement:
        told = search.found

        def found(placement: Placement, cost: float) -> None:
            told(placement, cost)
            raise KeyboardInterrupt

        monkeypatch.setattr(search, "found", found)
        return strips(problem, search)

    result = run_strategy(chain(4, 20, 20), "mine", seconds=5, function=interrupted)
    assert result.interrupted
    assert result.seconds < 2


def test_hundreds_of_blocks_are_placed() -> None:
    """A snake through them all has a hop from each to the next; nothing is shorter."""
    flows = tuple(Flow(i, (i + 1,), 1.0) for i in range(399))
    problem = PlacementProblem("p", tuple(Block(str(i)) for i in range(400)), flows, 21, 20)
    assert 399 <= run_strategy(problem, "strips", seconds=0.1).cost["cost"] < 1.1 * 399
