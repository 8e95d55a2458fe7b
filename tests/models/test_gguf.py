import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wse_emu.errors import WseError
from wse_emu.models import ModelConfig, load_model
from wse_emu.models.gguf import NAMES, load_gguf

QUANTISED = [Kind.F16, Kind.BF16, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0]
K_QUANTS = [Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K]


def test_a_file_gives_back_what_was_written(
    write_gguf: Callable[..., Path], config: ModelConfig, random_tensors: Callable[..., Any]
) -> None:
    tensors = random_tensors(config)
    model = load_model(str(write_gguf(config, tensors)))
    # Epsilon is float32 in the file; families differ in pairing, biases, q/k norms and tied embeddings.
    assert model.config == replace(config, norm_epsilon=float(np.float32(config.norm_epsilon)))
    assert model.weights.names() == tuple(tensors)
    for name, array in tensors.items():
        np.testing.assert_array_equal(model.weights[name], array, err_msg=name)
    assert model.tokenizer is not None
    assert model.name == "model"


@pytest.mark.parametrize("kind", QUANTISED, ids=lambda kind: kind.name)
def test_quantised_tensors_are_those_of_the_gguf_package(
    write_gguf: Callable[..., Path], small: ModelConfig, random_tensors: Callable[..., Any], kind: Any
) -> None:
    tensors = random_tensors(small)
    weights = load_model(str(write_gguf(small, tensors, kind=kind))).weights
    for name, array in tensors.items():
        stored = np.ascontiguousarray(array.T if NAMES.turns(name, array.shape) else array)
        if array.ndim == 2:
            stored = gguf.quants.dequantize(gguf.quants.quantize(stored, kind), kind)
        expected = stored.T if NAMES.turns(name, array.shape) else stored
        np.testing.assert_array_equal(weights[name], expected, err_msg=name)
    per_row = gguf.quants.quantize(np.zeros((1, 64), np.float32), kind).nbytes
    assert weights["layers.0.q"].flags.c_contiguous
    assert weights.stored_bytes < 4 * small.parameters * per_row / 256 + 4 * 1000


@pytest.mark.parametrize("kind", K_QUANTS, ids=lambda kind: kind.name)
def test_k_quants_are_read(write_gguf: Callable[..., Path], small: ModelConfig, kind: Any) -> None:
    """The package cannot write them, so the blocks are random bytes with a finite scale in each half-float."""
    wide = replace(small, hidden=256, heads=4, head_dim=64, kv_heads=2, intermediate=256)
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    raw = np.random.default_rng(1).integers(0, 60, (256, 256 // elements * size), dtype=np.uint8)
    path = write_gguf(wide)
    data = _with_tensor(path, "blk.0.attn_q.weight", kind, raw)
    path.write_bytes(data)
    np.testing.assert_array_equal(load_gguf(path).weights["layers.0.q"], gguf.quants.dequantize(raw, kind).T)


def _with_tensor(path: Path, name: str, kind: Any, raw: Any) -> bytes:
    """The file with one tensor's type and data exchanged; the new data is smaller, so offsets stay."""
    data = bytearray(path.read_bytes())
    reader = gguf.GGUFReader(str(path))
    tensor = next(tensor for tensor in reader.tensors if tensor.name == name)
    at = data.index(struct.pack("<Q", len(name)) + name.encode()) + 8 + len(name) + 4 + 8 * 2
    data[at : at + 4] = struct.pack("<I", int(kind))
    data[tensor.data_offset : tensor.data_offset + raw.nbytes] = raw.tobytes()
    return bytes(data)


REQUIRED = [
    "llama.embedding_length",
    "llama.block_count",
    "llama.attention.head_count",
    "llama.feed_forward_length",
    "llama.context_length",
    "llama.attention.layer_norm_rms_epsilon",
]


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_metadata_key_is_named(write_gguf: Callable[..., Path], key: str) -> None:
    with pytest.raises(WseError, match=f"key '{key}' is missing"):
        load_gguf(write_gguf(metadata={key: None}))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"llama.embedding_length": 32}, "has shape .*, the model's config says"),
        ({"llama.embedding_length": "wide"}, "must be an integer, got 'wide'"),
        ({"llama.attention.head_count": 0}, "head_count' must be at least 1"),
        ({"llama.attention.head_count_kv": 3}, "4 heads cannot share 3"),
        ({"llama.block_count": 3}, r"tensor blk\.2\.attn_norm\.weight is missing"),
        ({"llama.block_count": 1}, r"tensor blk\.1\.[a-z_.]+ has no place in a llama model of 1 layers"),
        ({"llama.vocab_size": 299}, r"token_embd\.weight has shape \(300, 64\), the model's config says \(299, 64\)"),
        ({"llama.rope.dimension_count": 8}, "rope.dimension_count 8 differs from head_dim 16"),
        ({"llama.rope.scaling.type": "yarn"}, "rope scaling 'yarn' is not supported"),
        ({"llama.expert_count": 8}, "mixture of experts is not supported"),
        ({"split.count": 2}, "merge the parts"),
        ({"llama.context_length": 0}, "context must be at least 1"),
        ({"llama.rope.freq_base": float("inf")}, "must be a finite number"),
        ({"tokenizer.ggml.model": "llama"}, "tokenizer model 'llama' is not supported"),
        ({"tokenizer.ggml.pre": "klingon"}, "pre-tokenizer 'klingon' is not supported; supported: default"),
        ({"tokenizer.ggml.tokens": None}, "tokenizer.ggml.tokens"),
        ({"tokenizer.ggml.merges": ["ab"]}, "merge 'ab' is not two tokens"),
        ({"tokenizer.ggml.merges": ["nowhere found"]}, "the tokenizer is damaged"),
        ({"tokenizer.ggml.token_type": [1, 2]}, "does not list a type for each of 300 tokens"),
        ({"tokenizer.ggml.eos_token_id": 300}, "eos_token_id 300 is outside the vocabulary of 300"),
    ],
)
def test_metadata_that_contradicts_is_refused_in_one_line(
    write_gguf: Callable[..., Path], metadata: dict[str, Any], message: str
) -> None:
    with pytest.raises(WseError, match=message) as caught:
        load_gguf(write_gguf(metadata=metadata))
    assert "\n" not in str(caught.value)


