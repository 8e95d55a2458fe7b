"""The picture of a placement: blocks where they lie, flows as lines, links as hot as they are loaded."""

from pathlib import Path
from typing import Any

import numpy as np

from wse_emu.fabric.region import Region
from wse_emu.mappings.placement import PlacementProblem
from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.search import Result
from wse_emu.report.folder import write_file

POINTS = 240
"""Of the heat, along the longer side."""
NAMED = 150
"""Blocks up to which each has its name in the picture."""
FLOWS = 2_000
"""Flows up to which each is drawn; of more, the heaviest."""


def draw(problem: PlacementProblem, result: Result, path: Path) -> None:
    """Write the picture of ``result`` as PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 7), layout="constrained")
    axes = figure.subplots()
    regions = result.placement.regions(problem)
    window = _window(problem, regions)
    loads = Evaluator(problem).link_loads(result.placement).max(axis=0)
    image = _heat(axes, loads, window)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=axes, label="wavelets a token on the busiest link leaving a PE", shrink=0.8)
    _flows(axes, problem, regions)
    _blocks(axes, problem, regions)
    if problem.dead:
        x, y = np.array(sorted(problem.dead)).T
        axes.scatter(x, y, marker="x", s=9, color="black", linewidths=0.7)
    title = f"{problem.name}, {result.strategy}: cost {result.cost['cost']:,.10g}"
    axes.set(
        xlabel="x (column)",
        ylabel="y (row)",
        title=title,
        xlim=(window.x - 0.5, window.right - 0.5),
        ylim=(window.bottom - 0.5, window.y - 0.5),
    )

    def write(partial: Path) -> None:
        figure.savefig(partial, dpi=110, format="png")

    write_file(path, write)


def _window(problem: PlacementProblem, regions: list[Region]) -> Region:
    """The part of the mesh that is shown: all of it, or what is around the blocks where they take a small part."""
    left, top = min(r.x for r in regions), min(r.y for r in regions)
    right, bottom = max(r.right for r in regions), max(r.bottom for r in regions)
    margin = 2 + max(right - left, bottom - top) // 8
    x, y = max(left - margin, 0), max(top - margin, 0)
    width, height = min(right + margin, problem.columns) - x, min(bottom + margin, problem.rows) - y
    small = width * height < problem.columns * problem.rows / 4
    return Region(x, y, width, height) if small else Region(0, 0, problem.columns, problem.rows)


def _heat(axes: Any, loads: np.ndarray, window: Region) -> Any:
    """The loads in the window, white where there are none; of many PEs to a point of the picture, the busiest."""
    from matplotlib import colormaps

    shown = loads[window.y : window.bottom, window.x : window.right]
    step = -(-max(shown.shape) // POINTS)
    height, width = (-(-size // step) for size in shown.shape)
    padded = np.zeros((height * step, width * step))
    padded[: shown.shape[0], : shown.shape[1]] = shown
    pooled = padded.reshape(height, step, width, step).max(axis=(1, 3))
    edges = (window.x - 0.5, window.x + width * step - 0.5, window.y + height * step - 0.5, window.y - 0.5)
    colors = colormaps["YlOrRd"].with_extremes(bad="white")
    return axes.imshow(np.ma.masked_equal(pooled, 0), cmap=colors, extent=edges, interpolation="nearest", vmin=0)


def _centre(region: Region) -> tuple[float, float]:
    return region.x + (region.width - 1) / 2, region.y + (region.height - 1) / 2


def _flows(axes: Any, problem: PlacementProblem, regions: list[Region]) -> None:
    """Lines from centre to centre, as thick as what they carry."""
    from matplotlib.collections import LineCollection

    pairs = [(flow.wavelets, flow.source, target) for flow in problem.flows for target in flow.targets]
    pairs = sorted(pairs, reverse=True)[:FLOWS]
    most = max((wavelets for wavelets, _, _ in pairs), default=1.0) or 1.0
    lines = [(_centre(regions[a]), _centre(regions[b])) for _, a, b in pairs]
    widths = 0.3 + 1.7 * np.array([wavelets for wavelets, _, _ in pairs]) / most
    axes.add_collection(LineCollection(lines, linewidths=widths, colors="navy", alpha=0.5))


def _blocks(axes: Any, problem: PlacementProblem, regions: list[Region]) -> None:
    from matplotlib.patches import Rectangle

    for block, region in zip(problem.blocks, regions, strict=True):
        corner = (region.x - 0.5, region.y - 0.5)
        axes.add_patch(Rectangle(corner, region.width, region.height, fill=False, edgecolor="0.2", linewidth=0.8))
        if len(regions) <= NAMED:
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
            name = block.name.replace(" and ", "\n") if len(block.name) > 12 else block.name
            axes.annotate(name, _centre(region), ha="center", va="center", fontsize=6, bbox=box)
