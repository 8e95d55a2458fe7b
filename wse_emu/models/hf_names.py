"""How transformers names the tensors of each family."""

from collections.abc import Mapping
from dataclasses import replace

from wse_emu.models.weights import Fused, NameTable, StoredTensor

_LAYER = "model.layers.{layer}."
LLAMA = NameTable(
    {
        "embedding": "model.embed_tokens.weight",
        "attention_norm": f"{_LAYER}input_layernorm.weight",
        "q": f"{_LAYER}self_attn.q_proj.weight",
        "k": f"{_LAYER}self_attn.k_proj.weight",
        "v": f"{_LAYER}self_attn.v_proj.weight",
        "o": f"{_LAYER}self_attn.o_proj.weight",
        "q_bias": f"{_LAYER}self_attn.q_proj.bias",
        "k_bias": f"{_LAYER}self_attn.k_proj.bias",
        "v_bias": f"{_LAYER}self_attn.v_proj.bias",
        "q_norm": f"{_LAYER}self_attn.q_norm.weight",
        "k_norm": f"{_LAYER}self_attn.k_norm.weight",
        "mlp_norm": f"{_LAYER}post_attention_layernorm.weight",
        "gate": f"{_LAYER}mlp.gate_proj.weight",
        "up": f"{_LAYER}mlp.up_proj.weight",
        "down": f"{_LAYER}mlp.down_proj.weight",
        "final_norm": "model.norm.weight",
        "lm_head": "lm_head.weight",
    },
    transposed=True,
    ignored=("rotary_emb.inv_freq",),  # a table that old files carry; the config says the same
)

_H = "transformer.h.{layer}."
_QKV = ("q", "k", "v")


def _fused(*groups: tuple[str, ...], by_head: bool = False, in_turn: bool = False) -> dict[str, Fused]:
    return {part: Fused(group, by_head, in_turn) for group in groups for part in group}


def _with_bias(names: Mapping[str, str]) -> dict[str, str]:
    """The weights of ``names`` and their biases."""
    return {f"{part}{end}": f"{name}.{kind}" for part, name in names.items() for end, kind in _KINDS}


_KINDS = (("", "weight"), ("_bias", "bias"))
_QKV_AND_BIAS = (_QKV, tuple(f"{part}_bias" for part in _QKV))

GPT2 = NameTable(
    {
        "embedding": "transformer.wte.weight",
        "position_embedding": "transformer.wpe.weight",
        "lm_head": "lm_head.weight",
        **_with_bias(
            {
                "attention_norm": f"{_H}ln_1",
                **dict.fromkeys(_QKV, f"{_H}attn.c_attn"),
                "o": f"{_H}attn.c_proj",
                "mlp_norm": f"{_H}ln_2",
                "up": f"{_H}mlp.c_fc",
                "down": f"{_H}mlp.c_proj",
                "final_norm": "transformer.ln_f",
            }
        ),
    },
    transposed=False,
    ignored=(".attn.bias", ".attn.masked_bias"),  # the causal mask, which old files carry
    fused=_fused(*_QKV_AND_BIAS),
    turned=("lm_head",),
)

_NEOX = "gpt_neox.layers.{layer}."
GPT_NEOX = NameTable(
    {
        "embedding": "gpt_neox.embed_in.weight",
        "lm_head": "embed_out.weight",
        **_with_bias(
            {
                "attention_norm": f"{_NEOX}input_layernorm",
                **dict.fromkeys(_QKV, f"{_NEOX}attention.query_key_value"),
                "o": f"{_NEOX}attention.dense",
                "mlp_norm": f"{_NEOX}post_attention_layernorm",
                "up": f"{_NEOX}mlp.dense_h_to_4h",
                "down": f"{_NEOX}mlp.dense_4h_to_h",
                "final_norm": "gpt_neox.final_layer_norm",
            }
        ),
    },
    transposed=True,
    ignored=(".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq"),
    fused=_fused(*_QKV_AND_BIAS, by_head=True),
)

