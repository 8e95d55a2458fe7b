"""Text ↔ token ids, token by token, with the model's chat template."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wse_emu.errors import WseError

REPLACEMENT = "�"
"""What a decoder writes for bytes that are not (yet) UTF-8."""


@dataclass(frozen=True)
class Special:
    """The special tokens of a model: texts for the chat template, ids that end a text, and its template."""

    eos_ids: frozenset[int] = frozenset()
    bos: str = ""
    eos: str = ""
    chat_template: str | None = None


class Tokenizer:
    """A `tokenizers.Tokenizer` with the model's special tokens; `source` names its file in messages."""

    def __init__(self, backend: Any, special: Special, source: str) -> None:
        self._backend = backend
        self._special = special
        self._source = source

    @property
    def eos_ids(self) -> frozenset[int]:
        """Ids after which a decoder stops."""
        return self._special.eos_ids

    @property
    def vocabulary(self) -> int:
        """Ids that the tokenizer knows; a model may have more rows."""
        size: int = self._backend.get_vocab_size(with_added_tokens=True)
        return size

    @property
    def has_chat_template(self) -> bool:
        return self._special.chat_template is not None

    def encode(self, text: str) -> list[int]:
        """Ids of a text; a model's begin-of-text token comes first, once, also where a chat template wrote it already.

        Special tokens written in the text, as chat templates do, become their ids.
        """
        begun = bool(self._special.bos) and text.startswith(self._special.bos)
        try:
            ids: list[int] = self._backend.encode(text, add_special_tokens=not begun).ids
        except Exception as error:  # the library raises bare Exception, and UnicodeEncodeError for lone surrogates
            raise WseError(f"{self._source}: the tokenizer refuses this text: {_line(error)}") from error
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids, special tokens left out. Raises `WseError` for an id that the tokenizer does not know."""
        known = list(ids)
        for token in known:
            if not 0 <= token < 2**32 or self._backend.id_to_token(token) is None:
                raise WseError(f"{self._source}: token id {token} is not in the vocabulary of {self.vocabulary}")
        text: str = self._backend.decode(known, skip_special_tokens=True)
        return text

    def stream(self) -> "TextStream":
        """Decodes ids as they come."""
        return TextStream(self)

    def chat(self, messages: Sequence[dict[str, str]]) -> str:
        """The text that the model expects for `messages` (keys role, content), ready for its answer.

        Raises `WseError` where the model has no chat template or the template refuses the messages.
        """
        from wse_emu.models.chat import render_chat

        if self._special.chat_template is None:
            raise WseError(f"{self._source}: the model has no chat template; give the prompt as plain text")
        return render_chat(self._special.chat_template, messages, self._special.bos, self._special.eos, self._source)


class TextStream:
    """Text of ids pushed one by one, in whole characters: one may take several tokens.

    All pieces and the flush, joined, are `decode` of all ids. A piece is decoded after the one before it, since some
    decoders treat the first token of a text differently.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._written = 0
        """Ids at the start of `_ids` whose text has been given out."""

    def push(self, token: int) -> str:
        """The text that `token` completes, empty while a character is still incomplete."""
        self._ids.append(token)
        text = self._pending()
        if text.endswith(REPLACEMENT):
            return ""
        if text:
            self._ids, self._written = self._ids[self._written :], len(self._ids) - self._written
        return text

    def flush(self) -> str:
        """What is left at the end, with replacement characters for bytes that never became one."""
        text = self._pending()
        self._ids, self._written = [], 0
        return text

    def _pending(self) -> str:
        before = self._tokenizer.decode(self._ids[: self._written])
        return self._tokenizer.decode(self._ids)[len(before) :]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
