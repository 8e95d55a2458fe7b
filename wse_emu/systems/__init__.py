"""Systems side by side: what a wafer and GPUs do with the same model, who is ahead in what, and what was published.

A wafer's figures are those of :mod:`wse_emu.wafers`, the GPUs' those of :mod:`wse_emu.baseline`: on the same positions,
in the same precision, each time on the fewest of them that hold the model and all users' caches.
"""

from wse_emu.systems.answers import answers
from wse_emu.systems.compare import Asked, Comparison, Missing, compare_systems
from wse_emu.systems.published import PublishedSpeed, published_speeds
from wse_emu.systems.rows import SystemRow

__all__ = [
    "Asked",
    "Comparison",
    "Missing",
    "PublishedSpeed",
    "SystemRow",
    "answers",
    "compare_systems",
    "published_speeds",
]
