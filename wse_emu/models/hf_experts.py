"""config.json of the families with experts, as their classes in transformers read it, with the defaults of these."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from wse_emu.errors import WseError
from wse_emu.models.config import ModelConfig
from wse_emu.models.experts import Experts
from wse_emu.models.fields import Fields
from wse_emu.models.hf_parts import even_share, read_activation, read_layers, read_window, read_windowed, refuse
from wse_emu.models.hf_rope import read_rope
from wse_emu.models.latent import Latent
from wse_emu.models.rope import Rope, RopeScaling

GPT_OSS_ROPE = RopeScaling("yarn", 32.0, original_context=4096, whole_pairs=False, magnitude=1.3465735902799727)
"""Where config.json says nothing; its magnitude is 0.1 · ln(factor) + 1."""


def _mixtral(fields: Fields) -> ModelConfig:
    """Its `sliding_window`, where there is one, holds for all layers."""
    layers, window = read_layers(fields), read_window(fields, None)
    return ModelConfig(
        family="mixtral",
        layers=layers,
        **_sizes(fields),
        norm_epsilon=fields.number("rms_norm_eps", 1e-5),
        rope=read_rope(fields, theta=1e6),
        window=window,
        windowed=() if window is None else (True,) * layers,
        experts=Experts(_count(fields, 8), fields.integer("num_experts_per_tok", 2), _intermediate(fields)),
    )


def _qwen2_moe(fields: Fields) -> ModelConfig:
    layers = read_layers(fields)
    _refuse_windows(fields, layers)
    return ModelConfig(
        family="qwen2_moe",
        layers=layers,
        **_sizes(fields, kv_heads=16),
        norm_epsilon=fields.number("rms_norm_eps", 1e-6),
        rope=read_rope(fields),
        attention_bias=fields.flag("qkv_bias", default=True),
        experts=Experts(
            _count(fields, 60),
            fields.integer("num_experts_per_tok", 4),
            fields.integer("moe_intermediate_size", 1408),
            norm_topk=fields.flag("norm_topk_prob", default=False),
            shared_intermediate=fields.integer("shared_expert_intermediate_size", 5632),
            shared_gate=True,
        ),
        sparse=_sparse(fields, layers),
    )


def _qwen3_moe(fields: Fields) -> ModelConfig:
    layers = read_layers(fields)
    refuse(fields, "attention_bias")
    _refuse_windows(fields, layers)
    return ModelConfig(
        family="qwen3_moe",
        layers=layers,
        **_sizes(fields, kv_heads=4),
        norm_epsilon=fields.number("rms_norm_eps", 1e-6),
        rope=read_rope(fields),
        qk_norm=True,
        experts=Experts(
            _count(fields, 128),
            fields.integer("num_experts_per_tok", 8),
            fields.integer("moe_intermediate_size", 768),
            norm_topk=fields.flag("norm_topk_prob", default=False),
        ),
        sparse=_sparse(fields, layers),
    )


def _olmoe(fields: Fields) -> ModelConfig:
    refuse(fields, "attention_bias")
    if fields.has("clip_qkv"):
        raise WseError(f"{fields.source}: clip_qkv is not supported; null works")
    return ModelConfig(
        family="olmoe",
        layers=read_layers(fields),
        **_sizes(fields),
        norm_epsilon=fields.number("rms_norm_eps", 1e-5),
        rope=read_rope(fields),
        wide_qk_norm=True,
        experts=Experts(
            _count(fields, 64),
            fields.integer("num_experts_per_tok", 8),
            _intermediate(fields),
            norm_topk=fields.flag("norm_topk_prob", default=False),
        ),
    )


def _gpt_oss(fields: Fields) -> ModelConfig:
    layers = read_layers(fields)
    bias, windowed = fields.flag("attention_bias", default=True), read_windowed(fields, layers, 2)
    return ModelConfig(
        family="gpt_oss",
        layers=layers,
        **_sizes(fields, head_dim=64),
        norm_epsilon=fields.number("rms_norm_eps", 1e-5),
        rope=_gpt_oss_rope(fields),
        attention_bias=bias,
        output_bias=bias,
        attention_sinks=True,
        window=read_window(fields, 128) if any(windowed) else None,
        windowed=windowed,
        experts=Experts(
            _count(fields, 128),
            fields.integer("num_experts_per_tok", 4),
            _intermediate(fields),
            bias=True,
            clamp=fields.number("swiglu_limit", 7.0),
            alpha=fields.number("swiglu_alpha", 1.702),
        ),
    )


def _deepseek_v3(fields: Fields) -> ModelConfig:
    """By its shape: its router's sigmoids and groups of experts are charged as a softmax over all experts is."""
    layers = read_layers(fields)
    refuse(fields, "attention_bias")
    latent = Latent(
        fields.integer("q_lora_rank", 1536),
        fields.integer("kv_lora_rank", 512),
        fields.integer("qk_nope_head_dim", 128),
        fields.integer("qk_rope_head_dim", 64),
        fields.integer("v_head_dim", 128),
    )
    dense, inner = fields.integer("first_k_dense_replace", 3), fields.integer("moe_intermediate_size", 2048)
    return ModelConfig(
        family="deepseek_v3",
        layers=layers,
        **_sizes(fields, kv_heads=128) | {"head_dim": latent.nope + latent.rope},
        norm_epsilon=fields.number("rms_norm_eps", 1e-6),
        rope=replace(read_rope(fields), rotated=latent.rope),
        latent=latent,
        experts=Experts(
            fields.integer("n_routed_experts", 256),
            fields.integer("num_experts_per_tok", 8),
            inner,
            norm_topk=fields.flag("norm_topk_prob", default=True),
            shared_intermediate=fields.integer("n_shared_experts", 1) * inner,
        ),
        sparse=tuple(layer >= dense for layer in range(layers)),
    )


