from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_emu.fabric import Region

REGIONS = st.builds(Region, st.integers(-3, 6), st.integers(-3, 6), st.integers(1, 5), st.integers(1, 5))


def pes(region: Region) -> set[tuple[int, int]]:
    return {(region.x + i, region.y + j) for i in range(region.width) for j in range(region.height)}


def test_edges_and_text() -> None:
    region = Region(3, 5, 24, 16)
    assert (region.right, region.bottom, region.pes) == (27, 21, 384)
    assert str(region) == "24×16@(3,5)"
    with pytest.raises(FrozenInstanceError):
        region.x = 4  # type: ignore[misc]


@given(region=REGIONS, x=st.integers(-5, 13), y=st.integers(-5, 13))
def test_contains_its_pes_and_no_other(region: Region, x: int, y: int) -> None:
    assert region.contains((x, y)) == ((x, y) in pes(region))
    assert region.pes == len(pes(region))


@given(a=REGIONS, b=REGIONS)
def test_overlap_is_to_share_a_pe(a: Region, b: Region) -> None:
    assert a.overlaps(b) == b.overlaps(a) == bool(pes(a) & pes(b))
