import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.running import BACKENDS, Running, close, normal
from wse_emu.kernels.embed import embed, lm_head
from wse_emu.program import Body, Builder, Layout

TABLE = Layout(("x", "y"))


def tied_body(vocabulary: int, n: int, rows: int, cols: int) -> Body:
    """Embedding and head of one table."""
    b = Builder("ends", rows, cols, reduce="two_way")
    table = b.weight("embedding", (vocabulary, n), TABLE)
    hidden = embed(b, table, b.input("token", (1,), Layout((None,)), "int32"))
    return b.build(hidden, lm_head(b, table, hidden))


def check(backend: str, body: Body, tokens: list[int], seed: int) -> None:
    vocabulary, n = body.weights[0].shape
    table = normal(np.random.default_rng(seed), vocabulary, n)
    running = Running(backend, body, {"embedding": table.T})
    for token in tokens:
        hidden, logits = running({"token": np.array([token], dtype=np.int32)})
        np.testing.assert_array_equal(hidden, table[token])
        close(logits, table.astype(np.float64) @ table[token], 1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40, deadline=None)
@given(
    vocabulary=st.integers(1, 40),
    n=st.integers(1, 20),
    rows=st.integers(1, 9),
    cols=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_token_finds_its_row_and_the_head_its_product(  # noqa: PLR0917
    backend: str, vocabulary: int, n: int, rows: int, cols: int, seed: int
) -> None:
    tokens = sorted({0, vocabulary // 2, vocabulary - 1})
    check(backend, tied_body(vocabulary, n, rows, cols), tokens, seed)


def test_tokens_on_jax() -> None:
    check("jax", tied_body(23, 11, 3, 4), [0, 5, 6, 22], 0)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=30, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 30), st.integers(1, 12), st.integers(1, 20)),
    rows=st.integers(1, 7),
    cols=st.integers(1, 7),
    seed=st.integers(0, 2**32 - 1),
)
def test_positions_are_added_scaled_and_logits_capped(
    backend: str, sizes: tuple[int, int, int], rows: int, cols: int, seed: int
) -> None:
    (vocabulary, context, n), rng = sizes, np.random.default_rng(seed)
    table, places = normal(rng, vocabulary, n), normal(rng, context, n)
    b = Builder("ends", rows, cols, reduce="chain")
    held = b.weight("embedding", (vocabulary, n), TABLE)
    positions = b.weight("positions", (context, n), TABLE)
    hidden = embed(b, held, b.input("token", (1,), Layout((None,)), "int32"), positions, scale=1.5)
    running = Running(
        backend,
        b.build(hidden, lm_head(b, held, hidden, softcap=2.0)),
        {"embedding": table.T, "positions": places.T},
    )
    for position in {0, context // 2, context - 1}:
        token = int(rng.integers(vocabulary))
        row, logits = running({"token": np.array([token], dtype=np.int32)}, position)
        expected = (table[token].astype(np.float64) + places[position]) * 1.5
        close(row, expected)
        close(logits, 2 * np.tanh(table.astype(np.float64) @ expected / 2), 1e-5)
