"""What is asked of wafers, and whether it can be."""

from dataclasses import dataclass
from math import ceil

from wse_emu.errors import WseError
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.mappings.plan import EXPERTS
from wse_emu.models.config import ModelConfig
from wse_emu.program.precision import ITEMSIZE, PRESETS, Precision, find_precision
from wse_emu.program.routing import check_chances

KV_CACHES = ("dealt", "shifted", "concatenated")
"""How positions of a user's cache lie on the rows of PEs: dealt to them in turn, as `wse-emu decode` has them;
the oldest always passed on, so that every row has equally many neighbours in time (WaferLLM, OSDI 2025, section 4.3);
or all on one row, which grows (the same section's baseline)."""


@dataclass(frozen=True)
class Workload:
    """What is asked: ``users`` at work at once, each with ``context`` tokens in the cache and halfway through it."""

    users: int = 1
    context: int = 4096
    dtype: str = "float16"
    kv: str = "dealt"
    experts: str = "sharded"
    """Where experts lie: "sharded" over their layer's region, or on "regions" of their own."""
    chances: tuple[float, ...] | None = None
    """How likely a token is to meet each expert, relative to the others; None: all alike."""

    @property
    def precision(self) -> Precision:
        """Which type is used where."""
        return find_precision(self.dtype)

    @property
    def position(self) -> int:
        """Of the token that is timed."""
        return self.context // 2


def check_workload(config: ModelConfig, workload: Workload, wafers: int | None = None) -> None:
    """WseError for zero users, no context, more context than the model has, or no wafer."""
    if workload.users < 1:
        raise WseError(f"{workload.users} users: at least 1 works")
    if not 1 <= workload.context <= config.context:
        raise WseError(f"a context of {workload.context:,} tokens: 1 to {config.context:,}, the model's, work")
    if workload.dtype not in PRESETS:
        raise WseError(f"precision {workload.dtype!r}: what works: {', '.join(PRESETS)}")
    if workload.kv not in KV_CACHES:
        raise WseError(f"KV cache {workload.kv!r}: what works: {', '.join(KV_CACHES)}")
    _check_experts(config, workload)
    if wafers is not None and wafers < 1:
        raise WseError(f"{wafers} wafers: at least 1 works")


def _check_experts(config: ModelConfig, workload: Workload) -> None:
    if workload.experts not in EXPERTS:
        raise WseError(f"experts {workload.experts!r}: {' or '.join(EXPERTS)} works")
    if config.experts is not None:
        check_chances(workload.chances, config.experts.count, config.experts.active)
    elif workload.experts == "regions" or workload.chances is not None:
        raise WseError(f"a {config.family} model of this shape has no experts")


def least_wafers(config: ModelConfig, spec: WaferSpec, workload: Workload) -> int:
    """Wafers that have as many bytes as weights and caches take."""
    cache = config.layers * config.cache_width * workload.users * workload.context
    room = spec.pes * (spec.sram_bytes - spec.runtime_bytes)
    held = config.parameters * workload.precision.weight_bytes + cache * ITEMSIZE[workload.precision.activations]
    return ceil(held / room)
