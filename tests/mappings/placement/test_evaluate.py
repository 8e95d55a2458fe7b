"""The evaluator against the definition, one flow at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mappings.placement.problems import assignments, plain_cost, random_placements
from wse_emu.errors import WseError
from wse_emu.mappings.placement import Block, Flow, Objective, Placement, PlacementProblem, Shape
from wse_emu.mappings.placement.evaluate import EAST, NORTH, SOUTH, WEST, Evaluator


@settings(max_examples=80, deadline=None)
@given(problem=assignments(), seed=st.integers(0, 2**32 - 1))
def test_many_at_once_cost_what_the_definition_says(problem: PlacementProblem, seed: int) -> None:
    placements = random_placements(problem, 7, seed)
    x, y = (np.array([getattr(p, axis) for p in placements]) for axis in ("x", "y"))
    found = Evaluator(problem).costs(x, y)
    for i, placement in enumerate(placements):
        expected = plain_cost(problem, placement)
        assert {name: values[i] for name, values in found.items()} == pytest.approx(expected)
        assert Evaluator(problem).cost(placement) == pytest.approx(expected)


def test_rectangles_are_measured_from_their_centres() -> None:
    blocks = (Block("a", (Shape(3, 1, 5.0), Shape(1, 3, 2.0))), Block("b", (Shape(2, 2, 4.0),)))
    problem = PlacementProblem("p", blocks, (Flow(0, (1,), 10.0),), 9, 5, objective=Objective(2.0, 7.0))
    for shape, expected in (((0, 0), 10 * (4.5 + 1.5)), ((1, 0), 10 * (5.5 + 0.5))):
        placement = Placement((0, 5), (0, 1), shape)
        slowest = 5.0 if shape[0] == 0 else 4.0
        assert Evaluator(problem).cost(placement) == {
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
    total = Evaluator(problem).link_loads(placement).sum()
    hops = plain_cost(problem, placement)["hop_wavelets"]
    if all(len(flow.targets) == 1 for flow in problem.flows):
        assert total == pytest.approx(hops)
    else:
        assert total <= hops + 1e-9


def test_streams_go_along_x_first() -> None:
    problem = PlacementProblem(
        "p", (Block("a"), Block("b"), Block("c")), (Flow(0, (1, 2), 2.0), Flow(1, (0,), 1.0)), 3, 3
    )
    loads = Evaluator(problem).link_loads(Placement((0, 2, 2), (0, 1, 0), (0, 0, 0)))
    assert loads[EAST, 0].tolist() == [2, 2, 0], "b and c share the way along the row"
    assert loads[SOUTH, 0, 2] == 2
    assert loads[WEST, 1].tolist() == [0, 1, 1]
    assert loads[NORTH, 1, 0] == 1
    assert loads.sum() == 2 + 2 + 2 + 1 + 1 + 1
