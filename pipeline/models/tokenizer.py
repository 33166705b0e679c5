"""The tokenizer of a GGUF file: a vocabulary-only load, no weights. The one door to llama_cpp in this room.

Text is tokenised without BOS. SentencePiece models see a space before a text that begins a prompt or follows a
special token (`first=True`) and none elsewhere, so that parts tokenised one by one equal the whole.
Knows nothing of prompts, tasks or grammars.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections import deque
from functools import cached_property
from pathlib import Path

import llama_cpp
from llama_cpp import llama_cpp as c

from pipeline.data import Vocabulary
from pipeline.errors import ModelFileError
from pipeline.models.gguf import Header, check_vocabulary, read_header, tokenizer_hash
from pipeline.models.markup import Markup, Special, is_markup

_log: deque[str] = deque(maxlen=50)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator, unused-ignore]
def _keep_log(level: int, text: bytes, _: object) -> None:
    """llama.cpp talks to stderr otherwise. Warnings and errors are kept for the message of a failure."""
    if level in (3, 2) and (line := text.decode("utf-8", "replace").strip()):
        _log.append(line)


_UNKNOWN, _UNUSED, _CONTROL, _USER_DEFINED = 1 << 0, 1 << 1, 1 << 3, 1 << 4
_LSTRIP, _RSTRIP = 1 << 7, 1 << 8
_VOCABULARY_TYPES = (1, 2, 5, 6)  # SentencePiece, BPE, RWKV, PLaMo; WordPiece and Unigram belong to encoders
_PIECE = 64  # most tokens are shorter
_ANCHOR = "\x02"  # no vocabulary merges it with a neighbour


class Tokenizer:
    """Text to token ids and back, exactly as the model was trained."""

    def __init__(self, header: Header) -> None:
        """Use `Tokenizer.load`."""
        llama_cpp.llama_log_set(_keep_log, ctypes.c_void_p(0))
        _log.clear()
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        model = llama_cpp.llama_model_load_from_file(os.fsencode(header.path), params)
        if not model:
            raise ModelFileError(
                f"llama.cpp cannot load the vocabulary of {header.path}: {_log[-1] if _log else 'no reason given'}",
                hint="Try another conversion of the model, or a newer llama-cpp-python.",
            )
        weakref.finalize(self, llama_cpp.llama_model_free, model)
        vocab = llama_cpp.llama_model_get_vocab(model)
        if llama_cpp.llama_vocab_type(vocab) not in _VOCABULARY_TYPES:
            raise ModelFileError(
                f"{header.path} has no tokenizer of a text generator.",
                hint="Name a model that writes text, not one that embeds or classifies.",
            )
        self._vocab = vocab
        self._header = header
        self.size: int = llama_cpp.llama_vocab_n_tokens(vocab)
        self.bos: int | None = _token(llama_cpp.llama_vocab_bos(vocab))
        self.eos: int | None = _token(llama_cpp.llama_vocab_eos(vocab))
        self.add_bos: bool = bool(llama_cpp.llama_vocab_get_add_bos(vocab)) and self.bos is not None
        self.template = header.chat_template
        self._attributes = [int(llama_cpp.llama_vocab_get_attr(vocab, token)) for token in range(self.size)]
        self.eog = frozenset(t for t in range(self.size) if llama_cpp.llama_vocab_is_eog(vocab, t))
        self.markup = Markup(self._specials())
        self._forbidden = self.markup.tokens | self.eog
        self._anchor = self._tokenize(_ANCHOR.encode(), special=False)
        self._adds_space = b"".join(map(self._piece, self._tokenize(b"a", special=False))).startswith(b" ")

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Load the vocabulary of a GGUF file (vocabulary-only files too). Raises ModelFileError."""
        header = read_header(path)
        check_vocabulary(path)
        return cls(header)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Every token as bytes; what may not stand in an answer has an empty piece."""
        hidden = _UNKNOWN | _UNUSED | _CONTROL
        pieces = tuple(
            b"" if attributes & hidden or token in self._forbidden else self._piece(token)
            for token, attributes in enumerate(self._attributes)
        )
        return Vocabulary(pieces, self.eog, self.encode, self.bos)

    @cached_property
    def fingerprint(self) -> str:
        """Equal fingerprints tokenise alike."""
        return tokenizer_hash(self._header.path)

    def encode(self, text: str | bytes, *, special: bool = False, first: bool = False) -> list[int]:
        """Token ids, without BOS. `first`: the text begins the prompt or follows a special token."""
        raw = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
        if not raw:
            return []
        if isinstance(text, bytes) and not _is_utf8(raw):
            return self._encode_broken(raw, special=special, first=first)
        if first or not self._adds_space:
            return self._tokenize(raw, special=special)
        ids = self._tokenize(_ANCHOR.encode() + raw, special=special)
        if ids[: len(self._anchor)] != self._anchor:
            raise ModelFileError(
                f"The tokenizer of {self._header.path} joins a control character with text; "
                "it cannot be used piece by piece.",
                hint="Try another conversion of the model.",
            )
        return ids[len(self._anchor) :]

    def encode_data(self, text: str, *, first: bool = False) -> list[int]:
        """Token ids of a document's text: no special or markup token can come out, whatever the text holds."""
        ids = self.encode(text, first=first)
        if self._forbidden.isdisjoint(ids):
            return ids
        parts = self.markup.safe_parts(text)
        if len(parts) == 1:  # the tokenizer's own normalising made it: cut anywhere
            middle = len(text) // 2
            if not middle:
                return [token for token in ids if token not in self._forbidden]
            parts = [text[:middle], text[middle:]]
        safe = self.encode_data(parts[0], first=first)
        for part in parts[1:]:
            safe += self.encode_data(part)
        return safe

    def count(self, text: str) -> int:
        """The number of ids `encode_data` gives."""
        if not text:
            return 0
        if self.markup.occurs(text):
            return len(self.encode_data(text))
        raw = text.encode("utf-8", "replace")
        if not self._adds_space:
            return -self._call(raw, None, 0, special=False)
        return -self._call(_ANCHOR.encode() + raw, None, 0, special=False) - len(self._anchor)

    def token_text(self, token: int) -> str:
        """The text of one token for people, special ones included."""
        if token in self._forbidden or self._attributes[token] & (_CONTROL | _UNKNOWN | _UNUSED):
            text: bytes = llama_cpp.llama_vocab_get_text(self._vocab, token)
            return text.decode("utf-8", "replace")
        return self._piece(token).decode("utf-8", "replace")

    def _specials(self) -> list[Special]:
        specials = []
        for token, attributes in enumerate(self._attributes):
            if attributes & (_CONTROL | _UNKNOWN | _USER_DEFINED):
                text = llama_cpp.llama_vocab_get_text(self._vocab, token).decode("utf-8", "replace")
                if attributes & (_CONTROL | _UNKNOWN) or is_markup(text):
                    specials.append(Special(token, text, bool(attributes & _LSTRIP), bool(attributes & _RSTRIP)))
        return specials

    def _tokenize(self, raw: bytes, *, special: bool) -> list[int]:
        room = len(raw) + 8
        buffer = (ctypes.c_int32 * room)()
        found = self._call(raw, buffer, room, special=special)
        if found < 0:
            room = -found
            buffer = (ctypes.c_int32 * room)()
            found = self._call(raw, buffer, room, special=special)
        return list(buffer[:found])

    def _call(self, raw: bytes, buffer: ctypes.Array[ctypes.c_int32] | None, room: int, *, special: bool) -> int:
        """llama_tokenize: the count, or minus the count where `room` is too small."""
        return int(c.llama_tokenize(self._vocab, raw, len(raw), buffer, room, False, special))

    def _piece(self, token: int) -> bytes:
        """The bytes of one token."""
        buffer = ctypes.create_string_buffer(_PIECE)
        found = c.llama_token_to_piece(self._vocab, token, buffer, _PIECE, 0, False)
        if found < 0:  # minus the room it needs
            buffer = ctypes.create_string_buffer(-found)
            found = c.llama_token_to_piece(self._vocab, token, buffer, -found, 0, False)
        return buffer.raw[:found]

    @cached_property
    def _byte_tokens(self) -> dict[bytes, int]:
        return {piece: token for token, piece in enumerate(self.vocabulary.pieces) if len(piece) == 1}

    def _encode_broken(self, raw: bytes, *, special: bool, first: bool) -> list[int]:
        """Bytes that end inside a character, as forced bytes of a grammar may: byte tokens for the loose ones."""
        ids: list[int] = []
        while raw:
            try:
                raw.decode()
                good = len(raw)
            except UnicodeDecodeError as error:
                good = error.start
            ids += self.encode(raw[:good], special=special, first=first and not ids)
            if good < len(raw):
                ids.append(self._byte_tokens[raw[good : good + 1]])
            raw = raw[good + 1 :]
        return ids


def _token(token: int) -> int | None:
    return None if token < 0 else int(token)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
