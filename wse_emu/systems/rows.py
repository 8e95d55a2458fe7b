"""One system with some users: its rate, energy and cost; and who is ahead among several."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from wse_emu.baseline import GpuRate, usd_per_million_tokens
from wse_emu.wafers import WaferEstimate

Phase = Literal["decode", "prefill"]
WAFER_LEVEL = "timing model; queueing and ways between wafers an estimate"
PREFILL_LEVEL = (
    "timing model: WaferLLM's prefill, held to a WSE-2 within 5 %; on a WSE-3 its GEMMs alone are measured, and it is "
    "assumed that the weights lie there already"
)


@dataclass(frozen=True)
class SystemRow:
    """Some wafers or GPUs of a kind that serve ``users`` at once; tokens are those put out, in a prefill those read."""

    phase: Phase
    users: int
    system: str
    count: int
    tokens_per_second_per_user: float
    tokens_per_second_total: float
    joules_per_token: float
    """At the full power of the whole systems: a wafer's by press and vendor, a GPU's by its datasheet."""
    usd_per_million_tokens: float | None
    """None without a price of an hour."""
    bound_by: str
    level: str
    """How the rate was obtained; energy and cost are estimates."""
    wafer: bool
    ahead: tuple[str, ...] = ()
    """In what no other row of the same phase and users is better: "speed", "energy", "cost" (of those with a price)."""

    @property
    def name(self) -> str:
        return f"{self.count} × {self.system}"


def wafer_row(name: str, users: int, found: WaferEstimate, usd_per_hour: float | None) -> SystemRow:
    total = found.tokens_per_second_total
    cost = usd_per_million_tokens(None if usd_per_hour is None else usd_per_hour * found.wafers, total)
    return SystemRow(
        "decode", users, name, found.wafers, found.tokens_per_second_per_user, total, found.energy_j_per_token, cost,
        found.bound_by, WAFER_LEVEL, wafer=True,
    )  # fmt: skip


def prefill_row(name: str, rate: float, watts: float, usd_per_hour: float | None) -> SystemRow:
    """One wafer that reads a prompt at ``rate`` tokens/s."""
    cost = usd_per_million_tokens(usd_per_hour, rate)
    return SystemRow(
        "prefill", 1, name, 1, rate, rate, watts / rate, cost, "arithmetic and fabric", PREFILL_LEVEL, wafer=True
    )  # fmt: skip


def gpu_row(phase: Phase, rate: GpuRate) -> SystemRow:
    return SystemRow(
        phase, rate.users, rate.gpu, rate.gpus, rate.tokens_per_second_per_user, rate.tokens_per_second_total,
        rate.joules_per_token, rate.usd_per_million_tokens, rate.bound_by, rate.level, wafer=False,
    )  # fmt: skip


def with_ahead(rows: Iterable[SystemRow]) -> list[SystemRow]:
    """The same rows, each with what it is ahead in among those of its phase and users."""
    rows = list(rows)
    return [replace(row, ahead=_ahead(row, [one for one in rows if _group(one) == _group(row)])) for row in rows]


def _group(row: SystemRow) -> tuple[Phase, int]:
    return row.phase, row.users


def _ahead(row: SystemRow, rivals: list[SystemRow]) -> tuple[str, ...]:
    best = {
        "speed": row.tokens_per_second_total >= max(one.tokens_per_second_total for one in rivals),
        "energy": row.joules_per_token <= min(one.joules_per_token for one in rivals),
        "cost": row.usd_per_million_tokens is not None
        and row.usd_per_million_tokens
        <= min(one.usd_per_million_tokens for one in rivals if one.usd_per_million_tokens is not None),
    }
    return tuple(what for what, yes in best.items() if yes)
