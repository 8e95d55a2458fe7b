"""What a run shows and leaves: tables, plots, traces, the run folder. ``load_run`` reads such a folder."""

from wse_emu.report.run.reader import Run, load_run

__all__ = ["Run", "load_run"]
