"""The leaderboard as lines of text of 100 columns at most."""

from collections.abc import Mapping
from statistics import median

from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import Result
from wse_emu.pytest_plugin.scores import Run

WIDTH = 100
NAME = 30
"""Columns of a strategy's name."""
Study = dict[str, list[Result]]
"""By strategy, what was run on one problem with one limit."""


def table(runs: Mapping[Run, Result], problems: Mapping[str, PlacementProblem]) -> list[str]:
    """A part for each problem and limit, then mean ranks; each part has the lowest median first."""
    studies: dict[tuple[str, float], Study] = {}
    for (name, seconds, strategy, _), result in runs.items():
        studies.setdefault((name, seconds), {}).setdefault(strategy, []).append(result)
    lines = []
    for (name, seconds), study in studies.items():
        problem = problems[name]
        size = f"{len(problem.blocks)} blocks on {problem.columns}×{problem.rows} PEs, {seconds:g} s a run"
        lines += [f"{_short(name, WIDTH - 2 - len(size))}: {size}", *_part(study), ""]
    return [*lines, *_ranks(studies)][: None if len(studies) > 1 else -1]


def _part(study: Study) -> list[str]:
    costs = {name: [result.cost["cost"] for result in results] for name, results in study.items()}
    least = min(map(min, costs.values()))
    lines = [_row("strategy", "best", "median", "above best", "seconds", "seeds")]
    for name, results in sorted(study.items(), key=lambda item: median(costs[item[0]])):
        middle, spent = median(costs[name]), median(result.seconds for result in results)
        above = f"{middle / least - 1:+.2%}" if least else ""
        lines.append(
            _row(name, f"{min(costs[name]):,.10g}", f"{middle:,.10g}", above, f"{spent:.2f}", f"{len(results)}")
        )
    return lines


def _ranks(studies: Mapping[tuple[str, float], Study]) -> list[str]:
    """Ranks of the medians, as Friedman's test takes them, over the problems that the same strategies have placed."""
    from scipy.stats import rankdata

    alike: dict[tuple[float, frozenset[str]], list[Study]] = {}
    for (_, seconds), study in studies.items():
        alike.setdefault((seconds, frozenset(study)), []).append(study)
    lines = []
    for (seconds, members), group in alike.items():
        if len(group) > 1 and len(members) > 1:
            names = sorted(members)
            ranks = [rankdata([median(r.cost["cost"] for r in study[name]) for name in names]) for study in group]
            mean = dict(zip(names, sum(ranks) / len(ranks), strict=True))
            lines.append(f"mean rank of the median over {len(group)} problems, {seconds:g} s a run; 1 is best")
            lines += [_row(name, f"{mean[name]:.2f}") for name in sorted(names, key=mean.__getitem__)]
    return lines


def _row(name: str, *values: str) -> str:
    widths = (18, 18, 12, 9, 7)
    return f"  {_short(name, NAME):{NAME}}" + "".join(f"{v:>{w}}" for v, w in zip(values, widths, strict=False))


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
