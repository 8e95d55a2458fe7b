"""Three decoders that share no code give the same text: plain numpy, transformers with torch, and glassllm."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.plain_decoder import PlainDecoder
from tests.oracle import random_models, smollm2, tiny
from tests.oracle.reference import assert_agrees, greedy, step_greedily
from wse_emu.models import Model, load_model


@pytest.mark.parametrize("name", tiny.PROMPTS)
def test_tiny_agrees_with_transformers(plain_tiny: PlainDecoder, name: str) -> None:
    expected = tiny.decoded(name)
    assert_agrees(*plain_tiny.greedy(expected.prompt_ids, tiny.TOKENS), expected)


@pytest.mark.parametrize("name", tiny.PROMPTS)
def test_tiny_agrees_with_glassllm(plain_tiny: PlainDecoder, name: str) -> None:
    expected = tiny.decoded_by_glassllm(name)
    assert_agrees(*plain_tiny.greedy(expected.prompt_ids, tiny.TOKENS), expected)


@pytest.mark.parametrize("name", tiny.PROMPTS)
def test_tiny_prompts_have_the_ids_that_glassllm_gives(tiny_model: Model, name: str) -> None:
    assert tiny_model.tokenizer is not None
    assert tiny_model.tokenizer.encode(tiny.PROMPTS[name]) == tiny.prompt_ids(name)


@pytest.mark.parametrize("name", random_models.NAMES)
def test_random_models_agree_with_transformers(name: str, tmp_path: Path) -> None:
    theirs = random_models.make(name)
    model = load_model(str(random_models.saved(theirs, tmp_path)))
    expected = greedy(theirs, [3, 1, 4, 1, 5], 24)
    assert_agrees(*PlainDecoder(model.config, model.weights).greedy(expected.prompt_ids, 24), expected)


def test_random_models_write_more_than_one_token() -> None:
    """A model that repeats one token would pass with much of the arithmetic wrong."""
    written = [
        len(set(greedy(random_models.make(name), [3, 1, 4, 1, 5], 24).token_ids)) for name in random_models.NAMES
    ]
    assert min(written) > 3


def test_sharded_folders_hold_the_same_model(tmp_path: Path) -> None:
    theirs = random_models.make("qwen2")
    model = load_model(str(random_models.saved(theirs, tmp_path, shard="40KB")))
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    expected = greedy(theirs, [7], 4)
    assert_agrees(*PlainDecoder(model.config, model.weights).greedy([7], 4), expected)


def test_a_reset_decoder_starts_anew(plain_tiny: PlainDecoder) -> None:
    first, logits = plain_tiny.greedy([1, 2, 3], 5)
    plain_tiny.reset()
    again, same = step_greedily(plain_tiny.step, [1, 2, 3], 5)
    assert first == again
    np.testing.assert_array_equal(logits, same)


def test_a_full_cache_is_an_error(tiny_model: Model) -> None:
    decoder = PlainDecoder(tiny_model.config, tiny_model.weights, positions=1)
    decoder.step(1)
    with pytest.raises(IndexError, match="room for 1 positions"):
        decoder.step(1)


@pytest.mark.parametrize("name", smollm2.PROMPTS)
def test_smollm2_prompts_have_the_ids_of_the_published_tokenizer(smollm2_model: Model, name: str) -> None:
    assert smollm2_model.tokenizer is not None
    assert smollm2_model.tokenizer.encode(smollm2.prompt(name)) == smollm2.prompt_ids(name)


def test_smollm2_chat_template_renders_chatml(smollm2_model: Model) -> None:
    assert smollm2_model.tokenizer is not None
    messages = [{"role": "user", "content": smollm2.PROMPTS["chat"]}]
    assert smollm2_model.tokenizer.chat(messages) == smollm2.prompt("chat")


@pytest.mark.slow
@pytest.mark.parametrize("name", smollm2.PROMPTS)
def test_smollm2_agrees_with_transformers(plain_smollm2: PlainDecoder, name: str) -> None:
    expected = smollm2.decoded(name)
    assert_agrees(*plain_smollm2.greedy(expected.prompt_ids, smollm2.TOKENS), expected)
