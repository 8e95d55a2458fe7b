"""Snake: strips run left to right and right to left in turn, so that neighbours in the order stay neighbours."""

from itertools import accumulate

from wse_emu.fabric.region import Region


def snake(strips: list[list[int]], height: int, columns: int) -> list[Region]:
    """Regions along a path that turns round at the end of each strip."""
    regions = []
    for strip, widths in enumerate(strips):
        for width, right in zip(widths, accumulate(widths), strict=True):
            x = right - width if strip % 2 == 0 else columns - right
            regions.append(Region(x, strip * height, width, height))
    return regions
