"""Row-major: every strip from left to right, as a page is read."""

from itertools import accumulate

from wse_emu.fabric.region import Region


def row_major(strips: list[list[int]], height: int, _columns: int) -> list[Region]:
    """Regions from left to right, strip below strip."""
    return [
        Region(right - width, strip * height, width, height)
        for strip, widths in enumerate(strips)
        for width, right in zip(widths, accumulate(widths), strict=True)
    ]
