"""The sizes of multi-head latent attention (DeepSeek-V2, arXiv 2405.04434)."""

from dataclasses import dataclass

from wse_emu.errors import WseError


@dataclass(frozen=True)
class Latent:
    """Queries come from a vector of ``q_rank``, keys and values of all heads from one of ``kv_rank``, which is cached.

    A head's query and key have ``nope`` elements that do not rotate and ``rope`` that do, the key's being those of all
    heads and cached as well; its value has ``value`` elements.
    """

    q_rank: int
    kv_rank: int
    nope: int
    rope: int
    value: int

    def __post_init__(self) -> None:
        for name in ("q_rank", "kv_rank", "nope", "rope", "value"):
            if getattr(self, name) < 1:
                raise WseError(f"model config: latent attention: {name} must be at least 1, got {getattr(self, name)}")
        if self.rope % 2:
            raise WseError(f"model config: latent attention: {self.rope} rotated elements are odd; pairs rotate")

    @property
    def cached(self) -> int:
        """Elements that a token leaves in a layer's cache."""
        return self.kv_rank + self.rope

    def parameters(self, hidden: int, heads: int) -> int:
        """Weights of one layer's attention, its norms of the latents included."""
        queries = hidden * self.q_rank + self.q_rank + self.q_rank * heads * (self.nope + self.rope)
        cached = hidden * self.cached + self.kv_rank + self.kv_rank * heads * (self.nope + self.value)
        return queries + cached + heads * self.value * hidden
