"""What every PE did as a picture of the wafer, regions named: the wavelets that left it, the cycles it was busy."""

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
    from matplotlib.colors import LogNorm

    traffic = links.sum(axis=0).astype(float)
    norm = LogNorm(vmin=max(1.0, traffic[traffic > 0].min(initial=np.inf)), vmax=max(2.0, traffic.max()))
    _picture(path, traffic, regions, title, label="wavelets leaving a PE", norm=norm)


def busy_picture(path: Path, share: np.ndarray, regions: dict[str, Region], title: str) -> None:
    """Write a PNG of the share of the cycles, 0 to 1, in which each PE was busy; ``share`` is ``[rows, columns]``."""
    from matplotlib.colors import Normalize

    norm = Normalize(vmin=0.0, vmax=max(0.01, float(share.max())))
    _picture(path, share, regions, title, label="share of the cycles in which a PE was busy", norm=norm)


def _picture(path: Path, values: np.ndarray, regions: dict[str, Region], title: str, *, label: str, norm: Any) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7.5), layout="constrained", dpi=130)
    close, whole = figure.subplots(1, 2, width_ratios=(4, 1))
    image = _draw(close, values, _bounds(regions), regions, norm)
    close.set_title(title, loc="left", fontsize=11)
    figure.colorbar(image, ax=close, label=label, shrink=0.85)
    _draw_whole(whole, values.shape, regions)
    figure.savefig(path, format="png")


def _draw(axes: object, values: np.ndarray, box: Region, regions: dict[str, Region], norm: Any) -> Any:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    part = values[box.y : box.bottom, box.x : box.right]
    extent = (box.x - 0.5, box.right - 0.5, box.bottom - 0.5, box.y - 0.5)
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
