"""Renders the chat templates that models carry: Jinja text from a stranger, so in a sandbox."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

from wse_emu.errors import WseError


def render_chat(template: str, messages: Sequence[dict[str, str]], bos: str, eos: str, source: str) -> str:
    """The conversation as text with the answer's header open. Raises `WseError` for a template that fails."""
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Settings and globals are those of transformers' apply_chat_template, which templates are written for.
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _now
    variables: dict[str, Any] = {"messages": list(messages), "bos_token": bos, "eos_token": eos}
    try:
        return environment.from_string(template).render(
            **variables, add_generation_prompt=True, tools=None, documents=None
        )
    except (
        TemplateError,
        TypeError,
        ValueError,
        LookupError,
        ArithmeticError,
        AttributeError,
        RecursionError,
    ) as error:
        raise WseError(f"{source}: the chat template fails: {' '.join(str(error).split())[:200]}") from error


def _raise(message: str) -> NoReturn:
    from jinja2 import TemplateError

    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _to_json(value: Any, indent: int | None = None) -> str:
    """Jinja's own filter escapes <, > and &, which a model must see as they are."""
    import json

    return json.dumps(value, ensure_ascii=False, indent=indent)
