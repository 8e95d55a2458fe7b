import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wse_emu.errors import WseError
from wse_emu.models import ModelConfig, load_model
from wse_emu.models.safetensors import load_safetensors, read_safetensors

Writer = Callable[..., Path]
SHARD = "model-00002-of-00003.safetensors"


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.float64])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_folder_gives_back_what_was_written(
    write_folder: Writer, config: ModelConfig, random_tensors: Callable[..., Any], dtype: Any, shards: int
) -> None:
    tensors = random_tensors(config)
    model = load_model(str(write_folder(config, tensors, dtype=dtype, shards=shards)))
    assert model.config == replace(config, rope=replace(config.rope, pairing="half"))
    assert model.weights.names() == tuple(tensors)
    for name, array in tensors.items():
        np.testing.assert_array_equal(model.weights[name], array.astype(dtype).astype(np.float32), err_msg=name)
    assert model.weights.stored_bytes == config.parameters * np.dtype(dtype).itemsize
    assert model.tokenizer is None


def test_missing_files_are_named(write_folder: Writer, tmp_path: Path) -> None:
    with pytest.raises(WseError, match=r"config\.json is missing"):
        load_safetensors(tmp_path)
    write_folder(shards=3)
    (tmp_path / SHARD).unlink()
    with pytest.raises(WseError, match=rf"shard {SHARD} is missing; .* lists 3 shards"):
        load_safetensors(tmp_path)
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(WseError, match=r"neither model\.safetensors nor"):
        load_safetensors(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(WseError, match=r"pickled .* are never loaded"):
        load_safetensors(tmp_path)


def test_an_index_may_only_name_files_beside_it(write_folder: Writer) -> None:
    index = write_folder(shards=3) / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))
    with pytest.raises(WseError, match="must be a file in the same folder"):
        load_safetensors(index.parent)
    index.write_text(json.dumps({"weight_map": ["a"]}))
    with pytest.raises(WseError, match="'weight_map' must name a file"):
        load_safetensors(index.parent)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"hidden_size": 65}, r"embed_tokens\.weight has shape \(300, 64\), the model's config says \(300, 65\)"),
        ({"num_hidden_layers": 3}, r"tensor model\.layers\.2\.input_layernorm\.weight is missing"),
        ({"num_hidden_layers": 1}, r"tensor model\.layers\.1\.[a-z_.]+ has no place in a llama model of 1 layers"),
        ({"model_type": "qwen3"}, r"tensor model\.layers\.0\.self_attn\.q_norm\.weight is missing"),
        ({"rms_norm_eps": None}, r"config\.json: key 'rms_norm_eps' is missing"),
    ],
)
def test_tensors_that_disagree_with_the_config_are_named(
    write_folder: Writer, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(WseError, match=message):
        load_safetensors(write_folder(keys=keys))


def test_the_head_of_a_tied_model_is_the_embedding_even_where_it_is_stored_again(write_folder: Writer) -> None:
    model = load_safetensors(write_folder(keys={"tie_word_embeddings": True}))
    assert "lm_head" not in model.weights
    with pytest.raises(WseError, match=r"tensor lm_head\.weight is missing"):
        load_safetensors(write_folder(stored={"lm_head.weight": None}))


def test_types_that_are_not_floating_point_are_refused(write_folder: Writer) -> None:
    with pytest.raises(WseError, match="has type I8; supported: F64, F32, F16, BF16"):
        load_safetensors(write_folder(dtype=np.int8))


def _with_header(path: Path, entry: Any) -> Path:
    header = entry if isinstance(entry, bytes) else json.dumps(entry).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    return path


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (b"not json", "its JSON does not parse"),
        (b"[" * 100_000, "its JSON does not parse"),
        ([1], "expected a JSON object, got list"),
        ({"a": 1}, "entry for tensor 'a' is damaged"),
        ({"a": {"dtype": "F32", "shape": [2]}}, "entry for tensor 'a' is damaged"),
        ({"a": {"dtype": "F32", "shape": ["x"], "data_offsets": [0, 8]}}, "entry for tensor 'a' is damaged"),
        ({"a": {"dtype": "F32", "shape": [-2, -1], "data_offsets": [0, 8]}}, "entry for tensor 'a' is damaged"),
        ({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, r"shape \(3,\) in F32 has 8 bytes"),
        ({"a": {"dtype": "F32", "shape": [3], "data_offsets": [8, 20]}}, "truncated or damaged: tensor a needs"),
        ({"a": {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}}, "entry for tensor 'a' is damaged"),
    ],
)
def test_damaged_headers_are_refused(tmp_path: Path, entry: Any, message: str) -> None:
    with pytest.raises(WseError, match=message) as caught:
        read_safetensors(_with_header(tmp_path / "x.safetensors", entry))
    assert "\n" not in str(caught.value)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"PK\x03\x04" * 8)
    with pytest.raises(WseError, match="not a safetensors file: it claims a header of"):
        read_safetensors(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_truncation_is_refused_and_any_damage_gives_a_model_or_one_line(
    write_folder: Writer, data: st.DataObject
) -> None:
    path = write_folder() / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(WseError):
        load_safetensors(path.parent)
    damaged = bytearray(whole)
    damaged[data.draw(st.integers(0, 8 + int.from_bytes(whole[:8], "little")))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    try:
        load_safetensors(path.parent)
    except WseError as error:
        line = str(error)
    else:
        line = ""
    assert "\n" not in line


@pytest.mark.slow
@pytest.mark.parametrize("family", ["Llama", "Qwen2", "Qwen3"])
@pytest.mark.parametrize("shard_size", ["5GB", "60KB"])
def test_models_that_transformers_saves_are_read(tmp_path: Path, family: str, shard_size: str) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(7)
    shape = {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "vocab_size": 200}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
    config = getattr(transformers, f"{family}Config")(**shape, **heads, tie_word_embeddings=family == "Qwen2")
    original = getattr(transformers, f"{family}ForCausalLM")(config)
    original.save_pretrained(tmp_path, max_shard_size=shard_size)
    assert (tmp_path / "model.safetensors").exists() == (shard_size == "5GB")
    model = load_model(str(tmp_path))
    state = {name: tensor.numpy() for name, tensor in original.state_dict().items()}
    assert model.config.parameters == original.num_parameters()
    assert model.config.norm_epsilon == config.rms_norm_eps
    found = {"q": "self_attn.q_proj.weight", "o": "self_attn.o_proj.weight", "down": "mlp.down_proj.weight"}
    for part, name in found.items():
        np.testing.assert_array_equal(model.weights[f"layers.1.{part}"], state[f"model.layers.1.{name}"].T)
    np.testing.assert_array_equal(model.weights["embedding"], state["model.embed_tokens.weight"])
