"""config.json of the families with experts: defaults as in transformers, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle import random_models, reference
from wse_emu.errors import WseError
from wse_emu.models import ModelConfig, load_model
from wse_emu.models.config import LayerKind
from wse_emu.models.experts import Experts
from wse_emu.models.rope import RopeScaling

SIZES = {
    "vocab_size": 320,
    "hidden_size": 64,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "max_position_embeddings": 128,
}
FAMILIES = ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss")
OTHER_KEYS = (
    *("num_experts", "num_local_experts", "num_experts_per_tok", "moe_intermediate_size", "clip_qkv", "head_dim"),
    *("shared_expert_intermediate_size", "norm_topk_prob", "decoder_sparse_step", "mlp_only_layers", "swiglu_limit"),
    *("layer_types", "sliding_window", "use_sliding_window", "rope_scaling", "rope_parameters", "attention_bias"),
)


def read(family: str, **keys: Any) -> ModelConfig:
    return ModelConfig.from_hf({"model_type": family, **SIZES, **keys})


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_file_leaves_out_is_as_in_transformers(family: str) -> None:
    transformers = pytest.importorskip("transformers")
    theirs, ours = transformers.AutoConfig.for_model(family, **SIZES), read(family).experts
    assert ours is not None
    assert ours.count == getattr(theirs, "num_local_experts", None) or ours.count == theirs.num_experts
    assert ours.active == theirs.num_experts_per_tok
    assert ours.intermediate == getattr(theirs, "moe_intermediate_size", theirs.intermediate_size)
    assert ours.shared_intermediate == getattr(theirs, "shared_expert_intermediate_size", 0)
    assert ours.norm_topk == getattr(theirs, "norm_topk_prob", True)
    assert (ours.clamp, ours.alpha) == (getattr(theirs, "swiglu_limit", None), getattr(theirs, "swiglu_alpha", 1.0))
    assert read(family).norm_epsilon == theirs.rms_norm_eps


@pytest.mark.parametrize("family", ["qwen2_moe", "qwen3_moe"])
def test_layers_are_sparse_every_so_many_but_for_those_that_are_listed(family: str) -> None:
    sparse = read(family, decoder_sparse_step=2, mlp_only_layers=[3]).sparse
    assert [i for i, held in enumerate(sparse) if held] == [1, 5]
    assert read(family).kinds == (LayerKind(sparse=True),)
    mixed = read(family, mlp_only_layers=[0, 1])
    assert mixed.layers_by_kind == {LayerKind(): 2, LayerKind(sparse=True): 4}
    assert mixed.runs == ((LayerKind(), 2), (LayerKind(sparse=True), 4))
    assert mixed.heaviest == LayerKind(sparse=True)


def test_gpt_oss_slides_in_every_second_layer_and_stretches_by_yarn() -> None:
    config = read("gpt_oss")
    assert [config.kind(i).windowed for i in range(6)] == [True, False] * 3
    assert (config.window, config.head_dim, config.attention_sinks, config.output_bias) == (128, 64, True, True)
    yarn = RopeScaling("yarn", 32.0, original_context=4096, whole_pairs=False, magnitude=1.3465735902799727)
    assert config.rope.scaling == yarn
    stated = {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096, "truncate": False}
    assert read("gpt_oss", rope_scaling=stated).rope == config.rope
    assert read("gpt_oss", rope_theta=500.0).rope.theta == 500


def test_either_name_of_the_number_of_experts_is_read() -> None:
    for family in FAMILIES:
        for name in ("num_experts", "num_local_experts"):
            experts = read(family, num_experts_per_tok=2, **{name: 12}).experts
            assert experts is not None
            assert experts.count == 12


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 5}, "a token cannot see 5 of 4 experts"),
        ("mixtral", {"num_local_experts": 4, "num_experts": 5}, "num_experts and num_local_experts contradict"),
        ("mixtral", {"num_local_experts": 0}, "experts: count must be at least 1, got 0"),
        ("mixtral", {"hidden_size": None}, "key 'hidden_size' is missing"),
        ("mixtral", {"hidden_act": "relu"}, "hidden_act 'relu' is not supported"),
        ("mixtral", {"num_attention_heads": 5}, "hidden_size 64 is not a multiple of num_attention_heads 5"),
        ("qwen2_moe", {"use_sliding_window": True}, "use_sliding_window is not supported"),
        ("qwen2_moe", {"layer_types": ["sliding_attention"] * 6}, "sliding_attention in layer_types is not supported"),
        ("qwen2_moe", {"decoder_sparse_step": 0}, "decoder_sparse_step 0: at least 1 works"),
        ("qwen2_moe", {"mlp_only_layers": ["0"]}, "mlp_only_layers must list numbers of layers"),
        ("qwen3_moe", {"attention_bias": True}, "attention_bias is not supported"),
        ("qwen3_moe", {"quantization_config": {"bits": 4}}, "quantised safetensors are not supported"),
        ("olmoe", {"clip_qkv": 8.0}, "clip_qkv is not supported; null works"),
        ("gpt_oss", {"sliding_window": None}, "a window of at least 1 position, got None"),
        ("gpt_oss", {"swiglu_limit": -1.0}, "experts: clamp must be finite and above 0"),
        ("gpt_oss", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "key 'original_max_position_embeddings'"),
        ("gpt_oss", {"rope_theta": 1.0}, "rope scaling 'yarn' needs a theta above 1"),
    ],
)
def test_what_would_change_the_numbers_is_refused_in_one_line(
    family: str, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(WseError, match=message) as caught:
        read(family, **change)
    assert "\n" not in str(caught.value)


@given(st.sampled_from(FAMILIES), st.data())
def test_any_value_gives_a_config_or_one_clear_line(family: str, data: st.DataObject) -> None:
    odd = st.sampled_from([None, True, -1, 0, 1, 3, 10**15, 0.5, -2.5, "x", [], [1], ["x"], {}, {"rope_type": "yarn"}])
    names = st.sampled_from([*SIZES, *OTHER_KEYS])
    change = data.draw(st.dictionaries(names, odd, min_size=1, max_size=3))
    try:
        config = read(family, **change)
    except WseError as error:
        message = str(error)
    else:
        assert config.parameters >= config.active_parameters > 0
        return
    assert "\n" not in message


def test_parameters_of_experts_are_those_of_their_matrices() -> None:
    """By hand: 3 matrices of 10 × 4 for each, the router's 10 × 5, a shared one of 10 × 6 with a gate of 10."""
    experts = Experts(5, 2, 4, shared_intermediate=6, shared_gate=True)
    assert experts.parameters(10) == 5 * 120 + 50 + 180 + 10
    assert experts.parameters(10, active=True) == 2 * 120 + 50 + 180 + 10
    biased = Experts(5, 2, 4, bias=True)
    assert biased.parameters(10) == 5 * (120 + 4 + 4 + 10) + 50 + 5


