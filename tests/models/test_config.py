from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from wse_emu.errors import WseError
from wse_emu.models import ModelConfig

LLAMA_8B = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
}
QWEN2_HALF_B = LLAMA_8B | {
    "model_type": "qwen2",
    "vocab_size": 151936,
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "tie_word_embeddings": True,
}
QWEN3_SMALLEST = LLAMA_8B | {
    "model_type": "qwen3",
    "vocab_size": 151936,
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "intermediate_size": 3072,
    "tie_word_embeddings": True,
}


@pytest.mark.parametrize(
    ("keys", "published"),
    [(LLAMA_8B, 8_030_261_248), (QWEN2_HALF_B, 494_032_768), (QWEN3_SMALLEST, 596_049_920)],
    ids=["Llama-3.1-8B", "Qwen2-0.5B", "Qwen3-0.6B"],
)
def test_parameters_are_those_of_the_published_models(keys: dict[str, Any], published: int) -> None:
    assert ModelConfig.from_hf(keys).parameters == published


def test_config_survives_the_way_through_config_json(
    config: ModelConfig, hf_keys: Callable[[ModelConfig], dict[str, Any]]
) -> None:
    half = replace(config, rope=replace(config.rope, pairing="half"))
    assert ModelConfig.from_hf(hf_keys(half)) == half


@pytest.mark.parametrize(
    "key",
    [
        "model_type",
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "rms_norm_eps",
    ],
)
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(WseError, match=f"key '{key}' is missing"):
        ModelConfig.from_hf({name: value for name, value in LLAMA_8B.items() if name != key})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mamba"}, "model_type 'mamba' is not supported; supported: llama, qwen2, qwen3"),
        ({"num_key_value_heads": 5}, "32 heads cannot share 5"),
        ({"hidden_size": 4097}, "not a multiple of num_attention_heads"),
        ({"num_attention_heads": 0}, "not a multiple of num_attention_heads 0"),
        ({"head_dim": 63}, "head_dim 63 is odd"),
        ({"num_hidden_layers": 0}, "layers must be at least 1"),
        ({"vocab_size": "many"}, "'vocab_size' must be an integer, got 'many'"),
        ({"vocab_size": True}, "'vocab_size' must be an integer"),
        ({"rms_norm_eps": float("nan")}, "'rms_norm_eps' must be a finite number"),
        ({"rms_norm_eps": -1.0}, "norm_epsilon must be finite and not negative"),
        ({"tie_word_embeddings": "yes"}, "'tie_word_embeddings' must be true or false"),
        ({"rope_theta": -1.0}, "theta must be finite and above 0"),
        ({"rope_theta": 5.0, "rope_parameters": {"rope_theta": 6.0}}, "contradicts"),
        ({"rope_parameters": 3}, "'rope_parameters' must be an object"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 4.0}}, "rope scaling 'longrope' is not supported"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "key 'original_max_position_embeddings' is missing"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling: key 'factor' is missing"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor is not supported"),
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"use_sliding_window": True}, "sliding-window"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding_attention"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not supported"),
        ({"quantization_config": {"bits": 4}}, "quantised safetensors are not supported"),
    ],
)
def test_contradictions_and_unsupported_features_are_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WseError, match=message) as caught:
        ModelConfig.from_hf(LLAMA_8B | change)
    assert "\n" not in str(caught.value)


def test_both_ways_of_writing_rope_parameters_agree() -> None:
    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    before = ModelConfig.from_hf(LLAMA_8B | {"rope_scaling": scaling})
    since = ModelConfig.from_hf(
        {key: value for key, value in LLAMA_8B.items() if key != "rope_theta"}
        | {"rope_parameters": scaling | {"rope_theta": 500000.0}}
    )
    assert before == since
    assert before.rope.scaling is not None
    assert before.rope.scaling.kind == "llama3"


def test_heads_default_to_full_attention() -> None:
    keys = {key: value for key, value in LLAMA_8B.items() if key != "num_key_value_heads"}
    assert ModelConfig.from_hf(keys).kv_heads == 32
    assert ModelConfig.from_hf(QWEN3_SMALLEST).head_dim == 128  # not 1024 / 16


def test_an_unknown_family_is_refused(small: ModelConfig) -> None:
    with pytest.raises(WseError, match="unknown model family 'bloom'; supported: llama, qwen2, qwen3"):
        replace(small, family="bloom")
