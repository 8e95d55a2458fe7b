"""config.json of the families that differ from Llama by more than a flag, as their classes in transformers read it.

Defaults are those of transformers' configuration classes, which published files rely on.
"""

from collections.abc import Callable, Mapping

from wse_emu.errors import WseError
from wse_emu.models.config import ModelConfig
from wse_emu.models.fields import Fields
from wse_emu.models.hf_parts import even_share, read_activation, read_layers, read_window, read_windowed, refuse
from wse_emu.models.hf_rope import read_rope, read_scaling, rotated_elements
from wse_emu.models.rope import Rope

GEMMA3_VOCABULARY = 262_208


def _gpt2(fields: Fields) -> ModelConfig:
    refuse(fields, "scale_attn_by_inverse_layer_idx", "add_cross_attention")
    hidden, heads = fields.integer("n_embd"), fields.integer("n_head")
    return ModelConfig(
        family="gpt2",
        vocabulary=fields.integer("vocab_size"),
        hidden=hidden,
        layers=fields.integer("n_layer"),
        heads=heads,
        kv_heads=heads,
        head_dim=even_share(fields, "n_embd", "n_head"),
        intermediate=fields.integer("n_inner", 4 * hidden),
        context=fields.integer("n_positions"),
        norm_epsilon=fields.number("layer_norm_epsilon", 1e-5),
        rope=Rope(1.0, "half", rotated=0),
        tied_embeddings=fields.flag("tie_word_embeddings", default=True),
        attention_bias=True,
        output_bias=True,
        mlp_bias=True,
        norm="layer",
        activation=read_activation(fields, "activation_function", "gelu_new"),
        gated=False,
        learned_positions=True,
        attention_scale=None if fields.flag("scale_attn_weights", default=True) else 1.0,
    )


def _gpt_neox(fields: Fields) -> ModelConfig:
    heads = fields.integer("num_attention_heads")
    head_dim = even_share(fields, "hidden_size", "num_attention_heads")
    bias = fields.flag("attention_bias", default=True)
    rotated = rotated_elements(fields, head_dim, "rotary_pct", 0.25)
    return ModelConfig(
        family="gpt_neox",
        vocabulary=fields.integer("vocab_size"),
        hidden=fields.integer("hidden_size"),
        layers=fields.integer("num_hidden_layers"),
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        intermediate=fields.integer("intermediate_size"),
        context=fields.integer("max_position_embeddings"),
        norm_epsilon=fields.number("layer_norm_eps", 1e-5),
        rope=read_rope(fields, theta_key="rotary_emb_base", rotated=rotated),
        tied_embeddings=fields.flag("tie_word_embeddings", default=False),
        attention_bias=bias,
        output_bias=bias,
        mlp_bias=True,
        norm="layer",
        activation=read_activation(fields, "hidden_act", "gelu"),
        gated=False,
        parallel_residual=fields.flag("use_parallel_residual", default=True),
    )


def _phi3(fields: Fields) -> ModelConfig:
    refuse(fields, "attention_bias", "mlp_bias")
    heads, layers = fields.integer("num_attention_heads"), read_layers(fields)
    head_dim = even_share(fields, "hidden_size", "num_attention_heads")
    window = read_window(fields, None)
    return ModelConfig(
        family="phi3",
        vocabulary=fields.integer("vocab_size"),
        hidden=fields.integer("hidden_size"),
        layers=layers,
        heads=heads,
        kv_heads=fields.integer("num_key_value_heads", heads),
        head_dim=head_dim,
        intermediate=fields.integer("intermediate_size"),
        context=fields.integer("max_position_embeddings"),
        norm_epsilon=fields.number("rms_norm_eps", 1e-5),
        rope=read_rope(fields, rotated=rotated_elements(fields, head_dim, "partial_rotary_factor", 1.0)),
        tied_embeddings=fields.flag("tie_word_embeddings", default=False),
        activation=read_activation(fields, "hidden_act", "silu"),
        window=window,
        windowed=() if window is None else (True,) * layers,
    )


