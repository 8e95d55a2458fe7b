"""Hugging Face config.json → `ModelConfig`, refusing what the decoder would get wrong."""

from collections.abc import Mapping
from typing import Any

from wse_emu.errors import WseError
from wse_emu.models.config import FAMILIES, ModelConfig
from wse_emu.models.fields import Fields
from wse_emu.models.hf_experts import MOE_READERS
from wse_emu.models.hf_families import READERS
from wse_emu.models.hf_rope import read_rope
from wse_emu.models.rope import Rope

QWEN3_HEAD_DIM = 128  # transformers' Qwen3Config, where config.json leaves it out


def read_hf_config(data: Mapping[str, Any], source: str = "config.json") -> ModelConfig:
    """Keys that transformers requires are required here; see `ModelConfig.from_hf`."""
    fields = Fields(data, source)
    family = fields.text("model_type")
    if family == "gemma3" and fields.has("text_config"):  # with images; the decoder of text is an object of its own
        fields, family = fields.table("text_config"), "gemma3_text"
    if family not in FAMILIES:
        raise WseError(f"{source}: model_type {family!r} is not supported; supported: {', '.join(FAMILIES)}")
    if data.get("quantization_config") is not None:
        raise WseError(f"{source}: quantised safetensors are not supported; use float16, bfloat16, float32 or GGUF")
    readers = {**READERS, **MOE_READERS}
    return readers[family](fields) if family in readers else _read_llama(fields, family)


def _read_llama(fields: Fields, family: str) -> ModelConfig:
    """Llama and the Qwen models that differ from it by a flag."""
    _refuse_unsupported(fields)
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    return ModelConfig(
        family=family,
        vocabulary=fields.integer("vocab_size"),
        hidden=hidden,
        layers=fields.integer("num_hidden_layers"),
        heads=heads,
        kv_heads=fields.integer("num_key_value_heads", heads),
        head_dim=_head_dim(fields, family, hidden, heads),
        intermediate=fields.integer("intermediate_size"),
        context=fields.integer("max_position_embeddings"),
        norm_epsilon=fields.number("rms_norm_eps"),
        rope=_rope(fields),
        tied_embeddings=fields.flag("tie_word_embeddings", default=False),
        attention_bias=family == "qwen2",
        qk_norm=family == "qwen3",
    )


def _head_dim(fields: Fields, family: str, hidden: int, heads: int) -> int:
    if fields.has("head_dim"):
        return fields.integer("head_dim")
    if family == "qwen3":
        return QWEN3_HEAD_DIM
    if heads < 1 or hidden % heads:
        raise WseError(
            f"{fields.source}: hidden_size {hidden} is not a multiple of num_attention_heads {heads}, and head_dim is "
            "not given"
        )
    return hidden // heads


def _refuse_unsupported(fields: Fields) -> None:
    """What would change the numbers and is not built; qwen2's q, k, v biases need no flag."""
    if fields.flag("attention_bias", default=False):
        raise WseError(f"{fields.source}: attention_bias (a bias on the attention's output) is not supported")
    if fields.flag("mlp_bias", default=False):
        raise WseError(f"{fields.source}: mlp_bias is not supported")
    if fields.flag("use_sliding_window", default=False):
        raise WseError(f"{fields.source}: sliding-window attention (use_sliding_window) is not supported")
    windowed = set(fields.values.get("layer_types") or ()) - {"full_attention"}
    if windowed:
        raise WseError(
            f"{fields.source}: layer_types {sorted(map(str, windowed))} are not supported; only full_attention"
        )
    activation = fields.text("hidden_act", "silu")
    if activation != "silu":
        raise WseError(f"{fields.source}: hidden_act {activation!r} is not supported; only silu")


def _rope(fields: Fields) -> Rope:
    for table in (fields, fields.table("rope_parameters")):
        if table.number("partial_rotary_factor", 1.0) != 1.0:
            raise WseError(f"{table.source}: partial_rotary_factor is not supported; heads must rotate whole")
    return read_rope(fields)
