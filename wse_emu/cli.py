"""The command line: `wse-emu decode`, `view`, `estimate`, `compare`, `place`, `validate`, … Thin: the library works."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from wse_emu import __version__
from wse_emu.errors import WseError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
models_app = typer.Typer(help="Models that are known by name.")
app.add_typer(models_app, name="models")
bench_app = typer.Typer(help="Measure the emulator and its kernels on this machine.")
app.add_typer(bench_app, name="bench")

_UsageError: Any = typer.BadParameter.__mro__[1]
"""What wrong options raise: click's UsageError, which typer brings along under a name that depends on its version."""

INTERRUPTED = 130
"""Exit code of a run that Ctrl-C ended, as shells have it."""


def main() -> None:
    """Run the command line; every error that a user can cause is one line on stderr and exit code 2."""
    try:
        code = app(standalone_mode=False)
        _leave_at_once() if code == INTERRUPTED else sys.exit(code)  # typer makes that code of Ctrl-C
    except WseError as error:
        _fail(f"wse-emu: {error}", 2)
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx else "wse-emu"
        _fail(f"wse-emu: {error.format_message()} ({command} --help lists what works)", 2)
    except (KeyboardInterrupt, typer.Abort):
        _leave_at_once()
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except MemoryError:
        _fail("wse-emu: this machine's memory is too small for this; a smaller model, mesh or size works", 2)


def _fail(message: str, code: int) -> None:
    print(message, file=sys.stderr)  # noqa: T201
    sys.exit(code)


