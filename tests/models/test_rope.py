from typing import Any

import numpy as np
import pytest

from wse_emu.errors import WseError
from wse_emu.models import Rope, RopeScaling

LLAMA3 = RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)


def test_frequencies_fall_from_one_by_equal_ratios() -> None:
    frequencies = Rope(10_000.0, "half").inverse_frequencies(64)
    assert frequencies.shape == (32,)
    assert frequencies.dtype == np.float64
    assert frequencies[0] == 1.0
    np.testing.assert_allclose(frequencies[1:] / frequencies[:-1], 10_000.0 ** (-2 / 64), rtol=1e-14)


def test_linear_scaling_divides_every_frequency() -> None:
    plain, scaled = Rope(1e4, "half"), Rope(1e4, "half", RopeScaling("linear", 4.0))
    np.testing.assert_array_equal(scaled.inverse_frequencies(32) * 4, plain.inverse_frequencies(32))


def test_llama3_scaling_keeps_fast_pairs_and_slows_slow_ones() -> None:
    plain = Rope(500_000.0, "half").inverse_frequencies(128)
    ratio = plain / Rope(500_000.0, "half", LLAMA3).inverse_frequencies(128)
    wavelength = 2 * np.pi / plain
    np.testing.assert_allclose(ratio[wavelength < 8192 / 4], 1.0)
    np.testing.assert_allclose(ratio[wavelength > 8192], 8.0)
    assert (np.diff(ratio) >= -1e-12).all()


def test_factors_say_what_llama3_scaling_computes() -> None:
    plain = Rope(500_000.0, "adjacent").inverse_frequencies(128)
    expected = Rope(500_000.0, "adjacent", LLAMA3).inverse_frequencies(128)
    by_factor = RopeScaling("factors", factors=tuple((plain / expected).tolist()))
    np.testing.assert_allclose(Rope(500_000.0, "adjacent", by_factor).inverse_frequencies(128), expected, rtol=1e-14)
    with pytest.raises(WseError, match="64 factors, the heads have 32 pairs"):
        Rope(500_000.0, "adjacent", by_factor).inverse_frequencies(64)


@pytest.mark.parametrize("scaling", [{"factor": 0.0}, {"factor": np.nan}, {"low_frequency_factor": 4.0}])
def test_scaling_that_divides_by_nothing_is_refused(scaling: dict[str, Any]) -> None:
    with pytest.raises(WseError, match="rope scaling 'llama3'"):
        RopeScaling("llama3", **scaling)


def test_pairs_that_do_not_rotate_come_last_and_stand_still() -> None:
    found = Rope(1e4, "half", rotated=8).inverse_frequencies(20)
    np.testing.assert_array_equal(found[:4], Rope(1e4, "half").inverse_frequencies(8))
    assert not found[4:].any()
    assert Rope(1e4, "half", rotated=0).inverse_frequencies(6).tolist() == [0, 0, 0]


def test_the_order_of_pairs_puts_a_rotated_pair_half_a_head_apart() -> None:
    order = Rope(1e4, "half", rotated=4).pair_order(10)
    assert order.tolist() == [0, 1, 4, 5, 6, 2, 3, 7, 8, 9]
    for rope in (Rope(1e4, "half"), Rope(1e4, "adjacent", rotated=4)):
        assert rope.pair_order(10).tolist() == list(range(10))


def test_more_than_a_head_cannot_rotate_nor_half_a_pair() -> None:
    with pytest.raises(WseError, match="rotates 12 elements of a head, which has 10"):
        Rope(1e4, "half", rotated=12).inverse_frequencies(10)
    with pytest.raises(WseError, match="rotates pairs: 3 elements"):
        Rope(1e4, "half", rotated=3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["linear", "llama3"])
def test_scaled_frequencies_are_those_of_transformers(kind: str) -> None:
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    functions = pytest.importorskip("transformers.modeling_rope_utils").ROPE_INIT_FUNCTIONS
    parameters = {"rope_type": kind, "rope_theta": 500_000.0, "factor": 8.0}
    if kind == "llama3":
        parameters |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    config = transformers.LlamaConfig(
        hidden_size=256, num_attention_heads=2, max_position_embeddings=131072, rope_parameters=parameters
    )
    expected, _ = functions[kind](config, device="cpu")
    scaling = LLAMA3 if kind == "llama3" else RopeScaling("linear", 8.0)
    found = Rope(500_000.0, "half", scaling).inverse_frequencies(128)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)
