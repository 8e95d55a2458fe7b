"""Files that transformers writes for families beyond Llama's: every weight is found, wherever and however it lies."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.oracle import random_models
from tests.oracle.reference import greedy
from wse_emu.errors import WseError
from wse_emu.models import load_model

OTHERS = random_models.OTHERS + random_models.MIXTURES
Tensors = dict[str, np.ndarray]


@pytest.mark.parametrize("name", OTHERS)
def test_every_parameter_is_counted_and_read_once(name: str, tmp_path: Path) -> None:
    original = random_models.make(name)
    model = load_model(str(random_models.saved(original, tmp_path)))
    assert model.config.parameters == original.num_parameters()
    assert model.weights.stored_bytes == 4 * original.num_parameters()
    read = np.sort(np.concatenate([array.ravel() for array in model.weights.values()]))
    norms_from = 1 if name.startswith("gemma") else 0
    theirs = [
        parameter.detach().numpy().ravel() + norms_from * (parameter.ndim == 1) for parameter in original.parameters()
    ]
    np.testing.assert_array_equal(read, np.sort(np.concatenate(theirs)))


def test_other_families_write_more_than_one_token() -> None:
    """A model that repeats one token would pass with much of the arithmetic wrong."""
    made = (random_models.make(name) for name in OTHERS)
    assert min(len(set(greedy(model, [3, 1, 4, 1, 5], 24).token_ids)) for model in made) > 4


def rewritten(folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path)
    return folder


def test_gpt2_as_its_first_files_name_it_is_the_same_model(tmp_path: Path) -> None:
    """Without a prefix, and with the causal mask among the tensors."""
    folder = random_models.saved(random_models.make("gpt2"), tmp_path)
    expected = load_model(str(folder)).weights
    kept = {name: expected[name] for name in expected}
    mask = {"h.0.attn.bias": np.ones((1, 1, 64, 64), np.float32)}
    rewritten(folder, lambda tensors: {k.removeprefix("transformer."): v for k, v in tensors.items()} | mask)
    found = load_model(str(folder)).weights
    assert all(np.array_equal(found[name], array) for name, array in kept.items())


def test_gpt_neox_as_its_first_files_name_it_is_the_same_model(tmp_path: Path) -> None:
    """With its head by another name, and with masks of no type that weights have."""
    folder = random_models.saved(random_models.make("gpt_neox"), tmp_path)
    expected = load_model(str(folder)).weights["lm_head"]
    mask = {"gpt_neox.layers.0.attention.bias": np.ones((1, 1, 8, 8), np.bool_)}
    rewritten(folder, lambda tensors: {k.replace("lm_head", "embed_out"): v for k, v in tensors.items()} | mask)
    np.testing.assert_array_equal(load_model(str(folder)).weights["lm_head"], expected)


@pytest.mark.parametrize("prefix", ["language_model.model.", "model.language_model."])
def test_gemma_3_is_found_beside_what_reads_images(prefix: str, tmp_path: Path) -> None:
    folder = random_models.saved(random_models.make("gemma3_text"), tmp_path)
    model = load_model(str(folder))
    kept = {name: model.weights[name] for name in model.weights}
    image = {"vision_tower.patch.weight": np.ones((2, 2), np.float32)}
    rewritten(folder, lambda tensors: {prefix + k.removeprefix("model."): v for k, v in tensors.items()} | image)
    text: dict[str, Any] = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": text}))
    found = load_model(str(folder))
    assert found.config == model.config
    assert all(np.array_equal(found.weights[name], array) for name, array in kept.items())


def test_fused_tensors_of_another_width_are_refused(tmp_path: Path) -> None:
    folder = random_models.saved(random_models.make("phi3"), tmp_path)
    name = "model.layers.1.self_attn.qkv_proj.weight"
    rewritten(folder, lambda tensors: tensors | {name: tensors[name][:-1].copy()})
    with pytest.raises(WseError, match=rf"tensor {name} has shape \(239, 80\), the model's config says \(240, 80\)"):
        load_model(str(folder))


def test_a_missing_fused_tensor_is_named_as_the_file_would(tmp_path: Path) -> None:
    folder = random_models.saved(random_models.make("gpt2"), tmp_path)
    name = "transformer.h.1.attn.c_attn.bias"
    rewritten(folder, lambda tensors: {key: value for key, value in tensors.items() if key != name})
    with pytest.raises(WseError, match=rf"tensor {name} is missing; a gpt2 model of 2 layers needs it"):
        load_model(str(folder))
