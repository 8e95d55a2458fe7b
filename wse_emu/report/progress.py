"""Bars on stderr for long work, with rate and remaining time; nothing at all where stderr is no terminal.

``NO_COLOR`` takes their colors away (https://no-color.org), which rich sees to.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class Show(Protocol):
    """Tells a bar how far the work is."""

    def __call__(self, done: int, total: int | None, what: str | None = None, /) -> None:
        """At ``done`` of ``total`` (None: nobody knows), busy with ``what``."""


class RateColumn(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """Two significant digits below 10, none behind the point above."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s", style="progress.data.speed")


class Bar:
    """A bar that comes with the first news and goes away when the work is done."""

    def __init__(self, what: str, unit: str) -> None:
        self._what, self._unit = what, unit
        self._progress: Progress | None = None

    def show(self, done: int, total: int | None, what: str | None = None) -> None:
        """At ``done`` of ``total`` (None: nobody knows), busy with ``what``."""
        if not sys.stderr.isatty():
            return
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(self._unit),
                RateColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=False,  # or text on stdout would end up on stderr while a bar is there
                redirect_stderr=False,
            )
            self._progress.start()
            self._progress.add_task(self._what, total=total)
        self._progress.update(self._progress.task_ids[0], completed=done, total=total, description=what or self._what)

    def close(self) -> bool:
        """Take the bar away, if there is one, and say whether there was; the next news begins a new one."""
        shown, self._progress = self._progress, None
        if shown is not None:
            shown.stop()
        return shown is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def bar(what: str, unit: str) -> Iterator[Show]:
    """A :class:`Bar` for one piece of work."""
    with Bar(what, unit) as shown:
        yield shown.show
