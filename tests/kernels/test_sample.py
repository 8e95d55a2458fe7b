import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tests.kernels.running import BACKENDS, REDUCTIONS, Running
from wse_emu.errors import WseError
from wse_emu.kernels.sample import argmax, sample
from wse_emu.program import Body, Builder, Layout


def argmax_body(n: int, rows: int, cols: int, algorithm: str) -> Body:
    b = Builder("argmax", rows, cols, reduce=algorithm)
    return b.build(argmax(b, b.input("logits", (n,), Layout(("x",)))))


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=80, deadline=None)
@given(
    logits=st.lists(st.sampled_from((-7.0, -3.0, -1.0)), min_size=1, max_size=40),
    rows=st.integers(1, 3),
    cols=st.integers(1, 12),
    algorithm=st.sampled_from(REDUCTIONS),
)
def test_the_lowest_of_the_best_tokens_is_chosen(
    backend: str, logits: list[float], rows: int, cols: int, algorithm: str
) -> None:
    """All are below the zeros of the padding."""
    body = argmax_body(len(logits), rows, cols, algorithm)
    (token,) = Running(backend, body)({"logits": np.array(logits, dtype=np.float32)})
    assert token.tolist() == [logits.index(max(logits))]


def test_the_lowest_of_the_best_tokens_is_chosen_on_jax() -> None:
    running = Running("jax", argmax_body(11, 2, 4, "tree"))
    for logits in ([-1.0] * 11, [-2.0] * 5 + [-1.0] * 6, [-2.0] * 10 + [-1.0]):
        (token,) = running({"logits": np.array(logits, dtype=np.float32)})
        assert token.tolist() == [logits.index(max(logits))]


def probabilities(logits: np.ndarray, temperature: float, top_k: int | None, top_p: float | None) -> dict[int, float]:
    """Token by token: softmax, the best k, then the best until their share reaches p."""
    ranked = sorted(range(logits.size), key=lambda token: (-logits[token], token))[:top_k]
    weight = {token: np.exp((float(logits[token]) - float(logits[ranked[0]])) / temperature) for token in ranked}
    total = sum(weight.values())
    kept: dict[int, float] = {}
    for token in ranked:
        if top_p is not None and sum(kept.values()) >= top_p * total:
            break
        kept[token] = weight[token]
    return {token: share / sum(kept.values()) for token, share in kept.items()}


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [
        (1.0, None, None),
        (0.5, None, None),
        (2.0, 4, None),
        (1.0, None, 0.6),
        (0.8, 6, 0.7),
        (1.5, 1, None),
        (1.0, 99, 1.0),
    ],
)
def test_draws_follow_the_distribution(temperature: float, top_k: int | None, top_p: float | None) -> None:
    logits = np.random.default_rng(3).standard_normal(12).astype(np.float32)
    generator = np.random.default_rng(11)
    draws = 4000
    counts = np.zeros(logits.size)
    for _ in range(draws):
        counts[sample(logits, generator, temperature=temperature, top_k=top_k, top_p=top_p)] += 1
    expected = probabilities(logits, temperature, top_k, top_p)
    assert set(np.flatnonzero(counts)) <= set(expected)
    tokens = list(expected)
    if len(tokens) > 1:
        share = np.array([expected[token] for token in tokens])
        assert chisquare(counts[tokens], draws * share).pvalue > 1e-3
    else:
        assert counts[tokens[0]] == draws


@settings(max_examples=60, deadline=None)
@given(
    logits=st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=20),
    temperature=st.sampled_from((1e-3, 0.7, 1.0, 5.0)),
    top_k=st.none() | st.integers(1, 25),
    top_p=st.none() | st.floats(0.05, 0.95),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_token_outside_the_limits_is_drawn(
    logits: list[float], temperature: float, top_k: int | None, top_p: float | None, seed: int
) -> None:
    array = np.array(logits, dtype=np.float32)
    allowed = set(probabilities(array, temperature, top_k, None if top_p is None else top_p + 1e-9))
    generator = np.random.default_rng(seed)
    drawn = {sample(array, generator, temperature=temperature, top_k=top_k, top_p=top_p) for _ in range(20)}
    assert drawn <= allowed
    np.testing.assert_array_equal(array, np.array(logits, dtype=np.float32))


def test_equal_seeds_draw_equal_tokens() -> None:
    logits = np.zeros(1000, dtype=np.float32)

    def draw(seed: int) -> list[int]:
        generator = np.random.default_rng(seed)
        return [sample(logits, generator, temperature=1.0, top_k=None, top_p=None) for _ in range(10)]

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_a_smallest_share_keeps_the_best_token() -> None:
    logits = np.array([1.0, 5.0, 2.0], dtype=np.float32)
    generator = np.random.default_rng(0)
    assert {sample(logits, generator, temperature=1.0, top_k=None, top_p=1e-9) for _ in range(50)} == {1}


def test_a_tiny_temperature_draws_the_best_token_and_overflows_nowhere() -> None:
    logits = np.array([-3e4, 3e4, 2.9e4], dtype=np.float32)
    assert sample(logits, np.random.default_rng(0), temperature=1e-6, top_k=None, top_p=None) == 1


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "message"),
    [
        (0.0, None, None, "temperature 0: sampling needs one above 0; 0 decodes greedily"),
        (-1.5, None, None, "temperature -1.5: sampling needs one above 0"),
        (float("nan"), None, None, "temperature nan: sampling needs one above 0"),
        (1.0, 0, None, "top-k 0: at least 1 works"),
        (1.0, None, 0.0, r"top-p 0: above 0 and up to 1 works"),
        (1.0, None, 1.5, r"top-p 1.5: above 0 and up to 1 works"),
        (1.0, None, float("nan"), "top-p nan: above 0"),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    temperature: float, top_k: int | None, top_p: float | None, message: str
) -> None:
    with pytest.raises(WseError, match=message):
        sample(np.zeros(3), np.random.default_rng(0), temperature=temperature, top_k=top_k, top_p=top_p)


def test_an_infinite_temperature_draws_evenly() -> None:
    generator = np.random.default_rng(0)
    logits = np.array([0.0, 50.0], dtype=np.float32)
    drawn = {sample(logits, generator, temperature=float("inf"), top_k=None, top_p=None) for _ in range(60)}
    assert drawn == {0, 1}
