"""Speculative decoding: a small model drafts tokens, the large one checks them in one go.

Leviathan, Kalman and Matias, "Fast inference from transformers via speculative decoding", ICML 2023 (arXiv 2211.17192).
"""

from dataclasses import dataclass, replace

from wse_emu.errors import WseError
from wse_emu.hardware.wafer import WaferSpec
from wse_emu.models.config import ModelConfig
from wse_emu.wafers.layout import WaferEstimate, crossing_cycles
from wse_emu.wafers.workload import Workload


@dataclass(frozen=True)
class Draft:
    """A model on a wafer of its own that drafts ``tokens`` at a time, each accepted with probability ``acceptance``."""

    config: ModelConfig
    tokens: int = 4
    acceptance: float = 0.8

    @property
    def tokens_per_round(self) -> float:
        """Expected, the large model's own one included: (1 − αᵞ⁺¹) / (1 − α), equation 1 of the paper."""
        return sum(self.acceptance**i for i in range(self.tokens + 1))


def check_draft(draft: Draft, config: ModelConfig) -> None:
    """WseError for no tokens, a share that is none, or another vocabulary than the large model's."""
    if draft.tokens < 1:
        raise WseError(f"{draft.tokens} drafted tokens: at least 1 works")
    if not 0 <= draft.acceptance <= 1:
        raise WseError(f"an acceptance of {draft.acceptance:g}: a share from 0 to 1 works")
    if draft.config.vocabulary != config.vocabulary:
        raise WseError(
            f"the draft has a vocabulary of {draft.config.vocabulary:,}, the model one of {config.vocabulary:,}: a "
            "draft of the model's own family works"
        )


def round_cycles(large: WaferEstimate, small: WaferEstimate, draft: Draft, crossing: float) -> float:
    """Of one round for one user: tokens drafted one by one, over to the large model's wafers, checked, and back.

    The tokens to check follow each other through the large model's stages, as those of many users do: on one region
    for all layers, one after another.
    """
    checked = large.cycles_per_token + draft.tokens * large.interval_cycles
    return draft.tokens * small.cycles_per_token + checked + 2 * crossing


def speculate(
    large: WaferEstimate, small: WaferEstimate, draft: Draft, spec: WaferSpec, workload: Workload
) -> WaferEstimate:
    """What ``large`` does with the help of ``small``: its cycles stay those of one token, its rates are of rounds."""
    crossing = crossing_cycles(draft.config, spec, workload.dtype)
    stage = max((draft.tokens + 1) * large.interval_cycles, draft.tokens * small.interval_cycles)
    users, alone = workload.users, round_cycles(large, small, draft, crossing)
    cycles = max(alone, users * stage)
    rate = draft.tokens_per_round * spec.clock_hz / cycles
    wafers = large.wafers + small.wafers
    return replace(
        large,
        wafers=wafers,
        tokens_per_second_per_user=rate,
        tokens_per_second_total=users * rate,
        bubbles=1 - users * stage / cycles,
        energy_j_per_token=wafers * spec.system_watts / (users * rate),
    )
