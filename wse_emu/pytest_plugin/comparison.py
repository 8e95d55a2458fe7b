"""One strategy beside others on one problem, over seeds: medians, ratios, and an exact signed-rank test."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, log2
from statistics import median

import numpy as np

from wse_emu.errors import WseError

SAME = 9
"""Decimals, relative to the largest cost, to which two costs are the same: sums of floats differ beyond."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """Costs of ``strategy`` and its rivals on ``problem``, by strategy, in the order of ``seeds``; less is better."""

    problem: str
    strategy: str
    seeds: tuple[int, ...]
    costs: dict[str, tuple[float, ...]]

    @property
    def rivals(self) -> tuple[str, ...]:
        return tuple(name for name in self.costs if name != self.strategy)

    def median(self, name: str | None = None) -> float:
        """Of the costs of a rival, or (None) of the strategy itself."""
        return median(self._costs(name or self.strategy))

    def ratio(self, rival: str) -> float:
        """The strategy's median cost over the rival's: below 1 it is the better one."""
        mine, other = self.median(), self.median(rival)
        return mine / other if other else (inf if mine else 1.0)

    def p_value(self, rival: str) -> float:
        """Of :func:`signed_rank` over the seeds: small where chance hardly explains that the strategy is cheaper."""
        return signed_rank(self._costs(self.strategy), self._costs(rival))

    def better_than(self, rival: str, p: float = 0.05) -> bool:
        """Whether the p-value is ``p`` at most. Raises WseError where so few seeds can never show it."""
        if not 0 < p < 1:
            raise WseError(f"better_than: p = {p:g}; a probability between 0 and 1 works, as 0.05")
        needed = ceil(-log2(p))
        if len(self.seeds) < needed:
            least = f"1/{2 ** len(self.seeds)}"
            raise WseError(f"better_than: {len(self.seeds)} seeds give no p below {least}; for {p:g} take {needed}")
        return self.p_value(rival) <= p

    def _costs(self, name: str) -> tuple[float, ...]:
        if name not in self.costs:
            raise WseError(f"{self.problem}: {name!r} was not compared; what works: {', '.join(self.costs)}")
        return self.costs[name]

    def __repr__(self) -> str:
        """What a failed assertion shows."""
        beside = [
            f"{rival} {self.median(rival):,.10g} (ratio {self.ratio(rival):.4f}, p = {self.p_value(rival):.3g})"
            for rival in self.rivals
        ]
        own = f"{self.strategy} {self.median():,.10g}"
        return f"<{self.problem}, medians over {len(self.seeds)} seeds: {own}; {'; '.join(beside)}>"


def signed_rank(mine: Sequence[float], rival: Sequence[float]) -> float:
    """Wilcoxon's signed-rank test, paired, one-sided: the p-value of ``mine`` being below ``rival``.

    Wilcoxon, Biometrics Bulletin 1 (1945). Equal pairs are left out; if none is left, p = 1. Equal differences share
    their mean rank, and p is exact with them as well (SciPy's is not in all versions): the share of all 2ⁿ choices of
    signs whose positive ranks add up to no more. With n pairs the smallest p is 1/2ⁿ: 1/32 for five.
    """
    from scipy.stats import rankdata

    costs = np.array([mine, rival], dtype=np.float64)
    difference = np.round((costs[0] - costs[1]) / (np.abs(costs).max() or 1.0), SAME)
    difference = difference[difference != 0]
    ranks = np.rint(2 * rankdata(np.abs(difference))).astype(np.int64)  # twice, since mean ranks may be halves
    share = np.ones(1)  # of the choices of signs, by twice the sum of the positive ranks
    for rank in ranks:
        share = (np.pad(share, (0, rank)) + np.pad(share, (rank, 0))) / 2
    return float(share[: ranks[difference > 0].sum() + 1].sum())