def _gemma2(fields: Fields) -> ModelConfig:
    return _gemma(
        fields,
        "gemma2",
        vocabulary=fields.integer("vocab_size"),
        context=fields.integer("max_position_embeddings"),
        pattern=2,
        rope=read_rope(fields),
        attention_softcap=_cap(fields, "attn_logit_softcapping", 50.0),
        logit_softcap=_cap(fields, "final_logit_softcapping", 30.0),
    )


def _gemma3(fields: Fields) -> ModelConfig:
    """`text_config` of a file for images and text leaves out most of what is as in transformers."""
    if fields.has("attn_logit_softcapping"):
        raise WseError(f"{fields.source}: attn_logit_softcapping is not supported in Gemma 3")
    return _gemma(
        fields,
        "gemma3_text",
        vocabulary=fields.integer("vocab_size", GEMMA3_VOCABULARY),
        context=fields.integer("max_position_embeddings", 131_072),
        pattern=fields.integer("sliding_window_pattern", 6),
        rope=_gemma3_rope(fields, "full_attention", "rope_theta", 1e6),
        local_rope=_gemma3_rope(fields, "sliding_attention", "rope_local_base_freq", 1e4),
        logit_softcap=_cap(fields, "final_logit_softcapping", None),
        qk_norm=True,
    )


def _gemma(
    fields: Fields,
    family: str,
    *,
    vocabulary: int,
    context: int,
    pattern: int,
    rope: Rope,
    local_rope: Rope | None = None,
    attention_softcap: float | None = None,
    logit_softcap: float | None = None,
    qk_norm: bool = False,
) -> ModelConfig:
    refuse(fields, "attention_bias", "use_bidirectional_attention")
    hidden, layers = fields.integer("hidden_size"), read_layers(fields)
    windowed = read_windowed(fields, layers, pattern)
    return ModelConfig(
        family=family,
        vocabulary=vocabulary,
        hidden=hidden,
        layers=layers,
        heads=fields.integer("num_attention_heads", 8),
        kv_heads=fields.integer("num_key_value_heads", 4),
        head_dim=fields.integer("head_dim", 256),
        intermediate=fields.integer("intermediate_size"),
        context=context,
        norm_epsilon=fields.number("rms_norm_eps", 1e-6),
        rope=rope,
        tied_embeddings=fields.flag("tie_word_embeddings", default=True),
        qk_norm=qk_norm,
        activation=read_activation(fields, "hidden_activation", "gelu_pytorch_tanh"),
        post_norms=True,
        embedding_scale=hidden**0.5,
        attention_scale=_positive(fields, "query_pre_attn_scalar", 256.0) ** -0.5,
        attention_softcap=attention_softcap,
        logit_softcap=logit_softcap,
        window=read_window(fields, 4096) if any(windowed) else None,
        windowed=windowed,
        local_rope=local_rope,
    )


def _gemma3_rope(fields: Fields, layers: str, theta_key: str, theta: float) -> Rope:
    """Of full or of sliding layers: an object each in `rope_parameters`; before transformers 5, `rope_scaling` is of
    full layers only.
    """
    parameters = fields.table("rope_parameters").table(layers)
    scaling = fields.table("rope_scaling") if layers == "full_attention" and fields.has("rope_scaling") else parameters
    found = parameters.number("rope_theta", fields.number(theta_key, theta))
    return Rope(found, "half", read_scaling(scaling, fields))


def _cap(fields: Fields, key: str, default: float | None) -> float | None:
    """As with the window."""
    return fields.number(key, default) if fields.values.get(key, default) is not None else None


def _positive(fields: Fields, key: str, default: float) -> float:
    value = fields.number(key, default)
    if value <= 0:
        raise WseError(f"{fields.source}: {key} must be above 0, got {value:g}")
    return value


READERS: Mapping[str, Callable[[Fields], ModelConfig]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "phi3": _phi3,
}
