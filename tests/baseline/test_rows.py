"""Published rates and the fit to them."""

from dataclasses import asdict
from statistics import median

import pytest

from wse_emu.baseline import (
    GpuRow,
    constants,
    fit,
    fitted_rows,
    gpu_rows,
    leave_one_out,
    predict,
    refit,
)
from wse_emu.baseline.rows import machine, published_work, row_cluster
from wse_emu.baseline.step import decode_step


def on_nvlink(row: GpuRow) -> bool:
    """One GPU, or several of one node: the rows that the model is held to."""
    return row.phase == "decode" and row.count <= 8 and "PCIe" not in row.gpu


def errors(rows: list[GpuRow]) -> list[float]:
    return [abs(predict(row) / row.tokens_per_second - 1) for row in rows]


def test_the_median_error_is_within_ten_percent() -> None:
    one, several = (
        [row for row in fitted_rows() if on_nvlink(row) and (row.count == 1) == single] for single in (True, False)
    )
    assert (len(one), len(several)) == (12, 26)
    assert median(errors(one)) < 0.07
    assert median(errors(several)) < 0.05
    assert max(errors(one + several)) < 0.27, "two of gpt-fast's rows contradict their neighbours"
    assert fit().median_abs_error == pytest.approx(median(errors(list(fitted_rows()))))
    assert fit().median_abs_error < 0.05
    assert len(fit().errors) == len(fitted_rows()) == 53


def test_the_median_error_of_rows_left_out_is_within_ten_percent() -> None:
    rows = fitted_rows()
    left = dict(zip(rows, leave_one_out(rows), strict=True))
    for single in (True, False):
        chosen = [abs(e) for row, e in left.items() if on_nvlink(row) and (row.count == 1) == single]
        assert median(chosen) < 0.10
    assert median(map(abs, left.values())) < 0.07


def test_constants_of_the_file_are_those_that_fit_best() -> None:
    best, kept = asdict(refit(fitted_rows())), asdict(constants())
    assert best == pytest.approx(kept, rel=2e-3)


def test_constants_are_found_again_in_rows_of_their_own() -> None:
    """Rates made of known constants give the constants back, from a start beside them."""
    from dataclasses import replace

    truth = replace(constants(), hbm_share=0.8, int8_share=0.7, gpt_fast_kernel=5e-6, sglang_kernel=9e-6)
    rows = [replace(row, tokens_per_second=predict(row, truth)) for row in fitted_rows()]
    assert asdict(refit(rows)) == pytest.approx(asdict(truth), rel=1e-3)


def test_measured_latency_of_nccl_explains_tensor_parallelism() -> None:
    """Not fitted: what Llama-2-7B on eight A100s takes beyond bytes and launches is NCCL's 20.6 µs, 64 times."""
    (row,) = (r for r in gpu_rows() if (r.model, r.count, r.weights) == ("Llama-2-7B", 8, "bf16"))
    step = decode_step(published_work(row.model), row_cluster(row), context=105)
    rest = 1 / row.tokens_per_second - step.hbm - step.launches
    assert rest / 64 == pytest.approx(20.6e-6, rel=0.25)


def test_rows_that_are_left_out_say_why() -> None:
    """Table 2 of WaferLLM against its tables 3 and 4: four of its rows agree, the others say half."""
    left = [row for row in gpu_rows() if row.left_out]
    assert sorted({row.left_out for row in left}) == ["contradicts tables 3 and 4", "scaled by the authors"]
    for row in (row for row in gpu_rows() if row.phase == "end to end"):
        of = {
            r.phase: r.tokens_per_second
            for r in gpu_rows()
            if (r.serving, r.model, r.count) == (row.serving, row.model, row.count) and r.phase != "end to end"
        }
        together = row.output / (row.input / of["prefill"] + row.output / of["decode"])
        if row.left_out:
            assert 1.5 < together / row.tokens_per_second < 2.3
        else:
            assert together == pytest.approx(row.tokens_per_second, rel=2e-3)


def test_every_row_has_a_machine_and_a_model() -> None:
    assert len(gpu_rows()) == 64
    for row in gpu_rows():
        assert machine(row.gpu).name == row.gpu
        assert predict(row) > 0
        assert row.source
