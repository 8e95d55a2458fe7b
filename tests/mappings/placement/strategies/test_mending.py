"""Mirrored runs and blocks that slide: never longer flows, never an overlap."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wse_emu.mappings.placement.strategies.mending import mend
from wse_emu.mappings.placement.strategies.slicing import Layout, Slicing

ROOM = (2, 1, 20, 18)
sizes = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=4, max_size=10)
"""Width and height of blocks that cuts part."""
flows = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=12)


def length(boxes: np.ndarray, flows: np.ndarray) -> float:
    middle = boxes[:, :2] + boxes[:, 2:] / 2
    return sum(float(w * np.abs(middle[int(a)] - middle[int(b)]).sum()) for a, b, w in flows)


def cut(sizes: list[tuple[int, int]], price: float) -> Layout | None:
    """A slicing floorplan of blocks that have one size each."""
    across, along = np.arange(ROOM[3] + 1), np.arange(ROOM[2] + 1)
    curves = [(np.where(across >= h, w, np.inf), np.where(along >= w, h, np.inf)) for w, h in sizes]
    made = Slicing(curves, np.ones(len(sizes) + 1), price)
    made.fill(lambda: True)
    if not made.fits(0, len(sizes), ROOM[2], ROOM[3]):
        return None
    layout = made.layout(0, len(sizes), ROOM[3])
    return Layout(layout.boxes + np.array([ROOM[0], ROOM[1], 0, 0]), layout.runs)


@settings(max_examples=80, deadline=None)
@given(sizes=sizes, ends=flows, price=st.sampled_from((0.01, 1.0, 100.0)))
def test_flows_only_shorten_and_blocks_stay_apart_in_their_room(
    sizes: list[tuple[int, int]], ends: list[tuple[int, int, int]], price: float
) -> None:
    layout = cut(sizes, price)
    assume(layout is not None)
    assert layout is not None
    wires = np.array([one for one in ends if max(one[:2]) < len(sizes) and one[0] != one[1]]).reshape(-1, 3)
    mended = mend(layout, np.array([ROOM] * len(sizes)), wires.astype(float))
    assert length(mended, wires) <= length(layout.boxes, wires) + 1e-9
    assert (mended[:, 2:] == layout.boxes[:, 2:]).all()
    taken = np.zeros((40, 40), dtype=int)
    for x, y, wide, high in mended.astype(int):
        assert ROOM[0] <= x <= x + wide <= ROOM[0] + ROOM[2]
        assert ROOM[1] <= y <= y + high <= ROOM[1] + ROOM[3]
        taken[y : y + high, x : x + wide] += 1
    assert taken.max() == 1


def test_a_block_slides_to_the_median_of_its_partners() -> None:
    boxes = np.array([[0, 0, 1, 1], [5, 0, 1, 1], [9, 0, 1, 1]], dtype=float)
    wires = np.array([[1, 0, 3.0], [1, 2, 1.0]])
    mended = mend(Layout(boxes, []), np.array([(0, 0, 10, 1)] * 3), wires)
    assert length(mended, wires) == 4, "as close as they can be: one hop to each"


def test_a_run_is_mirrored_where_that_is_shorter() -> None:
    boxes = np.array([[0, 0, 2, 1], [2, 0, 2, 1], [4, 0, 6, 1]], dtype=float)
    wires = np.array([[0, 2, 1.0]])
    mended = mend(Layout(boxes, [(0, 2)]), np.array([(0, 0, 10, 1)] * 3), wires)
    assert mended[:, 0].tolist() == [2, 0, 4]
