"""Published measurements of real wafers, the same programs on the emulator, and the error between the two."""

from wse_emu.validation.rows import MeasuredRow, read_rows, shipped_files
from wse_emu.validation.sets import Case, ValidationSet, validate

__all__ = ["Case", "MeasuredRow", "ValidationSet", "read_rows", "shipped_files", "validate"]
