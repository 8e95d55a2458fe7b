"""Problems and placements: what is legal, and JSON there and back."""

import json
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
        ('{"kind": "placement problem", "version": 1}', "file: key 'name' is missing"),
    ],
)
def test_wrong_json_is_refused(text: str, said: str) -> None:
    with pytest.raises(WseError, match=said):
        PlacementProblem.from_json(text, "file")


def test_only_blocks_of_one_pe_are_an_assignment() -> None:
    assert problem(ONE, ONE).is_assignment
    assert not problem(ONE, WIDE).is_assignment
    assert not replace(problem(ONE), blocks=(Block("b", (Shape(1, 1), Shape(2, 1))),)).is_assignment


def edited(**changes: object) -> str:
    plain = json.loads(problem(WIDE, ONE, flows=(Flow(0, (1,), 2.0),)).to_json())
    return json.dumps({**plain, **changes})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (edited(columns=4.5), "file: key 'columns' must be an integer, got 4.5"),
        (edited(name=5), "file: key 'name' must be a text, got 5"),
        (edited(blocks={}), "file: key 'blocks' must be a list"),
        (edited(blocks=[3]), "file, block 0: must be an object, got 3"),
        (
            edited(blocks=[{"name": "a", "shapes": [{"width": "x", "height": 1}]}]),
            "file, block 0, shape 0: key 'width'",
        ),
        (
            edited(blocks=[{"name": "a", "shapes": [{"width": 1, "height": 1, "cycles": float("nan")}]}]),
            "a finite number",
        ),
        (edited(blocks=[{"name": "a", "size": 1}]), "file, block 0: unknown key 'size'; what works: name, shapes"),
        (
            edited(flows=[{"source": 0.5, "targets": [0], "wavelets": 1}]),
            "file, flow 0: key 'source' must be an integer",
        ),
        (edited(flows=[{"source": 0, "targets": ["b"], "wavelets": 1}]), "file, flow 0: targets .* numbers of blocks"),
        (
            edited(flows=[{"source": 0, "targets": [0], "wavelets": "x"}]),
            "file, flow 0: key 'wavelets' must be a finite",
        ),
        (edited(dead=[[1]]), r"file, dead: \[1\] is no PE"),
        (edited(dead_links=[[[0, 0]]]), "file, dead_links: .* is no link"),
        (edited(dead_links=[[[0, 0], [2, 0]]]), "a link joins neighbours"),
        (edited(objective={"beauty": 1}), "file, objective: unknown key 'beauty'; what works: busiest_link, contended"),
        (edited(objective={"cycles": "many"}), "file, objective: key 'cycles' must be a finite number"),
        (edited(charges={"hop_cycles": None}), "file, charges: key 'hop_cycles' is missing"),
        (edited(reserved=[{"x": -1, "y": 0, "width": 1, "height": 1}]), "reserved 1×1@.-1,0. is empty or off the mesh"),
    ],
)
def test_what_is_wrong_in_a_problem_is_named(text: str, said: str) -> None:
    with pytest.raises(WseError, match=said):
        PlacementProblem.from_json(text, "file")
