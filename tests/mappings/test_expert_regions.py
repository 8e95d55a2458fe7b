"""How experts lie around their layer's region."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wse_emu.fabric import Region
from wse_emu.mappings.expert_regions import Beside


@st.composite
def rectangles(draw: st.DrawFn) -> Beside:
    rows, cols, each, count = (draw(st.integers(1, most)) for most in (5, 12, 6, 20))
    shelves = draw(st.integers(1, 4))
    width = next(w for w in range(cols, 1000) if (w - cols) // each + (shelves - 1) * (w // each) >= count)
    return Beside(rows, cols, each, count, shelves, width)


@given(rectangles(), st.integers(0, 9), st.integers(0, 9))
def test_regions_lie_apart_within_their_rectangle(found: Beside, x: int, y: int) -> None:
    block = Region(x, y, found.width, found.height)
    regions = [found.home(block), *(found.expert(block, number) for number in range(found.count))]
    cells = [(i, j) for r in regions for i in range(r.x, r.right) for j in range(r.y, r.bottom)]
    assert len(set(cells)) == len(cells)
    assert all(block.x <= i < block.right and block.y <= j < block.bottom for i, j in cells)
    assert {region.height for region in regions} == {found.rows}
    assert all(a.y <= b.y for a, b in pairwise(regions))
