"""`wse-emu place`: strategies on a placement problem, a leaderboard, and a picture of each placement."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from wse_emu.errors import WseError
from wse_emu.fabric.defects import read_defects
from wse_emu.hardware.wafer import load_wafer
from wse_emu.mappings.placement import PlacementProblem
from wse_emu.mappings.placement.paint import paint
from wse_emu.mappings.placement.readers import kgraph_text, read_problem
from wse_emu.mappings.placement.search import Result, find_strategy, run_strategy, strategy_names
from wse_emu.report.folder import prepare_folder, write_json, write_text
from wse_emu.report.model_problem import ModelOptions, model_problem
from wse_emu.report.place_picture import draw
from wse_emu.report.progress import bar
from wse_emu.report.run.record import SCHEMA, begin_run, finish_run, plain, run_facts

LEVELS = {
    "cycles": "timing model where the problem is a mapped model's, else an estimate by formula",
    "every other metric": "estimate by formula",
}


@dataclass(frozen=True)
class PlaceOptions:
    """The options of `wse-emu place`; ``problem`` or ``model``."""

    problem: Path | None
    model: ModelOptions | None
    mesh: tuple[int, int] | None
    defects: str | None
    strategies: list[str]
    seconds: float
    seed: int
    json_output: bool
    out: Path | None


def run_place(options: PlaceOptions) -> bool:
    """Run, show and write; False if Ctrl-C ended it early. Raises WseError for what the user got wrong."""
    if not 0 < options.seconds < 1e6:
        raise WseError(f"--seconds {options.seconds:g}: a time above 0 works")
    for name in options.strategies:
        find_strategy(name)
    problem = _problem(options)
    if options.out is not None:
        prepare_folder(options.out)
        begin_run(options.out, _facts(options))
    results, left_out = _run_all(problem, options)
    results.sort(key=lambda result: result.cost["cost"])
    report = {
        "problem": problem.name,
        "seed": options.seed,
        "levels": LEVELS,
        "results": [{"legal": True, **_metrics(problem, result)} for result in results],
        "left_out": left_out,
    }
    if options.json_output:
        print(json.dumps(report))  # noqa: T201
    else:
        _show(problem, results, left_out)
    if options.out is not None:
        _write(options, problem, report, results)
    return not any(result.interrupted for result in results)


def _facts(options: PlaceOptions) -> dict[str, Any]:
    wafer = None if options.model is None else load_wafer(options.model.wafer)
    return run_facts("place", asdict(options), seed=options.seed, wafer=wafer, levels=LEVELS)


def _problem(options: PlaceOptions) -> PlacementProblem:
    if (options.problem is None) == (options.model is None):
        raise WseError("--problem and --model: give one of them, as --problem nug30 or --model tiny")
    if options.model is not None:
        return model_problem(options.model, options.defects)
    assert options.problem is not None
    mesh = None if options.mesh is None else (options.mesh[1], options.mesh[0])
    problem = read_problem(options.problem, mesh)
    if mesh and mesh != (problem.columns, problem.rows):
        size = f"{problem.rows}x{problem.columns}"
        raise WseError(f"--mesh is for core graphs (.txt); {options.problem} has a mesh of its own, {size}")
    if options.defects is None:
        return problem
    found = read_defects(options.defects, problem.columns, problem.rows)
    return replace(problem, dead=problem.dead | found.pes, dead_links=problem.dead_links | found.links)


def _run_all(problem: PlacementProblem, options: PlaceOptions) -> tuple[list[Result], dict[str, str]]:
    """What each strategy gave, and where nobody asked for one by name, those that cannot place this, and why."""
    results: list[Result] = []
    left_out: dict[str, str] = {}
    names = options.strategies or strategy_names()
    with bar("placing", "strategies") as shown:
        for done, name in enumerate(names):
            shown(done, len(names), name)
            try:
                results.append(run_strategy(problem, name, seconds=options.seconds, seed=options.seed))
            except WseError as error:
                if options.strategies:
                    raise
                left_out[name] = str(error).removeprefix(f"strategy {name}: ")
                continue
            if results[-1].interrupted:
                break
    if not results:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise WseError(f"{problem.name}: none of the strategies places it: {reasons}")
    return results, left_out


def _metrics(problem: PlacementProblem, result: Result) -> dict[str, Any]:
    plain = asdict(result)
    interval = result.cost["interval_cycles"]
    plain["cost"]["tokens_per_second"] = problem.charges.clock_hz / interval if interval else None
    return plain


COLUMNS = (
    ("cycles", "cycles"),
    ("contended_cycles", "contended"),
    ("busiest_link", "link"),
    ("colors", "colors"),
)


def _show(problem: PlacementProblem, results: list[Result], left_out: dict[str, str]) -> None:
    console = Console()
    console.print(_table(problem, results))
    console.print("[dim]cycles: of a token alone; contended: waiting for all that shares its links")
    console.print("[dim]link: wavelets a token on the busiest; colors: most flows that meet at one PE[/]")
    for result in results:
        if result.bound is not None:
            console.print(f"[dim]{result.strategy}: no placement costs less than {result.bound:,.10g}[/]")
    for name, reason in left_out.items():
        console.print(f"[dim]left out: {name} ({reason})[/]", highlight=False, emoji=False)


def _table(problem: PlacementProblem, results: list[Result]) -> Table:
    title = f"{problem.name}: {len(problem.blocks)} blocks on {problem.columns}×{problem.rows} PEs"
    names = [label for _, label in COLUMNS]
    table = Table("strategy", "cost", "above", *names, "s", title=title, title_justify="left", box=SIMPLE)
    for column in table.columns[1:]:
        column.justify = "right"
    best = results[0].cost["cost"]
    for result in results:
        cost = result.cost
        above = cost["cost"] / best - 1 if best else 0.0
        shown = [f"{cost[name]:,.6g}" if cost[name] < 1e6 else f"{cost[name]:.3g}" for name, _ in COLUMNS]
        note = " (interrupted)" if result.interrupted else ""
        table.add_row(result.strategy + note, f"{cost['cost']:,.10g}", f"{above:+.2%}", *shown, f"{result.seconds:.2f}")
    return table


def _write(options: PlaceOptions, problem: PlacementProblem, report: dict[str, Any], results: list[Result]) -> None:
    """Report, problem, and a picture of each placement; of an ISPD problem its solution as text too."""
    out, kgraph = options.out, options.problem and kgraph_text(options.problem)
    assert out is not None
    write_json(out / "placements.json", report)
    write_text(out / "problem.json", problem.to_json() + "\n")
    for result in results:
        draw(problem, result, out / f"{result.strategy}.png")
        if kgraph:
            write_text(out / f"{result.strategy}.paint", paint(problem, kgraph, result.placement))
    finish_run(out, {"schema": SCHEMA, "command": "place", **plain(report)})
