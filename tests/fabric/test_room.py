"""Free rectangles, beside a search over all places."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.fabric.strategies import meshes
from wse_emu.errors import WseError
from wse_emu.fabric import Mesh, Region
from wse_emu.fabric.room import Room


def is_free(mesh: Mesh, region: Region) -> bool:
    try:
        mesh.check_region(region, "it")
    except WseError:
        return False
    return True


@given(mesh=meshes(), width=st.integers(1, 8), height=st.integers(1, 8))
def test_places_are_free_where_a_region_covers_no_defect(mesh: Mesh, width: int, height: int) -> None:
    room = Room(mesh)
    free = room.free(width, height)
    assert free.shape == (max(0, mesh.rows - height + 1), max(0, mesh.columns - width + 1))
    for y, x in np.ndindex(free.shape):
        assert free[y, x] == is_free(mesh, Region(x, y, width, height))
    first = next((Region(int(x), int(y), width, height) for y, x in np.argwhere(free)), None)
    assert room.first(width, height) == first
    widths = [w for w in range(1, mesh.columns + 1) if room.free(w, height).any()]
    assert room.widest(height) == max(widths, default=0)
