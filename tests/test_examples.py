"""The examples run as a user would run them, and every code block of the guides prints what it says."""

import contextlib
import io
import os
import re
import subprocess
import sys
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from tests.plugin_runs import run_pytest
from wse_emu.mappings.placement import Placement, PlacementProblem, search
from wse_emu.mappings.placement.evaluate import Evaluator

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "chain_reduce.py"
GUIDE = ROOT / "docs" / "fabric-kernels.md"
PLACEMENT_GUIDE = ROOT / "docs" / "placement.md"
STUDY = ROOT / "examples" / "test_my_strategy.py"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:```\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
"""A block of Python and, directly after it, what it prints."""


def chain_reduce(*arguments: object) -> subprocess.CompletedProcess[str]:
    return example(EXAMPLE, *arguments)


def example(path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(path), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "PYTHONUTF8": "1"}
    )


CONSTANTS = {"wse2": (0, 1, 2 * 2 + 2), "mini": (11, 9 / 8, 2 * 2 + 2 + 6)}
"""Set-up, interval and stage: B + (2·T_R + 2)(P − 1) of HPDC 2024, and the same with the constants of WSE-3."""


@pytest.mark.parametrize("wafer", CONSTANTS)
@pytest.mark.parametrize(("rows", "pes", "elements"), [(1, 2, 1), (3, 7, 8)])
def test_the_chain_reduction_gives_numpys_sum_in_the_cycles_of_the_closed_form(
    wafer: str, rows: int, pes: int, elements: int
) -> None:
    setup, interval, stage = CONSTANTS[wafer]
    done = chain_reduce("--wafer", wafer, "--rows", rows, "--pes", pes, "--elements", elements)
    assert done.returncode == 0, done.stderr
    held = np.random.default_rng(0).integers(-9, 10, (rows, pes, elements))
    cycles = setup + ceil(elements * interval) + stage * (pes - 1)
    said = [line.split() for line in done.stdout.splitlines()]
    assert said[0] == ["result", *map(str, held[0].sum(axis=0))]
    assert said[1] == ["as", "numpy's", "yes"]
    assert said[2] == ["cycles", str(cycles)]
    assert said[3][:3] == ["closed", "form", str(cycles)]
    assert said[4] == ["wavelets", str(elements), "over", "each", "link"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--pes", 1), "--pes 1: a chain has 2 PEs or more"),
        (("--pes", 17, "--wafer", "mini"), "leaves the mesh of 16×16"),
    ],
)
def test_the_chain_reduction_says_what_works(arguments: tuple[object, ...], said: str) -> None:
    done = chain_reduce(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_study_of_defects_says_what_each_rate_costs() -> None:
    """Fewest cycles without defects, more with them, and no room where all is dead."""
    arguments = ("--mapping", "shared", "--extent", 20, "--seeds", 1, "--rates", 0.04, 1)
    done = example(ROOT / "examples" / "defects_study.py", *arguments)
    assert done.returncode == 0, done.stderr
    whole, *said = [line.replace(",", "").split() for line in done.stdout.splitlines()[1:]]
    lost = [float(row[2]) / float(whole[1]) - 1 for row in said[:2]]
    assert said[:2] == [
        ["4.00%", kind, row[2], f"{more:+.1%}", f"({more:+.1%}", "to", f"{more:+.1%})"]
        for kind, row, more in zip(("scattered", "clustered"), said, lost, strict=False)
    ]
    assert lost[0] > lost[1] >= 0
    assert said[2:] == [["100.00%", kind, "no", "room"] for kind in ("scattered", "clustered")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--seeds", 0), "--seeds 0: at least 1 works"), (("--mapping", "x"), "unknown mapping 'x'; what works: shared")],
)
def test_the_study_of_defects_says_what_works(arguments: tuple[object, ...], said: str) -> None:
    done = example(ROOT / "examples" / "defects_study.py", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is registered in a test is forgotten after it."""
    search.find_strategy("row_major")
    monkeypatch.setattr(search, "STRATEGIES", dict(search.STRATEGIES))


@pytest.mark.usefixtures("strategies")
@pytest.mark.parametrize("guide", [GUIDE, PLACEMENT_GUIDE], ids=lambda guide: guide.stem)
def test_every_block_of_a_guide_prints_what_it_says(guide: Path) -> None:
    text = guide.read_text("utf-8")
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("```python")
    names: dict[str, object] = {}
    for code, said in blocks:
        if code == STUDY.read_text("utf-8"):
            continue  # a test of its own runs it
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(guide), "exec"), names)
        assert printed.getvalue().split() == said.split(), code


def test_the_guides_worked_example_is_the_example() -> None:
    worked = BLOCK.findall(GUIDE.read_text("utf-8"))[0][0]
    assert worked[worked.index("def chain") :] in EXAMPLE.read_text("utf-8")


def test_the_study_prints_its_leaderboard(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, str(STUDY), "--wse-problems", "nug30")
    assert done.returncode == 0, done.stdout
    board = done.stdout[done.stdout.index(" placement leaderboard ") :].splitlines()
    assert board[1] == "nug30: 30 blocks on 6×5 PEs, 0.1 s a run"
    assert {line.split()[0] for line in board[3:7]} == {"iterated_descent", "robust_tabu", "annealing", "greedy"}
    assert "1 passed" in board[-1]


def test_the_study_is_short_and_stands_in_the_guide() -> None:
    code = STUDY.read_text("utf-8")
    assert len(code.splitlines()) < 40
    assert f"```python\n{code}```\n" in PLACEMENT_GUIDE.read_text("utf-8")


def test_the_guides_json_is_a_problem() -> None:
    text = re.findall(r"^```json\n(.*?)^```", PLACEMENT_GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)[0]
    problem = PlacementProblem.from_json(text)
    beside = Placement(x=(0, 2), y=(0, 0), shape=(0, 0))
    assert Evaluator(problem).cost(beside)["cost"] == 64 * (2 + 0.5) + 0.5 * 1500