def _gpt_oss_rope(fields: Fields) -> Rope:
    stated = fields.has("rope_parameters") or fields.has("rope_scaling")
    found = read_rope(fields, theta=150_000.0)
    return found if stated else Rope(found.theta, found.pairing, GPT_OSS_ROPE)


def _sizes(fields: Fields, *, kv_heads: int | None = None, head_dim: int | None = None) -> dict[str, Any]:
    """What all of them write alike; ``kv_heads`` and ``head_dim`` where the family has a default for them."""
    heads = fields.integer("num_attention_heads")
    return {
        "vocabulary": fields.integer("vocab_size"),
        "hidden": fields.integer("hidden_size"),
        "heads": heads,
        "kv_heads": fields.integer("num_key_value_heads", heads if kv_heads is None else kv_heads),
        "head_dim": _head_dim(fields, head_dim),
        "intermediate": _intermediate(fields),
        "context": fields.integer("max_position_embeddings"),
        "tied_embeddings": fields.flag("tie_word_embeddings", default=False),
        "activation": read_activation(fields, "hidden_act", "silu"),
    }


def _head_dim(fields: Fields, default: int | None) -> int:
    if fields.has("head_dim") or default is not None:
        return fields.integer("head_dim", default)
    return even_share(fields, "hidden_size", "num_attention_heads")


def _intermediate(fields: Fields) -> int:
    return fields.integer("intermediate_size")


def _count(fields: Fields, default: int) -> int:
    """How many experts there are: both names are in use, since transformers takes either."""
    named = {key: fields.integer(key) for key in ("num_experts", "num_local_experts") if fields.has(key)}
    if len(set(named.values())) > 1:
        raise WseError(f"{fields.source}: num_experts and num_local_experts contradict each other: {named}")
    return next(iter(named.values()), default)


def _sparse(fields: Fields, layers: int) -> tuple[bool, ...]:
    """Which layers have experts: every `decoder_sparse_step`-th but those of `mlp_only_layers`; () for all."""
    step, plain = fields.integer("decoder_sparse_step", 1), fields.values.get("mlp_only_layers") or ()
    if step < 1:
        raise WseError(f"{fields.source}: decoder_sparse_step {step}: at least 1 works")
    if not isinstance(plain, list | tuple) or any(type(layer) is not int for layer in plain):
        raise WseError(f"{fields.source}: mlp_only_layers must list numbers of layers, got {repr(plain)[:60]}")
    if step == 1 and not plain:
        return ()
    held = set(plain)
    return tuple(layer not in held and (layer + 1) % step == 0 for layer in range(layers))


def _refuse_windows(fields: Fields, layers: int) -> None:
    """`sliding_window` itself counts for nothing without the flag."""
    refuse(fields, "use_sliding_window")
    if any(read_windowed(fields, layers, 1)):
        raise WseError(f"{fields.source}: sliding_attention in layer_types is not supported; only full_attention")


MOE_READERS: Mapping[str, Callable[[Fields], ModelConfig]] = {
    "mixtral": _mixtral,
    "qwen2_moe": _qwen2_moe,
    "qwen3_moe": _qwen3_moe,
    "olmoe": _olmoe,
    "gpt_oss": _gpt_oss,
    "deepseek_v3": _deepseek_v3,
}
