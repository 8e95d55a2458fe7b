"""Shapes of published models, sizes from each one's config.json."""

from dataclasses import replace

from wse_emu.models.config import ModelConfig
from wse_emu.models.rope import Rope

LLAMA_8B = ModelConfig("llama", 128256, 4096, 32, 32, 8, 128, 14336, 131072, 1e-5, Rope(5e5, "half", None))
LLAMA_7B = replace(LLAMA_8B, vocabulary=32000, kv_heads=32, intermediate=11008)
LLAMA_70B = replace(LLAMA_8B, hidden=8192, layers=80, heads=64, intermediate=28672)
MIXTRAL = replace(LLAMA_8B, vocabulary=32000)
SMOLLM2 = ModelConfig(
    "llama", 49152, 576, 30, 9, 3, 64, 1536, 2048, 1e-5, Rope(1e5, "half", None), tied_embeddings=True
)
