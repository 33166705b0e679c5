"""A tokenizer whose tokens are bytes: token id = byte value, and a few control tokens for turns.

The scripted engine and the tests use it, so that everything but the weights can be tried without a model file.
"""

from __future__ import annotations

from pipeline.data import Vocabulary, fingerprint
from pipeline.models.markup import Markup, Special

BOS, EOS, SYSTEM, USER, ASSISTANT, END = range(256, 262)
_NAMES = ("<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% if enable_thinking %}<think>\n{% endif %}{% endif %}"
)


class ByteTokenizer:
    """Bytes are tokens. Joint tokenisation and tokenisation in parts are the same thing."""

    bos: int | None = BOS
    eos: int | None = EOS
    add_bos = True
    eog = frozenset({EOS, END})
    template: str | None = _TEMPLATE

    def __init__(self) -> None:
        self.markup = Markup(Special(256 + i, name) for i, name in enumerate(_NAMES))
        self.size = 256 + len(_NAMES)
        pieces = tuple(bytes([i]) for i in range(256)) + (b"",) * len(_NAMES)
        self.vocabulary = Vocabulary(pieces, self.eog, self.encode, self.bos)
        self.fingerprint = fingerprint("bytes", _NAMES)

    def encode(self, text: str | bytes, *, special: bool = False, first: bool = False) -> list[int]:  # noqa: ARG002 - bytes look the same everywhere
        """One id a byte; the control tokens' texts become their ids only with `special`."""
        if isinstance(text, bytes):
            return list(text)
        if not special:
            return list(text.encode("utf-8", "replace"))
        ids: list[int] = []
        for part in self.markup.split(text):
            ids += [part] if isinstance(part, int) else self.encode(part)
        return ids

    def encode_data(self, text: str, *, first: bool = False) -> list[int]:  # noqa: ARG002 - as above
        """The bytes of `text`."""
        return self.encode(text)

    def count(self, text: str) -> int:
        """The number of bytes."""
        return len(text.encode("utf-8", "replace"))

    def token_text(self, token: int) -> str:
        """A character, an escape, or the control token's name."""
        return _NAMES[token - 256] if token >= 256 else bytes([token]).decode("utf-8", "backslashreplace")
