"""Shifts along both axes at once, under local work: both engines, and the numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.running import Running, normal
from wse_emu.engines.assembly import assemble_body
from wse_emu.engines.timing import BodyClock
from wse_emu.engines.wavelet import Machine
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import load_wafer
from wse_emu.program import Body, Builder, Layout

BLOCKS = Layout(("y", "x", None))


def exchange(rows: int, cols: int, words: dict[str, int], distance: int, tasks: int) -> Body:
    """``words`` by axis walk one place, while every PE is busy with ``tasks``."""
    b = Builder("exchange", rows, cols)
    values = {axis: b.input(axis, (rows, cols, count), BLOCKS) for axis, count in words.items()}
    with b.overlap():
        moved = [b.shift(value, axis=axis, distance=distance) for axis, value in values.items()]  # type: ignore[arg-type]
        b.control(tasks=tasks)
    return b.build(*moved)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 7),
    cols=st.integers(1, 7),
    words=st.dictionaries(st.sampled_from(("x", "y")), st.integers(1, 30), min_size=1),
    distance=st.sampled_from((-1, 1)),
    tasks=st.integers(0, 2),
    wafer=st.sampled_from(("wse2", "wse3")),
    seam=st.booleans(),
)
def test_timing_is_never_too_early_and_late_by_few_cycles(  # noqa: PLR0917
    rows: int, cols: int, words: dict[str, int], distance: int, tasks: int, wafer: str, seam: bool
) -> None:
    """One stream a PE is exact, and so are two where an interval and a hop take a cycle each.

    Else a PE may be done earlier, never later: by two cycles of turns, and by a seam that one stream alone crosses.
    """
    spec = load_wafer(wafer)
    if seam:
        spec = replace(spec, seam_cycles=18, row_seams=(1, 4), column_seams=(3,))
    body = exchange(rows, cols, words, distance, tasks)
    start = np.zeros((rows, cols), dtype=np.int64)
    found = Machine(assemble_body(body, spec), start).run()
    expected = BodyClock(spec, body, start, 1)
    expected.run()
    np.testing.assert_array_equal(found.links, expected.links)
    assert found.left_over == 0
    late = found.clock - (expected.clock + expected.offset)
    exact = len(words) == 1 or 1 in {rows, cols} or (wafer == "wse2" and not seam)
    assert late.max() <= 0, late
    assert late.min() >= (0 if exact else -2 - seam * spec.seam_cycles), late


def test_the_numbers_are_those_of_shifts_one_after_another() -> None:
    rng = np.random.default_rng(3)
    x, y = normal(rng, 4, 5, 3), normal(rng, 4, 5, 2)
    together = Running("numpy", exchange(4, 5, {"x": 3, "y": 2}, 1, 1))({"x": x, "y": y})
    for axis, held, got in (("x", x, together[0]), ("y", y, together[1])):
        b = Builder("shift", 4, 5)
        value = b.input("v", held.shape, BLOCKS)
        (alone,) = Running("numpy", b.build(b.shift(value, axis=axis)))({"v": held})  # type: ignore[arg-type]
        np.testing.assert_array_equal(got, alone)


def test_what_cannot_overlap_is_refused() -> None:
    b = Builder("wrong", 4, 4)
    value = b.input("v", (4, 4, 2), BLOCKS)
    with (
        pytest.raises(WseError, match="body wrong: shifts overlap that go one place, each along another axis"),
        b.overlap(),
    ):
        b.shift(value, axis="x", distance=2)
    with pytest.raises(WseError, match="each along another axis"), b.overlap():
        _ = b.shift(value, axis="x"), b.shift(value, axis="x")
    with pytest.raises(WseError, match="shifts and local work can overlap"), b.overlap():
        b.all_reduce(value, axis="x", algorithm="chain")
    with pytest.raises(WseError, match="shifts and local work can overlap"), b.overlap():
        b.local("add", value, value)
    with pytest.raises(WseError, match=r"body wrong: %\d+ is read beside the step that yields it"), b.overlap():
        b.local("add", b.shift(value, axis="x"), value)
