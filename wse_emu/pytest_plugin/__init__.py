"""The pytest plugin for studies of placement strategies: fixtures, and a leaderboard at the end of the run.

pytest loads this file in every run of every environment that has wse-emu, so it imports nothing but pytest until a test
asks for a fixture of it. docs/placement.md shows how to use it.
"""

from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wse_emu.hardware.wafer import WaferSpec
    from wse_emu.mappings.placement.problem import PlacementProblem
    from wse_emu.models.config import ModelConfig
    from wse_emu.pytest_plugin.scores import Leaderboard

MARKER = "placement_problems"
BOARD: "pytest.StashKey[Leaderboard]" = pytest.StashKey()


@pytest.fixture
def placement_problem(_placement_problem_name: str) -> "PlacementProblem":
    """A problem of the shipped suite; the test runs once for each."""
    return _problem(_placement_problem_name)


@pytest.fixture(scope="session")
def wafer(pytestconfig: pytest.Config) -> "WaferSpec":
    """The wafer of --wse-wafer, wse3 without it."""
    from wse_emu.hardware.wafer import load_wafer

    return load_wafer(pytestconfig.getoption("wse_wafer") or "wse3")


@pytest.fixture(scope="session")
def small_transformer() -> "ModelConfig":
    """The shape of a Llama of 4 layers and 213,568 parameters, with grouped-query attention; it has no weights."""
    from wse_emu.models.config import ModelConfig
    from wse_emu.models.rope import Rope

    return ModelConfig(
        family="llama",
        vocabulary=256,
        hidden=64,
        layers=4,
        heads=8,
        kv_heads=4,
        head_dim=8,
        intermediate=192,
        context=128,
        norm_epsilon=1e-5,
        rope=Rope(10_000.0, "half"),
        tied_embeddings=True,
    )


@pytest.fixture(scope="session")
def leaderboard(pytestconfig: pytest.Config) -> "Leaderboard":
    """Scores strategies and compares them; what it has scored is printed at the end of the run."""
    from wse_emu.pytest_plugin.scores import Leaderboard

    return pytestconfig.stash.setdefault(BOARD, Leaderboard())


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("wse-emu", "placement studies (wse-emu)")
    group.addoption("--wse-problems", metavar="NAMES", help="of the fixture placement_problem: nug30,VOPD,…")
    group.addoption("--wse-wafer", metavar="NAME", help="of the fixture wafer: a preset or a TOML file (default: wse3)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}(*names): shipped problems that placement_problem is limited to")
    names = config.getoption("wse_problems")
    if names is not None and (unknown := _unknown(_split(names))):
        raise pytest.UsageError(f"--wse-problems: {unknown}")
    if name := config.getoption("wse_wafer"):
        from wse_emu.errors import WseError
        from wse_emu.hardware.wafer import load_wafer

        try:
            load_wafer(name)
        except WseError as error:
            raise pytest.UsageError(f"--wse-wafer: {error}") from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Where a test has a placement_problem of its own, the name that ours depends on is not among its fixtures."""
    if "_placement_problem_name" not in metafunc.fixturenames:
        return
    from wse_emu.mappings.placement.readers import suite

    names, option = list(suite()), metafunc.config.getoption("wse_problems")
    if marker := metafunc.definition.get_closest_marker(MARKER):
        if unknown := _unknown(marker.args):
            raise pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: marker {MARKER}: {unknown}")
        names = list(marker.args)
    if option is not None:
        names = [name for name in names if name in _split(option)]
    metafunc.parametrize("_placement_problem_name", names)


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter", config: pytest.Config) -> None:
    """The reporter's type is quoted since pytest 8.2 has no public name for it."""
    board = config.stash.get(BOARD, None)
    if board is None or not board.runs:
        return
    from wse_emu.pytest_plugin.table import table

    terminalreporter.write_sep("=", "placement leaderboard")
    for line in table(board.runs, board.problems):
        terminalreporter.write_line(line)


@cache
def _problem(name: str) -> "PlacementProblem":
    """Large ones take seconds to read."""
    from pathlib import Path

    from wse_emu.mappings.placement.readers import read_problem

    return read_problem(Path(name))


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _unknown(names: list[str] | tuple[str, ...]) -> str:
    """What is wrong with the names; empty if nothing is."""
    from wse_emu.mappings.placement.readers import suite

    strange = [name for name in names if name not in suite()]
    works = f"what works: {', '.join(suite())}"
    if strange:
        return f"unknown problem {strange[0]!r}; {works}"
    return "" if names else f"names no problem; {works}"
