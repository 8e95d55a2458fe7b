"""Problems and placements: what is legal, and JSON there and back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mappings.placement.problems import assignments, random_placements
from wse_emu.errors import WseError
from wse_emu.fabric.region import Region
from wse_emu.mappings.placement import Block, Flow, Placement, PlacementProblem, Shape, check_placement

WIDE = Block("wide", (Shape(3, 1), Shape(1, 3)))
ONE = Block("one")


def problem(*blocks: Block, flows: tuple[Flow, ...] = (), **more: object) -> PlacementProblem:
    return PlacementProblem("p", blocks, flows, 4, 3, **more)  # type: ignore[arg-type]


@given(held=assignments(), seed=st.integers(0, 99))
def test_json_there_and_back(held: PlacementProblem, seed: int) -> None:
    again = PlacementProblem.from_json(held.to_json())
    assert (again.name, again.blocks, again.flows, again.dead) == (held.name, held.blocks, held.flows, held.dead)
    assert (again.columns, again.rows, again.objective) == (held.columns, held.rows, held.objective)
    (placement,) = random_placements(held, 1, seed)
    assert Placement.from_json(placement.to_json()) == placement


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        (Placement((0,), (0,), (0,)), "x, y and shape of 1, 1 and 1 blocks; the problem has 2"),
        (Placement((0, 0), (0, 1), (2, 0)), "block wide has no shape 2, but 2 from 0"),
        (Placement((2, 0), (0, 1), (0, 0)), r"block wide on 3×1@\(2,0\) leaves the mesh of 4×3"),
        (Placement((0, 0), (-1, 1), (0, 0)), "block wide on .* leaves the mesh"),
        (Placement((0, 2), (0, 0), (0, 0)), r"blocks one and wide share PE \(2,0\)"),
        (Placement((0, 3), (0, 2), (0, 0)), r"block one lies on PE \(3,2\), dead or reserved"),
        (Placement((0, 3), (1, 0), (0, 0)), r"block wide lies on PE \(0,1\), dead or reserved"),
    ],
)
def test_an_illegal_placement_is_told_block_and_cell(placement: Placement, said: str) -> None:
    held = problem(WIDE, ONE, dead=frozenset({(3, 2)}), reserved=(Region(0, 1, 1, 1),))
    with pytest.raises(WseError, match=said):
        check_placement(held, placement)
    check_placement(held, Placement((1, 0), (0, 0), (1, 0)))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (problem, "0 blocks on 4×3 PEs"),
        (lambda: problem(Block("huge", (Shape(5, 1),))), "block huge has no shape that fits the mesh of 4×3"),
        (lambda: problem(ONE, flows=(Flow(0, (1,), 1.0),)), r"flow 0 joins blocks \(0, 1\); there are 1"),
        (lambda: problem(ONE, flows=(Flow(0, (), 1.0),)), "flow 0 joins blocks"),
        (lambda: problem(ONE, flows=(Flow(0, (0,), float("nan")),)), "flow 0 has nan wavelets"),
        (lambda: problem(*[ONE] * 13), "the blocks need 13 PEs at least, 12 are free"),
        (lambda: problem(ONE, dead=frozenset({(4, 0)})), r"dead PE \(4,0\) is off the mesh"),
    ],
)
def test_an_impossible_problem_is_refused(made: object, said: str) -> None:
    with pytest.raises(WseError, match=said):
        made()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "file, line 1: no valid JSON"),
        ("[]", "file: no placement problem of version 1"),
        ('{"kind": "placement problem", "version": 2}', "no placement problem of version 1"),
        ('{"kind": "placement problem", "version": 1}', "no placement problem .KeyError: 'blocks'"),
    ],
)
def test_wrong_json_is_refused(text: str, said: str) -> None:
    with pytest.raises(WseError, match=said):
        PlacementProblem.from_json(text, "file")


def test_only_blocks_of_one_pe_are_an_assignment() -> None:
    assert problem(ONE, ONE).is_assignment
    assert not problem(ONE, WIDE).is_assignment
    assert not replace(problem(ONE), blocks=(Block("b", (Shape(1, 1), Shape(2, 1))),)).is_assignment
