"""`wse-emu bench`: the tables, the JSON, a kernel of one's own, and every mistake as one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_cli import run as run  # noqa: PLC0414  (a fixture)
from wse_emu.kernels.registry import KERNELS

Run = Callable[..., tuple[int, str, str]]
SMALL = ("--grid", "4x5", "--size", "24")


def test_kernels_are_listed_with_cycles_and_time(run: Run) -> None:
    code, out, err = run("bench", "kernels", *SMALL, "--kernel", "gemv", "--kernel", "attention")
    assert (code, err) == (0, "")
    assert "gemv" in out
    assert "attention" in out
    assert "share of the copy bandwidth" in out


@pytest.mark.slow
def test_every_kernel_takes_the_same_cycles_on_both_engines(run: Run) -> None:
    code, out, _ = run("bench", "kernels", *SMALL, "--engine", "wavelet", "--json")
    assert code == 0
    report = json.loads(out)
    square = ["gemm", "gemm_t"]
    assert list(report["left_out"]) == square, "their rings need a square"
    assert [row["kernel"] for row in report["kernels"]] == [name for name in KERNELS if name not in square]
    for row in report["kernels"]:
        most = 0.05 if row["kernel"].endswith((":star", ":autogen")) else 0.02  # their messages share links
        assert abs(row["exact_cycles"] - row["cycles"]) <= most * row["cycles"], row["kernel"]
        assert row["seconds"] > 0
        assert row["wavelets"] > 0
        assert row["pe_bytes"] > 4176
        assert row["share_of_copy_bandwidth"] > 0


def test_a_kernel_of_ones_own(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
from wse_emu.program import Layout

def double(b, size):
    x = b.input("x", (size,), Layout(("y",)))
    return b.local("add", x, x)

def wrong(b, size):
    return 1 / 0
"""
    (tmp_path / "my_kernels.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("bench", "kernels", *SMALL, "--kernel", "my_kernels:double", "--json")
    assert code == 0
    (row,) = json.loads(out)["kernels"]
    assert (row["kernel"], row["wavelets"]) == ("my_kernels:double", 0)
    assert row["cycles"] == 16 + 6, "24 elements on 4 rows, 6 a PE, one a cycle"
    code, out, err = run("bench", "kernels", *SMALL, "--kernel", "my_kernels:wrong")
    assert (code, out) == (2, "")
    assert "kernel my_kernels:wrong: failed with ZeroDivisionError: division by zero" in err


def test_the_fabrics_rate_latency_and_limit(run: Run) -> None:
    code, out, _ = run("bench", "fabric", "--grid", "12x12", "--wavelets", "160", "--workload", "many_to_one")
    assert code == 0
    assert "the limit was link west of PE (1, 0)" in out
    code, out, _ = run("bench", "fabric", "--grid", "12x12", "--wavelets", "40", "--colors", "2", "--json")
    (streams,) = json.loads(out)["runs"]
    assert (streams["workload"], streams["rows"], streams["colors"]) == ("streams", 12, 2)
    assert streams["router_cycles_per_second"] > 0
    assert streams["latency"]["max"] >= streams["latency"]["median"] > 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("kernels", "--kernel", "gem"), "unknown kernel 'gem'; what works: gemv, "),
        (("kernels", "--kernel", "no_module:f"), "module no_module cannot be imported"),
        (("kernels", "--kernel", "math:f"), "math has no function f"),
        (("kernels", "--grid", "4x4", "--size", "0"), "size 0 on a grid of 4×4"),
        (("kernels", "--grid", "5000x4"), "grids up to 1170×755"),
        (("kernels", "--grid", "4"), "--grid '4': ROWSxCOLUMNS works"),
        (("kernels", "--engine", "exact"), "--engine exact: timing or wavelet works"),
        (("kernels", "--backend", "torch"), "torch"),
        (("fabric", "--workload", "noise"), "unknown workload 'noise'"),
        (("fabric", "--colors", "99"), "1 to 24 colors"),
        (("fabric", "--grid", "2x2"), "at least 6×6 work"),
    ],
)
def test_a_mistake_is_one_line(run: Run, arguments: tuple[str, ...], line: str) -> None:
    code, out, err = run("bench", *arguments)
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1
