"""run.json and report.json of the commands that decode nothing."""

import json
import sys
from pathlib import Path

import pytest

from wse_emu.cli import main
from wse_emu.report import load_run
from wse_emu.report.run.schema import OtherReport

COMMANDS = {
    "place": ("place", "--problem", "MWD", "--strategy", "row_major", "--seed", "3"),
    "place a model": ("place", "--model", "tiny", "--strategy", "snake"),
    "bench fabric": ("bench", "fabric", "--workload", "streams", "--grid", "8x8", "--wavelets", "8"),
    "bench kernels": ("bench", "kernels", "--kernel", "gemv", "--size", "64", "--grid", "8x8"),
    "validate": ("validate",),
}


@pytest.mark.parametrize(
    "command",
    ["place a model", *(pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS if "model" not in name)],
)
def test_other_commands_leave_what_they_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    words = COMMANDS[command]
    monkeypatch.setattr(sys, "argv", ["wse-emu", *words, "--json", "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    captured = capsys.readouterr()
    assert captured.err == ""
    run = load_run(tmp_path / "run")
    assert isinstance(run.report, OtherReport)
    assert run.report.other == json.loads(captured.out)
    assert run.as_json() == json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))
    assert command.startswith(run.facts.command)
    assert run.report.command == run.facts.command
    assert run.facts.arguments[0] == words[0]
    assert run.facts.levels
    assert run.facts.seed == (3 if "3" in words else 0 if words[0] == "place" else None)
