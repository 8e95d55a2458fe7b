"""What the fixture `leaderboard` is: it runs strategies over seeds and keeps what each run gave."""

from collections.abc import Iterable

from wse_emu.errors import WseError
from wse_emu.mappings.placement.problem import PlacementProblem
from wse_emu.mappings.placement.search import STRATEGIES, Result, Strategy, find_strategy, run_strategy
from wse_emu.pytest_plugin.comparison import Comparison

Run = tuple[str, float, str, int]
"""Problem, limit in seconds, strategy, seed."""


class Leaderboard:
    """Scores of strategies. A run that was made is not made again."""

    def __init__(self) -> None:
        self.runs: dict[Run, Result] = {}
        self.problems: dict[str, PlacementProblem] = {}
        self._functions: dict[tuple[str, str], Strategy] = {}
        """By problem and strategy: a test may define its strategy anew for each problem."""

    def score(
        self,
        strategy: str | Strategy,
        problem: PlacementProblem,
        *,
        seconds: float = 1.0,
        seeds: Iterable[int] = range(5),
        name: str | None = None,
    ) -> tuple[Result, ...]:
        """Run a strategy, a registered name or a function, once for each seed; ``seconds`` limit each run.

        ``name`` is what the table calls it; without one it is the registered name or that of the function. Raises
        WseError for an unknown strategy, one that cannot place the problem, one that returns nonsense, and for a name
        that two problems or two strategies have.
        """
        seeds = _checked(seeds, seconds)
        name, function = _named(strategy, name)
        self._register(problem, name, function)
        for seed in seeds:
            if (problem.name, seconds, name, seed) not in self.runs:
                result = run_strategy(problem, name, seconds=seconds, seed=seed, function=function)
                if result.interrupted:
                    raise KeyboardInterrupt  # run_strategy took Ctrl-C for the end of the search; here the tests end
                self.runs[problem.name, seconds, name, seed] = result
        return tuple(self.runs[problem.name, seconds, name, seed] for seed in seeds)

    def compare(
        self,
        strategy: str | Strategy,
        problem: PlacementProblem,
        against: Iterable[str | Strategy] = ("robust_tabu", "annealing"),
        *,
        seconds: float = 1.0,
        seeds: Iterable[int] = range(5),
        name: str | None = None,
    ) -> Comparison:
        """Score a strategy and its rivals with the same seeds and the same limit; as :meth:`score` otherwise."""
        seeds = _checked(seeds, seconds)
        own, function = _named(strategy, name)
        entries = {own: function}
        for rival in (against,) if isinstance(against, str) else against:
            key, other = _named(rival, None)
            if entries.setdefault(key, other) != other:
                raise WseError(f"leaderboard: two strategies are called {key!r}; name=… renames the first")
        costs = {
            key: tuple(run.cost["cost"] for run in self.score(entry, problem, seconds=seconds, seeds=seeds, name=key))
            for key, entry in entries.items()
        }
        return Comparison(problem.name, own, seeds, costs)

    def _register(self, problem: PlacementProblem, name: str, function: Strategy) -> None:
        known = self.problems.setdefault(problem.name, problem)
        if known is not problem and known.to_json() != problem.to_json():
            raise WseError(f"leaderboard: two problems are called {problem.name!r}; dataclasses.replace renames one")
        if self._functions.setdefault((problem.name, name), function) != function:
            raise WseError(f"leaderboard: two strategies are called {name!r} on {problem.name}; name=… renames one")


def _checked(seeds: Iterable[int], seconds: float) -> tuple[int, ...]:
    seeds = tuple(seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise WseError(f"leaderboard: seeds {seeds}; one or more, each once, work, as range(5)")
    if not 0 < seconds < 1e6:
        raise WseError(f"leaderboard: seconds {seconds:g}; a time above 0 works")
    return seeds


def _named(strategy: str | Strategy, name: str | None) -> tuple[str, Strategy]:
    if isinstance(strategy, str):
        return name or strategy, find_strategy(strategy)
    if not callable(strategy):
        raise WseError(f"leaderboard: {strategy!r} is no strategy; a name or a function (problem, search) works")
    for key, known in STRATEGIES.items():
        if known is strategy:
            return name or key, strategy
    return name or str(getattr(strategy, "__name__", type(strategy).__name__)), strategy
