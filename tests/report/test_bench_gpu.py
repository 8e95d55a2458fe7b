"""`wse-emu bench gpu` without a GPU: the dry run, a device that is made up, and every mistake as one line."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.baseline.shapes import LLAMA_8B
from tests.test_cli import run as run  # noqa: PLC0414  (a fixture)
from wse_emu.baseline import model_work
from wse_emu.report import bench_gpu, gpu_device
from wse_emu.report.bench_gpu import Gemv, decoder_gemvs, measure

Run = Callable[..., tuple[int, str, str]]


class Ideal:
    """A GPU that copies 1 TB/s and reads weights at half of that."""

    library, name, dtype = "none", "ideal", "bfloat16"

    def copy_seconds(self, count: int) -> float:
        return 2 * count / 1e12

    def gemv_seconds(self, rows: int, cols: int, count: int) -> float:
        assert count == max(1, min(64, -(-(1 << 29) // (2 * rows * cols))))
        return 2 * rows * cols / 0.5e12


def test_products_hold_all_weights_that_a_token_reads() -> None:
    """But for the norms, of which a layer has two, and one at the end."""
    total = sum(gemv.rows * gemv.cols * gemv.count for gemv in decoder_gemvs(LLAMA_8B))
    assert total == model_work(LLAMA_8B).read_parameters() - 65 * 4096


def test_shares_of_a_device_by_hand() -> None:
    device: Any = Ideal()
    report = measure(decoder_gemvs(LLAMA_8B), device)
    assert report["copy_bytes_per_second"] == pytest.approx(1e12)
    assert [row["share_of_copy"] for row in report["gemvs"]] == pytest.approx([0.5] * 5)
    assert report["bytes_per_second"] == pytest.approx(0.5e12)
    assert report["seconds_per_token"] == pytest.approx(2 * 7.5044e9 / 0.5e12, rel=1e-3)
    assert (report["level"], [row["cached"] for row in report["gemvs"]]) == ("measured", [False] * 5)


def test_a_device_is_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_gpu, "open_device", lambda *_: Ideal())
    code, out, err = run("bench", "gpu")
    assert (code, err) == (0, "")
    for expected in (
        "llama-3.1-8b, bfloat16, on ideal",
        "gate and up",
        "50%",
        "1,000 GB/s",
        "fitted to published rates",
    ):
        assert expected in out


def test_a_dry_run_is_shown_as_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Ideal()
    monkeypatch.setattr(device, "name", "cpu", raising=False)
    monkeypatch.setattr(bench_gpu, "open_device", lambda *_: device)
    _, out, _ = run("bench", "gpu")
    assert "on cpu by none (dry run on a CPU)" in out
    assert "it says nothing of any GPU" in out


def test_a_dry_run_on_the_cpu_says_so(run: Run) -> None:
    code, out, err = run("bench", "gpu", "--device", "cpu", "--model", "tiny", "--megabytes", "1", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert (report["model"], report["device"], report["library"]) == ("tiny", "cpu", "jax")
    assert report["level"] == "dry run on a CPU"
    assert all(row["seconds"] > 0 and row["cached"] for row in report["gemvs"])


def test_without_a_device_there_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_device, "_jax_gpu", lambda: None)
    monkeypatch.setattr(gpu_device, "_cupy_gpu", lambda: None)
    code, out, err = run("bench", "gpu")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no CUDA device is found through jax or cupy" in err


def test_a_full_device_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(Ideal):
        def copy_seconds(self, count: int) -> float:
            raise RuntimeError("RESOURCE_EXHAUSTED:\nout of memory")

    monkeypatch.setattr(bench_gpu, "open_device", lambda *_: Full())
    code, _, err = run("bench", "gpu")
    assert code == 2
    assert "ideal: RESOURCE_EXHAUSTED: out of memory; a smaller --megabytes or --model may work" in err


def test_products_of_a_small_model() -> None:
    config = replace(LLAMA_8B, hidden=64, layers=3, heads=4, kv_heads=2, head_dim=16, intermediate=96)
    gemvs = decoder_gemvs(config)
    assert decoder_gemvs(replace(config, gated=False))[2] == Gemv("up", 64, 96, 3)
    assert [(gemv.rows, gemv.cols, gemv.count) for gemv in gemvs] == [
        (64, 128, 3), (64, 64, 3), (64, 192, 3), (96, 64, 3), (64, 128256, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--device", "tpu"), "--device tpu: cuda or cpu works"),
        (("--library", "torch"), "--library torch: jax or cupy works"),
        (("--device", "cpu", "--library", "cupy"), "cupy has no CPU device"),
        (("--model", "nowhere"), "no model 'nowhere'"),
        (("--megabytes", "0"), "--megabytes 0: from 1 works"),
    ],
)
def test_mistakes(run: Run, options: tuple[str, ...], message: str) -> None:
    code, out, err = run("bench", "gpu", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
