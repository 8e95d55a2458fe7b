"""What someone at a terminal sees: text, table, JSON, files, and one clear line for every mistake."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.mappings.placement.contest import painted_score
from tests.oracle import random_models
from wse_emu.cli import main
from wse_emu.hardware.wafer import PRESETS
from wse_emu.mappings.placement import Placement, PlacementProblem, check_placement
from wse_emu.mappings.placement.readers import suite

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `wse-emu ARGUMENTS` in this process: exit code, stdout, stderr."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wse-emu", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return command


def test_decode_prints_the_text_and_one_table(run: Run) -> None:
    code, out, err = run("decode", "--tokens", "8")
    assert code == 0
    assert out.startswith("Once upon a time\ntwobles.")
    for expected in (
        "tiny on wse3",
        " wse3 ",
        "tokens/s",
        "B200",
        "cycles per token",
        "wavelet-hops",
        "busiest link",
        "padding",
    ):
        assert expected in out
    assert err == ""


def test_json_is_the_only_thing_on_stdout(run: Run) -> None:
    code, out, err = run("decode", "--tokens", "5", "--json", "--mapping", "pipeline", "--placement", "snake")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["prompt_ids"] == [41, 69, 186, 960, 94, 437]
    assert report["token_ids"] == [4, 75, 78, 70, 57]
    assert len(report["cycles_per_token"]) == 5
    clock = report["wafer"]["clock_hz"]
    assert report["tokens_per_second"] == pytest.approx(clock / np.mean(report["cycles_per_token"]))
    assert sum(report["cycles_by_kernel"].values()) == pytest.approx(np.mean(report["cycles_per_token"]))
    assert report["max_link_wavelets"] == report["busiest_link"]["wavelets"] <= report["wavelet_hops"]
    assert 0 < report["sram"]["max_pe_bytes"] <= 49152
    assert report["sram"]["used_bytes"] < report["sram"]["capacity_bytes"] == 883350 * 49152
    assert set(report["regions"]) == {"embedding and head", *(f"layer {i}" for i in range(4))}
    assert [rate["gpu"] for rate in report["baseline"]] == ["A100", "H100", "H200", "B200", "GB200", "MI300X"]
    assert {(rate["gpus"], rate["weights"], rate["level"]) for rate in report["baseline"]} == {(1, "bf16", "estimate")}
    assert 2 <= report["colors"]["used"] <= report["colors"]["available"] == 21
    assert report["level"] == "timing model"
    assert {"load", "plan", "decode"} <= set(report["seconds"])


def test_defects_are_counted_and_change_no_token(run: Run, tmp_path: Path) -> None:
    held = tmp_path / "dead.json"
    held.write_text('{"pes": [[5, 4]], "links": [[[100, 3], [100, 4]], [[8, 2], [9, 2]]]}')
    code, out, err = run("decode", "--tokens", "5", "--json", "--defects", str(held))
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["defects"] == {"pes": 1, "links": 2}
    assert report["token_ids"] == [4, 75, 78, 70, 57]
    assert min(region["x"] for region in report["regions"].values()) > 5
    assert re.search(r"dead PEs +\d+ +and 0 dead links", run("decode", "--tokens", "1", "--defects", "0.001")[1])


def test_a_program_with_too_many_routes_says_so(run: Run, tmp_path: Path) -> None:
    few = tmp_path / "few.toml"
    few.write_text(re.sub(r"(?m)^colors = 24", "colors = 8", (PRESETS / "wse3.toml").read_text("utf-8")), "utf-8")
    report = json.loads(run("decode", "--tokens", "1", "--json", "--wafer", str(few))[1])
    assert report["colors"]["used"] is None
    assert "more than the 5 colors" in report["colors"]["note"]
    assert "routes would change" in run("decode", "--tokens", "1", "--wafer", str(few))[1]


def test_the_type_of_the_numbers_shows_in_table_and_json(run: Run) -> None:
    code, out, err = run("decode", "--tokens", "3", "--dtype", "bfloat16")
    assert (code, err) == (0, "")
    assert re.search(r"wse3 .* tokens/s +timing model, bfloat16", out)
    reports = {
        name: json.loads(run("decode", "--tokens", "3", "--json", "--dtype", name)[1]) for name in ("int8", "float32")
    }
    assert all(report["precision"] == name for name, report in reports.items())
    assert reports["int8"]["token_ids"] == reports["float32"]["token_ids"] == [4, 75, 78]
    assert reports["int8"]["sram"]["used_bytes"] < reports["float32"]["sram"]["used_bytes"]


def test_prompt_ids_are_taken_as_they_are(run: Run) -> None:
    _, by_text, _ = run("decode", "--tokens", "4", "--json", "--prompt", "Once upon a time")
    _, by_ids, _ = run("decode", "--tokens", "4", "--json", "--prompt-ids", "41,69,186,960,94,437")
    assert json.loads(by_text)["token_ids"] == json.loads(by_ids)["token_ids"]


def test_files_are_written_whole(run: Run, tmp_path: Path) -> None:
    folder, logits = tmp_path / "run", tmp_path / "logits.npy"
    code, out, _ = run("decode", "--tokens", "6", "--json", "--out", str(folder), "--save-logits", str(logits))
    assert code == 0
    assert json.loads((folder / "report.json").read_text("utf-8")) == json.loads(out)
    assert (folder / "traffic.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in folder.iterdir()) == [
        "busy.png",
        "links.npz",
        "page.json",
        "report.html",
        "report.json",
        "run.json",
        "state.json",
        "steps.parquet",
        "trace.json.gz",
        "traffic.png",
    ]
    saved = np.load(logits, allow_pickle=False)
    assert saved.shape == (6, 1024)
    assert saved.dtype == np.float32
    assert saved.argmax(axis=1).tolist() == json.loads(out)["token_ids"]


def test_sampling_follows_the_seed(run: Run) -> None:
    options = ("decode", "--tokens", "12", "--json", "--temperature", "1", "--top-k", "50", "--top-p", "0.95", "--seed")
    ids = [json.loads(run(*options, seed)[1])["token_ids"] for seed in ("7", "7", "8")]
    assert ids[0] == ids[1] != ids[2]


def test_info_shows_parts_and_the_comparison_with_a_b200(run: Run) -> None:
    code, out, _ = run("info", "--wafer", "wse3")
    assert code == 0
    for expected in ("883,350", "2,625", "755 × 1170", "implies 0.97 GHz", "49,152"):
        assert expected in out
    facts = json.loads(run("info", "--wafer", "wse2", "--json")[1])
    assert facts["wafer"] == "wse2"
    assert {"parts", "peaks", "published", "beside a B200"} <= set(facts)


def test_version_and_help(run: Run) -> None:
    assert run("--version")[1] == "wse-emu 0.1.0\n"
    assert "decode" in run()[1]
    assert "--save-logits" in run("decode", "--help")[1]


MISTAKES = {
    "unknown model": (("--model", "nope"), "no model 'nope'"),
    "not a model": (("--model", __file__), "not a GGUF file"),
    "unknown wafer": (("--wafer", "wse9"), "unknown wafer 'wse9'; what works: wse1, wse2, wse3, mini"),
    "unknown mapping": (("--mapping", "x"), "unknown mapping 'x'; what works: shared, pipeline"),
    "unknown placement": (("--mapping", "pipeline", "--placement", "x"), "unknown strategy 'x'; what works"),
    "unknown reduction": (("--reduce", "x"), "unknown reduction algorithm 'x'; what works: chain"),
    "unknown type": (("--dtype", "x"), "unknown precision 'x'; what works: float32, float16, bfloat16, int8, int4"),
    "type that a library lacks": (("--dtype", "float16", "--backend", "jax"), "jax computes in float32 alone"),
    "unknown backend": (("--backend", "x"), "unknown backend 'x'; what works: numpy, jax, cupy"),
    "unknown option": (("--bogus",), "No such option: --bogus"),
    "no number": (("--tokens", "x"), "Invalid value for '--tokens'"),
    "no tokens": (("--tokens", "0"), "--tokens 0: at least 1 works"),
    "two prompts": (("--prompt", "a", "--prompt-ids", "1"), "give one of them"),
    "empty prompt": (("--prompt", ""), "the prompt is empty"),
    "no ids": (("--prompt-ids", "1;2"), "whole numbers separated by commas work"),
    "id outside": (("--prompt-ids", "1,1024"), "prompt id 1024 (place 1) is outside the vocabulary: 0 to 1023 work"),
    "over the context": (("--tokens", "123"), "more than the context of 128"),
    "grid unreadable": (("--grid", "4"), "ROWSxCOLUMNS works"),
    "region off the mesh": (("--grid", "4x800"), "leaves the mesh of 755×1170 PEs"),
    "too large": (("--wafer", "mini", "--grid", "2x2"), "more than the 49,152 of mini"),
    "cold": (("--temperature", "-1"), "0 decodes greedily"),
    "top-k of a greedy run": (("--top-k", "3"), "need a --temperature above 0"),
    "top-p": (("--temperature", "1", "--top-p", "2"), "top-p 2"),
    "defects beyond all": (("--defects", "clustered:1.5"), "defect rate 1.5: 0 to 1 works"),
    "defects unreadable": (("--defects", "few"), "defects few: No such file or directory; a rate from 0 to 1"),
    "defects everywhere": (("--defects", "0.5"), "columns of that height; fewer defects, or a larger wafer, work"),
    "no template": (("--chat",), "no chat template"),
    "no folder for logits": (("--save-logits", "/nowhere/x.npy"), "the folder /nowhere must exist"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_clear_line_and_exit_code_2(run: Run, mistake: str) -> None:
    arguments, message = MISTAKES[mistake]
    code, out, err = run("decode", *arguments)
    assert code == 2
    assert message in err
    assert err.startswith("wse-emu: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err


def test_an_out_folder_that_cannot_be_written_is_found_before_the_work(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, out, err = run("decode", "--out", str(tmp_path / "file"))
    assert code == 2
    assert out == ""
    assert "cannot be written" in err
    assert err.count("\n") == 1


def test_ctrl_c_reports_what_there_is(tmp_path: Path) -> None:
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", "from wse_emu.cli import main; main()"]
    options = ["decode", "--tokens", "120", "--backend", "jax", "--out", str(tmp_path / "run")]
    with subprocess.Popen([*command, *options], env=environment, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        shown = process.stdout.read(len("Once upon a time"))  # it has begun to decode
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert shown == "Once upon a time"
    assert "Traceback" not in err
    assert "interrupted" in err or "cycles per token" in out
    assert process.returncode == (130 if err.endswith("wse-emu: interrupted\n") else 0)
    if "interrupted after" in err:
        assert len(json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))["token_ids"]) < 120


def test_the_wavelet_engine_gives_exact_cycles_beside_the_models(run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "token.json.gz"
    small = ("--grid", "9x16", "--tokens", "1", "--prompt-ids", "41,69")
    code, out, err = run("decode", "--engine", "wavelet", *small, "--json", "--trace", str(trace))
    assert code == 0
    report = json.loads(out)
    assert (report["engine"], report["level"], report["prefill_level"]) == ("wavelet", "cycle-exact", "timing model")
    (exact,), (modelled,) = report["cycles_per_token"], report["modelled_cycles_per_token"]
    assert abs(exact - modelled) <= 0.02 * modelled
    assert err.startswith("trace of the first token")
    assert trace.stat().st_size > 1000
    code, out, _ = run("decode", *small, "--json")
    plain = json.loads(out)
    assert plain["modelled_cycles_per_token"] is None
    assert plain["wavelet_hops"] == report["wavelet_hops"]
    code, out, _ = run("decode", "--engine", "wavelet", *small)
    assert "cycle-exact" in out
    assert "by the timing model" in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--engine", "exact"), "--engine exact: timing or wavelet works"),
        (("--trace", "t.json"), "--trace shows wavelets: it needs --engine wavelet"),
        (
            ("--engine", "wavelet", "--trace", "/nowhere/t.json"),
            "--trace /nowhere/t.json: the folder /nowhere must exist",
        ),
    ],
)
def test_wrong_engines_and_traces_are_one_line(run: Run, arguments: tuple[str, ...], line: str) -> None:
    code, out, err = run("decode", *arguments)
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1


def test_a_pipe_is_never_replaced_by_a_file(run: Run, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code, out, err = run("decode", "--tokens", "1", "--save-logits", str(pipe))
    assert (code, out) == (2, "")
    assert "must be a plain file, or a new one" in err
    assert pipe.is_fifo()


GEMV_ROWS = "P,group_num,tile_m,tile_n,cycles\n"
TABLE_ROWS = "table,metric,unit,model_or_shape,system,config,input_len,output_len,value\n"


def test_validate_prints_a_row_for_every_set(run: Run) -> None:
    code, out, _ = run("validate")
    assert code == 0
    for title in (
        "MeshGEMV on WSE-3",
        "MeshGEMM on WSE-3",
        "Shift on WSE-3",
        "WaferLLM decode on WSE-2",
        "KV capacity",
    ):
        assert title in out
    assert "not predicted: 60 rows" in out


def test_validate_gives_every_case_as_json(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(GEMV_ROWS + "16,2,1,1,250\n16,4,1,1,200\n", "utf-8")
    code, out, _ = run("validate", "--data", str(path), "--json")
    (one,) = json.loads(out)["sets"]
    assert (code, one["name"], one["rows"], one["level"]) == (0, "wse3_meshgemv", 2, "timing model")
    errors = [case["error"] for case in one["cases"]]
    assert errors == [case["predicted"] / case["measured"] - 1 for case in one["cases"]]
    assert one["median_abs_error"] == pytest.approx(float(np.median(np.abs(errors))))
    assert one["max_abs_error"] == pytest.approx(max(map(abs, errors)))
    assert one["max_abs_error"] >= one["p95_abs_error"] >= one["median_abs_error"]


def test_validate_draws_and_lists_the_cases_of_a_file(run: Run, tmp_path: Path) -> None:
    path, picture = tmp_path / "rows.csv", tmp_path / "plot.png"
    path.write_text("class,P,L,tile_f16_values,cycles\nsilicon,16,4,16,404.91\nguess,16,4,16,404.91\n", "utf-8")
    code, out, _ = run("validate", "--data", str(path), "--plot", str(picture))
    assert code == 0
    assert out.count("404.91") == 2, "what is silicon and what is not stand apart"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "line 1: the columns 'a, b' are none that work; columns that work: P,group_num"),
        (GEMV_ROWS, "rows.csv: no row that can be predicted (no rows)"),
        (GEMV_ROWS + "16,17,1,1,99\n", "line 2: 17 groups on a line of 16 PEs; at most 16 work"),
        (GEMV_ROWS + "800,2,1,1,99\n", "line 2: a grid of 800×800 PEs is off the mesh of wse3; up to 755 work"),
        (TABLE_ROWS + "T4,decode_throughput_per_request,tok/s,LLaMA3-8B,SGLang,A100x1,,,78.9\n", "no row that can be"),
        (TABLE_ROWS + "T4,decode_throughput_per_request,tok/s,GPT-9,WaferLLM,420^2,,,1\n", "unknown model 'GPT-9'"),
        (TABLE_ROWS + "T4,decode_throughput_per_request,tok/s,LLaMA3-8B,WaferLLM,all,,,1\n", "'all' names no grid"),
        (TABLE_ROWS + "T3,prefill_throughput_per_request,tok/s,LLaMA3-8B,WaferLLM,480^2,,,1\n", "input_len is ''"),
    ],
)
def test_validate_says_what_is_wrong_with_a_file(run: Run, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text, "utf-8")
    code, out, err = run("validate", "--data", str(path))
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_validate_checks_the_recorded_errors(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("validate", "--check")[0] == 0
    from wse_emu.hardware import wafer

    monkeypatch.setattr(wafer, "PRESETS", tmp_path)
    for name in ("wse2", "wse3"):
        text = (PRESETS / f"{name}.toml").read_text("utf-8")
        (tmp_path / f"{name}.toml").write_text(re.sub(r"(wse3_meshgemv = \[)[\d.]+", r"\g<1>0.0001", text), "utf-8")
    code, _, err = run("validate", "--check")
    assert code == 1
    assert "wse3_meshgemv: median_abs_error is 0.00" in err
    code, _, err = run("validate", "--check", "--data", "rows.csv")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = run("validate", "--plot", str(tmp_path / "none" / "plot.png"))
    assert code == 2
    assert "the folder" in err


def test_place_prints_a_leaderboard_and_draws_each_placement(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("place", "--problem", "PIP", "--mesh", "3x3", "--seconds", "0.1", "--out", str(tmp_path / "out"))
    assert code == 0
    first = next(line for line in out.splitlines() if "+0.00%" in line)
    assert "640" in first
    report = json.loads((tmp_path / "out" / "placements.json").read_text("utf-8"))
    names = [result["strategy"] for result in report["results"]]
    assert {"robust_tabu", "annealing", "greedy", "spectral", "hilbert"} <= set(names)
    for name in names:
        assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_place_writes_the_solution_of_an_ispd_problem(run: Run, tmp_path: Path) -> None:
    arguments = ("--problem", "ispd-K", "--strategy", "strips", "--seconds", "0.5", "--out", str(tmp_path))
    code, out, _ = run("place", *arguments, "--json")
    (result,) = json.loads(out)["results"]
    texts = (suite()["ispd-K"].read_text("utf-8"), (tmp_path / "strips.paint").read_text("utf-8"))
    assert code == 0
    assert painted_score(*texts) == pytest.approx(result["cost"]["cost"])


def test_place_as_json(run: Run) -> None:
    code, out, _ = run("place", "--problem", "nug30", "--strategy", "greedy", "--strategy", "snake", "--json")
    report = json.loads(out)
    assert (code, report["problem"]) == (0, "nug30")
    best, other = report["results"]
    assert best["cost"]["cost"] < other["cost"]["cost"]
    assert best["legal"]
    assert sorted(zip(best["placement"]["x"], best["placement"]["y"], strict=True)) == [
        (x, y) for x in range(6) for y in range(5)
    ]


@pytest.mark.parametrize(("by", "blocks"), [("layer", 5), ("kernel", 30), ("expert", 17)])
def test_place_takes_a_model(run: Run, tmp_path: Path, by: str, blocks: int) -> None:
    out_folder = tmp_path / "out"
    arguments = ("--model", "tiny", "--by", by, "--strategy", "snake", "--defects", "0.0001", "--out", str(out_folder))
    code, out, _ = run("place", *arguments, "--json")
    report = json.loads(out)
    assert (code, report["problem"]) == (0, f"tiny by {by} on wse3")
    (result,) = report["results"]
    assert result["cost"]["cost"] == result["cost"]["cycles"] > 0
    assert result["cost"]["tokens_per_second"] == pytest.approx(1.1e9 / result["cost"]["interval_cycles"])
    problem = PlacementProblem.from_json((out_folder / "problem.json").read_text("utf-8"))
    assert len(problem.blocks) == blocks
    assert len(problem.dead) == pytest.approx(88, abs=40)
    placement = result["placement"]
    check_placement(problem, Placement(*(tuple(placement[key]) for key in ("x", "y", "shape"))))


def test_place_says_which_strategies_it_left_out(run: Run) -> None:
    code, out, _ = run("place", "--problem", "nug30", "--seconds", "0.05", "--json")
    report = json.loads(out)
    assert code == 0
    assert "variables; up to 100,000 are solved" in report["left_out"]["ilp"]
    assert "cycles" in report["levels"]


def test_a_pipeline_decodes_on_any_placement(run: Run) -> None:
    found = []
    for placement in ("row_major", "hilbert", "annealing"):
        code, out, _ = run("decode", "--tokens", "5", "--json", "--mapping", "pipeline", "--placement", placement)
        assert code == 0
        found.append(json.loads(out))
    assert len({tuple(report["token_ids"]) for report in found}) == 1
    assert found[2]["cycles_per_token"][-1] < found[0]["cycles_per_token"][-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--problem and --model: give one of them"),
        (("--problem", "nug30", "--model", "tiny"), "--problem and --model: give one of them"),
        (("--model", "tiny", "--by", "token"), "--by token: layer, kernel or expert works"),
        (("--model", "tiny", "--dtype", "int2"), "--dtype int2: float32, float16, bfloat16, int8, int4 work"),
        (("--model", "tiny", "--by", "kernel", "--grid", "4x4"), "it goes with --by layer"),
        (("--model", "tiny", "--context", "1000"), "--context 1000: tiny has 1 to 128"),
        (("--model", "tiny", "--by", "expert", "--active", "99"), "99 of 16 experts are active: 1 to 16 work"),
        (("--model", "tiny", "--grid", "4x800"), "leaves the mesh of 755×1170 PEs"),
        (("--problem", "VOPD", "--mesh", "5x5", "--defects", "2"), "defect rate 2: 0 to 1 works"),
        (("--problem", "missing.dat"), "missing.dat: cannot be read"),
        (("--problem", "nug30", "--strategy", "comet"), "unknown strategy 'comet'"),
        (("--problem", "nug30", "--seconds", "0"), "--seconds 0: a time above 0 works"),
        (("--problem", "VOPD", "--mesh", "3x3"), "the blocks need 16 PEs at least, 9 are free"),
        (("--problem", "VOPD", "--mesh", "many"), "--mesh 'many': ROWSxCOLUMNS works"),
    ],
)
def test_place_says_what_is_wrong(run: Run, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = run("place", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_the_docs_show_the_table_that_the_command_prints(run: Run) -> None:
    root = Path(__file__).parent.parent
    printed = [line.rstrip() for line in run("validate")[1].strip().splitlines()]
    page = (root / "docs" / "validation.md").read_text("utf-8")
    assert page.split("printed it -->\n```\n")[1].split("\n```")[0].splitlines() == printed
    shown = (
        (root / "README.md").read_text("utf-8").split("some seconds\n```\n\n```\n")[1].split("\n```")[0].splitlines()
    )
    assert len(shown) >= 6
    assert [line for line in shown if line.strip() != "…" and line not in printed] == []


def test_decode_says_who_met_how_many_tokens(run: Run, tmp_path: Path) -> None:
    folder = random_models.saved(random_models.make("mixtral"), tmp_path / "moe")
    arguments = ("decode", "--model", str(folder), "--prompt-ids", "3,1,4", "--tokens", "3", "--mapping", "pipeline")
    code, out, _ = run(*arguments, "--experts", "regions", "--json")
    report = json.loads(out)
    assert code == 0
    for layer in report["experts"]["layers"]:
        assert sum(layer["tokens"]) == 2 * (3 + 3 - 1), "two experts for each token that passed the layer"
    assert report["cycles_by_kernel"]["dispatch"] > 0
    _, out, _ = run(*arguments)
    assert "experts sharded" in out
    assert "busiest expert" in out


def test_estimate_says_what_wafers_would_do(run: Run) -> None:
    code, out, _ = run("estimate", "--model", "llama-3.1-8b", "--gpu", "B200")
    assert code == 0
    for expected in ("llama-3.1-8b on 1 × wse3", "for each user", "B200  ", "bound by:", "KV cache"):
        assert expected in out
    code, out, _ = run("estimate", "--model", "tiny", "--users", "4", "--context", "64", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["tokens_per_second_total"] == pytest.approx(4 * report["tokens_per_second_per_user"])
    assert sum(report["cycles_by_kernel"].values()) == pytest.approx(report["cycles_per_token"])
    assert {"wafers", "bound_by", "sram", "kv_capacity_tokens", "energy_j_per_token", "levels"} <= report.keys()
    assert len(report["baseline"]) == 6
    for gpu in report["baseline"]:
        assert gpu["tokens_per_second_total"] == pytest.approx(4 * gpu["tokens_per_second_per_user"])
        assert {"gpu", "gpus", "users", "weights", "bound_by", "joules_per_token", "level"} <= gpu.keys()
    code, out, _ = run("estimate", "--model", "llama-3.1-70b", "--draft", "llama-3.1-8b", "--kv", "shifted")
    assert code == 0
    for expected in ("4 at a time by", "80% are kept", "bubbles", "KV shift"):
        assert expected in out


def test_gpus_beside_an_estimate_are_as_many_as_its_users_need(run: Run) -> None:
    """Llama-3.1-70B takes 44 GB in 4 bits, with scales; 64 caches of 8,192 tokens in 16 bits take 172 GB."""
    options = ("--users", "64", "--precision", "int4", "--gpu", "H100", "--gpu", "B200", "--json")
    report = json.loads(run("estimate", "--model", "llama-3.1-70b", *options)[1])
    found = [(gpu["gpu"], gpu["gpus"], gpu["weights"], gpu["users"]) for gpu in report["baseline"]]
    assert found == [("H100", 4, "int4", 64), ("B200", 2, "int4", 64)]
    speed = report["published"][0]
    assert (speed["printed"], speed["systems"], speed["confidence"]) == ("450", "4", "P")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "gpt-9"), "no model 'gpt-9': known shapes are llama-3.1-8b"),
        (("--model", "tiny", "--users", "0"), "0 users: at least 1 works"),
        (("--model", "tiny", "--gpu", "TPU"), "TPU"),
        (("--model", "tiny", "--precision", "int1"), "--precision int1: float32, float16, bfloat16, int8, int4 work"),
        (("--model", "llama-3.1-8b", "--users", "1000", "--wafers", "1"), "by bytes alone both take 28"),
        (("--model", "tiny", "--kv", "paged"), "KV cache 'paged': what works: dealt, shifted, concatenated"),
        (("--model", "tiny", "--draft", "llama-3.1-8b"), "a draft of the model's own family works"),
        (("--model", "tiny", "--draft", "tiny", "--acceptance", "2"), "an acceptance of 2: a share from 0 to 1 works"),
        ((), "Missing option '--model'"),
    ],
)
def test_estimate_says_what_is_wrong(run: Run, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = run("estimate", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
