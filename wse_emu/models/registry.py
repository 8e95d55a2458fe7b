"""From what a user writes after --model to a model."""

from pathlib import Path

from wse_emu.errors import WseError
from wse_emu.models.fetch import FETCHABLE, find_fetched
from wse_emu.models.mapped_file import file_sha256
from wse_emu.models.model import Model

HUB = "hf:"
HUB_FILES = ("config.json", "generation_config.json", "tokenizer*.json", "*.jinja", "model*.safetensors*")


def model_names() -> tuple[str, ...]:
    """Names that `load_model` knows, besides paths and `hf:owner/name`."""
    return ("tiny", *FETCHABLE)


def load_model(name: str) -> Model:
    """A model by name (`tiny`, `smollm2`), path (a .gguf file, a safetensors folder) or hub name (`hf:owner/name`).

    Weights are read when asked for. Raises `WseError`, in one line, for anything that cannot be decoded.
    """
    if name == "tiny":
        from wse_emu.models.tiny import load_tiny

        return load_tiny()
    if name in FETCHABLE:
        return _load_fetched(name)
    if name.startswith(HUB):
        return _load_from_hub(name)
    try:
        return _load_path(Path(name).expanduser(), name)
    except (OSError, RuntimeError) as error:  # no permission, a name too long, ~ of an unknown user
        raise WseError(f"cannot read model {name[:80]!r}: {getattr(error, 'strerror', None) or error}") from error


def _load_fetched(name: str) -> Model:
    from dataclasses import replace

    from wse_emu.models.gguf import load_gguf

    path = find_fetched(name)
    if path is None:
        raise WseError(f"model {name!r} is not fetched yet: wse-emu models fetch {name}")
    found = file_sha256(path)
    if found != FETCHABLE[name].sha256:
        raise WseError(f"{path}: not the expected file (sha256 {found[:12]}…): wse-emu models fetch {name}")
    return replace(load_gguf(path, name), sha256=found)


def _load_path(path: Path, name: str) -> Model:
    from wse_emu.models.gguf import load_gguf
    from wse_emu.models.safetensors import load_safetensors

    if path.is_dir():
        return load_safetensors(path)
    if not path.is_file():
        raise WseError(
            f"no model {name!r}: known names are {', '.join(model_names())}; or give a .gguf file, a safetensors "
            "folder, or hf:owner/name"
        )
    if path.suffix == ".safetensors":
        raise WseError(f"{path}: give the folder, so that config.json and the tokenizer are found")
    return load_gguf(path)


def _load_from_hub(name: str) -> Model:
    from wse_emu.models.safetensors import load_safetensors

    owner, _, repository = name.removeprefix(HUB).partition("/")
    if not owner or not repository or "/" in repository:
        raise WseError(f"a model on the hub is written hf:owner/name, got {name!r}")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise WseError(f"{name} needs the package huggingface_hub: pip install 'wse-emu[hub]'") from error
    try:
        folder = snapshot_download(f"{owner}/{repository}", allow_patterns=list(HUB_FILES))
    except Exception as error:  # network, missing repository, gated model, full disk: each its own kind
        raise WseError(f"cannot get {name} from the hub: {' '.join(str(error).split())[:200]}") from error
    return load_safetensors(Path(folder), name)
