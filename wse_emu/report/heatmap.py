"""The wafer's traffic as a picture: wavelets through every PE, regions named."""

from pathlib import Path
from typing import Any

import numpy as np

from wse_emu.fabric.region import Region

NAMED_REGIONS = 40
"""More names than these would hide the picture."""


def traffic_picture(path: Path, links: np.ndarray, regions: dict[str, Region], title: str) -> None:
    """Write a PNG of the wavelets that left each PE, log scale: the part of the wafer in use, and where on it that is.

    ``links`` is ``[E W N S, rows, columns]``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7.5), layout="constrained", dpi=130)
    close, whole = figure.subplots(1, 2, width_ratios=(4, 1))
    traffic = links.sum(axis=0)
    box = _bounds(regions)
    image = _draw(close, traffic, box, regions)
    close.set_title(title, loc="left", fontsize=11)
    figure.colorbar(image, ax=close, label="wavelets leaving a PE", shrink=0.85)
    _draw_whole(whole, traffic.shape, regions)
    figure.savefig(path, format="png")


def _draw(axes: object, traffic: np.ndarray, box: Region, regions: dict[str, Region]) -> Any:
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm

    assert isinstance(axes, Axes)
    part = traffic[box.y : box.bottom, box.x : box.right].astype(float)
    extent = (box.x - 0.5, box.right - 0.5, box.bottom - 0.5, box.y - 0.5)
    norm = LogNorm(vmin=max(1.0, part[part > 0].min(initial=np.inf)), vmax=max(2.0, part.max()))
    image = axes.imshow(
        np.where(part > 0, part, np.nan),
        extent=extent,
        norm=norm,
        cmap="viridis",
        interpolation="nearest",
        aspect="auto",
    )
    axes.set(xlabel="x (column)", ylabel="y (row)", facecolor="0.92")
    named = list(regions.items())
    for name, region in named:
        _outline(axes, region)
        if len(named) <= NAMED_REGIONS:
            _name(axes, name, region, box)
    return image


def _outline(axes: object, region: Region) -> None:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

    assert isinstance(axes, Axes)
    corner = (region.x - 0.5, region.y - 0.5)
    axes.add_patch(Rectangle(corner, region.width, region.height, fill=False, edgecolor="crimson", linewidth=1))


def _name(axes: object, name: str, region: Region, box: Region) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    share = region.width / box.width
    size = 9 if share > 0.3 else 6.5
    axes.text(
        region.x + region.width / 2 - 0.5,
        region.y + region.height / 2 - 0.5,
        name if share > 0.12 else name.replace(" ", "\n"),
        ha="center",
        va="center",
        fontsize=size,
        color="black",
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5},
    )


def _draw_whole(axes: object, shape: tuple[int, ...], regions: dict[str, Region]) -> None:
    """Where on the wafer the part in use lies."""
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

    assert isinstance(axes, Axes)
    rows, columns = shape
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect="equal", facecolor="0.92")
    for region in regions.values():
        axes.add_patch(Rectangle((region.x, region.y), region.width, region.height, color="crimson", alpha=0.6, lw=0))
    share = sum(region.pes for region in set(regions.values())) / (rows * columns)
    axes.set_title(f"the wafer: {share:.1%} in use", fontsize=9, loc="left")
    axes.tick_params(labelsize=7)


def _bounds(regions: dict[str, Region]) -> Region:
    """The smallest rectangle around all regions."""
    x, y = (min(getattr(region, side) for region in regions.values()) for side in ("x", "y"))
    right, bottom = (max(getattr(region, side) for region in regions.values()) for side in ("right", "bottom"))
    return Region(x, y, right - x, bottom - y)
