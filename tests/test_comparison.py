"""Two runs side by side, against arithmetic by hand and numpy's own neighbours."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wse_emu
from wse_emu.comparison import Run, compare, ulp_distance
from wse_emu.errors import WseError

TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32}


def floats(numbers: object) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)


@settings(max_examples=80, deadline=None)
@given(
    dtype=st.sampled_from(sorted(TYPES)),
    start=st.floats(-4, 4, width=16),
    steps=st.integers(0, 300),
    down=st.booleans(),
)
def test_ulps_are_steps_from_neighbour_to_neighbour(dtype: str, start: float, steps: int, down: bool) -> None:
    number = other = TYPES[dtype](start)
    for _ in range(steps):
        other = np.nextafter(other, TYPES[dtype](-np.inf if down else np.inf), dtype=TYPES[dtype])
    found = ulp_distance(np.array([number], np.float32), np.array([other], np.float32), dtype)
    assert found.tolist() == [steps]


def test_both_zeros_are_one_number_and_infinity_follows_the_largest() -> None:
    assert ulp_distance(floats([0.0]), floats([-0.0]), "float16").tolist() == [0]
    assert ulp_distance(floats([65504.0]), floats([np.inf]), "float16").tolist() == [1]
    assert ulp_distance(floats([1.0]), floats([-1.0]), "float16").tolist() == [2 * 0x3C00]


def test_figures_by_hand() -> None:
    reference = Run([2, 0], floats([[3.0, 4.0, 8.0], [1.0, 0.0, 0.0]]))
    other = Run([2, 0], floats([[4.0, 3.0, 8.0078125], [1.0, 0.0, 0.0]]), "float16")
    found = compare(reference, other)
    expected = (12 + 12 + 8 * 8.0078125) / (np.sqrt(9 + 16 + 64) * np.sqrt(16 + 9 + 8.0078125**2))
    assert found.cosines == pytest.approx((expected, 1.0), abs=1e-15)
    assert found.cosine == found.cosines[0]
    assert found.max_error == 1.0
    assert found.max_ulp == 512  # 3 to 4: half of the 1024 steps from 2 to 4
    assert found.chosen_ulp == 1  # 2^-7 at 8
    assert found.first_differing is None
    assert found.dtype == "float16"


def test_runs_are_compared_up_to_the_token_that_differs_and_beyond_it_only_if_forced() -> None:
    near, far = [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]], [[1.0, 2.0], [2.5, 2.0], [9.0, 2.0]]
    reference, other = Run([1, 1, 1], floats(near)), Run([1, 0, 0], floats(far))
    found = compare(reference, other)
    assert (found.first_differing, found.differing, len(found.cosines), found.max_error) == (1, 1, 2, 1.5)
    found = compare(reference, other, forced=True)
    assert (found.first_differing, found.differing, len(found.cosines), found.max_error) == (1, 2, 3, 8.0)


def test_numbers_that_overflowed_show() -> None:
    found = compare(Run([0], floats([[1.0, 2.0]])), Run([0], floats([[np.nan, 2.0]]), "float16"))
    assert np.isnan(found.cosine)
    assert np.isnan(found.max_error)
    assert found.max_ulp > 0x7C00 - 0x3C00  # beyond infinity


def test_runs_of_other_shapes_are_refused() -> None:
    with pytest.raises(WseError, match=r"logits \(1, 2\) and \(1, 3\)"):
        compare(Run([0], np.zeros((1, 2))), Run([0], np.zeros((1, 3))))
    with pytest.raises(WseError, match=r"a run of 2 tokens and 1 rows of logits"):
        compare(Run([0], np.zeros((1, 2))), Run([0, 1], np.zeros((1, 2))))


def test_results_of_a_decode_can_be_compared() -> None:
    model = wse_emu.load_model("tiny")
    runs = [wse_emu.map_model(model, shape=(12, 11), dtype=name).decode("I", 8) for name in ("float32", "float16")]
    found = wse_emu.compare(*runs)
    assert found.dtype == "float16"
    assert 0 < found.max_error < 0.1
    assert found.cosine > 0.99999
