"""Rates of a model's decode and prefill on GPUs, with their energy and cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from wse_emu.baseline.cluster import Cluster, fewest
from wse_emu.baseline.cost import gpu_joules, gpu_joules_by_part, usd_per_million_tokens
from wse_emu.baseline.step import Step, decode_step, prefill_step
from wse_emu.baseline.work import ModelWork
from wse_emu.errors import WseError
from wse_emu.hardware.gpu import GpuSpec, load_gpus


@dataclass(frozen=True)
class GpuRate:
    """Decode (or prefill) of some users' requests at once, on one or more GPUs of a kind."""

    gpu: str
    gpus: int
    replicas: int
    """Of the model, each on gpus / replicas of them by tensor parallelism, with its part of the users."""
    users: int
    weights: str
    """One of :data:`wse_emu.baseline.constants.FORMATS`."""
    tokens_per_second_per_user: float
    tokens_per_second_total: float
    bound_by: str
    """"HBM", "arithmetic", "launches" or "all-reduce": the largest term."""
    joules_per_token: float
    """At the datasheet's power: an upper bound for the boards."""
    joules_per_token_by_part: float | None
    """By measured energies of the GPU's parts, where they are published."""
    usd_per_million_tokens: float | None
    """At the GPU's price of an hour; None where none is known."""
    level: str = "estimate"


def decode_rate(
    work: ModelWork,
    on: Cluster,
    *,
    users: int = 1,
    position: float = 0,
    context: float | None = None,
    replicas: int = 1,
) -> GpuRate:
    """A token of each of ``users``, who read ``position`` cached ones and have room for ``context`` (None: no more).

    Users are spread over ``replicas`` of the cluster. Raises WseError for users or positions that there are not, and
    where the GPUs do not hold them.
    """
    each = ceil(users / replicas)
    step = decode_step(work, on, batch=each, context=position)
    _check_room(work, on, each, position if context is None else context)
    return _rate(step, on, users, users, replicas)


def prefill_rate(work: ModelWork, on: Cluster, *, length: int, users: int = 1) -> GpuRate:
    """Prefill of a prompt of ``length`` tokens for each of ``users`` at once; tokens are those of the prompts.

    Raises WseError as :func:`decode_rate` does.
    """
    step = prefill_step(work, on, length=length, batch=users)
    _check_room(work, on, users, length)
    return _rate(step, on, users, users * length, 1)


def baselines(
    work: ModelWork,
    gpus: Sequence[GpuSpec] = (),
    *,
    users: int = 1,
    position: float = 0,
    context: float | None = None,
    weights: str = "bf16",
) -> list[GpuRate]:
    """``work`` decoding on each of ``gpus`` (all presets if none is given), as :func:`decode_rate` says.

    Each time on the smallest power of two of them that holds it, in the fastest of the ways that it does. Raises
    WseError where none does.
    """
    held = position if context is None else context
    rates = []
    for gpu in gpus or load_gpus():
        ways = fewest(gpu, work, users=users, context=held, weights=weights)
        every = (
            decode_rate(work, on, users=users, position=position, context=held, replicas=replicas)
            for on, replicas in ways
        )
        rates.append(max(every, key=lambda rate: rate.tokens_per_second_total))
    return rates


def _check_room(work: ModelWork, on: Cluster, users: int, context: float) -> None:
    if not on.fits(work, users, context):
        raise WseError(
            f"{work.name} with {users:,} × {context:,.0f} tokens of cache does not fit {on.count} {on.gpu.name}: "
            "more GPUs, fewer users, a shorter context or smaller weights work"
        )


def _rate(step: Step, on: Cluster, users: int, tokens: int, replicas: int) -> GpuRate:
    """Of ``tokens`` that all replicas together finish in the time of ``step``, which is the fullest one's."""
    total, hour, gpus = tokens / step.seconds, on.gpu.usd_per_hour, on.count * replicas
    by_part = gpu_joules_by_part(on.gpu, on.count, step, tokens)
    return GpuRate(
        on.gpu.name,
        gpus,
        replicas,
        users,
        on.weights.name,
        total / users,
        total,
        step.bound_by,
        gpu_joules(on.gpu, gpus, step.seconds, tokens),
        None if by_part is None else replicas * by_part,
        usd_per_million_tokens(None if hour is None else hour * gpus, total),
    )
