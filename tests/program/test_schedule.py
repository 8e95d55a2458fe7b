"""Schedules: every PE's value reaches the root, once."""

from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_emu.errors import WseError
from wse_emu.program.schedule import candidates, schedule

NAMES = st.sampled_from(
    ["chain", "two_way", "tree", "two_phase", "ktree", "ktree:1", "ktree:3", "ktree:8", "ktree:500"]
)


@given(NAMES, st.integers(1, 300))
def test_every_value_reaches_the_root_once(name: str, extent: int) -> None:
    plan = schedule(name, extent)
    held: dict[int, list[int]] = {position: [position] for position in range(extent)}
    for phase in plan.phases:
        arms = phase.positions()
        met = [position for arm in arms for position in arm]
        assert len(met) == len(set(met)), "arms of a phase share no PE"
        for arm in arms:
            assert len(arm) >= 2
            total: list[int] = []
            for position in arm:
                total += held.pop(position)
            held[arm[-1]] = total
    assert set(held) == {plan.root}
    assert sorted(held[plan.root]) == list(range(extent))


@given(st.integers(1, 300))
def test_a_tree_has_as_many_phases_as_its_height(extent: int) -> None:
    assert len(schedule("tree", extent).phases) == ceil(log2(extent))


def test_two_way_meets_in_the_middle_right_half_first() -> None:
    right, left = schedule("two_way", 6).phases
    assert left.positions() == ((0, 1, 2, 3),)
    assert right.positions() == ((5, 4, 3),)


def test_a_k_tree_works_in_groups_then_over_their_middles() -> None:
    plan = schedule("ktree:3", 12)
    assert [phase.positions() for phase in plan.phases] == [
        ((3, 2), (7, 6)),
        ((11, 10),),
        ((0, 1, 2), (4, 5, 6), (8, 9, 10)),
        ((10, 6),),
        ((2, 6),),
    ]
    assert plan.root == 6


@pytest.mark.parametrize("name", ["comet", "ktree:0", "ktree:x", "star:2", "autogen:0", "chain:2", "", "auto"])
def test_unknown_algorithms_are_refused(name: str) -> None:
    with pytest.raises(WseError, match="unknown reduction algorithm"):
        schedule(name, 8)


@given(st.integers(1, 300))
def test_auto_chooses_among_schedules_that_exist(extent: int) -> None:
    assert all(schedule(name, extent).extent == extent for name in candidates(extent))
