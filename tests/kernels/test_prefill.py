"""A prefill by GEMMs leaves what the decode leaves token by token: keys, values, and the last token's logits."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.running import engine
from tests.oracle import random_models
from wse_emu.decode import Session, map_model
from wse_emu.engines.assembly import assemble_body
from wse_emu.engines.estimate import Estimator
from wse_emu.engines.timing import BodyClock
from wse_emu.engines.wavelet import Machine
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import load_wafer
from wse_emu.kernels.decoder import Style
from wse_emu.kernels.prefill import Chunk, prefill_layer
from wse_emu.kernels.prefill_tiles import hidden_of, hidden_tiles
from wse_emu.mappings.plan import Request
from wse_emu.mappings.prefill import plan_prefill
from wse_emu.models import Model, load_model
from wse_emu.prefill import Prefill, Prefilled, cache_blocks
from wse_emu.program import Body

SPEC = load_wafer("wse3")
POSITIONS = 24
IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2]


@cache
def model(name: str) -> Model:
    with TemporaryDirectory() as folder:
        loaded = load_model(str(random_models.saved(random_models.make(name), Path(folder))))
        for key in loaded.weights:
            loaded.weights[key].sum()  # read before the folder goes
        return loaded


def request(name: str, dtype: str = "float32") -> Request:
    return Request(model(name).config, SPEC, POSITIONS, "chain", Estimator(SPEC), dtype=dtype)


def prefilled(name: str, ids: list[int], edge: int, backend: str = "numpy", dtype: str = "float32") -> Prefilled:
    plan = plan_prefill(request(name, dtype), len(ids), edge)
    return Prefill(model(name), plan, SPEC, engine(backend)).run(ids)


@cache
def stepped(name: str, count: int, dtype: str = "float32") -> tuple[Session, np.ndarray]:
    """The decode path, token by token: a session behind them, and the last token's logits."""
    session = map_model(model(name), positions=POSITIONS, dtype=dtype)
    for token in IDS[: count - 1]:
        session.step(token, head=False)
    logits = session.step(IDS[count - 1])
    assert logits is not None
    return session, logits


def logits_of(name: str, hidden: np.ndarray) -> np.ndarray:
    """Final norm and head, by their formulas."""
    held, x = model(name), hidden.astype(np.float64)
    config, weights = held.config, held.weights
    normed = x / np.sqrt((x * x).mean() + config.norm_epsilon) * weights["final_norm"]
    table = weights["embedding"].T if config.tied_embeddings else weights["lm_head"]
    return np.asarray(normed @ table)


def check(name: str, count: int, edge: int, *, backend: str = "numpy", dtype: str = "float32", most: float) -> None:
    session, logits = stepped(name, count, dtype)
    found = prefilled(name, IDS[:count], edge, backend, dtype)
    layers = [call for call in session.plan.program.calls if call.body.states]
    held = [states for states in session._states if states]
    for layer, states, caches in zip(layers, held, found.caches, strict=True):
        for state, tokens in zip(layer.body.states, caches, strict=True):
            expected = states[state.name].astype(np.float32)
            got = cache_blocks(state, tokens).astype(np.float32)
            assert np.abs(got - expected).max() <= most * np.abs(expected).max()
    got = logits_of(name, found.hidden[-1].astype(np.float32))
    assert np.abs(got - logits).max() <= most * np.abs(logits).max()
    assert got.argmax() == logits.argmax() or dtype != "float32"


@pytest.mark.parametrize("name", ["llama", "llama-3.1", "llama-linear", "qwen2", "qwen2-tied", "qwen3", "qwen3-tied"])
def test_keys_values_and_logits_are_those_of_the_decode(name: str) -> None:
    check(name, len(IDS), 5, most=2e-6)


@settings(max_examples=12, deadline=None)
@given(name=st.sampled_from(["llama", "qwen3"]), count=st.sampled_from((1, 7, 16)), edge=st.integers(4, 9))
def test_chunks_that_divide_nothing_leave_the_same(name: str, count: int, edge: int) -> None:
    check(name, count, edge, most=2e-6)


def test_any_library_with_the_array_api_leaves_the_same() -> None:
    check("qwen3", 13, 4, backend="strict", most=2e-6)


@pytest.mark.parametrize(("dtype", "most"), [("float16", 0.02), ("bfloat16", 0.15)])
def test_16_bits_leave_nearly_the_same(dtype: str, most: float) -> None:
    check("llama-tied", 13, 5, dtype=dtype, most=most)


@pytest.mark.parametrize("edge", [1, 2, 5])
def test_hidden_states_come_back_from_their_tiles(edge: int) -> None:
    chunk = Chunk(model("llama").config, edge, 7)
    hidden = np.arange(7 * chunk.config.hidden, dtype=np.float32).reshape(7, -1)
    np.testing.assert_array_equal(hidden_of(chunk, hidden_tiles(chunk, hidden)), hidden)


@pytest.mark.parametrize("edge", [1, 2, 3])
def test_a_layer_takes_the_cycles_of_the_wavelets(edge: int) -> None:
    """Overlapping streams may be done two cycles a step earlier than the model says; wavelets are the same."""
    config = replace(model("qwen3").config, hidden=10, heads=4, kv_heads=2, head_dim=6, intermediate=11)
    body = prefill_layer(Chunk(config, edge, 7), Style(reduce="chain"))
    start = np.zeros((edge, edge), dtype=np.int64)
    exact = Machine(assemble_body(body, SPEC), start).run()
    model_ = BodyClock(SPEC, body, start, 1)
    model_.run()
    np.testing.assert_array_equal(exact.links, model_.links)
    late = exact.clock - (model_.clock + model_.offset)
    assert late.max() <= 0
    assert late.min() >= -0.005 * int(exact.clock.max())


def test_the_square_is_the_fastest_that_fits() -> None:
    plan = plan_prefill(request("qwen2"), 17)
    assert plan.memory.fits
    for edge in (plan.chunk.edge - 1, plan.chunk.edge + 1):
        other = plan_prefill(request("qwen2"), 17, edge)
        assert _cycles(other.program.calls[1].body) >= 0.8 * _cycles(plan.program.calls[1].body)


def _cycles(body: Body) -> int:
    clock = BodyClock(SPEC, body, np.zeros((body.rows, body.cols), dtype=np.int64), 1)
    clock.run()
    return int(clock.clock.max()) + clock.offset


def test_what_cannot_be_prefilled_is_refused() -> None:
    with pytest.raises(WseError, match="a prefill of 0 tokens: at least 1 works"):
        plan_prefill(request("llama"), 0)
    with pytest.raises(WseError, match="a prefill of 25 tokens is longer than the cache of 24: fewer work"):
        plan_prefill(request("llama"), 25)
    with pytest.raises(WseError, match=r"needs 150,972 bytes on each of 1² PEs, 101,820 more than .*--prefill tokens"):
        plan_prefill(request("llama"), 13, 1)
    with pytest.raises(WseError, match="int8 works with --prefill tokens"):
        plan_prefill(request("llama", "int8"), 13)
    with pytest.raises(WseError, match=r"gpt2 has LayerNorm, .*learned positions, no rotation; --prefill tokens works"):
        plan_prefill(request("gpt2"), 13)