GEMMA = replace(
    LLAMA,
    names={
        **LLAMA.names,
        "attention_post_norm": f"{_LAYER}post_attention_layernorm.weight",
        "mlp_norm": f"{_LAYER}pre_feedforward_layernorm.weight",
        "mlp_post_norm": f"{_LAYER}post_feedforward_layernorm.weight",
    },
    norms_from_one=True,
)

PHI3 = replace(
    LLAMA,
    names={
        **LLAMA.names,
        **dict.fromkeys(_QKV, f"{_LAYER}self_attn.qkv_proj.weight"),
        **dict.fromkeys(("gate", "up"), f"{_LAYER}mlp.gate_up_proj.weight"),
    },
    fused=_fused(_QKV, ("gate", "up")),
)

_MLP = f"{_LAYER}mlp."
_EACH = f"{_MLP}experts.{{expert}}."
QWEN_MOE = replace(
    LLAMA,
    names={
        **LLAMA.names,
        "router": f"{_MLP}gate.weight",
        **{f"experts_{part}": f"{_EACH}{part}_proj.weight" for part in ("gate", "up", "down")},
        **{f"shared_{part}": f"{_MLP}shared_expert.{part}_proj.weight" for part in ("gate", "up", "down")},
        "shared_router": f"{_MLP}shared_expert_gate.weight",
    },
)

_SPARSE = f"{_LAYER}block_sparse_moe."
_EACH_SPARSE = f"{_SPARSE}experts.{{expert}}."
MIXTRAL = replace(
    LLAMA,
    names={
        **LLAMA.names,
        "router": f"{_SPARSE}gate.weight",
        "experts_gate": f"{_EACH_SPARSE}w1.weight",
        "experts_up": f"{_EACH_SPARSE}w3.weight",
        "experts_down": f"{_EACH_SPARSE}w2.weight",
    },
)

_GATE_UP = ("experts_gate", "experts_up")
_GATE_UP_BIAS = tuple(f"{part}_bias" for part in _GATE_UP)
GPT_OSS = replace(
    LLAMA,
    names={
        **LLAMA.names,
        "o_bias": f"{_LAYER}self_attn.o_proj.bias",
        "sinks": f"{_LAYER}self_attn.sinks",
        "router": f"{_MLP}router.weight",
        "router_bias": f"{_MLP}router.bias",
        **dict.fromkeys(_GATE_UP, f"{_MLP}experts.gate_up_proj"),
        **dict.fromkeys(_GATE_UP_BIAS, f"{_MLP}experts.gate_up_proj_bias"),
        "experts_down": f"{_MLP}experts.down_proj",
        "experts_down_bias": f"{_MLP}experts.down_proj_bias",
    },
    fused=_fused(_GATE_UP, _GATE_UP_BIAS, in_turn=True),
)

TABLES: Mapping[str, NameTable] = {
    "gpt2": GPT2,
    "gpt_neox": GPT_NEOX,
    "gemma2": GEMMA,
    "gemma3_text": GEMMA,
    "phi3": PHI3,
    "mixtral": MIXTRAL,
    "qwen2_moe": QWEN_MOE,
    "qwen3_moe": QWEN_MOE,
    "olmoe": QWEN_MOE,
    "gpt_oss": GPT_OSS,
}
"""The tables of families that differ from Llama's."""

_PREFIXES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "gpt2": tuple((f"{part}.", f"transformer.{part}.") for part in ("wte", "wpe", "h", "ln_f")),
    "gpt_neox": (("lm_head.", "embed_out."),),
    "gemma3_text": (
        ("model.language_model.", "model."),
        ("language_model.model.", "model."),
        ("language_model.lm_head.", "lm_head."),
    ),
}
"""Beginnings of names that files write in more than one way: (theirs, as the tables say)."""
_IMAGES = tuple(f"{front}{part}." for front in ("", "model.") for part in ("vision_tower", "multi_modal_projector"))


def named_as(family: str, tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """``tensors`` by the names that the family's table uses, without what reads images (Gemma 3)."""
    if family not in _PREFIXES:
        return dict(tensors)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(_IMAGES)}
    return {_renamed(name, _PREFIXES[family]): tensor for name, tensor in kept.items()}


def _renamed(name: str, prefixes: tuple[tuple[str, str], ...]) -> str:
    for theirs, ours in prefixes:
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name
