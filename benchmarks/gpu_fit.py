"""Fit the GPU model to published rates, and show how far to trust it.

    python -m benchmarks.gpu_fit

prints, for every row, the published rate, the model's, its error, and its error under constants fitted without its
configuration; then medians; and the constants of presets/gpu_decode.toml beside those that fit best. The tables of
docs/gpu.md.
"""

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median

from wse_emu.baseline import (
    GpuRow,
    constants,
    fitted_rows,
    gpu_rows,
    leave_one_out,
    predict,
    refit,
)


def main() -> None:
    rows = fitted_rows()
    without = dict(zip(rows, leave_one_out(rows), strict=True))
    for part in (row_lines(without), group_lines(rows, without), constant_lines(asdict(refit(rows)))):
        print("\n".join(part), end="\n\n")


def error(row: GpuRow) -> float:
    return predict(row) / row.tokens_per_second - 1


def row_lines(without: dict[GpuRow, float]) -> list[str]:
    """Every row; ``without`` has the errors of the fitted ones under constants fitted to the others."""
    width = max(len(row.name) for row in gpu_rows())
    lines = [f"{'tokens/s':{width}} published    model   error   without"]
    for row in gpu_rows():
        last = f"{without[row]:+9.1%}" if row in without else f"  {row.left_out}"
        rates = f"{row.tokens_per_second:9,.1f} {predict(row):8,.1f}"
        lines.append(f"{row.name:{width}} {rates} {error(row):+7.1%} {last}")
    return lines


def group(row: GpuRow) -> str:
    if row.phase == "prefill":
        return "prefill"
    if "PCIe" in row.gpu:
        return "tensor parallel, PCIe"
    return {1: "one GPU", 16: "tensor parallel, two nodes"}.get(row.count, "tensor parallel, NVLink")


def group_lines(rows: Sequence[GpuRow], without: dict[GpuRow, float]) -> list[str]:
    """Median and worst error of each kind of row."""
    lines = [f"{'median (worst) absolute error':30} rows          fitted         without"]
    for name in (*dict.fromkeys(map(group, rows)), "all"):
        chosen = [row for row in rows if name in {"all", group(row)}]
        fitted, out = ([abs(f(row)) for row in chosen] for f in (error, without.__getitem__))
        pairs = "  ".join(f"{median(errors):6.1%} ({max(errors):6.1%})" for errors in (fitted, out))
        lines.append(f"{name:30} {len(chosen):4} {pairs}")
    return lines


def constant_lines(best: dict[str, float]) -> list[str]:
    """The constants of the preset file beside those that fit best."""
    kept = asdict(constants())
    table = [f"{name:20} {value:11.4g} {best[name]:10.4g}" for name, value in kept.items()]
    return [f"{'constant':19} in the file  fits best", *table]


if __name__ == "__main__":
    main()
