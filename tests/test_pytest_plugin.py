"""The pytest plugin: fixtures and options as a study sees them, the table, and p-values counted by hand."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from tests.plugin_runs import run_pytest
from wse_emu import pytest_plugin
from wse_emu.errors import WseError
from wse_emu.hardware.wafer import load_wafer
from wse_emu.mappings.placement import Block, Flow, Placement, PlacementProblem
from wse_emu.mappings.placement.readers import read_problem, suite
from wse_emu.mappings.placement.search import Search, Strategy, find_strategy, run_strategy
from wse_emu.pytest_plugin.comparison import Comparison, signed_rank
from wse_emu.pytest_plugin.scores import Leaderboard
from wse_emu.pytest_plugin.table import table

pytest_plugins = ["pytester"]
find_strategy("row_major")  # all that runs inside need is imported here: pytester forgets what is new there
PAIR = PlacementProblem("pair", (Block("a"), Block("b")), (Flow(0, (1,), 1.0),), 100, 1)


Study = Callable[..., pytest.RunResult]


@pytest.fixture
def study(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Runs a file of tests with options; the plugin is there, and no other one."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(code: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=code)
        return pytester.runpytest_inprocess(*options, plugins=[pytest_plugin])

    return run


def apart(*hops: int) -> Strategy:
    """Places the two blocks of PAIR so far apart as it is given for each seed: that is the cost."""

    def place(_problem: PlacementProblem, search: Search) -> Placement:
        return Placement((0, hops[search.seed]), (0, 0), (0, 0))

    return place


# Fixtures and options


def test_problems_are_those_of_the_suite(study: Study) -> None:
    collected = study("def test_it(placement_problem): pass", "--collect-only", "-q").outlines
    assert [line for line in collected if "::" in line] == [f"test_it.py::test_it[{name}]" for name in suite()]


def test_an_option_and_a_marker_restrict_them(study: Study) -> None:
    code = """
        import pytest

        def test_any(placement_problem): assert placement_problem.name in {"PIP", "nug30"}

        @pytest.mark.placement_problems("VOPD", "nug30")
        def test_marked(placement_problem): assert placement_problem.name == "nug30"

        @pytest.mark.parametrize("placement_problem", ["mine"])
        def test_own(placement_problem): assert placement_problem == "mine"
        """
    done = study(code, "--strict-markers", "--wse-problems", "nug30, PIP", "-v")
    done.assert_outcomes(passed=4)
    names = sorted(re.findall(r"::(\S+) PASSED", str(done.stdout)))
    assert names == ["test_any[PIP]", "test_any[nug30]", "test_marked[nug30]", "test_own[mine]"]


def test_a_fixture_of_ones_own_wins(study: Study) -> None:
    code = """
        import pytest

        @pytest.fixture
        def placement_problem(): return "mine"

        def test_it(placement_problem): assert placement_problem == "mine"
        """
    study(code).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--wse-problems=nug31", "--wse-problems: unknown problem 'nug31'; what works: ispd-A, "),
        ("--wse-problems=,", "--wse-problems: names no problem; what works: ispd-A, "),
        ("--wse-wafer=wse9", "--wse-wafer: unknown wafer 'wse9'; what works: wse1, wse2, wse3, mini"),
    ],
)
def test_unknown_names_are_errors_of_usage(study: Study, option: str, said: str) -> None:
    done = study("def test_it(): pass", option)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {said}" in str(done.stderr)


@pytest.mark.parametrize(("names", "said"), [('"nug31"', "unknown problem 'nug31'"), ("", "names no problem")])
def test_a_marker_with_unknown_names_is_an_error_of_one_line(study: Study, names: str, said: str) -> None:
    code = f"""
        import pytest

        @pytest.mark.placement_problems({names})
        def test_it(placement_problem): pass
        """
    done = study(code)
    assert done.ret == pytest.ExitCode.INTERRUPTED
    assert f"test_it.py::test_it: marker placement_problems: {said}; what works: ispd-A, " in str(done.stdout)
    assert "Traceback" not in str(done.stdout)


@pytest.mark.parametrize(("options", "columns"), [((), load_wafer("wse3").columns), (("--wse-wafer", "mini"), 16)])
def test_the_wafer_is_that_of_the_option(study: Study, options: tuple[str, ...], columns: int) -> None:
    study(f"def test_it(wafer): assert wafer.columns == {columns}", *options).assert_outcomes(passed=1)


def test_the_small_transformer_is_a_llama_of_four_layers(study: Study) -> None:
    attention, mlp, norms = 2 * 64 * (64 + 32), 3 * 64 * 192, 2 * 64
    parameters = 256 * 64 + 4 * (attention + mlp + norms) + 64
    assert f"{parameters:,} parameters" in Path(pytest_plugin.__file__).read_text("utf-8")
    done = study(f"def test_it(small_transformer): assert small_transformer.parameters == {parameters}")
    done.assert_outcomes(passed=1)


def test_the_entry_point_finds_the_plugin_and_loads_nothing_of_the_emulator(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("import sys\ndef test_it(): print(*sorted(sys.modules), sep='\\n')\n")
    done = run_pytest(tmp_path, "--verbose", "-s", "test_it.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    found = set(done.stdout.split())
    assert {name for name in found if name.startswith("wse_emu")} == {"wse_emu", "wse_emu.pytest_plugin"}
    assert not found & {"numpy", "scipy", "networkx", "jax"}
    assert "leaderboard" not in done.stdout


# The leaderboard


STUDY = """
import pytest
from wse_emu.mappings.placement.search import find_strategy

