"""`wse-emu place`: strategies on a placement problem, a leaderboard, and a picture of each placement."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from wse_emu.errors import WseError
from wse_emu.mappings.placement import PlacementProblem
from wse_emu.mappings.placement.evaluate import Evaluator
from wse_emu.mappings.placement.readers import read_problem
from wse_emu.mappings.placement.search import STRATEGIES, Result, find_strategy, run_strategy
from wse_emu.report.folder import prepare_folder, write_file, write_json


@dataclass(frozen=True)
class PlaceOptions:
    """The options of `wse-emu place`."""

    problem: Path
    mesh: tuple[int, int] | None
    strategies: list[str]
    seconds: float
    seed: int
    json_output: bool
    out: Path | None


def run_place(options: PlaceOptions) -> bool:
    """Run, show and write; False if Ctrl-C ended it early. Raises WseError for what the user got wrong."""
    if not 0 < options.seconds < 1e6:
        raise WseError(f"--seconds {options.seconds:g}: a time above 0 works")
    mesh = None if options.mesh is None else (options.mesh[1], options.mesh[0])
    problem = read_problem(options.problem, mesh)
    find_strategy(options.strategies[0] if options.strategies else "row_major")
    names = options.strategies or list(STRATEGIES)
    for name in names:
        find_strategy(name)
    if options.out is not None:
        prepare_folder(options.out)
    results = _run_all(problem, names, options)
    results.sort(key=lambda result: result.cost["cost"])
    report = {
        "problem": problem.name,
        "seed": options.seed,
        "level": "estimate: hop-wavelets of the placement",
        "results": [_plain(result) for result in results],
    }
    if options.json_output:
        print(json.dumps(report))  # noqa: T201
    else:
        Console().print(_table(problem, results))
    if options.out is not None:
        write_json(options.out / "placements.json", report)
        for result in results:
            draw(problem, result, options.out / f"{result.strategy}.png")
    return not any(result.interrupted for result in results)


def _run_all(problem: PlacementProblem, names: list[str], options: PlaceOptions) -> list[Result]:
    results = []
    for name in names:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{name} …", end="", file=sys.stderr, flush=True)  # noqa: T201
        try:
            results.append(run_strategy(problem, name, seconds=options.seconds, seed=options.seed))
        except WseError:
            if options.strategies:
                raise
            continue  # not every shipped strategy can place every kind of problem
        if results[-1].interrupted:
            break
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)  # noqa: T201
    if not results:
        raise WseError(f"{problem.name}: none of the shipped strategies places problems of this kind")
    return results


def _plain(result: Result) -> dict[str, Any]:
    plain = asdict(result)
    return {"legal": True, **plain}


def _table(problem: PlacementProblem, results: list[Result]) -> Table:
    title = f"{problem.name}: {len(problem.blocks)} blocks on {problem.columns}×{problem.rows} PEs"
    table = Table("strategy", "cost", "above the best", "seconds", title=title, title_justify="left", box=SIMPLE)
    for column in table.columns[1:]:
        column.justify = "right"
    best = results[0].cost["cost"]
    for result in results:
        above = result.cost["cost"] / best - 1 if best else 0.0
        note = " (interrupted)" if result.interrupted else ""
        table.add_row(result.strategy + note, f"{result.cost['cost']:,.10g}", f"{above:+.2%}", f"{result.seconds:.2f}")
    return table


def draw(problem: PlacementProblem, result: Result, path: Path) -> None:
    """Blocks where they lie, flows as lines as thick as they carry, links as hot as they are loaded."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 7), layout="constrained")
    axes = figure.subplots()
    loads = Evaluator(problem).link_loads(result.placement).max(axis=0)
    image = axes.imshow(loads, cmap="YlOrRd", extent=(-0.5, problem.columns - 0.5, problem.rows - 0.5, -0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=axes, label="wavelets a token on the busiest link leaving a PE", shrink=0.8)
    regions = result.placement.regions(problem)
    centres = np.array([(r.x + (r.width - 1) / 2, r.y + (r.height - 1) / 2) for r in regions])
    most = max((flow.wavelets for flow in problem.flows), default=1.0) or 1.0
    for flow in problem.flows:
        for target in flow.targets:
            ends = centres[[flow.source, target]]
            axes.plot(*ends.T, color="navy", alpha=0.5, linewidth=0.3 + 4 * flow.wavelets / most)
    for block, region in zip(problem.blocks, regions, strict=True):
        corner = (region.x - 0.5, region.y - 0.5)
        axes.add_patch(Rectangle(corner, region.width, region.height, fill=False, edgecolor="0.2", linewidth=0.8))
        if len(regions) <= 150:
            x, y = region.x + (region.width - 1) / 2, region.y + (region.height - 1) / 2
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
            axes.annotate(block.name, (x, y), ha="center", va="center", fontsize=7, bbox=box)
    axes.set(
        xlabel="x (column)", ylabel="y (row)", title=f"{problem.name}, {result.strategy}: {result.cost['cost']:,.10g}"
    )

    def write(partial: Path) -> None:
        figure.savefig(partial, dpi=110, format="png")

    write_file(path, write)
