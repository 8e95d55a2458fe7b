"""Small seeded models of transformers, written as safetensors folders."""

import copy
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.oracle.reference import causal_model, transformers

_LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
# (model_type, hidden, layers, heads, kv heads, head_dim, intermediate, vocabulary, tied, rope scaling)
_SHAPES: Mapping[str, tuple[str, int, int, int, int, int, int, int, bool, dict[str, Any] | None]] = {
    "llama": ("llama", 50, 2, 5, 1, 10, 67, 97, False, None),
    "llama-tied": ("llama", 56, 3, 4, 2, 14, 101, 211, True, None),
    "llama-3.1": ("llama", 48, 2, 4, 4, 12, 90, 131, False, _LLAMA3),
    "llama-linear": ("llama", 60, 2, 6, 3, 10, 70, 113, True, {"rope_type": "linear", "factor": 2.5}),
    "qwen2": ("qwen2", 60, 2, 6, 2, 10, 83, 300, False, None),
    "qwen2-tied": ("qwen2", 70, 3, 5, 1, 14, 110, 149, True, None),
    "qwen3": ("qwen3", 54, 2, 4, 2, 14, 95, 257, False, None),
    "qwen3-tied": ("qwen3", 80, 3, 6, 3, 10, 73, 101, True, None),
}
_ENDS = {"bos_token_id": 0, "eos_token_id": 1}  # inside the small vocabularies
_COMMON = {"rms_norm_eps": 1e-6, "max_position_embeddings": 128}
_NEOX = _COMMON | {"hidden_size": 80, "num_hidden_layers": 3, "num_attention_heads": 5, "intermediate_size": 83}
_PHI3 = _NEOX | {"pad_token_id": 0} | _ENDS
_GEMMA = _COMMON | {
    "hidden_size": 52,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 14,
    "intermediate_size": 77,
    "query_pre_attn_scalar": 9,
    "sliding_window": 7,
}
_GPT2 = {"vocab_size": 97, "n_embd": 50, "n_layer": 2, "n_head": 5, "n_positions": 64} | _ENDS
_OTHERS: Mapping[str, dict[str, Any]] = {
    "gpt2": _GPT2,
    "gpt2-untied": _GPT2 | {"n_inner": 67, "tie_word_embeddings": False, "scale_attn_weights": False},
    "gpt_neox": _NEOX | {"vocab_size": 131},
    "gpt_neox-in-turn": _NEOX
    | {
        "vocab_size": 113,
        "use_parallel_residual": False,
        "attention_bias": False,
        "hidden_act": "gelu_new",
        "rope_parameters": {"rope_theta": 500.0, "partial_rotary_factor": 0.5, "rope_type": "default"},
    },
    "gemma3_text": _GEMMA | {"vocab_size": 149, "num_hidden_layers": 7},
    "gemma3_text-scaled": _GEMMA
    | {
        "vocab_size": 101,
        "num_hidden_layers": 3,
        "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
        "final_logit_softcapping": 4.0,
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 3.0, "rope_theta": 9000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
        },
    },
    "gemma2": _GEMMA
    | {"vocab_size": 127, "num_hidden_layers": 4, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
    "gemma2-uncapped": _GEMMA
    | {
        "vocab_size": 109,
        "num_hidden_layers": 2,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
        "hidden_activation": "gelu",
    },
    "phi3": _PHI3 | {"vocab_size": 103},
    "phi3-windowed": _PHI3
    | {
        "vocab_size": 107,
        "num_key_value_heads": 1,
        "sliding_window": 5,
        "partial_rotary_factor": 0.5,
        "tie_word_embeddings": True,
    },
}
_VARIED = 9
"""A seed with which every one of them writes at least five different tokens."""
_MOE = _COMMON | {
    "hidden_size": 52,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 14,
}
_EXPERTS: Mapping[str, dict[str, Any]] = {
    "mixtral": _MOE | {"vocab_size": 103, "intermediate_size": 37, "num_local_experts": 5, "sliding_window": 6} | _ENDS,
    "qwen2_moe": _MOE
    | {
        "vocab_size": 107,
        "num_hidden_layers": 4,
        "intermediate_size": 61,
        "moe_intermediate_size": 19,
        "shared_expert_intermediate_size": 31,
        "num_experts": 7,
        "num_experts_per_tok": 3,
        "mlp_only_layers": [1],
        "decoder_sparse_step": 2,
    },
    "qwen2_moe-normed": _MOE
    | {
        "vocab_size": 113,
        "intermediate_size": 61,
        "moe_intermediate_size": 23,
        "shared_expert_intermediate_size": 17,
        "num_experts": 6,
        "num_experts_per_tok": 6,
        "norm_topk_prob": True,
    },
    "qwen3_moe": _MOE
    | {
        "vocab_size": 109,
        "num_hidden_layers": 3,
        "intermediate_size": 41,
        "moe_intermediate_size": 21,
        "num_experts": 9,
        "num_experts_per_tok": 2,
        "norm_topk_prob": True,
        "mlp_only_layers": [0],
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 900.0,
            "factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    },
    "olmoe": _MOE
    | {"vocab_size": 101, "hidden_size": 56, "intermediate_size": 13, "num_experts": 8, "num_experts_per_tok": 4}
    | _ENDS,
    "gpt_oss": _MOE
    | {
        "vocab_size": 127,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "intermediate_size": 29,
        "num_local_experts": 5,
        "num_experts_per_tok": 3,
        "sliding_window": 5,
        "swiglu_limit": 0.9,
    },
}
NAMES = tuple(_SHAPES)
"""Names for ``make`` of models that differ from Llama by a flag; sizes that few grids divide."""
OTHERS = tuple(_OTHERS)
"""Names for ``make`` of the other families."""
MIXTURES = tuple(_EXPERTS)
"""Names for ``make`` of the families with experts."""


def make(name: str, seed: int = 0) -> Any:
    """A seeded model of ``NAMES``, ``OTHERS`` or ``MIXTURES`` in which every weight counts: all of them are random."""
    config = _llama_like(name) if name in _SHAPES else _other(name)
    import torch

    torch.manual_seed(zlib.crc32(name.encode()) + seed + (0 if name in _SHAPES else _VARIED))
    model = causal_model(config)
    for parameter_name, parameter in model.named_parameters():
        kinds = {"from_one": name.startswith("gemma"), "in_first": name.startswith("gpt_oss")}
        parameter.data = _random(torch, parameter_name, parameter.shape, **kinds)
    return model


def _llama_like(name: str) -> Any:
    family, hidden, layers, heads, kv_heads, head_dim, intermediate, vocabulary, tied, scaling = _SHAPES[name]
    return transformers().AutoConfig.for_model(
        family,
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        intermediate_size=intermediate,
        max_position_embeddings=128,
        rms_norm_eps=1e-6,
        tie_word_embeddings=tied,
        **({"rope_scaling": scaling} if scaling else {}),
    )


def _other(name: str) -> Any:
    family = name.partition("-")[0]
    return transformers().AutoConfig.for_model(family, **copy.deepcopy({**_OTHERS, **_EXPERTS}[name]))


def _random(torch: Any, name: str, shape: Any, *, from_one: bool = False, in_first: bool = False) -> Any:
    """Scales at which these models write text, where others soon repeat one token: a tied one its last.

    ``from_one`` says that the weights of norms are differences from 1.
    """
    values = torch.randn(shape)
    if name.endswith("bias"):
        return 0.5 * values
    if len(shape) == 1:
        return 0.2 * values + (0 if from_one else 1)
    if any(part in name for part in ("embed_", "wte", "wpe")):
        return 0.05 * values
    fan_in = shape[0] if ".c_" in name else shape[-1]  # GPT-2 stores (in, out)
    if len(shape) == 3 and in_first:  # the experts of gpt-oss
        fan_in = shape[1]
    return values * fan_in**-0.5 * (2 if "attn" in name or "attention" in name else 1)


def saved(model: Any, folder: Path, shard: str = "10GB") -> Path:
    """The folder, with the model in it as safetensors and config.json; a small ``shard``, as "20KB", splits it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder, max_shard_size=shard)
    return folder
