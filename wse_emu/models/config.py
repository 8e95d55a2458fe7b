"""The shape of a decoder: all that a mapping needs to know without reading a weight. What is left out is as Llama's."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any, Literal, get_args

import numpy as np

from wse_emu.errors import WseError
from wse_emu.models.experts import Experts
from wse_emu.models.latent import Latent
from wse_emu.models.rope import Rope

FAMILIES = (
    *("llama", "qwen2", "qwen3", "gpt2", "gpt_neox", "gemma2", "gemma3_text", "phi3"),
    *("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss", "deepseek_v3"),
)
Norm = Literal["rms", "layer"]
"""RMSNorm, or LayerNorm with a bias."""
Activation = Literal["silu", "gelu", "gelu_tanh"]
"""x·σ(x); x·Φ(x), the error function exactly; the same with its usual approximation by tanh."""


@dataclass(frozen=True)
class LayerKind:
    """What sets a layer of a model apart from its other layers."""

    windowed: bool = False
    """Its tokens see only the last `ModelConfig.window` positions."""
    sparse: bool = False
    """Its MLP is the one of `ModelConfig.experts`, of which a token sees some."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes count elements; `context` counts positions; `intermediate` is the inner width of the MLP.

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
    """q, k and v have biases (Qwen2)."""
    qk_norm: bool = False
    """q and k pass an RMSNorm over head_dim before the rotation (Qwen3, Gemma 3)."""
    wide_qk_norm: bool = False
    """q and k pass an RMSNorm each over all their heads at once (OLMoE)."""
    attention_sinks: bool = False
    """Every query head has a logit of its own that takes part in its softmax, without a value (gpt-oss)."""
    output_bias: bool = False
    """The attention's output projection has a bias (GPT-2, GPT-NeoX, gpt-oss)."""
    mlp_bias: bool = False
    """Every projection of the MLP has a bias (GPT-2, GPT-NeoX)."""
    norm: Norm = "rms"
    """What the hidden state passes before attention, MLP and head."""
    activation: Activation = "silu"
    gated: bool = True
    """down(activation(gate x) · up x); without it down(activation(up x))."""
    learned_positions: bool = False
    """A vector learned for each of the `context` positions is added to the embedding (GPT-2)."""
    parallel_residual: bool = False
    """Attention and MLP read the same hidden state, and both are added to it (GPT-NeoX)."""
    post_norms: bool = False
    """The outputs of attention and MLP pass a norm each before they are added (Gemma)."""
    embedding_scale: float = 1.0
    """What an embedding is multiplied by (Gemma: √hidden)."""
    attention_scale: float | None = None
    """What scores are multiplied by before the softmax; None: 1 / √head_dim."""
    attention_softcap: float | None = None
    """Scores x become cap · tanh(x / cap) (Gemma 2); None: they stay."""
    logit_softcap: float | None = None
    """The same for logits."""
    window: int | None = None
    """How many positions, the token's own included, a windowed layer sees; None where no layer is windowed.

    Its KV cache still holds all positions: older ones are masked, at their full cost.
    """
    windowed: tuple[bool, ...] = ()
    """Which layers are windowed; empty: none."""
    local_rope: Rope | None = None
    """How windowed layers rotate; None: as the others (Gemma 3 has a base of their own)."""
    latent: Latent | None = None
    """Attention over a cache of latent vectors (DeepSeek-V3), known by its shape alone; None: over keys and values."""
    experts: Experts | None = None
    """The MLP of sparse layers; None: no layer is sparse."""
    sparse: tuple[bool, ...] = ()
    """Which layers are sparse; empty: all, if there are experts."""

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
        for name, known in (("norm", get_args(Norm)), ("activation", get_args(Activation))):
            if getattr(self, name) not in known:
                raise WseError(f"model config: unknown {name} {getattr(self, name)!r}; supported: {', '.join(known)}")
        self._check_factors()
        self._check_windows()

    def _check_factors(self) -> None:
        for name in ("embedding_scale", "attention_scale", "attention_softcap", "logit_softcap"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise WseError(f"model config: {name} must be finite and above 0, got {value}")

    def _check_windows(self) -> None:
        if self.local_rope is not None and self.local_rope.rotated != self.rope.rotated:
            raise WseError("model config: windowed layers must rotate as many elements of a head as the others")
        if self.windowed and len(self.windowed) != self.layers:
            raise WseError(f"model config: windowed says {len(self.windowed)} layers, the model has {self.layers}")
        if any(self.windowed) and (self.window is None or self.window < 1):
            raise WseError(f"model config: windowed layers need a window of at least 1 position, got {self.window}")
        if self.sparse and len(self.sparse) != self.layers:
            raise WseError(f"model config: sparse says {len(self.sparse)} layers, the model has {self.layers}")
        if any(self.sparse) and self.experts is None:
            raise WseError("model config: sparse layers need experts")

    def alike(self, kind: LayerKind, count: int) -> "ModelConfig":
        """The same with ``count`` layers, all of that kind."""
        windowed, sparse = (kind.windowed,) * count, (kind.sparse,) * count
        return replace(self, layers=count, windowed=windowed, sparse=sparse)

    def kind(self, layer: int) -> LayerKind:
        """What layer number ``layer`` is like."""
        sparse = self.sparse[layer] if self.sparse else self.experts is not None
        return LayerKind(bool(self.windowed) and self.windowed[layer], sparse)

    @cached_property
    def layers_by_kind(self) -> dict[LayerKind, int]:
        """How many layers of each kind there are, in order of their first layers."""
        if not self.windowed and not self.sparse:
            return {self.kind(0): self.layers}
        return dict(Counter(map(self.kind, range(self.layers))))

    @property
    def runs(self) -> tuple[tuple[LayerKind, int], ...]:
        """Layers one after another that are of one kind, and how many."""
        if len(self.layers_by_kind) == 1:
            return tuple(self.layers_by_kind.items())
        return tuple((kind, len(list(run))) for kind, run in groupby(map(self.kind, range(self.layers))))

    @property
    def kinds(self) -> tuple[LayerKind, ...]:
        """The kinds of layers there are, in order of their first layers."""
        return tuple(self.layers_by_kind)

    @property
    def heaviest(self) -> LayerKind:
        """The kind whose layers have the most weights; the first of equals."""
        return max(self.kinds, key=self.parameters_of)

    @property
    def narrowest(self) -> int:
        """The inner width that columns of PEs cut in most layers: that of an expert where there are any."""
        return self.experts.intermediate if self.experts is not None and self.heaviest.sparse else self.intermediate

    def rope_of(self, kind: LayerKind) -> Rope:
        """How layers of that kind rotate."""
        return self.local_rope if kind.windowed and self.local_rope is not None else self.rope

    @property
    def score_scale(self) -> float:
        """What scores are multiplied by before the softmax."""
        return self.head_dim**-0.5 if self.attention_scale is None else self.attention_scale

    @property
    def q_width(self) -> int:
        """Columns of the query projection, heads * head_dim."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Columns of the key (or value) projection, kv_heads * head_dim."""
        return self.kv_heads * self.head_dim

    @property
    def cache_width(self) -> int:
        """Elements that a token leaves in a layer's cache: keys and values, or what they are made from."""
        return 2 * self.kv_width if self.latent is None else self.latent.cached

    @property
    def norm_parameters(self) -> int:
        """Weights of one norm over the hidden state."""
        return self.hidden * (1 if self.norm == "rms" else 2)

    def parameters_of(self, kind: LayerKind, *, active: bool = False) -> int:
        """Weights of one layer of that kind, norms and biases included; with ``active`` those that a token sees."""
        norms = (4 if self.post_norms else 2) * self.norm_parameters
        if kind.sparse and self.experts is not None:
            return self.attention_parameters + norms + self.experts.parameters(self.hidden, active=active)
        return self.attention_parameters + norms + self.mlp_parameters

    @property
    def attention_parameters(self) -> int:
        """Weights of one layer's attention, its norms of q and k included."""
        if self.latent is not None:
            return self.latent.parameters(self.hidden, self.heads)
        projections = 2 * self.hidden * (self.q_width + self.kv_width)
        bias = (self.q_width + 2 * self.kv_width) * self.attention_bias + self.hidden * self.output_bias
        norms = 2 * self.head_dim * self.qk_norm + (self.q_width + self.kv_width) * self.wide_qk_norm
        return projections + bias + norms + self.heads * self.attention_sinks

    @property
    def mlp_parameters(self) -> int:
        """Weights of the MLP of one layer that is not sparse."""
        inward = 2 if self.gated else 1
        bias = (inward * self.intermediate + self.hidden) * self.mlp_bias
        return (inward + 1) * self.hidden * self.intermediate + bias

    @property
    def parameters(self) -> int:
        """Weights of the whole model; a tied embedding counts once."""
        return self._parameters(active=False)

    @property
    def active_parameters(self) -> int:
        """The same without the experts that a token does not see."""
        return self._parameters(active=True)

    def _parameters(self, *, active: bool) -> int:
        embeddings = self.vocabulary * self.hidden * (1 if self.tied_embeddings else 2)
        positions = self.context * self.hidden * self.learned_positions
        layers = sum(count * self.parameters_of(kind, active=active) for kind, count in self.layers_by_kind.items())
        return embeddings + positions + layers + self.norm_parameters

    @classmethod
    def from_hf(cls, data: Mapping[str, Any]) -> "ModelConfig":
        """From a parsed Hugging Face config.json; raises `WseError` naming the key that is missing or contradicts."""
        from wse_emu.models.hf_config import read_hf_config

        return read_hf_config(data)
