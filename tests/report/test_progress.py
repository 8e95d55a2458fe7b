"""Bars: on a terminal with rate and remaining time, elsewhere nothing, and no colors where nobody wants them."""

import os
import pty
import re
import sys
import time
from collections.abc import Callable
from io import StringIO

import pytest

from wse_emu.report.decode_run import Text
from wse_emu.report.progress import Bar, bar

COLOR = re.compile(r"\x1b\[[0-9;]*m")


def work() -> None:
    with bar("loading", "tensors") as shown:
        for done in range(4):
            shown(done, 3, f"tensor {done}")
            time.sleep(0.01)


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Run :func:`work` with a terminal as stderr: what it got."""

    def run() -> str:
        ours, theirs = pty.openpty()
        with os.fdopen(theirs, "w", encoding="utf-8") as file, monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", file)
            patch.setenv("TERM", "xterm-256color")
            patch.setenv("COLUMNS", "120")
            work()
        found = b"".join(iter(lambda: _some(ours), b""))
        os.close(ours)
        return found.decode("utf-8")

    return run


def _some(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # its other side is closed, and everything is read
        return b""


@pytest.mark.parametrize("forced", [{}, {"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}])
def test_nothing_is_shown_where_stderr_is_no_terminal(monkeypatch: pytest.MonkeyPatch, forced: dict[str, str]) -> None:
    for name, value in forced.items():
        monkeypatch.setenv(name, value)
    stderr = StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    work()
    assert stderr.getvalue() == ""


def test_a_terminal_sees_rate_and_remaining_time_and_then_nothing(on_terminal: Callable[[], str]) -> None:
    shown = on_terminal()
    assert re.search(r"3/3.*tensors.*/s.* 0:00:00", COLOR.sub("", shown))
    assert "tensor 3" in shown
    assert COLOR.search(shown)
    assert shown.endswith("\x1b[2K"), "the line is cleared"


def test_no_color_means_no_color(on_terminal: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = on_terminal()
    assert "tensors" in shown
    assert not COLOR.search(shown)


def test_text_on_stdout_stays_there_while_a_bar_is_shown(
    on_terminal: Callable[[], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show = Bar.show

    def and_print(self: Bar, done: int, total: int | None, what: str | None = None) -> None:
        show(self, done, total, what)
        sys.stdout.write("once upon a time\n")

    monkeypatch.setattr(Bar, "show", and_print)
    assert "once" not in on_terminal()
    assert capsys.readouterr().out == "once upon a time\n" * 4


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_of_text_that_a_bar_wiped_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = Terminal()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setenv("COLUMNS", "8")
    text = Text(shown=True)
    for piece in ("once\n", "upon a ", "time"):
        text.say(piece)
    stdout.truncate(0)
    stdout.seek(0)
    text.again()
    assert stdout.getvalue() == "ime", "the row of the terminal behind the eight columns of `upon a t`"
