"""Shapes by name: parameters as published, and one clear line for what is no model."""

import json
from pathlib import Path

import pytest

from wse_emu.errors import WseError
from wse_emu.models.known import known_names, known_source, load_config

PARAMETERS = {
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-405b": 405_853_388_800,
    "llama-2-13b": 13_015_864_320,
    "qwen2-72b": 72_706_203_648,
    "qwen3-32b": 32_762_123_264,
    "mixtral-8x7b": 46_702_792_704,
    "qwen3-235b-a22b": 235_093_634_560,
    "qwen3-30b-a3b": 30_532_122_624,
    "olmoe-1b-7b": 6_919_161_856,
    "gpt-oss-20b": 20_914_757_184,
    "gpt-oss-120b": 116_829_156_672,
    "deepseek-v3": 671_026_404_352,
}
"""Of the published safetensors files, as their model pages count them; of gpt-oss as its model card does."""
ACTIVE = {
    "mixtral-8x7b": 12.9,
    "qwen3-235b-a22b": 22,
    "qwen3-30b-a3b": 3.3,
    "olmoe-1b-7b": 1.3,
    "gpt-oss-20b": 3.61,
    "gpt-oss-120b": 5.13,
    "deepseek-v3": 37,
}
"""In 10⁹, as their model cards say. That of gpt-oss (arXiv 2508.10925, table 1) leaves out the embedding."""


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_known_shape_has_the_parameters_of_the_published_weights(name: str) -> None:
    assert load_config(name).parameters == PARAMETERS[name]
    assert "config.json" in known_source(name)


@pytest.mark.parametrize("name", ACTIVE)
def test_a_token_sees_the_published_number_of_parameters(name: str) -> None:
    config = load_config(name)
    unseen = config.vocabulary * config.hidden if name.startswith("gpt-oss") else 0
    assert (config.active_parameters - unseen) / 1e9 == pytest.approx(ACTIVE[name], rel=0.02)


def test_every_known_shape_is_checked() -> None:
    assert set(known_names()) == set(PARAMETERS)


def test_a_config_json_is_a_shape(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps(
            {
                "model_type": "llama",
                "vocab_size": 100,
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "max_position_embeddings": 64,
                "rms_norm_eps": 1e-5,
            }
        )
    )
    assert load_config(str(path)).layers == 2


def test_what_is_no_model_is_told_what_works(tmp_path: Path) -> None:
    with pytest.raises(WseError, match=r"no model 'llama-9': known shapes are llama-3.1-8b, .* or give a config.json"):
        load_config("llama-9")
    broken = tmp_path / "config.json"
    broken.write_text("{")
    with pytest.raises(WseError, match="damaged: its JSON does not parse"):
        load_config(str(broken))
