"""A decode that was killed goes on with the same tokens; one whose disk is full leaves what was there."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from wse_emu.cli import main
from wse_emu.engines.wavelet import Machine, Outcome
from wse_emu.report import load_run

SLOWLY = """
import sys, time
import wse_emu.decode as decode
quick = decode.Session.step
def step(self, token, *, head=True):
    time.sleep(0.05 * head)
    return quick(self, token, head=head)
decode.Session.step = step
from wse_emu.cli import main
from wse_emu.engines.wavelet import Machine, Outcome
main()
"""
"""`wse-emu` with some time between tokens, in which it can be killed."""
TOKENS = 12
SMALL = ("--wafer", "mini", "--grid", "16x16")
OPTIONS = {
    "greedy": ("--tokens", str(TOKENS), *SMALL),
    "sampled": ("--tokens", str(TOKENS), "--temperature", "0.9", "--top-k", "40", "--seed", "5"),
    "pipeline": ("--tokens", str(TOKENS), "--mapping", "pipeline"),
}
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def decode(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`wse-emu decode ARGUMENTS` in this process: exit code, stdout, stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wse-emu", "decode", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return command


def state(folder: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((folder / "state.json").read_text("utf-8"))
    return held


def kill_after(folder: Path, tokens: int, *options: str) -> None:
    """Begin a decode in a process of its own, and kill it once it has saved some tokens."""
    command = [sys.executable, "-c", SLOWLY, "decode", "--out", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(600):
            if (folder / "state.json").exists() and len(state(folder)["token_ids"]) >= tokens:
                break
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL


def compared(folder: Path) -> dict[str, Any]:
    """The report without what is measured on this machine."""
    return {name: value for name, value in load_run(folder).as_json().items() if name != "seconds"}


@pytest.mark.parametrize(
    "kind", ["greedy", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("sampled", "pipeline"))]
)
def test_a_killed_decode_goes_on_with_the_same_tokens(tmp_path: Path, decode: Command, kind: str) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert decode("--json", "--out", whole, *OPTIONS[kind])[0] == 0
    kill_after(killed, 3, *OPTIONS[kind])
    saved = state(killed)
    assert not saved["complete"]
    assert 3 <= len(saved["token_ids"]) < TOKENS
    assert not (killed / "report.json").exists()
    code, out, err = decode("--json", "--resume", killed)
    assert (code, err) == (0, "")
    assert json.loads(out)["token_ids"] == compared(whole)["token_ids"]
    assert compared(killed) == compared(whole)
    assert state(killed) == state(whole)
    assert pq.read_table(killed / "steps.parquet").equals(pq.read_table(whole / "steps.parquet"))
    for name, array in load_run(whole).arrays.items():
        np.testing.assert_array_equal(load_run(killed).arrays[name], array)
    assert (killed / "trace.json.gz").read_bytes() == (whole / "trace.json.gz").read_bytes()
    code, out, err = decode("--resume", killed)
    assert (code, err) == (0, f"wse-emu: {killed} is complete: nothing is left to do\n")
    assert compared(whole)["text"] in out


@pytest.mark.slow
def test_what_the_wavelet_engine_found_is_not_run_again(
    tmp_path: Path, decode: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--json", "--tokens", 3, "--engine", "wavelet", *SMALL)
    whole, folder = tmp_path / "whole", tmp_path / "run"
    assert decode(*options, "--out", whole)[0] == 0
    with monkeypatch.context() as patch:
        _fill_up(patch, "report.json")
        assert decode(*options, "--out", folder)[0] == 2
    kept = sorted(path.name for path in folder.glob("exact-*.npz"))
    assert kept
    (folder / kept[0]).write_bytes(b"broken")
    runs: list[Machine] = []
    run = Machine.run

    def counted(self: Machine, progress: Callable[[int], None] | None = None) -> Outcome:
        runs.append(self)
        return run(self, progress)

    monkeypatch.setattr(Machine, "run", counted)
    assert decode("--json", "--resume", folder)[0] == 0
    assert len(runs) == 1, "the one that cannot be read"
    assert compared(folder) == compared(whole)
    assert pq.read_table(folder / "steps.parquet").equals(pq.read_table(whole / "steps.parquet"))
    assert not list(folder.glob("exact-*.npz"))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three tokens."""
    folder = tmp_path_factory.mktemp("ended")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["wse-emu", "decode", "--json", "--tokens", "3", *SMALL, "--out", str(folder)])
        with pytest.raises(SystemExit):
            main()
    return folder


