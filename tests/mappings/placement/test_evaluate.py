"""The evaluator against the definition, one flow at a time."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mappings.placement.problems import assignments, plain_cost, plain_links, random_placements
from wse_emu.errors import WseError
from wse_emu.mappings.placement import Block, Flow, Objective, Placement, PlacementProblem, Shape
from wse_emu.mappings.placement.batch import EAST, NORTH, SOUTH, WEST
from wse_emu.mappings.placement.evaluate import METRICS, Evaluator
from wse_emu.mappings.placement.readers import read_problem


@settings(max_examples=80, deadline=None)
@given(problem=assignments(), seed=st.integers(0, 2**32 - 1))
def test_many_at_once_cost_what_the_definition_says(problem: PlacementProblem, seed: int) -> None:
    placements = random_placements(problem, 7, seed)
    x, y = (np.array([getattr(p, axis) for p in placements]) for axis in ("x", "y"))
    found = Evaluator(problem).costs(x, y, None, METRICS)
    for i, placement in enumerate(placements):
        expected = plain_cost(problem, placement)
        assert {name: values[i] for name, values in found.items()} == pytest.approx(expected)
        assert Evaluator(problem).cost(placement, METRICS) == pytest.approx(expected)


def test_rectangles_are_measured_from_their_centres() -> None:
    blocks = (Block("a", (Shape(3, 1, 5.0), Shape(1, 3, 2.0))), Block("b", (Shape(2, 2, 4.0),)))
    problem = PlacementProblem("p", blocks, (Flow(0, (1,), 10.0),), 9, 5, objective=Objective(2.0, 7.0))
    for shape, expected in (((0, 0), 10 * (4.5 + 1.5)), ((1, 0), 10 * (5.5 + 0.5))):
        placement = Placement((0, 5), (0, 1), shape)
        slowest = 5.0 if shape[0] == 0 else 4.0
        assert Evaluator(problem).cost(placement, ("hop_wavelets", "slowest_cycles", "cost")) == {
            "hop_wavelets": expected,
            "slowest_cycles": slowest,
            "cost": 2 * expected + 7 * slowest,
        }


@settings(max_examples=60, deadline=None)
@given(problem=assignments(), seed=st.integers(0, 2**32 - 1))
def test_a_swap_gains_what_it_costs_afterwards(problem: PlacementProblem, seed: int) -> None:
    (placement,) = random_placements(problem, 1, seed)
    x, y = np.array(placement.x), np.array(placement.y)
    gains = Evaluator(problem).swap_gains(x, y)
    before = plain_cost(problem, placement)["hop_wavelets"]
    for a in range(len(x)):
        for b in range(len(x)):
            order = np.arange(len(x))
            order[[a, b]] = order[[b, a]]
            swapped = Placement(tuple(x[order].tolist()), tuple(y[order].tolist()), placement.shape)
            assert gains[a, b] == pytest.approx(plain_cost(problem, swapped)["hop_wavelets"] - before)


def test_swaps_are_for_single_pes() -> None:
    problem = PlacementProblem("p", (Block("a", (Shape(2, 1),)),), (), 4, 4)
    with pytest.raises(WseError, match="p: swaps are for blocks of one PE each"):
        Evaluator(problem).swap_gains(np.zeros(1), np.zeros(1))


@settings(max_examples=60, deadline=None)
@given(problem=assignments(), seed=st.integers(0, 2**32 - 1))
def test_links_carry_every_hop_and_a_multicast_once(problem: PlacementProblem, seed: int) -> None:
    (placement,) = random_placements(problem, 1, seed)
    expected = np.zeros((4, problem.rows, problem.columns))
    for link, wavelets in plain_links(problem, placement).items():
        expected[link] = wavelets
    assert Evaluator(problem).link_loads(placement) == pytest.approx(expected)


def test_streams_go_along_y_first() -> None:
    problem = PlacementProblem(
        "p", (Block("a"), Block("b"), Block("c")), (Flow(0, (1, 2), 2.0), Flow(1, (0,), 1.0)), 3, 3
    )
    loads = Evaluator(problem).link_loads(Placement((0, 2, 0), (0, 1, 2), (0, 0, 0)))
    assert loads[SOUTH, :, 0].tolist() == [2, 2, 0], "b and c share the way down to row 1"
    assert loads[EAST, 1].tolist() == [2, 2, 0]
    assert loads[NORTH, 1, 2] == 1
    assert loads[WEST, 0].tolist() == [0, 1, 1]
    assert loads.sum() == 2 + 2 + 2 + 2 + 1 + 1 + 1


def test_lanes_go_side_by_side() -> None:
    """Four rows of 2 columns: two lanes leave by each column; then each row has its own."""
    block = Block("a", (Shape(2, 4),))
    problem = PlacementProblem("p", (block, block), (Flow(0, (1,), 40.0, lanes=4),), 9, 12)
    loads = Evaluator(problem).link_loads(Placement((0, 5), (0, 6), (0, 0)))
    assert loads[SOUTH].max() == 20
    assert loads[EAST].max() == 10
    assert (loads[EAST] > 0).any(axis=1).nonzero()[0].tolist() == [6, 7, 8, 9], "the rows of the target"
    assert Evaluator(problem).cost(Placement((0, 5), (0, 6), (0, 0)), ("busiest_link",)) == {"busiest_link": 20}
    beside = Evaluator(problem).link_loads(Placement((0, 5), (3, 3), (0, 0)))
    assert beside[[NORTH, SOUTH, WEST]].max() == 0, "blocks side by side need no link along y"
    assert beside[EAST].max() == 10


def test_an_unknown_metric_is_named() -> None:
    problem = PlacementProblem("p", (Block("a"),), (), 1, 1)
    with pytest.raises(WseError, match="unknown metric 'beauty'; what works: hop_wavelets, slowest_cycles"):
        Evaluator(problem).costs(np.zeros((1, 1), int), np.zeros((1, 1), int), None, ("beauty",))


def test_jax_agrees_with_numpy() -> None:
    import jax.numpy as jnp

    problem = read_problem(Path("VOPD"), (4, 4))
    placements = random_placements(problem, 20, 1)
    x, y = (np.array([getattr(p, axis) for p in placements]) for axis in ("x", "y"))
    expected, found = (Evaluator(problem).costs(xp.asarray(x), xp.asarray(y), None, METRICS) for xp in (np, jnp))
    for name, values in found.items():
        assert isinstance(values, jnp.ndarray)
        assert np.asarray(values) == pytest.approx(expected[name], rel=1e-5), name