def test_other_architectures_and_types_are_refused(write_gguf: Callable[..., Path], small: ModelConfig) -> None:
    path = write_gguf(small)
    path.write_bytes(path.read_bytes().replace(b"llama", b"mamba"))
    with pytest.raises(WseError, match="architecture 'mamba' is not supported; supported: llama, qwen2, qwen3"):
        load_gguf(path)
    path.write_bytes(_with_tensor(write_gguf(small), "blk.0.attn_q.weight", 99, np.zeros(0, np.uint8)))
    with pytest.raises(WseError, match=r"blk\.0\.attn_q\.weight has the unknown GGML type 99"):
        load_gguf(path)
    path.write_bytes(_with_tensor(write_gguf(small), "blk.0.attn_q.weight", Kind.I32, np.zeros(0, np.uint8)))
    with pytest.raises(WseError, match="GGML type I32, which the gguf package cannot"):
        _ = load_gguf(path).weights["layers.0.q"]
    path.write_bytes(_with_tensor(write_gguf(small), "blk.0.attn_q.weight", Kind.Q4_K, np.zeros(0, np.uint8)))
    with pytest.raises(WseError, match="rows of 64 do not divide into Q4_K blocks of 256"):
        load_gguf(path)


def test_missing_and_surplus_tensors_are_named(write_gguf: Callable[..., Path], small: ModelConfig) -> None:
    with pytest.raises(WseError, match=r"tensor blk\.1\.ffn_up\.weight is missing"):
        load_gguf(write_gguf(stored={"blk.1.ffn_up.weight": None}))
    with pytest.raises(WseError, match=r"tensor blk\.0\.attn_sub_norm\.weight has no place"):
        load_gguf(write_gguf(stored={"blk.0.attn_sub_norm.weight": np.ones(64, np.float32)}))
    qwen2 = replace(small, family="qwen2")
    with pytest.raises(WseError, match=r"attn_q\.bias is missing; qwen2 needs"):
        load_gguf(write_gguf(qwen2))


def test_a_file_without_output_weights_ties_them(write_gguf: Callable[..., Path]) -> None:
    model = load_gguf(write_gguf(stored={"output.weight": None}))
    assert model.config.tied_embeddings
    assert "lm_head" not in model.weights


def test_rope_scaling_of_both_kinds_is_read(write_gguf: Callable[..., Path]) -> None:
    linear = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    plain = load_gguf(write_gguf()).config.rope
    scaled = load_gguf(write_gguf(metadata=linear)).config.rope
    np.testing.assert_allclose(scaled.inverse_frequencies(16) * 4, plain.inverse_frequencies(16))
    factors = np.linspace(1, 8, 8, dtype=np.float32)
    by_factor = load_gguf(write_gguf(stored={"rope_freqs.weight": factors})).config.rope
    np.testing.assert_allclose(by_factor.inverse_frequencies(16) * factors, plain.inverse_frequencies(16))
    with pytest.raises(WseError, match="together"):
        load_gguf(write_gguf(metadata=linear, stored={"rope_freqs.weight": factors}))


def test_a_file_without_a_tokenizer_has_none(write_gguf: Callable[..., Path]) -> None:
    assert load_gguf(write_gguf(tokenizer=False)).tokenizer is None


def _decodes_or_says_why(path: Path) -> None:
    try:
        model = load_gguf(path)
        for name in model.weights.names():
            assert np.isfinite(model.weights[name]).all()
        if model.tokenizer is not None:
            model.tokenizer.encode("the 12 <|im_end|>")
            if model.tokenizer.has_chat_template:
                model.tokenizer.chat([{"role": "user", "content": "hi"}])
    except WseError as error:
        line = str(error)
    else:
        line = ""
    assert "\n" not in line


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.data())
def test_any_truncation_is_refused(write_gguf: Callable[..., Path], data: st.DataObject) -> None:
    path = write_gguf()
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 64))])
    with pytest.raises(WseError, match="truncated"):
        load_gguf(path)


@FUZZ
@given(data=st.data())
def test_any_damaged_byte_gives_a_model_or_one_clear_line(write_gguf: Callable[..., Path], data: st.DataObject) -> None:
    path = write_gguf()
    damaged = bytearray(path.read_bytes())
    header = gguf.GGUFReader(str(path)).data_offset
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    _decodes_or_says_why(path)
