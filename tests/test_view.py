"""`wse-emu view`, as someone at a terminal meets it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from wse_emu.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `wse-emu ARGUMENTS` in this process: exit code, stdout, stderr."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wse-emu", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return command


def test_a_decode_leaves_a_page_and_view_writes_the_same_or_one_of_two(run: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two.html"
    assert run("decode", "--tokens", "2", "--wafer", "wse2", "--out", str(one))[0] == 0
    assert run("view", str(one), "--html", str(tmp_path / "again.html"))[0] == 0
    assert (tmp_path / "again.html").read_bytes() == (one / "report.html").read_bytes()
    code, out, err = run("view", str(one), str(one), "--html", str(two))
    assert (code, out, err) == (0, f"{two}\n", "")
    assert two.read_text("utf-8").count('class="run"') == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "no run"),
        (("nowhere", "--html", "no/such/folder/x.html"), "must exist"),
        ((), "Missing argument"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("view", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_three_runs_are_too_many(run: Run, tmp_path: Path) -> None:
    assert run("decode", "--tokens", "1", "--wafer", "wse2", "--out", str(tmp_path))[0] == 0
    code, _, err = run("view", *[str(tmp_path)] * 3, "--no-open")
    assert code == 2
    assert "two side by side" in err


def test_it_serves_until_ctrl_c_and_ends_quietly(run: Run, tmp_path: Path) -> None:
    assert run("decode", "--tokens", "1", "--wafer", "wse2", "--out", str(tmp_path))[0] == 0
    command = [sys.executable, "-c", "from wse_emu.cli import main; main()", "view", str(tmp_path), "--no-open"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert running.stdout is not None
    address = running.stdout.readline().split()[0]
    with urlopen(address) as answer:
        assert answer.read() == (tmp_path / "report.html").read_bytes()
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (0, "")
