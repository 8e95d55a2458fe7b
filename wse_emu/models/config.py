"""The shape of a decoder of the Llama family: all that a mapping needs to know without reading a weight."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wse_emu.errors import WseError
from wse_emu.models.rope import Rope

FAMILIES = ("llama", "qwen2", "qwen3")


@dataclass(frozen=True)
class ModelConfig:
    """Sizes count elements; `context` counts positions; `intermediate` is the inner width of the SwiGLU MLP.

    Raises `WseError` where sizes contradict each other.
    """

    family: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    context: int
    norm_epsilon: float
    rope: Rope
    tied_embeddings: bool = False
    attention_bias: bool = False
    """q, k and v have biases (Qwen2); the attention's output and the MLP never do."""
    qk_norm: bool = False
    """q and k pass an RMSNorm over head_dim before the rotation (Qwen3)."""

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise WseError(f"unknown model family {self.family!r}; supported: {', '.join(FAMILIES)}")
        for name in ("vocabulary", "hidden", "layers", "heads", "kv_heads", "head_dim", "intermediate", "context"):
            value = getattr(self, name)
            if value < 1:
                raise WseError(f"model config: {name} must be at least 1, got {value}")
        if self.heads % self.kv_heads:
            raise WseError(f"model config: {self.heads} heads cannot share {self.kv_heads} key/value heads evenly")
        if self.head_dim % 2:
            raise WseError(f"model config: head_dim {self.head_dim} is odd; the rotation needs pairs")
        if not (np.isfinite(self.norm_epsilon) and self.norm_epsilon >= 0):
            raise WseError(f"model config: norm_epsilon must be finite and not negative, got {self.norm_epsilon}")

    @property
    def q_width(self) -> int:
        """Columns of the query projection, heads * head_dim."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Columns of the key (or value) projection, kv_heads * head_dim."""
        return self.kv_heads * self.head_dim

    @property
    def layer_parameters(self) -> int:
        """Weights of one layer, norms and biases included."""
        attention = 2 * self.hidden * (self.q_width + self.kv_width)
        bias = (self.q_width + 2 * self.kv_width) * self.attention_bias
        norms = 2 * self.hidden + 2 * self.head_dim * self.qk_norm
        return attention + bias + norms + 3 * self.hidden * self.intermediate

    @property
    def parameters(self) -> int:
        """Weights of the whole model; a tied embedding counts once."""
        embeddings = self.vocabulary * self.hidden * (1 if self.tied_embeddings else 2)
        return embeddings + self.layers * self.layer_parameters + self.hidden

    @classmethod
    def from_hf(cls, data: Mapping[str, Any]) -> "ModelConfig":
        """From a parsed Hugging Face config.json; raises `WseError` naming the key that is missing or contradicts."""
        from wse_emu.models.hf_config import read_hf_config

        return read_hf_config(data)