@pytest.fixture
def stopped(tmp_path: Path, ended: Path) -> Path:
    """That run as if it had ended behind its tokens, before its report."""
    folder = Path(shutil.copytree(ended, tmp_path / "run"))
    (folder / "report.json").unlink()
    (folder / "state.json").write_text(json.dumps(state(ended) | {"complete": False}))
    return folder


@pytest.mark.parametrize(
    ("what", "said"), [("model", "the model is not the one of that run"), ("mapping", "the mapping is not the one")]
)
def test_another_model_or_mapping_is_refused(stopped: Path, decode: Command, what: str, said: str) -> None:
    facts = json.loads((stopped / "run.json").read_text("utf-8"))
    facts[what]["sha256"] = "0" * 64
    (stopped / "run.json").write_text(json.dumps(facts))
    code, _, err = decode("--resume", stopped)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_tokens_that_come_out_differently_are_refused(stopped: Path, decode: Command) -> None:
    held = state(stopped)
    (stopped / "state.json").write_text(json.dumps(held | {"logits_sha256": "0" * 64}))
    code, _, err = decode("--json", "--resume", stopped)
    assert code == 2
    assert "token 3 does not come out as it did before" in err
    assert state(stopped)["token_ids"] == held["token_ids"], "the last state stays"


MISTAKES = {
    "no folder": ((), None, "run.json: cannot be read (No such file or directory)"),
    "other options": (("--tokens", "9"), None, "--tokens: --resume takes every option from the run's folder"),
    "another command's": ((), {"command": "place"}, "a run of `place`, which is begun anew"),
    "other options in the file": ((), {"options": {"color": 1}}, "run.json.options: 'model' is missing"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_cannot_be_resumed_is_one_line(stopped: Path, decode: Command, mistake: str) -> None:
    arguments, change, said = MISTAKES[mistake]
    if mistake == "no folder":
        stopped = stopped / "nowhere"
    if change:
        facts = json.loads((stopped / "run.json").read_text("utf-8")) | change
        (stopped / "run.json").write_text(json.dumps(facts))
    code, _, err = decode("--resume", stopped, *arguments)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "fails",
    [
        "state.json",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("steps.parquet", "links.npz", "report.json")),
    ],
)
def test_a_full_disk_leaves_the_last_good_state(
    tmp_path: Path, ended: Path, decode: Command, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Every place at which the disk may fill up: each file in turn cannot be written any more."""
    with monkeypatch.context() as patch:
        _fill_up(patch, fails)
        code, _, err = decode("--json", "--tokens", 3, *SMALL, "--out", tmp_path)
    assert code == 2
    assert f"{fails}: cannot be written (No space left on device)" in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob(".*.partial"))
    assert not (tmp_path / "report.json").exists()
    assert len(state(tmp_path)["token_ids"]) == (1 if fails == "state.json" else 3)
    assert decode("--json", "--resume", tmp_path)[0] == 0
    assert compared(tmp_path) == compared(ended)


def _fill_up(patch: pytest.MonkeyPatch, fails: str) -> None:
    """From the third time on, ``fails`` ends half-written, as on a full disk."""
    replace, seen = Path.replace, {"count": 0 if fails == "state.json" else 2}

    def full(self: Path, target: Path) -> Path:
        if target.name == fails:
            seen["count"] += 1
            if seen["count"] > 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    patch.setattr(Path, "replace", full)


def test_a_new_run_that_cannot_begin_leaves_the_old_one_whole(
    ended: Path, decode: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in ended.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", _no_space)
        code, _, err = decode("--json", "--tokens", 4, *SMALL, "--out", ended)
    assert code == 2
    assert "what was there stays" in err
    assert {path.name: path.read_bytes() for path in ended.iterdir()} == before


def _no_space(self: Path, target: Path) -> Path:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB, where one may mount it."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_really_full_leaves_the_last_good_state(small_disk: Path, decode: Command) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(36_000))
    code, _, err = decode("--json", "--tokens", 3, *SMALL, "--out", small_disk / "run")
    assert code == 2
    assert "cannot be written (" in err
    assert "No space left on device" in err
    assert err.count("\n") == 1
    assert len(state(small_disk / "run")["token_ids"]) == 3
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    assert decode("--json", "--resume", small_disk / "run")[0] == 0
    assert len(load_run(small_disk / "run").decode.token_ids) == 3
