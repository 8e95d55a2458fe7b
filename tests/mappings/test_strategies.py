"""Placements: in order, on the wafer, no two regions on one PE."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_emu.errors import WseError
from wse_emu.fabric import Region
from wse_emu.mappings.strategies import STRATEGIES, place


@given(st.sampled_from(sorted(STRATEGIES)), st.lists(st.integers(1, 20), min_size=1, max_size=12), st.integers(1, 5))
def test_regions_lie_on_the_wafer_and_apart(strategy: str, widths: list[int], height: int) -> None:
    columns, rows = 20, 12 * height
    regions = place(strategy, widths, height, columns, rows)
    assert [region.width for region in regions] == widths
    assert all(region.height == height for region in regions)
    assert all(region.x >= 0 and region.right <= columns and region.bottom <= rows for region in regions)
    assert not any(a.overlaps(b) for i, a in enumerate(regions) for b in regions[:i])


def test_row_major_reads_like_a_page() -> None:
    assert place("row_major", [4, 4, 4], 2, 8, 6) == [Region(0, 0, 4, 2), Region(4, 0, 4, 2), Region(0, 2, 4, 2)]


def test_snake_turns_round_so_that_neighbours_stay_neighbours() -> None:
    assert place("snake", [4, 4, 4, 4], 2, 8, 6) == [
        Region(0, 0, 4, 2),
        Region(4, 0, 4, 2),
        Region(4, 2, 4, 2),
        Region(0, 2, 4, 2),
    ]


@pytest.mark.parametrize(
    ("strategy", "widths", "message"),
    [
        ("spiral", [1], "unknown placement 'spiral'; what works: row_major, snake"),
        ("snake", [9], "need a wider wafer"),
        ("row_major", [8] * 5, "need 10 rows"),
    ],
)
def test_what_cannot_be_placed_is_refused(strategy: str, widths: list[int], message: str) -> None:
    with pytest.raises(WseError, match=message):
        place(strategy, widths, 2, 8, 6)
