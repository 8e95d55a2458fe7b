"""Against transformers: the tokenizers that it builds for the same vocabulary, and for the same file."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_emu.models import load_model
from wse_emu.models.fetch import find_fetched
from wse_emu.models.gguf_tokenizer import PRE_TOKENIZERS

SMOLLM2 = find_fetched("smollm2")
PROMPTS = [
    "Once upon a time, there was a fox.",
    "def f(x):\n    return x ** 2  # squared\n\n\nprint(f(12345))",
    "3.14159 and 2,718,281 in 1066",
    "déjà vu – l’été à Köln, naïve façade",
    "漢字とカタカナ、그리고 한글",
    "👩‍🚀 🚀🚀 emoji ❤️",
    "   leading, trailing   \t\n",
    "it's we'll I'D they've",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", PROMPTS)
def test_the_qwen2_pre_tokenizer_splits_as_that_of_transformers(text: str) -> None:
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    theirs = transformers.Qwen2Tokenizer(vocab={"<|endoftext|>": 0}, merges=[])
    expected = theirs.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
    assert PRE_TOKENIZERS["qwen2"]().pre_tokenize_str(text) == expected


def test_llama3_takes_digits_by_three() -> None:
    pieces = [piece for piece, _ in PRE_TOKENIZERS["llama-bpe"]().pre_tokenize_str("a12345 it's")]
    assert pieces == ["a", "123", "45", "Ġit", "'s"]


@settings(max_examples=300, deadline=None)
@given(text=st.text())
def test_no_pre_tokenizer_loses_a_character(text: str) -> None:
    text = text.encode(errors="ignore").decode()
    for make in PRE_TOKENIZERS.values():
        spans = [span for _, span in make().pre_tokenize_str(text)]
        assert "".join(text[begin:end] for begin, end in spans) == text


@pytest.fixture(scope="module")
def theirs() -> Any:
    if SMOLLM2 is None:
        pytest.skip("smollm2 is not fetched")
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(Path(SMOLLM2).parent, gguf_file=Path(SMOLLM2).name)


@pytest.mark.slow
def test_smollm2_text_gets_the_ids_of_transformers(theirs: Any) -> None:
    tokenizer = load_model("smollm2").tokenizer
    assert tokenizer is not None
    messages = [{"role": "user", "content": "What is 12 × 34? é 漢 🚀"}]
    rendered = tokenizer.chat(messages)
    assert rendered == theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    for text in [*PROMPTS, rendered]:
        ids = tokenizer.encode(text)
        expected = theirs(text).input_ids
        assert ids == expected, text
        assert tokenizer.decode(ids) == theirs.decode(ids, skip_special_tokens=True)
    assert tokenizer.eos_ids == {theirs.eos_token_id}