DEEPSEEK = SIZES | {
    "model_type": "deepseek_v3",
    "first_k_dense_replace": 2,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "n_shared_experts": 2,
    "q_lora_rank": 20,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8,
    "v_head_dim": 10,
}


def test_deepseek_v3_has_the_parameters_and_the_cache_of_transformers(tmp_path: Path) -> None:
    """transformers counts a bias of the router's in a buffer; multi-token prediction is left out."""
    theirs = reference.transformers().AutoConfig.for_model(**DEEPSEEK, num_mtp_layers=0)
    model, config = reference.causal_model(theirs), ModelConfig.from_hf(DEEPSEEK)
    assert config.parameters == model.num_parameters()
    assert config.layers_by_kind == {LayerKind(): 2, LayerKind(sparse=True): 4}
    assert config.cache_width == 16 + 8
    assert config.experts is not None
    assert config.experts.shared_intermediate == 48
    with pytest.raises(WseError, match="deepseek_v3 is known by its shape alone: it can be estimated, not decoded"):
        load_model(str(random_models.saved(model, tmp_path)))


@pytest.mark.parametrize("key", ["kv_lora_rank", "qk_rope_head_dim", "v_head_dim"])
def test_latents_without_elements_are_refused(key: str) -> None:
    with pytest.raises(WseError, match=r"latent attention: .* must be at least 1, got 0"):
        ModelConfig.from_hf(DEEPSEEK | {key: 0})
