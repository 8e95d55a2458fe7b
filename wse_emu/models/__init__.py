"""Decoder-only transformers: shapes, weights and tokenizers, read from the formats they are published in."""

from wse_emu.models.config import ModelConfig
from wse_emu.models.fetch import cache_folder, fetch
from wse_emu.models.known import known_names, load_config
from wse_emu.models.model import Model
from wse_emu.models.registry import load_model, model_names
from wse_emu.models.rope import Rope, RopeScaling
from wse_emu.models.tokenizer import TextStream, Tokenizer
from wse_emu.models.weights import Weights, layer_shapes, tensor_shapes

__all__ = [
    "Model",
    "ModelConfig",
    "Rope",
    "RopeScaling",
    "TextStream",
    "Tokenizer",
    "Weights",
    "cache_folder",
    "fetch",
    "known_names",
    "layer_shapes",
    "load_config",
    "load_model",
    "model_names",
    "tensor_shapes",
]
