"""Decoding with transformers and torch on CPU, which shares no code with the emulator.

The models are in the modules beside this one: ``smollm2``, ``tiny`` and ``random_models``. Their functions skip the
test that calls them where torch, transformers, glassllm or the fetched file is missing, and make once per test run what
is slow to make.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

LOGITS_WITHIN = 2e-4
"""Largest absolute difference of a logit that different orders of float32 additions may make."""


@dataclass(frozen=True)
class Decoded:
    """What an independent decoder wrote: ``logits`` is (tokens, vocabulary) float32, row i the one of token i."""

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    logits: NDArray[np.float32]


def assert_agrees(token_ids: Sequence[int], logits: NDArray[np.float32], expected: Decoded) -> None:
    """The same tokens exactly, and every logit within ``LOGITS_WITHIN``."""
    assert tuple(token_ids) == expected.token_ids
    assert logits.shape == expected.logits.shape
    worst = float(np.abs(logits - expected.logits).max())
    assert worst < LOGITS_WITHIN, f"a logit differs by {worst:.2e}"


def transformers() -> Any:
    """The transformers module, or a skipped test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between the two libraries are not ours
        pytest.importorskip("torch")
        module = pytest.importorskip("transformers")
    module.utils.logging.disable_progress_bar()
    return module


def greedy(model: Any, prompt_ids: Sequence[int], tokens: int) -> Decoded:
    """Decodes with the KV cache of transformers, the prompt in one pass; never stops early."""
    import torch

    chosen, rows, cache = [], [], None
    step = torch.tensor([list(prompt_ids)])
    with torch.no_grad():
        for _ in range(tokens):
            out = model(input_ids=step, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            rows.append(out.logits[0, -1].numpy().astype(np.float32))
            chosen.append(int(rows[-1].argmax()))
            step = torch.tensor([[chosen[-1]]])
    return Decoded(tuple(prompt_ids), tuple(chosen), np.stack(rows))


def causal_model(config: Any) -> Any:
    """A model of transformers with eager attention, in float32, ready to decode."""
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"  # grouped products want sizes that divide
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return transformers().AutoModelForCausalLM.from_config(config).float().eval()


def load_tensors(model: Any, tensors: Mapping[str, NDArray[np.float32]], prefix: str = "") -> None:
    """Puts arrays, (out, in) as torch wants them, in place of all weights; a missing or extra name is an error."""
    import torch

    state = {prefix + name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in tensors.items()}
    if model.config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)


def halves(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Reorders the rows of (heads * head_dim, in) within each head: adjacent pairs become pairs half a head apart."""
    pairs = rows.reshape(heads, -1, 2, rows.shape[1])
    return pairs.transpose(0, 2, 1, 3).reshape(rows.shape)


def step_greedily(
    step: Callable[[int], NDArray[np.float32]], prompt_ids: Sequence[int], tokens: int
) -> tuple[list[int], NDArray[np.float32]]:
    """Greedy decoding with any function from a token to logits; token ids and logits (tokens, vocabulary)."""
    for token in prompt_ids[:-1]:
        step(token)
    chosen, rows = [int(prompt_ids[-1])], []
    for _ in range(tokens):
        rows.append(np.array(step(chosen[-1])))
        chosen.append(int(rows[-1].argmax()))
    return chosen[1:], np.stack(rows)
