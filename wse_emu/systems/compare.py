"""A wafer and GPUs with the same model, positions, precision and users."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite

from wse_emu.baseline import ModelWork, baselines, fewest, gpu_format, model_work, prefill_rate
from wse_emu.errors import WseError
from wse_emu.hardware.gpu import GpuSpec, load_gpus
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.models.config import ModelConfig
from wse_emu.systems.published import PublishedSpeed, published_speeds
from wse_emu.systems.rows import Phase, SystemRow, gpu_row, prefill_row, wafer_row, with_ahead
from wse_emu.wafers import Workload, estimate
from wse_emu.wafers.prefill import estimate_prefill
from wse_emu.wafers.workload import check_workload


@dataclass(frozen=True)
class Asked:
    """What is compared. Each of ``users`` has ``context`` tokens in the cache and is halfway through it."""

    users: tuple[int, ...] = (1, 8, 64, 256)
    context: int = 8192
    dtype: str = "float16"
    wafers: int | None = None
    """At most so many; None: as many as it takes."""
    wafer_usd_per_hour: float | None = None
    gpu_usd_per_hour: float | None = None
    """In place of the presets' prices."""

    def workload(self, users: int) -> Workload:
        return Workload(users, self.context, self.dtype)

    @property
    def position(self) -> int:
        """Cached tokens that a user's next one reads."""
        return self.workload(1).position

    @property
    def prompt(self) -> int:
        """Tokens of the prompt of a prefill: half the context."""
        return max(1, self.position)

    @property
    def weights(self) -> str:
        """As GPUs keep them."""
        return gpu_format(self.workload(1).precision)


@dataclass(frozen=True)
class Missing:
    """A system without a figure, and why."""

    phase: Phase
    users: int
    system: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """What was found; rows in the order of phase and users, the wafer's first."""

    work: ModelWork
    wafer: str
    gpus: tuple[GpuSpec, ...]
    asked: Asked
    rows: list[SystemRow]
    missing: list[Missing]
    published: list[PublishedSpeed]

    def of(self, phase: Phase, users: int) -> list[SystemRow]:
        """The rows of one phase and number of users."""
        return [row for row in self.rows if (row.phase, row.users) == (phase, users)]

    def predicted(self, speed: PublishedSpeed) -> SystemRow | None:
        """The row of one user of the system that was published; None if it is not among them."""
        return next((row for row in self.of("decode", 1) if row.system == speed.system), None)


def compare_systems(
    config: ModelConfig,
    spec: WaferSpec,
    asked: Asked | None = None,
    gpus: Sequence[GpuSpec] = (),
    *,
    name: str | None = None,
) -> Comparison:
    """``config`` (called ``name``) on wafers of ``spec`` and on ``gpus`` (all presets if none is given).

    Raises WseError for numbers that no workload has, and where the wafers, or all of the GPUs, hold it for none of the
    numbers of users; what some of them do not hold is among ``missing``.
    """
    asked = asked or Asked()
    _check(config, asked)
    price = asked.gpu_usd_per_hour
    chosen = tuple(gpu if price is None else replace(gpu, usd_per_hour=price) for gpu in gpus or load_gpus())
    work = model_work(config, name=name)
    tried = [
        _attempt(phase, users, system, make)
        for phase, users, system, make in _systems(config, spec, work, chosen, asked)
    ]
    rows = with_ahead(one for one in tried if isinstance(one, SystemRow))
    missing = [one for one in tried if isinstance(one, Missing)]
    for wafer in (True, False):
        if not any(row.wafer == wafer for row in rows if row.phase == "decode"):
            raise WseError(next(one.reason for one in missing if (one.system == spec.name) == wafer))
    return Comparison(work, spec.name, chosen, asked, rows, missing, published_speeds(config))


def _check(config: ModelConfig, asked: Asked) -> None:
    if not asked.users or len(set(asked.users)) < len(asked.users):
        raise WseError(f"numbers of users {list(asked.users)}: one or more, each of them once, work")
    for users in asked.users:
        check_workload(config, asked.workload(users), asked.wafers)
    for what, price in (("wafer", asked.wafer_usd_per_hour), ("GPU", asked.gpu_usd_per_hour)):
        if price is not None and not (isfinite(price) and price >= 0):
            raise WseError(f"a {what} at {price:g} $ an hour: a price from 0 works")


def _attempt(phase: Phase, users: int, system: str, make: Callable[[], SystemRow]) -> SystemRow | Missing:
    try:
        return make()
    except WseError as error:
        return Missing(phase, users, system, str(error))


def _systems(
    config: ModelConfig, spec: WaferSpec, work: ModelWork, gpus: Sequence[GpuSpec], asked: Asked
) -> Iterator[tuple[Phase, int, str, Callable[[], SystemRow]]]:
    """Every row that is asked for, and how it is made."""
    for users in asked.users:
        yield "decode", users, spec.name, partial(_on_wafers, config, spec, users, asked)
        for gpu in gpus:
            yield "decode", users, gpu.name, partial(_on_gpus, work, gpu, users, asked)
    yield "prefill", 1, spec.name, partial(_prefill_on_wafer, config, spec, asked)
    for gpu in gpus:
        yield "prefill", 1, gpu.name, partial(_prefill_on_gpus, work, gpu, asked)


def _on_wafers(config: ModelConfig, spec: WaferSpec, users: int, asked: Asked) -> SystemRow:
    found = estimate(config, spec, asked.workload(users), asked.wafers)
    return wafer_row(spec.name, users, found, asked.wafer_usd_per_hour)


def _on_gpus(work: ModelWork, gpu: GpuSpec, users: int, asked: Asked) -> SystemRow:
    positions = {"position": asked.position, "context": asked.context}
    (rate,) = baselines(work, [gpu], users=users, weights=asked.weights, **positions)
    return gpu_row("decode", rate)


def _prefill_on_wafer(config: ModelConfig, spec: WaferSpec, asked: Asked) -> SystemRow:
    try:
        estimate(config, spec, asked.workload(1), 1)
    except WseError:
        raise WseError("a wafer's prefill is known of models that one wafer holds") from None
    rate = estimate_prefill(config, spec, asked.dtype, asked.prompt, wafers=1).tokens_per_second
    return prefill_row(spec.name, rate, spec.system_watts, asked.wafer_usd_per_hour)


def _prefill_on_gpus(work: ModelWork, gpu: GpuSpec, asked: Asked) -> SystemRow:
    ((on, _),) = fewest(gpu, work, context=asked.context, weights=asked.weights)
    return gpu_row("prefill", prefill_rate(work, on, length=asked.prompt))
