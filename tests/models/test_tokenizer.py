import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wse_emu.errors import WseError
from wse_emu.models import Tokenizer, load_model
from wse_emu.models.chat import render_chat
from wse_emu.models.gguf_tokenizer import gguf_tokenizer
from wse_emu.models.hf_tokenizer import hf_tokenizer
from wse_emu.models.tokenizer import Special

Words = Callable[..., Tokenizer]
ONCE = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def words(write_gguf: Callable[..., Path]) -> Words:
    def make(**metadata: Any) -> Tokenizer:
        keys = {f"tokenizer.{key.replace('__', '.')}": value for key, value in metadata.items()}
        tokenizer = load_model(str(write_gguf(metadata=keys))).tokenizer
        assert tokenizer is not None
        return tokenizer

    return make


@ONCE
@given(text=st.text().filter(lambda text: "<|" not in text))
def test_any_text_survives_byte_level_tokens(words: Words, text: str) -> None:
    tokenizer = words()
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_smollm_pre_tokenizer_splits_digits_one_by_one(words: Words) -> None:
    twelve = words(ggml__pre="gpt-2").encode("12")
    assert len(twelve) == 1
    assert len(words(ggml__pre="smollm").encode("12")) == 2
    assert len(words(ggml__pre="qwen2").encode("12")) == 2
    assert words(ggml__pre="llama-bpe", ggml__add_bos_token=False).encode("12") == twelve


def test_control_tokens_in_a_text_are_one_id_and_are_not_shown(words: Words) -> None:
    tokenizer = words()
    ids = tokenizer.encode("<|im_start|>the<|im_end|>")
    assert (ids[0], ids[-1]) == (1, 2)
    assert len(ids) == 4
    assert tokenizer.decode(ids) == "the"
    assert tokenizer.eos_ids == {2}


def test_begin_of_text_comes_once(words: Words) -> None:
    begins = words(ggml__add_bos_token=True)
    assert begins.encode("the") == [1, *words().encode("the")]
    assert begins.encode("<|im_start|>the") == begins.encode("the")
    assert words(ggml__pre="llama-bpe", ggml__add_bos_token=None).encode("the")[0] == 1


def test_more_end_tokens_count_too(words: Words) -> None:
    assert words(ggml__eos_token_id=0, ggml__eot_token_id=5).eos_ids == {0, 2, 5}


def test_unknown_ids_are_refused(words: Words) -> None:
    for token in (300, -1, 2**40):
        with pytest.raises(WseError, match=f"token id {token} is not in the vocabulary of 300"):
            words().decode([token])


def test_lone_surrogates_are_refused(words: Words) -> None:
    with pytest.raises(WseError, match="refuses this text"):
        words().encode("\ud800")


@ONCE
@given(ids=st.lists(st.integers(0, 265), max_size=30))
def test_a_stream_gives_the_whole_text_in_whole_characters(words: Words, ids: list[int]) -> None:
    tokenizer = words()
    stream = tokenizer.stream()
    pieces = [stream.push(token) for token in ids]
    assert "".join(pieces) + stream.flush() == tokenizer.decode(ids)
    assert stream.flush() == ""


def test_a_character_of_several_tokens_comes_with_its_last_one(words: Words) -> None:
    tokenizer = words()
    stream = tokenizer.stream()
    pieces = [stream.push(token) for token in tokenizer.encode("a😀b")]
    assert pieces == ["a", "", "", "", "😀", "b"]


def test_the_chat_template_is_rendered(words: Words) -> None:
    tokenizer = words()
    assert tokenizer.has_chat_template
    text = tokenizer.chat([{"role": "user", "content": "<b>hi</b>"}])
    assert text == "<|im_start|>user\n<b>hi</b><|im_end|>\n<|im_start|>assistant\n"


def test_a_model_without_a_chat_template_says_so(words: Words) -> None:
    tokenizer = words(chat_template=None)
    assert not tokenizer.has_chat_template
    with pytest.raises(WseError, match="no chat template; give the prompt as plain text"):
        tokenizer.chat([{"role": "user", "content": "hi"}])


@pytest.mark.parametrize(
    "template",
    [
        "{% if %}",
        "{{ raise_exception('no system messages') }}",
        "{{ missing.attribute }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ 1 / 0 }}",
    ],
)
def test_templates_that_fail_or_reach_out_of_the_sandbox_are_one_line(template: str) -> None:
    with pytest.raises(WseError, match="x: the chat template fails: ") as caught:
        render_chat(template, [{"role": "user", "content": "hi"}], "<s>", "</s>", "x")
    assert "\n" not in str(caught.value)


def test_templates_have_the_usual_helpers() -> None:
    template = "{{ bos_token }}{{ messages[0] | tojson }}{{ strftime_now('%%') }}"
    rendered = render_chat(template, [{"role": "é<"}], "<s>", "</s>", "x")
    assert rendered == '<s>{"role": "é<"}%'


def test_metadata_without_a_tokenizer_gives_none() -> None:
    assert gguf_tokenizer({}, "x") is None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer.json of words, with the files that stand beside it."""
    tokenizers = pytest.importorskip("tokenizers")
    known = {"<unk>": 0, "<s>": 1, "</s>": 2, "hi": 3, "you": 4, "<eot>": 5}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token="<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.add_special_tokens(["<s>", "</s>"])
    backend.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    backend.save(str(tmp_path / "tokenizer.json"))
    settings = {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "chat_template": "{{ bos_token }}hi"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 4}))
    return tmp_path


def test_the_tokenizer_of_a_folder(folder: Path) -> None:
    tokenizer = hf_tokenizer(folder)
    assert tokenizer is not None
    assert tokenizer.encode("hi you") == [1, 3, 4]
    assert tokenizer.encode(tokenizer.chat([])) == [1, 3]
    assert tokenizer.decode([1, 3, 4, 2]) == "hi you"
    assert tokenizer.eos_ids == {2, 4}
    stream = tokenizer.stream()
    assert [stream.push(token) for token in (1, 3, 4, 2)] == ["", "hi", " you", ""]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 5]}))
    (folder / "chat_template.jinja").write_text("{{ eos_token }}")
    again = hf_tokenizer(folder)
    assert again is not None
    assert again.eos_ids == {2, 5}
    assert again.chat([]) == "</s>"


def test_named_chat_templates_give_the_default_one(folder: Path) -> None:
    templates = [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": templates}))
    tokenizer = hf_tokenizer(folder)
    assert tokenizer is not None
    assert tokenizer.chat([]) == "b"


def test_damaged_tokenizer_files_are_named(folder: Path) -> None:
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ["x"]}))
    with pytest.raises(WseError, match=r"generation_config\.json: key 'eos_token_id' must be an id or a list"):
        hf_tokenizer(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(WseError, match=r"tokenizer\.json: the tokenizer is damaged"):
        hf_tokenizer(folder)
    (folder / "tokenizer.json").unlink()
    assert hf_tokenizer(folder) is None


def test_an_empty_tokenizer_special_never_counts_as_begun(words: Words) -> None:
    assert Special().bos == ""
    assert words(ggml__bos_token_id=None).encode("the") == words().encode("the")
