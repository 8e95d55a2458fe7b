"""Reads GGUF models of the Llama family: shape, tensors and tokenizer of one file.

In files of architecture "llama" the rows of q and k are permuted so that rotated elements lie side by side; they are
used as they are, with the pairing "adjacent". Qwen files keep Hugging Face's order, pairing "half".
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wse_emu.errors import WseError
from wse_emu.models.config import ModelConfig
from wse_emu.models.fields import Fields
from wse_emu.models.gguf_header import GgufHeader, TensorEntry, read_header
from wse_emu.models.gguf_tokenizer import gguf_tokenizer
from wse_emu.models.mapped_file import MappedFile
from wse_emu.models.model import Model
from wse_emu.models.rope import Pairing, Rope, RopeScaling
from wse_emu.models.weights import NameTable, StoredTensor, Weights

PAIRINGS: dict[str, Pairing] = {"llama": "adjacent", "qwen2": "half", "qwen3": "half"}
ROPE_FACTORS = "rope_freqs.weight"

NAMES = NameTable(
    {
        "embedding": "token_embd.weight",
        "attention_norm": "blk.{layer}.attn_norm.weight",
        "q": "blk.{layer}.attn_q.weight",
        "k": "blk.{layer}.attn_k.weight",
        "v": "blk.{layer}.attn_v.weight",
        "o": "blk.{layer}.attn_output.weight",
        "q_bias": "blk.{layer}.attn_q.bias",
        "k_bias": "blk.{layer}.attn_k.bias",
        "v_bias": "blk.{layer}.attn_v.bias",
        "q_norm": "blk.{layer}.attn_q_norm.weight",
        "k_norm": "blk.{layer}.attn_k_norm.weight",
        "mlp_norm": "blk.{layer}.ffn_norm.weight",
        "gate": "blk.{layer}.ffn_gate.weight",
        "up": "blk.{layer}.ffn_up.weight",
        "down": "blk.{layer}.ffn_down.weight",
        "final_norm": "output_norm.weight",
        "lm_head": "output.weight",
    },
    transposed=True,
    ignored=(ROPE_FACTORS, "rope_freqs", "attn_rot_embd"),
)


def load_gguf(path: Path, name: str | None = None) -> Model:
    """A model from one .gguf file; weights stay in the file. Raises `WseError` for a file that cannot be decoded."""
    file = MappedFile(path)
    header = read_header(file)
    tensors = {entry.name: _stored(file, header, entry) for entry in header.tensors.values()}
    config = _config(header, tensors, str(path))
    weights = Weights(config, tensors, NAMES, source=str(path))
    return Model(name or path.stem, config, weights, gguf_tokenizer(header.metadata, str(path)), str(path), None)


def _stored(file: MappedFile, header: GgufHeader, entry: TensorEntry) -> StoredTensor:
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    what = f"tensor {entry.name}"
    try:
        kind = GGMLQuantizationType(entry.type_number)
    except ValueError as error:
        raise WseError(f"{file.path}: {what} has the unknown GGML type {entry.type_number}") from error
    block_elements, block_bytes = GGML_QUANT_SIZES[kind]
    *rows, columns = entry.shape
    if columns % block_elements:
        raise WseError(
            f"{file.path}: {what}: rows of {columns} do not divide into {kind.name} blocks of {block_elements}"
        )
    row_bytes = columns // block_elements * block_bytes
    start, count = header.data_start + entry.offset, math.prod(rows) * row_bytes
    file.check(start, count, what)

    def read() -> NDArray[np.float32]:
        raw = file.array(start, count, what).reshape(*rows, row_bytes)
        return _dequantise(raw, kind, f"{file.path}: {what}")

    return StoredTensor(entry.shape, count, read)


def _dequantise(raw: NDArray[np.uint8], kind: Any, what: str) -> NDArray[np.float32]:
    """The `gguf` package's arithmetic, which follows ggml's reference; a copy, as no view of the file may leave."""
    from gguf.quants import dequantize

    try:
        with np.errstate(all="ignore"):  # infinities are reported by name, after reading
            values: NDArray[np.float32] = dequantize(raw, kind)
    except NotImplementedError as error:
        raise WseError(f"{what} has GGML type {kind.name}, which the gguf package cannot dequantise") from error
    return values.copy() if np.may_share_memory(values, raw) else values


def _config(header: GgufHeader, tensors: dict[str, StoredTensor], source: str) -> ModelConfig:
    fields = Fields(header.metadata, source)
    family = fields.text("general.architecture")
    if family not in PAIRINGS:
        raise WseError(f"{source}: architecture {family!r} is not supported; supported: {', '.join(PAIRINGS)}")
    _refuse_unsupported(fields, family, tensors)
    hidden = fields.integer(f"{family}.embedding_length")
    heads = fields.integer(f"{family}.attention.head_count")
    head_dim = _head_dim(fields, family, hidden, heads)
    return ModelConfig(
        family=family,
        vocabulary=_vocabulary(fields, family, tensors),
        hidden=hidden,
        layers=fields.integer(f"{family}.block_count"),
        heads=heads,
        kv_heads=fields.integer(f"{family}.attention.head_count_kv", heads),
        head_dim=head_dim,
        intermediate=fields.integer(f"{family}.feed_forward_length"),
        context=fields.integer(f"{family}.context_length"),
        norm_epsilon=fields.number(f"{family}.attention.layer_norm_rms_epsilon"),
        rope=_rope(fields, family, tensors),
        tied_embeddings=NAMES.names["lm_head"] not in tensors,
        attention_bias="blk.0.attn_q.bias" in tensors,
        qk_norm=family == "qwen3",
    )


def _refuse_unsupported(fields: Fields, family: str, tensors: dict[str, StoredTensor]) -> None:
    if fields.integer("split.count", 1) > 1:
        raise WseError(f"{fields.source}: one part of a split GGUF; merge the parts with llama.cpp's gguf-split")
    if fields.integer(f"{family}.expert_count", 0) > 0:
        raise WseError(f"{fields.source}: mixture of experts is not supported")
    if family == "qwen2" and "blk.0.attn_q.bias" not in tensors:
        raise WseError(f"{fields.source}: tensor blk.0.attn_q.bias is missing; qwen2 needs biases on q, k and v")


def _head_dim(fields: Fields, family: str, hidden: int, heads: int) -> int:
    if heads < 1:
        raise WseError(f"{fields.source}: key '{family}.attention.head_count' must be at least 1, got {heads}")
    head_dim = fields.integer(f"{family}.attention.key_length", hidden // heads)
    for key in (f"{family}.attention.value_length", f"{family}.rope.dimension_count"):
        if fields.integer(key, head_dim) != head_dim:
            raise WseError(
                f"{fields.source}: {key} {fields.integer(key)} differs from head_dim {head_dim}; not supported"
            )
    return head_dim


def _vocabulary(fields: Fields, family: str, tensors: dict[str, StoredTensor]) -> int:
    """The file's own count; older files leave it out, and the list of tokens or the embedding's rows say it."""
    tokens = fields.values.get("tokenizer.ggml.tokens")
    embedding = tensors.get(NAMES.names["embedding"])
    rows = embedding.shape[0] if embedding else None
    return fields.integer(f"{family}.vocab_size", len(tokens) if isinstance(tokens, list) else rows)


def _rope(fields: Fields, family: str, tensors: dict[str, StoredTensor]) -> Rope:
    theta = fields.number(f"{family}.rope.freq_base", 10_000.0)  # llama.cpp's default
    kind = fields.text(f"{family}.rope.scaling.type", "none")
    factor = fields.number(f"{family}.rope.scaling.factor", fields.number(f"{family}.rope.scale_linear", 1.0))
    if kind not in ("none", "linear"):
        raise WseError(
            f"{fields.source}: rope scaling {kind!r} is not supported; supported: none, linear, {ROPE_FACTORS}"
        )
    linear = RopeScaling("linear", factor) if factor != 1.0 else None
    factors = tensors.get(ROPE_FACTORS)
    if factors is None:
        return Rope(theta, PAIRINGS[family], linear)
    if linear is not None:
        raise WseError(f"{fields.source}: linear rope scaling together with {ROPE_FACTORS} is not supported")
    values = tuple(float(value) for value in factors.read().reshape(-1))
    return Rope(theta, PAIRINGS[family], RopeScaling("factors", factors=values))
