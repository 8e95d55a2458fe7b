"""Free rectangles of damaged meshes."""

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from wse_emu.mappings.placement.strategies.rooms import free_rooms, largest_rectangle

meshes = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.booleans())


@given(free=meshes)
def test_no_free_rectangle_is_larger(free: np.ndarray) -> None:
    rows, columns = free.shape
    best = 0
    for y, x, bottom, right in product(range(rows), range(columns), range(1, rows + 1), range(1, columns + 1)):
        if y < bottom and x < right and free[y:bottom, x:right].all():
            best = max(best, (bottom - y) * (right - x))
    found = largest_rectangle(free)
    assert found.pes == best
    assert free[found.y : found.bottom, found.x : found.right].all()


@given(free=meshes)
def test_rooms_take_every_free_pe_once(free: np.ndarray) -> None:
    taken = np.zeros(free.shape, dtype=int)
    for room in free_rooms(free):
        taken[room.y : room.bottom, room.x : room.right] += 1
    assert (taken == free).all()
