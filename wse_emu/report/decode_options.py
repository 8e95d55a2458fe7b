"""The options of `wse-emu decode`, and what is wrong with them before the long work begins."""

from dataclasses import dataclass
from pathlib import Path

from wse_emu.decode import ENGINES
from wse_emu.errors import WseError
from wse_emu.kernels.sample import check_sampling
from wse_emu.program.precision import find_precision
from wse_emu.report.folder import check_parent, prepare_folder


@dataclass(frozen=True)
class DecodeOptions:
    """The options of `wse-emu decode`; see `wse-emu decode --help`."""

    model: str
    prompt: str | None
    prompt_ids: list[int] | None
    chat: bool
    tokens: int
    wafer: str
    mapping: str
    experts: str
    placement: str
    grid: tuple[int, int] | None
    reduce: str
    dtype: str
    defects: str | None
    backend: str
    engine: str
    seed: int
    temperature: float
    top_k: int | None
    top_p: float | None
    prefill: str
    json_output: bool
    save_logits: Path | None
    out: Path | None
    trace: Path | None
    resume: bool = False
    """Whether ``out`` holds a run that goes on."""


def check_options(options: DecodeOptions) -> None:
    """WseError for what is wrong whatever the model is."""
    if options.temperature < 0:
        raise WseError(f"--temperature {options.temperature:g}: 0 decodes greedily, above 0 samples")
    if options.temperature == 0 and (options.top_k is not None or options.top_p is not None):
        raise WseError("--top-k and --top-p choose among sampled tokens: they need a --temperature above 0")
    if options.temperature > 0:
        check_sampling(options.temperature, options.top_k, options.top_p)
    if options.tokens < 1:
        raise WseError(f"--tokens {options.tokens}: at least 1 works")
    if options.seed < 0:
        raise WseError(f"--seed {options.seed}: a whole number from 0 works")
    if options.out is not None:
        prepare_folder(options.out)
    find_precision(options.dtype)
    _check_engine(options)
    for name, path in (("--save-logits", options.save_logits), ("--trace", options.trace)):
        if path is not None:
            check_parent(path, name)


def _check_engine(options: DecodeOptions) -> None:
    if options.engine not in ENGINES:
        raise WseError(f"--engine {options.engine}: {' or '.join(ENGINES)} works")
    if options.trace is not None and options.engine != "wavelet":
        raise WseError("--trace shows wavelets: it needs --engine wavelet")
