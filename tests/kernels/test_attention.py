from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.running import BACKENDS, REDUCTIONS, Running, close, normal
from wse_emu.kernels.attention import attend, project
from wse_emu.program import Body, Builder, Layout


@dataclass(frozen=True)
class Shape:
    """``kv`` heads shared by ``repeat`` queries each, of 2 · ``half`` dimensions over ``inner`` columns."""

    kv: int
    repeat: int
    half: int
    rows: int
    cols: int
    inner: int
    pairing: str = "half"
    softcap: float | None = None
    window: int | None = None

    @property
    def pairs(self) -> tuple[int, int]:
        return (2, self.half) if self.pairing == "half" else (self.half, 2)

    @property
    def scale(self) -> float:
        return float((2 * self.half) ** -0.5)

    def body(self, positions: int, algorithm: str) -> Body:
        dims = (None, "x.inner") if self.pairing == "half" else ("x.inner", None)
        heads, cached = Layout(("x.outer", None, *dims), self.inner), Layout(("y", "x.outer", *dims), self.inner)
        b = Builder("attention", self.rows, self.cols, reduce=algorithm)
        query = b.input("query", (self.kv, self.repeat, *self.pairs), heads)
        key, value = (b.input(name, (self.kv, 1, *self.pairs), heads) for name in ("key", "value"))
        keys, values = (b.state(name, (positions, self.kv, *self.pairs), cached) for name in ("keys", "values"))
        b.append(keys, key)
        b.append(values, value)
        return b.build(attend(b, query, keys, values, scale=self.scale, softcap=self.softcap, window=self.window))

    def token(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        shapes = {"query": self.repeat, "key": 1, "value": 1}
        return {name: normal(rng, self.kv, heads, *self.pairs) for name, heads in shapes.items()}


def expected(shape: Shape, tokens: list[dict[str, np.ndarray]]) -> np.ndarray:
    """softmax(q Kᵀ / √d) V of the last token, head by head, in float64; soft-capped, and over the window alone."""
    tokens = tokens if shape.window is None else tokens[-shape.window :]
    out = np.zeros((shape.kv, shape.repeat, 2 * shape.half))
    for head in range(shape.kv):
        keys = np.array([t["key"][head].ravel() for t in tokens], dtype=np.float64)
        values = np.array([t["value"][head].ravel() for t in tokens], dtype=np.float64)
        for query in range(shape.repeat):
            scores = keys @ tokens[-1]["query"][head, query].ravel() / np.sqrt(2 * shape.half)
            scores = scores if shape.softcap is None else shape.softcap * np.tanh(scores / shape.softcap)
            weights = np.exp(scores - scores.max())
            out[head, query] = weights @ values / weights.sum()
    return out.reshape(shape.kv, shape.repeat, *shape.pairs)


def decode(backend: str, shape: Shape, algorithm: str, tokens: int, spare: int, seed: int) -> None:  # noqa: PLR0917
    """Fill the cache token by token, and check every one."""
    rng = np.random.default_rng(seed)
    running = Running(backend, shape.body(tokens + spare, algorithm))
    seen: list[dict[str, np.ndarray]] = []
    for position in range(tokens):
        seen.append(shape.token(rng))
        (mixed,) = running(seen[-1], position)
        close(mixed, expected(shape, seen), 1e-5)


shapes = st.builds(
    lambda kv, repeat, half, rows, outer, inner, spare, pairing, softcap, window: Shape(
        kv, repeat, half, rows, outer * inner + min(spare, inner - 1), inner, pairing, softcap, window
    ),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 3),
    st.sampled_from(("half", "adjacent")),
    st.sampled_from((None, 0.5, 20.0)),
    st.one_of(st.none(), st.integers(1, 9)),
)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40, deadline=None)
@given(
    shape=shapes,
    algorithm=st.sampled_from(REDUCTIONS),
    tokens=st.integers(1, 15),
    spare=st.integers(0, 7),
    seed=st.integers(0, 2**32 - 1),
)
def test_attention_over_a_cache_filled_token_by_token(  # noqa: PLR0917
    backend: str, shape: Shape, algorithm: str, tokens: int, spare: int, seed: int
) -> None:
    decode(backend, shape, algorithm, tokens, spare, seed)


@pytest.mark.parametrize(
    "shape",
    [Shape(2, 3, 3, 3, 5, 2, "half"), Shape(3, 1, 2, 2, 2, 1, "adjacent"), Shape(1, 2, 8, 4, 1, 1, "half")],
)
def test_attention_on_jax(shape: Shape) -> None:
    decode("jax", shape, "two_way", 7, 2, 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("strength", [1e3, -1e3])
def test_scores_beyond_the_reach_of_exp_are_merged_safely(backend: str, strength: float) -> None:
    """One position scores ±10⁶ on its row: it takes all the weight, or none."""
    shape = Shape(1, 1, 2, 3, 2, 2)
    running = Running(backend, shape.body(8, "chain"))
    ones = np.ones((1, 1, 2, 2), dtype=np.float32)
    seen = []
    for position in range(8):
        key = ones * strength if position == 4 else ones * 0
        seen.append({"query": ones * 1000, "key": key, "value": ones * position})
        (mixed,) = running(seen[-1], position)
        close(mixed, expected(shape, seen))


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=20, deadline=None)
@given(shape=shapes, hidden=st.integers(1, 17), seed=st.integers(0, 2**32 - 1))
def test_heads_are_projected_onto_the_residual(backend: str, shape: Shape, hidden: int, seed: int) -> None:
    dims = (None, "x.inner") if shape.pairing == "half" else ("x.inner", None)
    b = Builder("project", shape.rows, shape.cols, reduce="two_phase")
    w = b.weight(
        "o", (hidden, shape.kv, shape.repeat, *shape.pairs), Layout(("y", "x.outer", None, *dims), shape.inner)
    )
    mixed = b.input("mixed", (shape.kv, shape.repeat, *shape.pairs), Layout(("x.outer", None, *dims), shape.inner))
    body = b.build(b.local("add", b.input("residual", (hidden,), Layout(("y",))), project(b, w, mixed)))
    rng = np.random.default_rng(seed)
    heads, before = normal(rng, shape.kv, shape.repeat, *shape.pairs), normal(rng, hidden)
    matrix = normal(rng, heads.size, hidden)
    (y,) = Running(backend, body, {"o": matrix})({"mixed": heads, "residual": before})
    close(y, before + heads.ravel().astype(np.float64) @ matrix, 1e-5)
