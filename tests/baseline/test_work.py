"""What models ask of a GPU: against published sizes, and experts against a plain draw."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.baseline.shapes import LLAMA_7B, LLAMA_8B, LLAMA_70B, MIXTRAL, SMOLLM2
from wse_emu.baseline import ModelWork, model_work
from wse_emu.baseline.work import Cache, Experts
from wse_emu.errors import WseError
from wse_emu.models.config import ModelConfig

GPT2 = replace(
    SMOLLM2, family="gpt2", norm="layer", activation="gelu_tanh", gated=False, mlp_bias=True, output_bias=True,
    attention_bias=True, learned_positions=True, kv_heads=9,
)  # fmt: skip
GEMMA2 = replace(SMOLLM2, family="gemma2", post_norms=True, window=512, windowed=(True, False) * 15)


@pytest.mark.parametrize("config", [LLAMA_7B, LLAMA_8B, LLAMA_70B, SMOLLM2, GPT2, GEMMA2])
def test_dense_models_keep_their_parameters(config: ModelConfig) -> None:
    work = model_work(config)
    unread = config.context * config.hidden * config.learned_positions
    unread += 0 if config.tied_embeddings else config.vocabulary * config.hidden
    assert work.parameters == config.parameters
    assert work.read_parameters() == work.read_parameters(64) == config.parameters - unread


def test_windowed_layers_keep_their_window() -> None:
    positions = [sum(cache.numbers * cache.positions(n) for cache in model_work(GEMMA2).caches) for n in (500, 2000)]
    assert positions == [2 * 3 * 64 * 30 * 500, 2 * 3 * 64 * (15 * 2000 + 15 * 512)]


def test_bytes_that_gpt_fast_prints() -> None:
    """gb_s_per_gpu / tok_s of Llama-3.1-8B in bf16, one GPU: gpu_decode_bs1.csv."""
    assert 2 * model_work(LLAMA_8B).read_parameters() / 1e9 == pytest.approx(1408.37 / 93.83, rel=1e-3)


def test_mixtral_has_the_published_totals() -> None:
    """46.7 billion parameters, of which a token uses 12.9 (its authors); an embedding row beside them is not read."""
    work = model_work(MIXTRAL, experts=(8, 2))
    assert work.parameters / 1e9 == pytest.approx(46.7, abs=0.05)
    assert (work.read_parameters(1) + work.embedding_parameters) / 1e9 == pytest.approx(12.9, abs=0.05)


def test_experts_that_a_shape_knows_are_taken_apart() -> None:
    """Eight of 3 · 64 · 48 parameters in two of three layers, of which a token sees two."""
    sizes = {"vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 3, "head_dim": 16, "intermediate_size": 200}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128}
    mixed = {"moe_intermediate_size": 48, "num_experts": 8, "num_experts_per_tok": 2, "mlp_only_layers": [0]}
    config = ModelConfig.from_hf({"model_type": "qwen3_moe", **sizes, **heads, **mixed})
    work = model_work(config)
    assert work.experts == Experts(8, 2, 3 * 64 * 48, 2)
    assert work.parameters == config.parameters
    assert work.read_parameters(1) == config.parameters - 2 * 6 * 3 * 64 * 48 - 6400, "but for the table of embeddings"
    assert config.experts is not None
    every = replace(config, experts=replace(config.experts, active=8))
    assert model_work(every).experts is None, "every token goes through all of them"


@pytest.mark.parametrize(("total", "active", "tokens"), [(8, 2, 3), (64, 6, 20), (5, 5, 2), (16, 1, 16)])
def test_experts_read_are_those_of_a_draw(total: int, active: int, tokens: int) -> None:
    rng = np.random.default_rng(0)
    seen = [
        len({e for _ in range(tokens) for e in rng.choice(total, active, replace=False).tolist()}) for _ in range(2000)
    ]
    assert Experts(total, active, 1, 1).read(tokens) == pytest.approx(np.mean(seen), rel=0.02)


@given(total=st.integers(1, 512), share=st.floats(0, 1), tokens=st.integers(1, 10_000))
def test_more_tokens_read_more_experts_up_to_all(total: int, share: float, tokens: int) -> None:
    active = max(1, round(share * total))
    experts = Experts(total, active, 1.0, 1)
    assert experts.read(1) == pytest.approx(active)
    assert active * (1 - 1e-9) <= experts.read(tokens) <= experts.read(tokens + 1) <= total * (1 + 1e-9)
    assert experts.read(10**6) == pytest.approx(total)


@pytest.mark.parametrize(("window", "length"), [(None, 7), (3, 7), (10, 7), (1, 1), (1, 5)])
def test_positions_that_a_causal_prefill_sees(window: int | None, length: int) -> None:
    seen = [min(i, window or length) for i in range(1, length + 1)]
    cache = Cache(1, 1, window=window)
    assert cache.mean_positions(length) == pytest.approx(np.mean(seen))
    assert cache.positions(length) == seen[-1]


@pytest.mark.parametrize(
    "sizes", [(0, 1, 1.0, 1), (9, 8, 1.0, 1), (2, 8, 0.0, 1), (2, 8, 1.0, 0), (2, 8, float("nan"), 1)]
)
def test_experts_that_there_cannot_be(sizes: tuple[int, int, float, int]) -> None:
    active, total, parameters, layers = sizes
    with pytest.raises(WseError, match="from 1 active up to all of them"):
        Experts(total, active, parameters, layers)


@pytest.mark.parametrize("sizes", [(0, 8, 1.0), (1, 0, 1.0), (1, 8, -1.0), (1, 8, 0.0), (1, 8, float("inf"))])
def test_workloads_that_there_cannot_be(sizes: tuple[int, int, float]) -> None:
    layers, hidden, parameters = sizes
    with pytest.raises(WseError, match="layers and hidden from 1 work"):
        ModelWork("mine", layers, hidden, parameters, 0, 0)
