"""The model named `tiny`: the English weights of the glassllm package, 852,608 parameters, without running its code."""

import importlib.util
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from wse_emu.errors import WseError
from wse_emu.models.config import ModelConfig
from wse_emu.models.fields import Fields
from wse_emu.models.json_file import parse_object, read_json
from wse_emu.models.mapped_file import file_sha256
from wse_emu.models.model import Model
from wse_emu.models.rope import Rope
from wse_emu.models.tokenizer import Special, Tokenizer
from wse_emu.models.weights import NameTable, StoredTensor, Weights

SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")  # glassllm/tokenizer.py
CHUNKS = r"\n|▁*[^▁\n]+|▁+"  # merges never cross these

_BLOCK = "blocks.{layer}."
NAMES = NameTable(
    {
        "embedding": "E",
        "attention_norm": f"{_BLOCK}norm1.gamma",
        "q": f"{_BLOCK}attn.W_Q",
        "k": f"{_BLOCK}attn.W_K",
        "v": f"{_BLOCK}attn.W_V",
        "o": f"{_BLOCK}attn.W_O",
        "mlp_norm": f"{_BLOCK}norm2.gamma",
        "gate": f"{_BLOCK}ffn.W1",
        "up": f"{_BLOCK}ffn.W3",
        "down": f"{_BLOCK}ffn.W2",
        "final_norm": "norm_f.gamma",
    },
    transposed=False,
)


def load_tiny() -> Model:
    """Raises `WseError` where the package is not installed or its files are damaged."""
    folder = _weights_folder()
    path = folder / "en.npz"
    arrays = _read_arrays(path)
    config = _config(arrays.pop("__config__", None), path)
    tensors = {name: _stored(array) for name, array in arrays.items()}
    weights = Weights(config, tensors, NAMES, source=str(path))
    return Model("tiny", config, weights, _tokenizer(folder / "en.tokenizer.json"), str(path), file_sha256(path))


def _weights_folder() -> Path:
    """Found without importing the package."""
    spec = importlib.util.find_spec("glassllm")
    if spec is None or not spec.submodule_search_locations:
        raise WseError("model 'tiny' needs the package glassllm: pip install 'wse-emu[demo]'")
    return Path(spec.submodule_search_locations[0]) / "weights"


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """1.5 MB of float16, decompressed whole."""
    try:
        with NpzFile(io.BytesIO(path.read_bytes()), allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except OSError as error:
        raise WseError(
            f"cannot read {path}: {error.strerror or error}; pip install --force-reinstall glassllm"
        ) from error
    except Exception as error:  # zipfile and numpy raise many kinds for damaged archives
        raise WseError(f"{path}: damaged ({error}); pip install --force-reinstall glassllm") from error


def _stored(array: NDArray[Any]) -> StoredTensor:
    return StoredTensor(array.shape, array.nbytes, lambda: array.astype(np.float32))


def _config(text: NDArray[Any] | None, path: Path) -> ModelConfig:
    fields = Fields(parse_object(str(text).encode(), path), str(path))
    hidden, heads = fields.integer("d_model"), fields.integer("n_heads")
    return ModelConfig(
        family="llama",
        vocabulary=fields.integer("vocab_size"),
        hidden=hidden,
        layers=fields.integer("n_layers"),
        heads=heads,
        kv_heads=fields.integer("n_kv_heads"),
        head_dim=hidden // max(heads, 1),
        intermediate=int(8 * hidden / 3),  # glassllm/nn.py, SwiGLU
        context=fields.integer("max_len"),
        norm_epsilon=fields.number("eps"),
        rope=Rope(fields.number("rope_base"), "adjacent"),
        tied_embeddings=True,
    )


def _tokenizer(path: Path) -> Tokenizer:
    """Character BPE over NFC text with ▁ for spaces, as glassllm/tokenizer.py does it."""
    from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Backend

    data = read_json(path)
    merges = [(left, right) for left, right in data["merges"]]
    texts = [*SPECIALS, *data["alphabet"], *(left + right for left, right in merges)]
    vocabulary = {text: index for index, text in enumerate(texts)}
    backend = Backend(models.BPE(vocabulary, merges, unk_token=SPECIALS[1], fuse_unk=False))
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(" ", "▁")])
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(CHUNKS), "isolated")
    silent = [decoders.Replace(text, "") for text in ("<pad>", "<bos>", "<eos>")]
    shown = [decoders.Replace("<unk>", "⁇"), decoders.Replace("▁", " ")]
    backend.decoder = decoders.Sequence([*silent, *shown, decoders.Fuse()])
    return Tokenizer(backend, Special(frozenset({vocabulary["<eos>"]})), str(path))
