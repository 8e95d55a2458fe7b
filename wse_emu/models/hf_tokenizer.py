"""The tokenizer of a Hugging Face folder: tokenizer.json with the special tokens and chat template beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wse_emu.errors import WseError
from wse_emu.models.json_file import read_json
from wse_emu.models.tokenizer import Special, Tokenizer


def hf_tokenizer(folder: Path) -> Tokenizer | None:
    """None where the folder has no tokenizer.json; raises `WseError` for one that is damaged."""
    from tokenizers import Tokenizer as Backend

    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        backend = Backend.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise WseError(f"{path}: the tokenizer is damaged: {' '.join(str(error).split())[:200]}") from error
    settings = _optional(folder / "tokenizer_config.json")
    bos, eos = _text(settings, "bos_token"), _text(settings, "eos_token")
    ids = _eos_ids(folder)
    own = backend.token_to_id(eos) if eos else None
    ids = ids if own is None else ids | {own}
    return Tokenizer(backend, Special(frozenset(ids), bos, eos, _chat_template(folder, settings)), str(path))


def _eos_ids(folder: Path) -> set[int]:
    """generation_config.json says where to stop; config.json where that is silent. One id or a list."""
    for name in ("generation_config.json", "config.json"):
        found = _optional(folder / name).get("eos_token_id")
        if found is None:
            continue
        ids = found if isinstance(found, list) else [found]
        if not all(isinstance(token, int) and token >= 0 for token in ids):
            raise WseError(
                f"{folder / name}: key 'eos_token_id' must be an id or a list of ids, got {repr(found)[:60]}"
            )
        return set(ids)
    return set()


def _chat_template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise WseError(f"cannot read {path}: {error}") from error
    template = settings.get("chat_template")
    if isinstance(template, list):  # several, each with a name
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None


def _text(settings: Mapping[str, Any], key: str) -> str:
    """A special token, written as a text or as an object with its content."""
    value = settings.get(key)
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) else ""


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
