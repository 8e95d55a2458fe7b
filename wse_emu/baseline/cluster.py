"""Some GPUs that share a model by tensor parallelism: what they hold, and what their all-reduces take."""

from dataclasses import dataclass
from math import ceil, log2

from wse_emu.baseline.constants import BESIDE, Constants, Format, Serving, constants, find_format, servings
from wse_emu.baseline.work import ModelWork
from wse_emu.errors import WseError
from wse_emu.hardware.gpu import GpuSpec

RING_STEP_SECONDS = 0.6e-6
"""One step of NCCL's ring over NVLink, protocol LL (NCCL's cost model, by gpu_collective_latency.csv)."""
MOST_GPUS = 1024


@dataclass(frozen=True)
class Cluster:
    """``count`` GPUs of a kind, the program that drives them and how it keeps weights."""

    gpu: GpuSpec
    count: int
    serving: Serving
    weights: Format
    figures: Constants

    def weight_bandwidth(self) -> float:
        """Bytes of weights that one GPU reads in a second."""
        kept = self.weights.share
        if self.weights.name == "fp8" and self.gpu.fp8_flops is None:
            kept = "int8_share"  # dequantised, as 8-bit integers are
        return self.cache_bandwidth() * (getattr(self.figures, kept) if kept else 1)

    def cache_bandwidth(self) -> float:
        """Bytes of cache that one GPU reads in a second."""
        return self.figures.hbm_share * self.gpu.hbm_bytes_per_second

    def flops(self) -> float:
        """Floating-point operations of one GPU in a second."""
        return self.figures.flop_share * self.weights.peak_flops(self.gpu)

    def held_bytes(self, work: ModelWork, batch: int, context: float) -> float:
        """Bytes on the fullest GPU: its share of the weights, and of the caches of ``batch`` requests."""
        split = work.layer_parameters + work.expert_parameters
        beside = work.head_parameters + work.embedding_parameters
        shared = self.count if self.serving.head_split else 1
        cached = sum(c.numbers * c.positions(context) / min(self.count, c.shards) for c in work.caches)
        weights = (split / self.count + beside / shared) * self.weights.bytes
        return weights + batch * cached * self.weights.activation_bytes

    def fits(self, work: ModelWork, batch: int, context: float) -> bool:
        """Whether every GPU has the memory."""
        return self.held_bytes(work, batch, context) <= self.gpu.hbm_bytes

    def all_reduce(self, tokens: float, hidden: int) -> float:
        """Seconds of an all-reduce of ``tokens`` rows of ``hidden`` numbers: latency, and its bytes on the link."""
        if self.count == 1:
            return 0.0
        sent = 2 * (self.count - 1) / self.count * tokens * hidden * self.weights.activation_bytes
        return self._latency() + sent / (self.serving.link_share * self.gpu.nvlink_bytes_per_second / 2)

    def _latency(self) -> float:
        """Of a small one: measured where it is published, and from there by the steps of NCCL's ring."""
        nodes = ceil(self.count / self.gpu.gpus_per_node)
        if nodes > 1:
            return self.figures.sglang_two_nodes * log2(nodes)
        if self.serving.pcie_all_reduce is not None:
            return self.serving.pcie_all_reduce
        steps = 2 * (self.count - self.gpu.all_reduce_gpus)
        return self.gpu.all_reduce_seconds + steps * RING_STEP_SECONDS


def cluster(
    gpu: GpuSpec,
    count: int = 1,
    *,
    weights: str = "bf16",
    serving: str = BESIDE,
    figures: Constants | None = None,
) -> Cluster:
    """``count`` GPUs driven by ``serving``. Raises WseError for what there is not."""
    figures = figures or constants()
    known = servings(figures)
    if not 1 <= count <= MOST_GPUS:
        raise WseError(f"{count} GPUs: from 1 to {MOST_GPUS} work")
    if serving not in known:
        raise WseError(f"serving program {serving!r}: {', '.join(known)} work")
    return Cluster(gpu, count, known[serving], find_format(weights), figures)


def fewest(
    gpu: GpuSpec, work: ModelWork, *, users: int = 1, context: float = 0, weights: str = "bf16"
) -> list[tuple[Cluster, int]]:
    """The smallest power of two of GPUs that holds ``work`` and the caches of ``users``, in every way that it does.

    As clusters that share a model, and how many replicas of them there are, each with its part of the users. Raises
    WseError for no users, and if :data:`MOST_GPUS` are too few.
    """
    if users < 1:
        raise WseError(f"{users} users: at least 1 works")
    count = 1
    while count <= MOST_GPUS:
        splits = (2**n for n in range(min(count, users).bit_length()))
        ways = [(cluster(gpu, count // replicas, weights=weights), replicas) for replicas in splits]
        held = [(on, replicas) for on, replicas in ways if on.fits(work, ceil(users / replicas), context)]
        if held:
            return held
        count *= 2
    raise WseError(
        f"{work.name} with {users:,} × {context:,.0f} tokens of cache: {MOST_GPUS:,} {gpu.name} do not hold it; fewer "
        "users, a shorter context or smaller weights work"
    )
