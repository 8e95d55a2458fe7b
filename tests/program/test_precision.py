"""Precisions, rounding and quantisation, against bounds and arithmetic by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_emu.errors import WseError
from wse_emu.program.precision import (
    PRESETS,
    QUANTISED,
    Precision,
    dequantise,
    find_precision,
    quantise,
    round_to,
    stored_bytes,
)


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(sorted(QUANTISED)),
    group=st.sampled_from((1, 2, 5, 32, 64)),
    elements=st.integers(1, 70),
    exponent=st.integers(-9, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_weight_moves_by_more_than_half_its_scale(
    dtype: str, group: int, elements: int, exponent: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weights = (rng.standard_normal((2, elements, 3)) * 10.0**exponent).astype(np.float32)
    weights[rng.random(weights.shape) < 0.2] = 0
    integers, scales = quantise(weights, dtype, group)
    assert integers.dtype == np.int8
    assert scales.dtype == np.float16
    assert scales.shape == (2, -(-elements // group), 3)
    assert np.abs(integers.astype(int)).max() <= QUANTISED[dtype]
    restored = dequantise(integers, scales, group)
    for pe, place, out in np.ndindex(weights.shape):
        scale = float(scales[pe, place // group, out])
        assert float(restored[pe, place, out]) == int(integers[pe, place, out]) * scale
        # the division by the scale is rounded to float32 before the integer is chosen
        error = abs(float(weights[pe, place, out]) - float(restored[pe, place, out]))
        assert error <= scale / 2 * (1 + QUANTISED[dtype] * 2**-22)


def test_the_largest_weight_of_a_group_keeps_its_size_and_a_group_of_zeros_stays_zero() -> None:
    weights = np.array([[[1.0], [-7.0], [0.0], [0.0]]], dtype=np.float32)
    integers, scales = quantise(weights, "int4", 2)
    assert integers.ravel().tolist() == [1, -7, 0, 0]
    assert scales.ravel().tolist() == [1.0, 0.0]


def test_weights_beyond_float16_scales_are_refused() -> None:
    with pytest.raises(WseError, match=r"too large for int4 with float16 scales"):
        quantise(np.full((1, 1, 1), 1e6, dtype=np.float32), "int4", 32)


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(("float16", "bfloat16")),
    numbers=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8),
)
def test_rounding_takes_the_nearest_number(dtype: str, numbers: list[float]) -> None:
    epsilon, largest, least = (2.0**-10, 65504.0, 2.0**-24) if dtype == "float16" else (2.0**-7, 3.3895e38, 2.0**-133)
    got = round_to(np.array(numbers, dtype=np.float32), dtype).astype(np.float64)
    for number, rounded in zip(numbers, got, strict=True):
        step = max(2.0 ** math.floor(math.log2(abs(number))) * epsilon if number else 0.0, least)
        assert abs(rounded - number) <= step / 2 or (np.isinf(rounded) and abs(number) > largest)


def test_bytes_of_blocks_are_those_of_packed_bits_and_scales() -> None:
    assert stored_bytes("float32", 9, 0) == 36
    assert stored_bytes("bfloat16", 9, 0) == 18
    assert stored_bytes("int8", 9, 6) == 9 + 6 * 2
    assert stored_bytes("int4", 9, 6) == 5 + 6 * 2  # nine half bytes, padded up


@pytest.mark.parametrize(
    ("name", "expected"),
    [("float32", 4), ("float16", 2), ("bfloat16", 2), ("int8", 1 + 2 / 32), ("int4", 0.5 + 2 / 32)],
)
def test_presets_say_what_a_weight_takes(name: str, expected: float) -> None:
    assert float(PRESETS[name].weight_bytes) == expected
    assert PRESETS[name].activations == ("float16" if name.startswith("int") else name)
    assert find_precision(name) is PRESETS[name]


def test_what_is_no_precision_is_said() -> None:
    with pytest.raises(WseError, match=r"unknown precision 'fp8'; what works: float32, float16, bfloat16, int8, int4"):
        find_precision("fp8")
    with pytest.raises(WseError, match=r"activations in int8; float32, float16, bfloat16 work"):
        Precision("mine", "int8", "int8")
    with pytest.raises(WseError, match=r"weights in int2; float32, float16, bfloat16, int8, int4 work"):
        Precision("mine", "int2", "float16")
    with pytest.raises(WseError, match=r"int4 weights go with float16 activations alone"):
        Precision("mine", "int4", "bfloat16")
    with pytest.raises(WseError, match=r"groups of 0 weights; at least 1 works"):
        Precision("mine", "int4", "float16", 0)