def mine(problem, search):
    return find_strategy("greedy")(problem, search)

@pytest.mark.placement_problems("PIP", "VOPD")
def test_it(placement_problem, leaderboard):
    compared = leaderboard.compare(mine, placement_problem, ("hilbert", "greedy"), seconds=0.01, seeds=range(5))
    assert compared.better_than("hilbert")
    assert not compared.better_than("greedy")
"""


def test_the_table_is_printed_at_the_end(study: Study) -> None:
    done = study(STUDY)
    done.assert_outcomes(passed=2)
    rows = [line.split() for line in done.outlines]
    greedy, hilbert = (run_strategy(read_problem(Path("VOPD")), name).cost["cost"] for name in ("greedy", "hilbert"))
    start = done.outlines.index("VOPD: 16 blocks on 4×4 PEs, 0.01 s a run")
    assert " ".join(rows[start + 1]) == "strategy best median above best seconds seeds"
    assert rows[start + 2][:4] == ["mine", f"{greedy:,.0f}", f"{greedy:,.0f}", "+0.00%"]
    assert rows[start + 3][:4] == ["greedy", f"{greedy:,.0f}", f"{greedy:,.0f}", "+0.00%"]
    above = f"{hilbert / greedy - 1:+.2%}"
    assert rows[start + 4][:4] == ["hilbert", f"{hilbert:,.0f}", f"{hilbert:,.0f}", above]
    assert rows[start + 4][-1] == "5"
    ranks = done.outlines.index("mean rank of the median over 2 problems, 0.01 s a run; 1 is best")
    assert rows[ranks + 1 : ranks + 4] == [["greedy", "1.50"], ["mine", "1.50"], ["hilbert", "3.00"]]


def test_the_table_fits_100_columns() -> None:
    board = Leaderboard()
    problem = replace(PAIR, name="p" * 150, flows=(Flow(0, (1,), 123_456_789_012.5),))
    board.score(apart(99), problem, seeds=[0], name="s" * 150)
    lines = table(board.runs, board.problems)
    assert max(map(len, lines)) <= 100
    assert "…: 2 blocks on 100×1 PEs, 1 s a run" in lines[0]
    assert lines[2].split()[1] == f"{99 * 123_456_789_012.5:,.10g}"


def test_mean_ranks_are_taken_where_the_same_strategies_ran() -> None:
    """Problems p and q rank near, far as 1, 2 and 1.5, 1.5; on r only near ran, and s had another limit."""
    board = Leaderboard()
    for name, far, limit in (("p", 9, 1.0), ("q", 2, 1.0), ("r", 0, 1.0), ("s", 1, 2.0)):
        problem = replace(PAIR, name=name)
        board.score(apart(2), problem, seeds=[0], seconds=limit, name="near")
        if far:
            board.score(apart(far), problem, seeds=[0], seconds=limit, name="far")
    title, *rows = table(board.runs, board.problems)[-3:]
    assert title == "mean rank of the median over 2 problems, 1 s a run; 1 is best"
    assert [row.split() for row in rows] == [["near", "1.25"], ["far", "1.75"]]


def test_above_a_best_of_nothing_there_is_no_percentage() -> None:
    board = Leaderboard()
    board.score(apart(2), replace(PAIR, flows=()), seeds=[0])
    title, _, row = table(board.runs, board.problems)
    assert title == "pair: 2 blocks on 100×1 PEs, 1 s a run"
    assert row.split() == ["place", "0", "0", "0.00", "1"]


def test_without_a_score_nothing_is_printed(study: Study) -> None:
    assert "placement leaderboard" not in str(study("def test_it(leaderboard): pass").stdout)


def test_runs_are_made_once() -> None:
    made: list[int] = []

    def counted(_problem: PlacementProblem, search: Search) -> Placement:
        made.append(search.seed)
        return Placement((0, 1), (0, 0), (0, 0))

    board = Leaderboard()
    board.score(counted, PAIR, seeds=[1, 2])
    assert [result.seed for result in board.score(counted, PAIR, seeds=[3, 2, 1])] == [3, 2, 1]
    assert made == [1, 2, 3]
    board.score(counted, PAIR, seeds=[1], seconds=2.0)
    assert made == [1, 2, 3, 1]


def test_ctrl_c_ends_the_tests_though_a_search_has_something() -> None:
    def interrupted(_problem: PlacementProblem, search: Search) -> Placement:
        search.found(Placement((0, 1), (0, 0), (0, 0)), 1.0)
        raise KeyboardInterrupt

    board = Leaderboard()
    with pytest.raises(KeyboardInterrupt):
        board.score(interrupted, PAIR)
    assert not board.runs


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": ()}, r"seeds \(\); one or more"),
        ({"seeds": (1, 1)}, r"seeds \(1, 1\); one or more, each once"),
        ({"seconds": 0.0}, "seconds 0; a time above 0 works"),
        ({"against": "comet"}, "unknown strategy 'comet'"),
        ({"against": [3]}, "3 is no strategy; a name or a function"),
        ({"against": [apart(2)]}, "two strategies are called 'place'; name=… renames the first"),
    ],
)
def test_what_cannot_be_compared_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(WseError, match=said):
        Leaderboard().compare(apart(1, 1, 1, 1, 1), PAIR, **options)


def test_two_of_one_name_are_refused() -> None:
    board = Leaderboard()
    board.score(apart(1), PAIR, seeds=[0])
    with pytest.raises(WseError, match="two strategies are called 'place' on pair; name=… renames one"):
        board.score(apart(2), PAIR, seeds=[0])
    with pytest.raises(WseError, match="two problems are called 'pair'"):
        board.score(apart(2), replace(PAIR, rows=2), seeds=[0], name="other")
    board.score(apart(2), replace(PAIR), seeds=[0], name="other")


# The statistics


def compared(mine: Sequence[int], rival: Sequence[int]) -> Comparison:
    return Leaderboard().compare(apart(*mine), PAIR, [apart(*rival)], seeds=range(len(mine)), name="mine")


def test_five_seeds_all_better_are_one_in_32() -> None:
    found = compared([10, 20, 30, 40, 50], [11, 22, 33, 44, 55])
    assert found.rivals == ("place",)
    assert found.p_value("place") == 1 / 32
    assert found.better_than("place", p=0.05)
    assert found.median() == 30
    assert found.ratio("place") == 30 / 33


def test_one_small_loss_among_five_is_two_in_32() -> None:
    """Sums of positive ranks of at most 1: none, or that of rank 1 alone."""
    found = compared([10, 20, 30, 40, 50], [9, 22, 33, 44, 55])
    assert found.p_value("place") == 2 / 32
    assert not found.better_than("place", p=0.05)
    assert found.better_than("place", p=0.0625)


def test_the_worst_is_certain_and_so_are_equals() -> None:
    assert compared([2, 3, 4, 5, 6], [1, 1, 1, 1, 1]).p_value("place") == 1
    equal = compared([2, 3, 4, 5, 6], [2, 3, 4, 5, 6])
    assert equal.p_value("place") == 1
    assert equal.ratio("place") == 1
    assert not equal.better_than("place")


def test_equal_pairs_are_left_out() -> None:
    assert compared([10, 20, 30, 40, 50], [10, 22, 33, 44, 55]).p_value("place") == 1 / 16
    assert signed_rank([1e9, 1.0], [1e9 + 1e-3, 1.0]) == 1, "sums of floats differ by as much"


def test_a_p_that_the_seeds_cannot_reach_is_refused() -> None:
    found = compared([1, 2, 3, 4], [2, 3, 4, 5])
    with pytest.raises(WseError, match=r"4 seeds give no p below 1/16; for 0\.05 take 5"):
        found.better_than("place")
    assert found.better_than("place", p=0.1)
    with pytest.raises(WseError, match="p = 1; a probability between 0 and 1 works"):
        found.better_than("place", p=1)
    with pytest.raises(WseError, match="pair: 'comet' was not compared; what works: mine, place"):
        found.better_than("comet", p=0.1)


def test_a_failed_assertion_shows_the_figures() -> None:
    text = repr(compared([1, 2, 3, 4, 5], [2, 4, 6, 8, 10]))
    assert text == "<pair, medians over 5 seeds: mine 3; place 6 (ratio 0.5000, p = 0.0312)>"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
def test_p_is_the_share_of_the_choices_of_signs(differences: list[int]) -> None:
    """Counted one by one, ties and zeros among them."""
    left = [d for d in differences if d]
    ranks = rankdata(np.abs(left)) if left else []
    worse = sum(rank for rank, d in zip(ranks, left, strict=True) if d > 0)
    sums = [
        sum(rank for rank, up in zip(ranks, signs, strict=True) if up) for signs in product((0, 1), repeat=len(left))
    ]
    expected = sum(s <= worse for s in sums) / len(sums)
    assert signed_rank([100 + d for d in differences], [100] * len(differences)) == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(0, 99))
def test_p_is_scipys_where_no_two_are_equal(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mine, rival = rng.normal(0, 1, count), rng.normal(0.2, 1, count)
    expected = wilcoxon(mine, rival, alternative="less", method="exact").pvalue
    assert signed_rank(mine.tolist(), rival.tolist()) == pytest.approx(expected)