def _leave_at_once() -> None:
    """End an interrupted run without the interpreter's clean-up, which crashes while jax is compiling in a thread."""
    print("\nwse-emu: interrupted", file=sys.stderr)  # noqa: T201
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wse-emu {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001  (its callback does the work)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """An emulator of wafer-scale engines: real transformers on a mesh of up to 900,000 processing elements."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def decode(  # noqa: PLR0917
    context: typer.Context,
    model: Annotated[
        str, typer.Option(help="tiny, smollm2, a .gguf file, a safetensors folder, or hf:owner/name.")
    ] = "tiny",
    prompt: Annotated[str | None, typer.Option(help="Text to continue.  [default: Once upon a time]")] = None,
    prompt_ids: Annotated[str | None, typer.Option(help="Token ids instead of a text: 1,2,3.")] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Put the prompt through the model's chat template.")] = False,
    tokens: Annotated[int, typer.Option(help="New tokens; an end-of-sequence token stops earlier.")] = 32,
    wafer: Annotated[str, typer.Option(help="wse1, wse2, wse3, mini, or a TOML file.")] = "wse3",
    mapping: Annotated[
        str, typer.Option(help="shared (all layers on one grid) or pipeline (a region per layer).")
    ] = "shared",
    experts: Annotated[
        str, typer.Option(help="sharded (each over all PEs of its layer) or regions (one each; mapping pipeline).")
    ] = "sharded",
    placement: Annotated[
        str, typer.Option(help="Of a pipeline's regions: row_major, snake, hilbert, annealing, …")
    ] = "row_major",
    grid: Annotated[
        str | None, typer.Option(help="ROWSxCOLUMNS of the region, or of each layer's.  [default: fewest cycles]")
    ] = None,
    reduce: Annotated[
        str, typer.Option(help="chain, two_way, tree, two_phase, ktree, ktree:GROUPS, star, autogen or auto.")
    ] = "auto",
    dtype: Annotated[
        str, typer.Option(help="Of the numbers on the PEs: float32, float16, bfloat16, int8 or int4 (weights alone).")
    ] = "float32",
    defects: Annotated[
        str | None, typer.Option(help="Dead PEs and links: a rate as 0.001, clustered:RATE, or a JSON file.")
    ] = None,
    backend: Annotated[str, typer.Option(help="Array library of the values: numpy, jax or cupy.")] = "numpy",
    engine: Annotated[
        str, typer.Option(help="Of the cycles: timing (at once) or wavelet (cycle-exact, seconds to minutes a token).")
    ] = "timing",
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    temperature: Annotated[float, typer.Option(help="0 decodes greedily.")] = 0.0,
    top_k: Annotated[int | None, typer.Option(help="Sample among the K best tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Sample among the best tokens of this mass.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    save_logits: Annotated[
        Path | None, typer.Option(help="Write logits (tokens, vocabulary), float32, as .npy.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for what the run leaves: report.json, steps.parquet, trace.json.gz, …")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with a killed run in its folder, with its options and the same tokens.")
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Write the first token's wavelets and waits for Perfetto: FILE.json[.gz].")
    ] = None,
    prefill: Annotated[
        str, typer.Option(help="The prompt: by tokens, or as gemm, all at once (Llama, Qwen2, Qwen3).")
    ] = "tokens",
) -> None:
    """Decode text on an emulated wafer: the tokens, the cycles, the traffic, and GPUs beside it."""
    from wse_emu.report.decode_options import DecodeOptions
    from wse_emu.report.decode_run import run_decode
    from wse_emu.report.run.resume import options_of

    if resume is not None:
        _alone(context, "resume", "json_output")
        run_decode(options_of(resume, json_output=json_output))
        return
    if prompt is not None and prompt_ids is not None:
        raise WseError("--prompt and --prompt-ids: give one of them")
    options = DecodeOptions(
        model, prompt, _ids(prompt_ids), chat, tokens, wafer, mapping, experts, placement, _grid(grid), reduce, dtype,
        defects, backend, engine, seed, temperature, top_k, top_p, prefill, json_output, save_logits, out, trace,
    )  # fmt: skip
    run_decode(options)


@app.command()
def view(
    runs: Annotated[list[Path], typer.Argument(help="One folder that `decode --out` wrote, or two to compare.")],
    html: Annotated[Path | None, typer.Option(help="Write the page to this file, and serve nothing.")] = None,
    port: Annotated[int, typer.Option(help="On loopback; 0 picks a free one.")] = 0,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser.")] = True,
) -> None:
    """Show a run, or two side by side, in a browser: the wafer down to a PE, the token, the GPUs."""
    from wse_emu.report.page.serve import run_view

    run_view(runs, html=html, port=port, open_browser=open_browser)


@app.command()
def info(
    wafer: Annotated[str, typer.Option(help="wse1, wse2, wse3, mini, or a TOML file.")] = "wse3",
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a wafer's parts, the peaks that follow from them, and the vendor's aggregates beside them."""
    from wse_emu.hardware.info import wafer_info
    from wse_emu.hardware.wafer import load_wafer
    from wse_emu.report.tables import info_tables

    spec = load_wafer(wafer)
    facts = wafer_info(spec)
    if json_output:
        typer.echo(json.dumps({"wafer": spec.name, **facts}, ensure_ascii=False))
        return
    console = Console()
    for table in info_tables(facts):
        console.print(table, end="\n\n")


@app.command()
def validate(  # noqa: PLR0917
    data: Annotated[
        list[Path] | None, typer.Option(help="A CSV of measurements; several work.  [default: those shipped]")
    ] = None,
    cases: Annotated[bool, typer.Option("--cases", help="Print every case.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw predicted against measured: FILE.png.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if an error is beyond the one recorded in the wafer's file.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for run.json and report.json.")] = None,
) -> None:
    """Published measurements of real wafers beside what the timing model says of the same programs."""
    from wse_emu.report.validation import run_validate

    if check and data:
        raise WseError("--check and --data: errors are recorded of the shipped measurements alone; give one of them")
    if not run_validate(data or [], cases=cases, plot=plot, check=check, json_output=json_output, out=out):
        raise typer.Exit(1)


@app.command()
def place(  # noqa: PLR0917
    problem: Annotated[
        Path | None,
        typer.Option(help="nug30, VOPD, ispd-K, …; or a .json, .dat (QAPLIB), .kgraph (ISPD), .txt (core graph)."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Place a model instead: tiny, llama-3.1-8b, a config.json, …")
    ] = None,
    by: Annotated[str, typer.Option(help="What a block of the model is: layer, kernel or expert.")] = "layer",
    wafer: Annotated[str, typer.Option(help="For a model: wse1, wse2, wse3, mini, or a TOML file.")] = "wse3",
    context: Annotated[int, typer.Option(help="For a model: tokens that the KV cache holds.")] = 128,
    dtype: Annotated[str, typer.Option(help="For a model: float32, float16, bfloat16, int8 or int4.")] = "float32",
    grid: Annotated[
        str | None, typer.Option(help="ROWSxCOLUMNS of a layer's region.  [default: fewest cycles]")
    ] = None,
    experts: Annotated[int, typer.Option(help="With --by expert: how many, each an MLP of the model's.")] = 16,
    active: Annotated[int, typer.Option(help="With --by expert: how many see a token.")] = 2,
    mesh: Annotated[str | None, typer.Option(help="ROWSxCOLUMNS for a core graph.  [default: nearly square]")] = None,
    defects: Annotated[
        str | None, typer.Option(help="Dead PEs and links to keep out of: a rate, clustered:RATE, or a JSON file.")
    ] = None,
    strategy: Annotated[
        list[str] | None, typer.Option(help="robust_tabu, annealing, …; several work.  [default: all]")
    ] = None,
    seconds: Annotated[float, typer.Option(help="For each strategy that searches.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the searches.")] = 0,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.json, placements.json and a picture of each.")
    ] = None,
) -> None:
    """Place blocks on the mesh by one or more strategies: a leaderboard by one evaluator."""
    from wse_emu.report.model_problem import ModelOptions
    from wse_emu.report.place import PlaceOptions, run_place

    mapped = model and ModelOptions(model, wafer, by, context, dtype, _grid(grid), experts, active)
    options = PlaceOptions(
        problem, mapped or None, _grid(mesh, "--mesh"), defects, strategy or [], seconds, seed, json_output, out
    )
    if not run_place(options):
        raise typer.Exit(INTERRUPTED)


@app.command("estimate")
def estimate_command(  # noqa: PLR0917
    model: Annotated[str, typer.Option(help="llama-3.1-8b, llama-3.1-405b, a config.json, a .gguf file, …")],
    wafer: Annotated[str, typer.Option(help="wse1, wse2, wse3, mini, or a TOML file.")] = "wse3",
    wafers: Annotated[int | None, typer.Option(help="At most so many.  [default: as many as it takes]")] = None,
    users: Annotated[int, typer.Option(help="At work at once.")] = 1,
    context: Annotated[int | None, typer.Option(help="Tokens in each user's cache.  [default: 8,192 at most]")] = None,
    precision: Annotated[str, typer.Option(help="float32, float16, bfloat16, int8 or int4.")] = "float16",
    kv: Annotated[
        str, typer.Option(help="Cache on the rows of PEs: dealt in turn, shifted, or concatenated on one row.")
    ] = "dealt",
    draft: Annotated[str | None, typer.Option(help="A smaller model that drafts tokens, on wafers of its own.")] = None,
    draft_tokens: Annotated[int, typer.Option(help="Drafted at a time.")] = 4,
    acceptance: Annotated[float, typer.Option(help="Probability that a drafted token is kept.")] = 0.8,
    experts: Annotated[
        str, typer.Option(help="sharded (each over all PEs of its layer) or regions (one each).")
    ] = "sharded",
    chances: Annotated[
        str | None, typer.Option(help="Of experts to be met: 3,1,1,… or a JSON list in a file.  [default: all alike]")
    ] = None,
    prompt: Annotated[
        int | None, typer.Option(help="Tokens of a prompt: its rate, and the time to the first token.")
    ] = None,
    gpu: Annotated[
        list[str] | None, typer.Option(help="Beside it: A100, H100, …; several work.  [default: all]")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """What wafers would do with a model, from its shape alone: tokens/s, how many wafers, what limits it."""
    from wse_emu.report.estimate import EstimateOptions, run_estimate

    workload = users, context, precision, kv, experts, chances
    drafted = None if draft is None else (draft, draft_tokens, acceptance)
    run_estimate(EstimateOptions(model, wafer, wafers, *workload, drafted, gpu or [], json_output, prompt))


@app.command()
def compare(  # noqa: PLR0917
    model: Annotated[str, typer.Option(help="llama-3.1-8b, llama-3.1-405b, a config.json, a .gguf file, …")],
    wafer: Annotated[str, typer.Option(help="wse1, wse2, wse3, mini, or a TOML file.")] = "wse3",
    wafers: Annotated[int | None, typer.Option(help="At most so many.  [default: as many as it takes]")] = None,
    gpu: Annotated[list[str] | None, typer.Option(help="A100, H100, …; several work.  [default: all]")] = None,
    users: Annotated[str, typer.Option(help="At work at once; several numbers work.")] = "1,8,64,256",
    context: Annotated[int | None, typer.Option(help="Tokens in each user's cache.  [default: 8,192 at most]")] = None,
    precision: Annotated[str, typer.Option(help="float32, float16, bfloat16, int8 or int4.")] = "float16",
    wafer_usd_per_hour: Annotated[
        float | None, typer.Option(help="Price of a wafer; none is published.", show_default=False)
    ] = None,
    gpu_usd_per_hour: Annotated[
        float | None, typer.Option(help="Price of a GPU.  [default: each one's preset]", show_default=False)
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for compare.json and compare.png.")] = None,
) -> None:
    """Wafers and GPUs with a model, by users: tokens/s, energy, cost, who is ahead in what, what was published."""
    from wse_emu.report.compare import CompareOptions, run_compare

    run_compare(
        CompareOptions(
            model, wafer, wafers, gpu or [], users, context, precision, wafer_usd_per_hour, gpu_usd_per_hour,
            json_output, out,
        )
    )  # fmt: skip


@app.command("export")
def export_command(
    run: Annotated[Path, typer.Argument(help="The folder that `wse-emu decode --out` left.")],
    kind: Annotated[str, typer.Option("--as", help="csv (steps), graphml (traffic) or sdk-log (recorded wavelets).")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
) -> None:
    """Write a run in a format that others read."""
    from wse_emu.report.run.export import run_export

    run_export(run, kind, out)


@models_app.command("list")
def list_models() -> None:
    """Models that are known by name, and whether they are here."""
    from wse_emu.models.known import known_names, load_config
    from wse_emu.models.registry import load_model, model_names

    for name in known_names():
        config = load_config(name)
        typer.echo(
            f"{name:14} {config.family}, {config.parameters:,} parameters, {config.layers} layers: its shape alone"
        )
    for name in model_names():
        try:
            config = load_model(name).config
            typer.echo(f"{name:14} {config.family}, {config.parameters:,} parameters, {config.layers} layers")
        except WseError as error:
            typer.echo(f"{name:14} not here: {error}")


@models_app.command("fetch")
def fetch_model(name: Annotated[str, typer.Argument(help="smollm2")]) -> None:
    """Download a model's weights into the cache, and check them."""
    from wse_emu.models.fetch import fetch

    path = fetch(name, lambda line: typer.echo(line, err=True))
    typer.echo(str(path))


@bench_app.command("fabric")
def bench_fabric(  # noqa: PLR0917
    workload: Annotated[list[str] | None, typer.Option(help="streams, all_reduce:tree, …; several work.")] = None,
    grid: Annotated[
        str | None, typer.Option(help="ROWSxCOLUMNS of the mesh.  [default: a short set of meshes]")
    ] = None,
    colors: Annotated[int | None, typer.Option(help="Of the streams, 1 to 24.")] = None,
    load: Annotated[float | None, typer.Option(help="Of the streams' links, above 0 to 1.")] = None,
    wavelets: Annotated[int | None, typer.Option(help="Of each stream, or each PE.")] = None,
    wafer: Annotated[str, typer.Option(help="wse1, wse2, wse3, mini, or a TOML file.")] = "wse3",
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for run.json and report.json.")] = None,
) -> None:
    """Router-cycles per second of the wavelet engine, delivered traffic, latencies and what was the limit."""
    from wse_emu.report.bench_fabric import FabricOptions, run_bench_fabric

    run_bench_fabric(FabricOptions(workload or [], _grid(grid), colors, load, wavelets, wafer, json_output, out))


@bench_app.command("kernels")
def bench_kernels(  # noqa: PLR0917
    kernel: Annotated[
        list[str] | None, typer.Option(help="gemv, mlp, …, or module:function of your own; several work.")
    ] = None,
    grid: Annotated[str, typer.Option(help="ROWSxCOLUMNS of PEs.")] = "32x32",
    size: Annotated[list[int] | None, typer.Option(help="Of the kernel; several work.  [default: 1024]")] = None,
    backend: Annotated[str, typer.Option(help="Array library of the values: numpy, jax or cupy.")] = "numpy",
    engine: Annotated[str, typer.Option(help="Of the cycles: timing, or wavelet for exact ones beside it.")] = "timing",
    wafer: Annotated[str, typer.Option(help="wse1, wse2, wse3, mini, or a TOML file.")] = "wse3",
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for run.json and report.json.")] = None,
) -> None:
    """Each kernel's emulated cycles, wavelets and bytes beside the time of its numbers on this machine.

    Your own kernel is a function (Builder, size) -> Value that declares its inputs and weights on the builder.
    """
    from wse_emu.report.bench_kernels import KernelOptions, run_bench_kernels

    sys.path.insert(0, "")  # a kernel of one's own lies where one is
    shape = _grid(grid)
    assert shape is not None
    run_bench_kernels(KernelOptions(kernel or [], shape, size or [1024], backend, engine, wafer, json_output, out))


def _alone(context: typer.Context, option: str, *beside: str) -> None:
    """WseError if an option was given that ``option`` takes from a run's folder."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in {option, *beside} and source is not None and source.name == "COMMANDLINE":
            raise WseError(
                f"--{name.replace('_', '-')}: --{option} takes every option from the run's folder; give --json"
            )


@bench_app.command("gpu")
def bench_gpu(
    model: Annotated[
        str, typer.Option(help="Whose shapes: llama-3.1-8b, llama-3.1-70b, …, a config.json, or what decode takes.")
    ] = "llama-3.1-8b",
    device: Annotated[str, typer.Option(help="cuda; or cpu, a dry run through jax.")] = "cuda",
    library: Annotated[str | None, typer.Option(help="jax or cupy.  [default: the first that finds a device]")] = None,
    megabytes: Annotated[
        int | None, typer.Option(help="Memory of the copy, and of the weights.  [default: 1024 and 512]")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Copy bandwidth and the products of a model's decode, measured on a CUDA device."""
    from wse_emu.report.bench_gpu import GpuOptions, run_bench_gpu

    run_bench_gpu(GpuOptions(model, device, library, megabytes, json_output))


def _ids(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise WseError(f"--prompt-ids {text!r}: whole numbers separated by commas work, as 1,2,3") from None


def _grid(text: str | None, option: str = "--grid") -> tuple[int, int] | None:
    if text is None:
        return None
    rows, _, columns = text.lower().replace("×", "x").partition("x")
    if not (rows.isdigit() and columns.isdigit()):
        raise WseError(f"{option} {text!r}: ROWSxCOLUMNS works, as 24x32")
    return int(rows), int(columns)
