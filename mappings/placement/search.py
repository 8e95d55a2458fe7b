"""Running strategies: by name, with a seed and a time limit; what is best so far survives both and Ctrl-C."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from time import perf_counter

import numpy as np

from wse_emu.errors import WseError
from wse_emu.mappings.placement.evaluate import METRICS, Evaluator
from wse_emu.mappings.placement.placement import Placement, check_placement
from wse_emu.mappings.placement.problem import PlacementProblem


@dataclass
class Search:
    """What a strategy may use, and whom it tells what it has found."""

    seed: int = 0
    seconds: float = 1.0
    best: Placement | None = None
    best_cost: float = np.inf
    bound: float | None = None
    """What a strategy has proved that no placement can be below, in the cost."""
    began: float = field(default_factory=perf_counter)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    @property
    def spent(self) -> float:
        """The share of the time that is over."""
        return (perf_counter() - self.began) / self.seconds

    @property
    def running(self) -> bool:
        """Whether time is left."""
        return self.spent < 1

    def found(self, placement: Placement, cost: float) -> None:
        """A legal placement: kept if it is the best so far."""
        if cost < self.best_cost:
            self.best, self.best_cost = placement, cost


Strategy = Callable[[PlacementProblem, Search], Placement]
STRATEGIES: dict[str, Strategy] = {}


def strategy(name: str) -> Callable[[Strategy], Strategy]:
    """Register a strategy under ``name``."""

    def register(function: Strategy) -> Strategy:
        STRATEGIES[name] = function
        return function

    return register


def strategy_names() -> tuple[str, ...]:
    """The shipped strategies and those registered since, then the entry points ``wse_emu.strategies``."""
    from wse_emu.mappings.placement import strategies  # noqa: F401  (they register themselves)

    return tuple(dict.fromkeys([*STRATEGIES, *(entry.name for entry in entry_points(group="wse_emu.strategies"))]))


def find_strategy(name: str) -> Strategy:
    """The strategy ``name``, one of :func:`strategy_names`; WseError if there is none, or it cannot be loaded."""
    names = strategy_names()
    if name in STRATEGIES:
        return STRATEGIES[name]
    if name not in names:
        raise WseError(f"unknown strategy {name!r}; what works: {', '.join(sorted(names))}")
    (entry, *_) = entry_points(group="wse_emu.strategies", name=name)
    try:
        return entry.load()  # type: ignore[no-any-return]
    except Exception as error:  # whatever the import of someone's module raises
        raise WseError(f"strategy {name}: {entry.value} cannot be loaded: {error}") from error


@dataclass(frozen=True)
class Result:
    """What one run of a strategy gave."""

    strategy: str
    seed: int
    placement: Placement
    cost: dict[str, float]
    seconds: float
    interrupted: bool = False
    bound: float | None = None
    """No placement costs less, where the strategy has proved so."""


def run_strategy(
    problem: PlacementProblem, name: str, *, seconds: float = 1.0, seed: int = 0, function: Strategy | None = None
) -> Result:
    """Run a strategy and judge its placement by the one evaluator.

    Raises WseError for an unknown strategy, one that cannot place this problem, or one that returns nonsense.
    """
    chosen, search, interrupted = function or find_strategy(name), Search(seed, seconds), False
    try:
        placement = chosen(problem, search)
    except KeyboardInterrupt:
        if search.best is None:
            raise
        placement, interrupted = search.best, True
    except WseError:
        raise
    except Exception as error:  # whatever is wrong in someone's strategy
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.filename}, line {where.lineno}"
        raise WseError(f"strategy {name}: failed at {place}: {type(error).__name__}: {error}") from error
    spent = perf_counter() - search.began
    if not isinstance(placement, Placement):
        raise WseError(f"strategy {name}: returned {type(placement).__name__}; a Placement works")
    try:
        check_placement(problem, placement)
    except WseError as error:
        raise WseError(f"strategy {name}: its placement is not legal: {error}") from None
    return Result(name, seed, placement, Evaluator(problem).cost(placement, METRICS), spent, interrupted, search.bound)
