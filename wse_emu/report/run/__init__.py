"""The folder that a run leaves, and what reads it; ``docs/run-folder.md`` says what is in it, field by field."""

from wse_emu.report.run.reader import Run, load_run

__all__ = ["Run", "load_run"]
