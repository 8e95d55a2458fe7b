"""Sizes and times of kernels: all shapes that no other beats, found by trying every argument."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mappings.placement.contest import Conv as Plain
from tests.mappings.placement.contest import convolutions, one_conv
from wse_emu.mappings.placement.convs import Conv, convs_of, shapes_of

ROOM = (40, 30)
Point = tuple[int, int, float]


def best_by_hand(convs: list[Plain], memory: float) -> set[Point]:
    """(width, height, time) that no other arguments equal or beat in all three, both ways round."""
    upright: set[Point] = set()
    for h, w in product(range(1, convs[0][0] + 1), range(1, convs[0][1] + 1)):
        beside: set[Point] = {(0, 0, 0.0)}
        for conv in convs:
            each = (one_conv(conv, h, w, *part) for part in product(range(1, conv[4] + 1), range(1, conv[5] + 1)))
            alone = unbeaten({(wide, high, time) for high, wide, time, held in each if held <= memory})
            beside = unbeaten({(a + b, max(c, d), max(t, u)) for a, c, t in beside for b, d, u in alone})
        upright |= beside
    both = upright | {(high, wide, time) for wide, high, time in upright}
    return unbeaten({one for one in both if one[0] <= ROOM[0] and one[1] <= ROOM[1]})


def unbeaten(points: set[Point]) -> set[Point]:
    return {a for a in points if not any(b != a and all(x <= y for x, y in zip(b, a, strict=True)) for b in points)}


def shapes(convs: tuple[Conv, ...], memory: int) -> set[Point]:
    return {(shape.width, shape.height, shape.cycles) for shape in shapes_of(convs, memory, ROOM)}


sizes = st.integers(1, 6)


@settings(max_examples=40, deadline=None)
@given(st.tuples(sizes, sizes, st.integers(1, 3), st.integers(1, 3), sizes, sizes, st.just(1)), st.integers(1, 600))
def test_a_convolution_has_all_shapes_that_none_beats(plain: Plain, memory: int) -> None:
    """However tight the memory, which knows the arguments themselves and not only how many parts they leave."""
    assert shapes((Conv(*plain),), memory) == best_by_hand([plain], memory)


@pytest.mark.parametrize("kind", ["dblock", "cblock"])
@pytest.mark.parametrize("memory", [40, 120, 4000])
@pytest.mark.parametrize(("h", "w", "f"), [(4, 3, 8), (2, 5, 12)])
def test_blocks_of_convolutions_have_all_shapes_that_none_beats(kind: str, memory: int, h: int, w: int, f: int) -> None:
    values = {"h": h, "w": w, "f": f}
    assert shapes(convs_of(kind, values), memory) == best_by_hand(convolutions(kind, values), memory)


def test_a_tight_memory_asks_for_arguments_between_the_divisors() -> None:
    """K = 6 in parts of 4: no faster than parts of 3, but what fits 13 bytes."""
    assert (2, 12, 8.0) in shapes((Conv(1, 1, 2, 2, 1, 6),), 13)
