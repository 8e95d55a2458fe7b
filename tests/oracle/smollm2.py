"""SmolLM2-135M-Instruct as transformers decodes it, with the weights of the fetched GGUF."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from tests.oracle.gguf_file import bpe_tokenizer, llama_settings, llama_tensors
from tests.oracle.reference import Decoded, causal_model, greedy, load_tensors, transformers
from wse_emu.models.fetch import find_fetched

TOKENS = 32
PROMPTS: Mapping[str, str] = {
    "chat": "Why is the sky blue?",  # given as the user's message of the chat template
    "code": "def fibonacci(n):\n    if n < 2:\n        return n\n",
    "digits": "The first primes are 2, 3, 5, 7, 11, 13, and 1234567890 +",
    "accents": "Le café de l'été à Zürich coûte très cher, señor; ça",
    "cjk": "今日は東京で寿司を食べました。中文",
    "emoji": "I love pizza 🍕🍕 and holidays 🏖️ because 😀",
}


@lru_cache(maxsize=1)
def path() -> Path:
    """The fetched GGUF."""
    found = find_fetched("smollm2")
    if found is None:
        pytest.skip("smollm2 is not fetched: wse-emu models fetch smollm2")
    return found


@lru_cache(maxsize=1)
def model() -> Any:
    """SmolLM2-135M-Instruct as a LlamaForCausalLM with the weights of the GGUF, dequantised by the gguf package."""
    config_class = transformers().LlamaConfig
    settings = llama_settings(path())
    made = causal_model(config_class(**settings))
    load_tensors(made, llama_tensors(path(), settings), "model.")
    return made


def prompt(name: str) -> str:
    """The text of a prompt; ``chat`` in ChatML with the system message that the model was trained with."""
    text = PROMPTS[name]
    if name != "chat":
        return text
    system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    return f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


def prompt_ids(name: str) -> list[int]:
    """Ids by a tokenizer made from the GGUF's tokens and merges as transformers' SmolLM2 tokenizer is."""
    ids: list[int] = bpe_tokenizer(path()).encode(prompt(name)).ids
    return ids


@lru_cache(maxsize=len(PROMPTS))
def decoded(name: str) -> Decoded:
    """32 greedy tokens after a prompt of ``PROMPTS``."""
    return greedy(model(), prompt_ids(name), TOKENS)
