"""The MLP of sparse layers: experts, of which a router gives every token a few (Shazeer et al., arXiv 1701.06538)."""

from dataclasses import dataclass

import numpy as np

from wse_emu.errors import WseError


@dataclass(frozen=True)
class Experts:
    """``count`` gated MLPs of inner width ``intermediate``, of which a token sees the ``active`` best.

    Raises `WseError` where numbers contradict each other.
    """

    count: int
    active: int
    intermediate: int
    norm_topk: bool = True
    """The weights of the chosen sum to 1: a softmax over their logits alone. Else it is one over all logits."""
    shared_intermediate: int = 0
    """Inner width of an expert that every token sees; 0: there is none."""
    shared_gate: bool = False
    """The shared expert's output is multiplied by σ(a vector · x) (Qwen2-MoE)."""
    bias: bool = False
    """The router and every projection of the experts have biases (gpt-oss)."""
    clamp: float | None = None
    """Gate values are cut off above it, and up values beyond ±it, to which 1 is then added (gpt-oss); None: neither."""
    alpha: float = 1.0
    """The gate's activation is x · σ(alpha · x)."""

    def __post_init__(self) -> None:
        for name in ("count", "active", "intermediate"):
            if getattr(self, name) < 1:
                raise WseError(f"model config: experts: {name} must be at least 1, got {getattr(self, name)}")
        if self.active > self.count:
            raise WseError(f"model config: a token cannot see {self.active} of {self.count} experts; up to all work")
        if self.shared_intermediate < 0:
            raise WseError(f"model config: shared_intermediate must not be negative, got {self.shared_intermediate}")
        for name, value in (("clamp", self.clamp), ("alpha", self.alpha)):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise WseError(f"model config: experts: {name} must be finite and above 0, got {value}")

    def parameters(self, hidden: int, *, active: bool = False) -> int:
        """Weights of one layer's router and experts; with ``active`` those that a token sees."""
        router = self.count * (hidden + self.bias)
        one = 3 * hidden * self.intermediate + (2 * self.intermediate + hidden) * self.bias
        shared = 3 * hidden * self.shared_intermediate + hidden * self.shared_gate
        return router + (self.active if active else self.count) * one + shared
