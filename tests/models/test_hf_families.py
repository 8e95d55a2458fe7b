"""config.json of the families beyond Llama's: sizes of published models, defaults, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wse_emu.errors import WseError
from wse_emu.models import ModelConfig, Rope, RopeScaling
from wse_emu.models.config import LayerKind

GPT2 = {"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024}
PYTHIA = {
    "model_type": "gpt_neox",
    "vocab_size": 50304,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 2048,
    "rotary_pct": 0.25,
}
GEMMA2 = {
    "model_type": "gemma2",
    "vocab_size": 256000,
    "hidden_size": 2304,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "intermediate_size": 9216,
    "max_position_embeddings": 8192,
}
GEMMA3 = {
    "model_type": "gemma3_text",
    "vocab_size": 262144,
    "hidden_size": 1152,
    "num_hidden_layers": 26,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "intermediate_size": 6912,
    "sliding_window": 512,
}
PHI3 = {
    "model_type": "phi3",
    "vocab_size": 32064,
    "hidden_size": 3072,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "intermediate_size": 8192,
    "max_position_embeddings": 4096,
    "sliding_window": 2047,
}
PUBLISHED = {
    "GPT-2": (GPT2, 124_439_808),
    "Pythia-160M": (PYTHIA, 162_322_944),
    "Gemma-2-2B": (GEMMA2, 2_614_341_888),
    "Gemma-3-1B": (GEMMA3, 999_885_952),
    "Phi-3-mini": (PHI3, 3_821_079_552),
}

OTHER_KEYS = (
    *("n_inner", "layer_norm_epsilon", "activation_function", "hidden_activation", "tie_word_embeddings"),
    *("rope_parameters", "rope_scaling", "rope_theta", "rotary_emb_base", "partial_rotary_factor", "head_dim"),
    *("layer_types", "sliding_window", "sliding_window_pattern", "query_pre_attn_scalar", "num_key_value_heads"),
    *("attn_logit_softcapping", "final_logit_softcapping", "max_position_embeddings", "rms_norm_eps"),
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_of_the_published_models(name: str) -> None:
    keys, published = PUBLISHED[name]
    assert ModelConfig.from_hf(keys).parameters == published


def test_gpt2_has_no_rotation_and_four_times_wider_an_mlp() -> None:
    config = ModelConfig.from_hf(GPT2)
    assert not config.rope.rotates
    assert config.learned_positions
    assert (config.intermediate, config.activation, config.norm) == (3072, "gelu_tanh", "layer")
    assert config.score_scale == 64**-0.5
    assert ModelConfig.from_hf(GPT2 | {"scale_attn_weights": False}).score_scale == 1


def test_gpt_neox_rotates_a_quarter_of_a_head_however_that_is_written() -> None:
    before = ModelConfig.from_hf(PYTHIA | {"rotary_emb_base": 500})
    since = ModelConfig.from_hf(
        {key: value for key, value in PYTHIA.items() if key != "rotary_pct"}
        | {"rope_parameters": {"rope_theta": 500.0, "rope_type": "default", "partial_rotary_factor": 0.25}}
    )
    assert before == since
    assert before.rope == Rope(500.0, "half", rotated=16)


def test_layers_of_gemma_slide_but_for_every_second_or_sixth() -> None:
    two, three = ModelConfig.from_hf(GEMMA2), ModelConfig.from_hf(GEMMA3)
    assert [i for i in range(26) if not two.kind(i).windowed] == list(range(1, 26, 2))
    assert [i for i in range(26) if not three.kind(i).windowed] == [5, 11, 17, 23]
    assert (two.window, three.window) == (4096, 512)
    assert two.kinds == three.kinds == (LayerKind(windowed=True), LayerKind())
    assert three.rope_of(LayerKind()).theta == 1e6
    assert three.rope_of(LayerKind(windowed=True)).theta == 1e4
    assert two.rope_of(LayerKind(windowed=True)) is two.rope


def test_soft_caps_are_gemma_2s_unless_they_are_null() -> None:
    config = ModelConfig.from_hf(GEMMA2)
    assert (config.attention_softcap, config.logit_softcap) == (50, 30)
    without = ModelConfig.from_hf(GEMMA2 | {"attn_logit_softcapping": None, "final_logit_softcapping": None})
    assert (without.attention_softcap, without.logit_softcap) == (None, None)
    assert ModelConfig.from_hf(GEMMA3).logit_softcap is None


def test_gemma_3_for_images_is_read_by_its_text_config() -> None:
    """As that of gemma-3-4b, which leaves out what is as in transformers."""
    text = {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    }
    config = ModelConfig.from_hf({"model_type": "gemma3", "text_config": text, "vision_config": {}})
    assert (config.vocabulary, config.heads, config.kv_heads, config.head_dim) == (262_208, 8, 4, 256)
    assert config.rope == Rope(1e6, "half", RopeScaling("linear", 8.0))
    assert config.local_rope == Rope(1e4, "half")  # only full layers were stretched


def test_every_layer_of_phi_3_slides_where_it_says_so() -> None:
    config = ModelConfig.from_hf(PHI3)
    assert config.kinds == (LayerKind(windowed=True),)
    assert ModelConfig.from_hf(PHI3 | {"sliding_window": None}).kinds == (LayerKind(),)


@pytest.mark.parametrize(
    ("keys", "activation"),
    [(GPT2, "gelu_tanh"), (PYTHIA, "gelu"), (GEMMA2, "gelu_tanh"), (GEMMA3, "gelu_tanh"), (PHI3, "silu")],
)
def test_activations_are_the_families_own(keys: dict[str, Any], activation: str) -> None:
    """Two forms of GELU differ by less than tokens show."""
    assert ModelConfig.from_hf(keys).activation == activation


@given(st.sampled_from([GPT2, PYTHIA, GEMMA2, GEMMA3, PHI3]), st.data())
def test_any_value_gives_a_config_or_one_clear_line(keys: dict[str, Any], data: st.DataObject) -> None:
    odd = st.sampled_from(
        [None, True, -1, 0, 1, 3, 10**15, 0.5, -2.5, float("nan"), "x", [], ["x"], {}, {"rope_type": 3}]
    )
    names = [*(key for key in keys if key != "model_type"), *OTHER_KEYS]
    change = data.draw(st.dictionaries(st.sampled_from(names), odd, min_size=1, max_size=3))
    try:
        ModelConfig.from_hf(keys | change)
    except WseError as error:
        message = str(error)
    else:
        return
    assert "\n" not in message


@pytest.mark.parametrize(
    ("keys", "change", "message"),
    [
        (GPT2, {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is not supported"),
        (GPT2, {"add_cross_attention": True}, "add_cross_attention is not supported"),
        (GPT2, {"activation_function": "relu"}, "activation_function 'relu' is not supported; supported: silu, gelu"),
        (GPT2, {"n_head": 7}, "n_embd 768 is not a multiple of n_head 7"),
        (GPT2, {"n_embd": None}, "key 'n_embd' is missing"),
        (PYTHIA, {"rotary_pct": 0.0}, "rotary_pct 0: above 0 and up to 1 works"),
        (PYTHIA, {"rotary_pct": 0.24}, "rope rotates pairs: 15 elements of a head cannot"),
        (PYTHIA, {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope scaling 'dynamic' is not supported"),
        (PYTHIA, {"quantization_config": {"bits": 4}}, "quantised safetensors are not supported"),
        (GEMMA2, {"use_bidirectional_attention": True}, "use_bidirectional_attention is not supported"),
        (GEMMA2, {"attention_bias": True}, "attention_bias is not supported"),
        (GEMMA2, {"layer_types": ["chunked_attention"] * 26}, "layer_types must list full_attention or sliding"),
        (GEMMA2, {"layer_types": ["full_attention", "sliding_attention"]}, "windowed says 2 layers, the model has 26"),
        (GEMMA2, {"sliding_window": 0}, "a window of at least 1 position, got 0"),
        (GEMMA2, {"sliding_window": None}, "a window of at least 1 position, got None"),
        (GEMMA2, {"attn_logit_softcapping": -1.0}, "attention_softcap must be finite and above 0"),
        (GEMMA2, {"query_pre_attn_scalar": 0}, "query_pre_attn_scalar must be above 0, got 0"),
        (GEMMA3, {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping is not supported in Gemma 3"),
        (GEMMA3, {"sliding_window_pattern": 0}, "sliding_window_pattern 0: at least 1 works"),
        (GEMMA3, {"num_hidden_layers": 10**12}, "num_hidden_layers 1000000000000: up to 10000 work"),
        (PHI3, {"rope_scaling": {"type": "longrope", "short_factor": [1.0]}}, "rope scaling 'longrope' is not"),
        (PHI3, {"attention_bias": True}, "attention_bias is not supported"),
    ],
)
def test_what_would_change_the_numbers_is_refused_in_one_line(
    keys: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(WseError, match=message) as caught:
        ModelConfig.from_hf(keys | change)
    assert "\n" not in str(caught.value)
