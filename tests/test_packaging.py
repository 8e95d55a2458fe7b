"""What a wheel holds, and that the folders at the top disturb no other package."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OUTSIDE = {"wse_emu.kernels": "kernels", "wse_emu.mappings": "mappings"}
"""Packages whose source folders lie at the top."""
MAX_FILE_BYTES = 1_000_000


def package_folders(top: str, package: str) -> set[str]:
    """Dotted names of the folders under ``top`` that hold modules; symbolic links are not followed."""
    found = set()
    for folder, subfolders, files in os.walk(ROOT / top):
        subfolders[:] = [name for name in subfolders if name != "__pycache__"]
        if any(name.endswith(".py") for name in files):
            found.add(".".join((package, *Path(folder).relative_to(ROOT / top).parts)))
    return found


def requirements() -> list[Requirement]:
    project = PROJECT["project"]
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    return [requirement for text in texts if (requirement := Requirement(text)).name != project["name"]]


def test_every_package_is_listed() -> None:
    found = package_folders("wse_emu", "wse_emu")
    for package, folder in OUTSIDE.items():
        found |= package_folders(folder, package)
    missing = found - set(PROJECT["tool"]["setuptools"]["packages"])
    assert not missing, f"add to [tool.setuptools] packages: {sorted(missing)}"


def test_every_listed_package_exists() -> None:
    for package in PROJECT["tool"]["setuptools"]["packages"]:
        assert ROOT.joinpath(*package.split(".")).is_dir(), package


def test_the_folders_at_the_top_are_installed_inside_the_package() -> None:
    assert PROJECT["tool"]["setuptools"]["package-dir"] == OUTSIDE


@pytest.mark.parametrize("folder", OUTSIDE.values())
def test_links_lead_editors_and_type_checkers_to_the_sources(folder: str) -> None:
    link = ROOT / "wse_emu" / folder
    assert link.is_symlink()
    assert link.readlink() == Path("..", folder)


@pytest.mark.parametrize("folder", OUTSIDE.values())
def test_folders_at_the_top_are_no_packages_of_their_own(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize(("package", "folder"), OUTSIDE.items())
def test_another_package_of_the_same_name_wins(package: str, folder: str, tmp_path: Path) -> None:
    """Ours is importable under its full name, even with the repository first on the path."""
    other = tmp_path / folder / "__init__.py"
    other.parent.mkdir()
    other.write_text("")
    code = f"import {package}, {folder}; print({folder}.__file__); print(*{package}.__path__)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(tmp_path)))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    theirs, ours = done.stdout.splitlines()
    assert Path(theirs) == other
    assert any(ROOT / folder == Path(path).resolve() for path in ours.split())


def test_no_tracked_file_is_large() -> None:
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in done.stdout.split("\0") if name]
    large = [str(path) for path in files if path.is_file() and path.stat().st_size > MAX_FILE_BYTES]
    assert files
    assert not large


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_dependencies_have_a_lower_bound_and_no_pin(requirement: Requirement) -> None:
    operators = {clause.operator for clause in requirement.specifier}
    assert ">=" in operators, f"{requirement} needs a lower bound"
    assert not operators & {"==", "===", "~="}, f"{requirement} must not be pinned"


def test_types_presets_and_the_page_are_shipped() -> None:
    data = PROJECT["tool"]["setuptools"]["package-data"]
    assert data["wse_emu"] == ["py.typed"]
    for package in ("wse_emu.hardware.presets", "wse_emu.report.page"):
        folder = ROOT.joinpath(*package.split("."))
        shipped = {path for pattern in data[package] for path in folder.glob(pattern)}
        code = {".py", ".pyc"}
        assert {path for path in folder.rglob("*") if path.is_file() and path.suffix not in code} <= shipped


def test_the_licence_of_what_is_vendored_lies_beside_it() -> None:
    vendor = ROOT / "wse_emu" / "report" / "page" / "vendor"
    for script in vendor.glob("*.js"):
        name = script.name.split(".")[0]
        assert "MIT License" in (vendor / f"{name}.LICENSE").read_text(encoding="utf-8")
