"""Which experts a token meets where nobody computes it: drawn from given chances; and how uneven that is."""

from collections.abc import Mapping, Sequence

import numpy as np

from wse_emu.errors import WseError
from wse_emu.program.body import Routing

DRAWS = 200
"""Of the tokens of all users, for a mean."""


def check_chances(chances: Sequence[float] | None, count: int, active: int) -> np.ndarray:
    """Weights of the draws (count,), which sum to 1; None: all alike. WseError for weights that no draw has."""
    if chances is None:
        return np.full(count, 1 / count)
    weights = np.asarray(chances, dtype=np.float64)
    if weights.shape != (count,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise WseError(f"chances of {count} experts: as many numbers that are not negative work, got {len(chances)}")
    if np.count_nonzero(weights) < active:
        raise WseError(f"{np.count_nonzero(weights)} experts have a chance above 0; a token meets {active}")
    return np.asarray(weights / weights.sum())


def draw(weights: np.ndarray, active: int, tokens: int, rng: np.random.Generator) -> np.ndarray:
    """For each of ``tokens``, ``active`` different experts, int64 ``[tokens, active]``.

    One after another without replacement, each in proportion to its weight: the order of exponential waiting times
    (Efraimidis and Spirakis, 2006).
    """
    with np.errstate(divide="ignore"):
        waiting = rng.exponential(size=(tokens, len(weights))) / weights
    return np.argsort(waiting, axis=1)[:, :active]


def drawn_routing(
    experts: Mapping[int, int], active: int, seed: int, chances: Sequence[float] | None = None
) -> Routing:
    """The experts that one token meets in every layer of ``experts`` (layer -> how many it has)."""
    rng = np.random.default_rng(seed)
    return tuple(
        (layer, tuple(draw(check_chances(chances, count, active), active, 1, rng)[0].tolist()))
        for layer, count in experts.items()
    )


def busiest_load(
    count: int, active: int, tokens: int, chances: Sequence[float] | None = None, *, draws: int = DRAWS, seed: int = 0
) -> float:
    """Tokens that the busiest of ``count`` experts gets of ``tokens`` at once, each of which meets ``active``; a mean.

    Of ``draws`` seeded draws; the standard error is at most √(tokens / draws) / 2.
    """
    weights, rng = check_chances(chances, count, active), np.random.default_rng(seed)
    most = [np.bincount(draw(weights, active, tokens, rng).ravel(), minlength=count).max() for _ in range(draws)]
    return float(np.mean(most))
