"""`--prefill gemm`: the same tokens as token by token, and what the report says of the prompt."""

import json
from pathlib import Path

import pytest

from tests.oracle import random_models
from tests.test_cli import Run, run  # noqa: F401  (a fixture)
from wse_emu.decode import map_model
from wse_emu.errors import WseError
from wse_emu.models import Model, load_model

PROMPT = "Once upon a time there was a little dog"


@pytest.fixture(scope="module")
def tiny_model() -> Model:
    return load_model("tiny")


@pytest.mark.parametrize("mapping", ["shared", "pipeline"])
def test_the_tokens_are_the_same(tiny_model: Model, mapping: str) -> None:
    by_tokens, by_gemms = (
        map_model(tiny_model, mapping=mapping, prefill=mode).decode(PROMPT, 12) for mode in ("tokens", "gemm")
    )
    assert by_gemms.token_ids == by_tokens.token_ids
    assert by_gemms.cycles_per_token == by_tokens.cycles_per_token
    assert by_gemms.prefill is not None
    assert by_tokens.prefill is not None
    assert by_gemms.prefill.tokens == by_tokens.prefill.tokens == len(by_gemms.prompt_ids) - 1
    assert sum(by_gemms.prefill.cycles_by_kernel.values()) == by_gemms.prefill.cycles == by_gemms.prefill_cycles


@pytest.mark.parametrize("name", ["llama-3.1", "qwen2"])
def test_random_models_write_the_same_tokens(name: str, tmp_path: Path) -> None:
    model = load_model(str(random_models.saved(random_models.make(name), tmp_path)))
    ids = [3, 1, 4, 1, 5, 9, 2, 6]
    first, second = (map_model(model, prefill=mode).decode(ids, 16).token_ids for mode in ("tokens", "gemm"))
    assert first == second


def test_a_session_reads_prompts_of_several_lengths(tiny_model: Model) -> None:
    session, other = (map_model(tiny_model, prefill=mode) for mode in ("gemm", "tokens"))
    for prompt in ([5], [5, 7], [9, 8, 7, 6, 5], [1, 2, 3, 4, 5]):
        assert session.decode(prompt, 3).token_ids == other.decode(prompt, 3).token_ids
    assert session.decode([5], 3).prefill is None


def test_first_the_prompt_then_the_token(tiny_model: Model) -> None:
    result = map_model(tiny_model, prefill="gemm").decode(PROMPT, 2)
    assert result.prefill is not None
    seconds = (result.prefill.cycles + result.cycles_per_token[0]) / result.clock_hz
    assert result.time_to_first_token_seconds == pytest.approx(seconds)
    rate = result.prefill.tokens / (result.prefill.cycles / result.clock_hz)
    assert result.prefill_tokens_per_second == pytest.approx(rate)


def test_the_report_says_how_the_prompt_was_read(run: Run) -> None:  # noqa: F811
    code, out, _ = run("decode", "--prompt", PROMPT, "--tokens", "2", "--prefill", "gemm", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["prefill"]["mode"] == "gemm"
    assert 0 < report["prefill"]["handover_cycles"] < report["prefill_cycles"] == report["prefill"]["cycles"]
    assert report["prefill_level"] == "timing model"
    code, out, _ = run("decode", "--prompt", PROMPT, "--tokens", "2", "--prefill", "gemm")
    assert "time to first token" in out
    assert f"by GEMMs on {report['prefill']['edge']}² PEs" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prefill", "matrix"], "unknown prefill 'matrix'; what works: tokens, gemm"),
        (["--prefill", "gemm", "--dtype", "int8"], "int8 works with --prefill tokens"),
    ],
)
def test_what_cannot_be_is_one_line(run: Run, options: list[str], message: str) -> None:  # noqa: F811
    code, _, err = run("decode", "--prompt", "Once upon", "--tokens", "1", *options, "--json")
    assert code == 2
    assert err.count("\n") == 1
    assert message in err


def test_other_families_are_told_before_they_are_mapped(tmp_path: Path) -> None:
    model = load_model(str(random_models.saved(random_models.make("gpt2"), tmp_path)))
    with pytest.raises(WseError, match="gpt2 has LayerNorm"):
        map_model(model, prefill="gemm")
