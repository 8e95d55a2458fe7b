"""Seconds of one pass of a model over GPUs: a decoded token of each request, or a prefill."""

from collections.abc import Iterator
from dataclasses import dataclass

from wse_emu.baseline.cluster import Cluster
from wse_emu.baseline.work import Cache, ModelWork
from wse_emu.errors import WseError


@dataclass(frozen=True)
class Step:
    """Where the time of a pass goes, in seconds. Of each group of operations the larger term counts."""

    hbm: float
    arithmetic: float
    launches: float
    all_reduce: float
    hbm_bytes: float
    """Read by all GPUs together."""
    flops: float
    """Done by all GPUs together."""

    @property
    def seconds(self) -> float:
        return self.hbm + self.arithmetic + self.launches + self.all_reduce

    @property
    def bound_by(self) -> str:
        """The largest term."""
        terms = {
            "HBM": self.hbm,
            "arithmetic": self.arithmetic,
            "launches": self.launches,
            "all-reduce": self.all_reduce,
        }
        return max(terms, key=lambda name: terms[name])


@dataclass(frozen=True)
class _Group:
    """Operations that run together: bytes and FLOP of one GPU, and the bandwidth that the bytes come with."""

    bytes: float
    flops: float
    bandwidth: float


def decode_step(work: ModelWork, on: Cluster, *, batch: int = 1, context: float = 0) -> Step:
    """One token of each of ``batch`` requests that see ``context`` positions. Raises WseError for less than nothing."""
    _check(batch, context)
    return _step(work, on, _Pass(batch, batch, context, prompt=None))


def prefill_step(work: ModelWork, on: Cluster, *, length: int, batch: int = 1) -> Step:
    """``batch`` prompts of ``length`` tokens at once, the cache read once."""
    _check(batch, length)
    if length < 1:
        raise WseError(f"a prefill of {length} tokens: from 1 works")
    return _step(work, on, _Pass(batch, batch * length, length, prompt=length))


@dataclass(frozen=True)
class _Pass:
    """Requests, their new tokens together, and the positions that each request has kept by the end."""

    requests: int
    tokens: int
    context: float
    prompt: int | None
    """New tokens of a request that see each other causally; None for a single one."""

    def seen(self, cache: Cache) -> float:
        """Positions that a new token sees, in the mean."""
        return cache.positions(self.context) if self.prompt is None else cache.mean_positions(self.prompt)


def _check(batch: int, context: float) -> None:
    if batch < 1 or not 0 <= context < float("inf"):
        raise WseError(
            f"a batch of {batch} requests with {context:g} positions: requests from 1, positions from 0 work"
        )


def _step(work: ModelWork, on: Cluster, run: _Pass) -> Step:
    groups = list(_groups(work, on, run))
    hbm = arithmetic = 0.0
    for group in groups:
        memory, compute = group.bytes / group.bandwidth, group.flops / on.flops()
        hbm, arithmetic = (hbm + memory, arithmetic) if memory >= compute else (hbm, arithmetic + compute)
    return Step(
        hbm,
        arithmetic,
        launches=work.launches * on.serving.kernel_seconds,
        all_reduce=work.all_reduces * on.all_reduce(run.tokens, work.hidden),
        hbm_bytes=on.count * sum(group.bytes for group in groups),
        flops=on.count * sum(group.flops for group in groups),
    )


def _groups(work: ModelWork, on: Cluster, run: _Pass) -> Iterator[_Group]:
    size, fast = on.weights.bytes, on.weight_bandwidth()
    yield _Group(work.layer_parameters * size / on.count, 2 * work.layer_parameters * run.tokens / on.count, fast)
    if moe := work.experts:
        one = moe.parameters * moe.layers / on.count
        yield _Group(moe.read(run.tokens) * one * size, 2 * moe.active * one * run.tokens, fast)
    head = work.head_parameters / (on.count if on.serving.head_split else 1)
    yield _Group(head * size, 2 * head * run.requests, fast)
    for cache in work.caches:
        kept = run.requests * cache.numbers * cache.positions(run.context) / min(on.count, cache.shards)
        flops = cache.flops * run.seen(cache) * run.tokens / on.count
        yield _Group(kept * on.weights.activation_bytes, flops, on.cache_bandwidth())
