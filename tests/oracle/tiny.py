"""The model named `tiny` as two others decode it: transformers, with the same weights, and the glassllm package."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.oracle.reference import Decoded, causal_model, greedy, halves, load_tensors, transformers

TOKENS = 64
PROMPTS: Mapping[str, str] = {
    "story": "Once upon a time there was a",
    "unknown": "The café cost 42 €",  # letters that the vocabulary lacks
    "one": "I",
}


@lru_cache(maxsize=1)
def glassllm() -> tuple[Any, Any]:
    """The model and tokenizer of the glassllm package, English."""
    loaded: tuple[Any, Any] = pytest.importorskip("glassllm").load_pretrained("en")
    return loaded


def prompt_ids(name: str) -> list[int]:
    """Ids of a prompt of ``PROMPTS`` by glassllm's own tokenizer."""
    ids: list[int] = glassllm()[1].encode(PROMPTS[name])
    return ids


@lru_cache(maxsize=1)
def model() -> Any:
    """glassllm's English weights in a LlamaForCausalLM: (in, out) turned, adjacent pairs made halves."""
    ours = glassllm()[0]
    cfg = ours.cfg
    arrays = {name: parameter.data for name, parameter in ours.named_parameters().items()}
    made = causal_model(
        transformers().LlamaConfig(
            vocab_size=cfg.vocab_size,
            hidden_size=cfg.d_model,
            num_hidden_layers=cfg.n_layers,
            num_attention_heads=cfg.n_heads,
            num_key_value_heads=cfg.n_kv_heads,
            intermediate_size=arrays["blocks.0.ffn.W1"].shape[1],
            max_position_embeddings=cfg.max_len,
            rms_norm_eps=cfg.eps,
            rope_theta=cfg.rope_base,
            tie_word_embeddings=True,
        )
    )
    tensors = {"embed_tokens.weight": arrays["E"], "norm.weight": arrays["norm_f.gamma"]}
    for layer in range(cfg.n_layers):
        tensors |= _layer(arrays, layer, cfg)
    load_tensors(made, tensors, "model.")
    return made


def _layer(arrays: Mapping[str, NDArray[np.float32]], layer: int, cfg: Any) -> dict[str, NDArray[np.float32]]:
    theirs, ours = f"layers.{layer}.", f"blocks.{layer}."
    return {
        theirs + "input_layernorm.weight": arrays[ours + "norm1.gamma"],
        theirs + "self_attn.q_proj.weight": halves(arrays[ours + "attn.W_Q"].T, cfg.n_heads),
        theirs + "self_attn.k_proj.weight": halves(arrays[ours + "attn.W_K"].T, cfg.n_kv_heads),
        theirs + "self_attn.v_proj.weight": arrays[ours + "attn.W_V"].T,
        theirs + "self_attn.o_proj.weight": arrays[ours + "attn.W_O"].T,
        theirs + "post_attention_layernorm.weight": arrays[ours + "norm2.gamma"],
        theirs + "mlp.gate_proj.weight": arrays[ours + "ffn.W1"].T,
        theirs + "mlp.up_proj.weight": arrays[ours + "ffn.W3"].T,
        theirs + "mlp.down_proj.weight": arrays[ours + "ffn.W2"].T,
    }


@lru_cache(maxsize=len(PROMPTS))
def decoded(name: str) -> Decoded:
    """64 greedy tokens of `tiny` after a prompt of ``PROMPTS``."""
    return greedy(model(), prompt_ids(name), TOKENS)


@lru_cache(maxsize=len(PROMPTS))
def decoded_by_glassllm(name: str) -> Decoded:
    """The same by glassllm's own forward pass over the whole text, without a cache."""
    prompt = tuple(prompt_ids(name))
    ids, rows = list(prompt), []
    for _ in range(TOKENS):
        rows.append(glassllm()[0](ids).data[0, -1].astype(np.float32))
        ids.append(int(rows[-1].argmax()))
    return Decoded(prompt, tuple(ids[len(prompt) :]), np.stack(rows))
