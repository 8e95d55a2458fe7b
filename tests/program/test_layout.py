"""Blocks: every element on exactly one PE, and back again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_emu.engines.backend import NumpyBackend
from wse_emu.errors import WseError
from wse_emu.program import Layout, from_blocks, to_blocks
from wse_emu.program.layout import grid

XP = NumpyBackend().xp


@st.composite
def laid_out(draw: st.DrawFn) -> tuple[tuple[int, ...], Layout, int, int]:
    """A shape, a layout for it and a region's rows and columns."""
    inner = draw(st.sampled_from([1, 2, 3, 4]))
    axes = ["y", "x.outer", "x.inner"] if inner > 1 else ["y", "x"]
    chosen = draw(st.lists(st.sampled_from([*axes, None]), min_size=1, max_size=4).filter(_each_axis_once))
    shape = tuple(draw(st.integers(1, 9)) for _ in chosen)
    return shape, Layout(tuple(chosen), inner), draw(st.integers(1, 7)), draw(st.integers(inner, 12))


def _each_axis_once(entries: list[str | None]) -> bool:
    named = [entry for entry in entries if entry]
    return len(named) == len(set(named))


@given(laid_out())
def test_blocks_give_the_tensor_back(case: tuple[tuple[int, ...], Layout, int, int]) -> None:
    shape, layout, rows, cols = case
    tensor = np.arange(1, np.prod(shape) + 1).reshape(shape)
    blocks = to_blocks(XP, tensor, layout, rows, cols)
    assert blocks.shape == (*grid(layout, shape, rows, cols), *layout.block(shape, rows, cols))
    assert blocks.shape[0] <= rows
    assert blocks.shape[1] * blocks.shape[2] <= cols
    assert np.array_equal(from_blocks(XP, blocks, shape, layout, rows, cols), tensor)


@given(laid_out())
def test_every_element_lies_on_one_pe_and_the_rest_is_padding(case: tuple[tuple[int, ...], Layout, int, int]) -> None:
    shape, layout, rows, cols = case
    tensor = np.arange(1, np.prod(shape) + 1).reshape(shape)
    blocks = to_blocks(XP, tensor, layout, rows, cols)
    assert sorted(blocks[blocks > 0].tolist()) == tensor.ravel().tolist()


def test_a_matrix_is_cut_like_a_checkerboard() -> None:
    blocks = to_blocks(XP, np.arange(12).reshape(3, 4), Layout(("y", "x")), 2, 2)
    assert blocks[0, 0, 0].tolist() == [[0, 1], [4, 5]]
    assert blocks[1, 1, 0].tolist() == [[10, 11], [0, 0]]


def test_a_factored_axis_takes_groups_of_neighbours() -> None:
    blocks = to_blocks(XP, np.arange(8).reshape(2, 4), Layout(("x.outer", "x.inner"), inner=2), 1, 5)
    assert blocks.shape == (1, 2, 2, 1, 2)
    assert blocks[0, 1, 0].tolist() == [[4, 5]]


@pytest.mark.parametrize(
    ("dims", "message"), [(("z",), "'z' is no mesh axis"), (("x", "x"), "at most"), (("x", "x.outer"), "at most")]
)
def test_layouts_that_make_no_sense_are_refused(dims: tuple[str, ...], message: str) -> None:
    with pytest.raises(WseError, match=message):
        Layout(dims)


def test_a_layout_of_another_rank_is_refused() -> None:
    with pytest.raises(WseError, match="has 1 dimensions, the tensor"):
        Layout(("x",)).block((2, 3), 4, 4)
