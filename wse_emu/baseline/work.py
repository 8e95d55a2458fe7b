"""What a model asks of a GPU, whatever its family: numbers read, kept and multiplied for a token."""

from dataclasses import dataclass
from math import expm1, isfinite, log1p

from wse_emu.errors import WseError
from wse_emu.models.config import ModelConfig

KERNELS_PER_LAYER = 6
"""Norm, QKV, attention, output, norm with gate-up, down: what a fused decoder launches. An estimate."""
KERNELS_BESIDE = 2
"""Final norm and LM head, once a token. An estimate."""
ALL_REDUCES_PER_LAYER = 2
"""Under tensor parallelism: after the attention's output and after the MLP (Megatron-LM)."""


@dataclass(frozen=True)
class Cache:
    """Keys and values that a request keeps, all layers of one kind together."""

    numbers: float
    """Read for every position that a token sees."""
    flops: float
    """Done for every position that a token sees."""
    shards: int = 1
    """GPUs that can share the cache, as many as KV heads; on more, it is kept several times."""
    window: int | None = None
    """The most positions kept: a sliding window's."""

    def positions(self, context: float) -> float:
        """Positions kept of ``context``."""
        return context if self.window is None else min(context, self.window)

    def mean_positions(self, length: int) -> float:
        """Positions that a token of a causal prefill of ``length`` sees, in the mean."""
        full = length if self.window is None else min(length, self.window)
        return (full * (full + 1) / 2 + (length - full) * full) / length


@dataclass(frozen=True)
class Experts:
    """The experts of a mixture (MoE)."""

    total: int
    """In one layer."""
    active: int
    """That one token goes through, in one layer."""
    parameters: float
    """Of one expert, in one layer."""
    layers: int

    def __post_init__(self) -> None:
        if not 1 <= self.active <= self.total or self.layers < 1 or not self.parameters > 0:
            raise WseError(
                f"{self.active} of {self.total} experts of {self.parameters:g} parameters in {self.layers} layers: "
                "from 1 active up to all of them, parameters above 0 and layers from 1 work"
            )

    def read(self, tokens: float) -> float:
        """Different experts of a layer that ``tokens`` read, expected: E(1 − (1 − k/E)^tokens).

        Each token chooses its k of the E experts evenly and alone; real routers repeat themselves, and read fewer.
        """
        share = self.active / self.total
        return float(self.total) if share == 1 else -self.total * expm1(tokens * log1p(-share))


@dataclass(frozen=True)
class ModelWork:
    """A model, as a GPU sees it. Numbers count elements, not bytes."""

    name: str
    layers: int
    hidden: int
    """Width of what an all-reduce carries for a token."""
    layer_parameters: float
    """Of all layers, that every token reads: attention, norms, dense MLPs, routers, shared experts."""
    head_parameters: float
    """LM head and final norm: read for each token that is sampled."""
    embedding_parameters: float
    """Kept, but only a row of it is read: embeddings, of tokens (0 where the LM head is the same) and of positions."""
    caches: tuple[Cache, ...] = ()
    experts: Experts | None = None

    def __post_init__(self) -> None:
        sizes = (self.layer_parameters, self.head_parameters, self.embedding_parameters)
        if self.layers < 1 or self.hidden < 1 or not all(isfinite(n) and n >= 0 for n in sizes) or not sum(sizes[:2]):
            raise WseError(
                f"model {self.name!r}: layers {self.layers}, hidden {self.hidden}, parameters {sizes}: "
                "layers and hidden from 1 work, parameters from 0, some of them read"
            )

    @property
    def expert_parameters(self) -> float:
        """All experts of all layers."""
        return self.experts.total * self.experts.parameters * self.experts.layers if self.experts else 0.0

    @property
    def parameters(self) -> float:
        """Kept."""
        return self.layer_parameters + self.expert_parameters + self.head_parameters + self.embedding_parameters

    def read_parameters(self, batch: int = 1) -> float:
        """Read for one decoded token of each of ``batch`` requests."""
        moe = self.experts
        routed = moe.read(batch) * moe.parameters * moe.layers if moe else 0.0
        return self.layer_parameters + self.head_parameters + routed

    @property
    def launches(self) -> int:
        """Kernels that a fused decoder launches for a pass."""
        return self.layers * KERNELS_PER_LAYER + KERNELS_BESIDE

    @property
    def all_reduces(self) -> int:
        """Of a pass under tensor parallelism."""
        return self.layers * ALL_REDUCES_PER_LAYER


def model_work(config: ModelConfig, *, experts: tuple[int, int] | None = None, name: str | None = None) -> ModelWork:
    """The work of ``config``; ``experts`` (total, active) makes the MLP of a dense one a mixture's, behind a router.

    A layer with a window keeps no more than that, as GPUs run it.
    """
    table = config.vocabulary * config.hidden
    embedding = 0 if config.tied_embeddings else table
    positions = config.context * config.hidden * config.learned_positions
    head = table + config.norm_parameters
    layers = config.parameters - head - embedding - positions
    mixture = experts_of(config)
    if mixture:
        layers -= round(mixture.total * mixture.parameters * mixture.layers)
    elif experts:
        mixture = Experts(*experts, config.mlp_parameters, config.layers)
        layers += config.layers * (config.hidden * experts[0] - config.mlp_parameters)
    return ModelWork(
        name or config.family,
        config.layers,
        config.hidden,
        layer_parameters=layers,
        head_parameters=head,
        embedding_parameters=embedding + positions,
        caches=_caches(config),
        experts=mixture,
    )


def experts_of(config: ModelConfig) -> Experts | None:
    """The experts of a mixture, all alike; None of a dense model, and where every token goes through all of them."""
    own = config.experts
    if own is None or own.active == own.count:
        return None
    layers = sum(count for kind, count in config.layers_by_kind.items() if kind.sparse)
    unseen = config.parameters - config.active_parameters
    return Experts(own.count, own.active, unseen / layers / (own.count - own.active), layers)


def _caches(config: ModelConfig) -> tuple[Cache, ...]:
    if (latent := config.latent) is not None:  # every head reads all of it, keys and values of a position being one
        flops = 2 * config.heads * (latent.cached + latent.kv_rank)
        return (Cache(config.layers * latent.cached, config.layers * flops),)
    near = sum(config.windowed)
    kinds = ((config.layers - near, None), (near, config.window))
    return tuple(
        Cache(2 * count * config.kv_width, 4 * count * config.q_width, config.kv_heads, window)
        for count, window in kinds
        if count
    )
