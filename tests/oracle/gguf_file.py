"""A GGUF file of the Llama family as transformers wants it, read with the gguf package alone."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.oracle.reference import halves

_LAYER_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OTHERS = {"token_embd.weight": "embed_tokens.weight", "output_norm.weight": "norm.weight"}


@lru_cache(maxsize=1)
def _reader(path: Path) -> Any:
    from gguf import GGUFReader

    return GGUFReader(path)


def _value(path: Path, key: str) -> Any:
    return _reader(path).get_field(key).contents()


def llama_settings(path: Path) -> dict[str, Any]:
    """Arguments of LlamaConfig; the tensor list decides whether the embedding is tied."""
    return {
        "vocab_size": len(_value(path, "tokenizer.ggml.tokens")),
        "hidden_size": _value(path, "llama.embedding_length"),
        "num_hidden_layers": _value(path, "llama.block_count"),
        "num_attention_heads": _value(path, "llama.attention.head_count"),
        "num_key_value_heads": _value(path, "llama.attention.head_count_kv"),
        "intermediate_size": _value(path, "llama.feed_forward_length"),
        "max_position_embeddings": _value(path, "llama.context_length"),
        "rms_norm_eps": _value(path, "llama.attention.layer_norm_rms_epsilon"),
        "rope_theta": _value(path, "llama.rope.freq_base"),
        "tie_word_embeddings": "output.weight" not in {tensor.name for tensor in _reader(path).tensors},
    }


def llama_tensors(path: Path, settings: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
    """Tensors dequantised, (out, in), by their names in transformers; rows of q and k back in Hugging Face's order."""
    from gguf.quants import dequantize

    heads = {"attn_q": settings["num_attention_heads"], "attn_k": settings["num_key_value_heads"]}
    tensors = {}
    for tensor in _reader(path).tensors:
        values = np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if tensor.name in _OTHERS:
            tensors[_OTHERS[tensor.name]] = values
            continue
        _, layer, part, _ = tensor.name.split(".")
        values = halves(values, heads[part]) if part in heads else values
        tensors[f"layers.{layer}.{_LAYER_PARTS[part]}.weight"] = values
    return tensors


@lru_cache(maxsize=1)
def bpe_tokenizer(path: Path) -> Any:
    """Byte-level BPE that takes digits one by one, as the tokenizer.json published with SmolLM2 says."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    tokens, kinds = _value(path, "tokenizer.ggml.tokens"), _value(path, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in _value(path, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    control = 3  # gguf.TokenType.CONTROL
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == control]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return tokenizer
