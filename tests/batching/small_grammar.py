"""A grammar small enough to read, over bytes: {"a": "<up to 6 letters>", "b": "<one of a few words>"}."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.data import Vocabulary
from pipeline.grammars import NO_CANDIDATES, Candidates, Mask

EOS = 256
BYTES = Vocabulary(
    pieces=(*tuple(bytes([i]) for i in range(256)), b""),
    eog=frozenset({EOS}),
    encode=lambda text: list(text),
)
LETTERS = b"abcdefghijklmnopqrstuvwxyz"
WORDS = (b'one"', b'other"', b'others"', b'two"', b'\xc3\xa9t\xc3\xa9"')


class SmallCursor:
    def __init__(self, ranked: bool) -> None:
        self.ranked = ranked
        self.text = bytearray()

    def _allowed(self) -> set[int]:
        text = bytes(self.text)
        head, middle = b'{"a": "', b', "b": "'
        if len(text) < len(head):
            return {head[len(text)]}
        body = text[len(head) :]
        if b'"' not in body:
            return {ord('"')} if len(body) == 6 else {ord('"'), *LETTERS}
        tail = body[body.index(b'"') + 1 :]
        if len(tail) < len(middle):
            return {middle[len(tail)]}
        word = tail[len(middle) :]
        if word.endswith(b'"'):
            return {ord("}")}
        if word.endswith(b"}"):
            return set()
        return {w[len(word)] for w in (*WORDS, b'"') if w.startswith(word)}

    def mask(self) -> Mask:
        bits = np.zeros((len(BYTES.pieces) + 31) // 32, np.uint32)
        for token in self._allowed():
            bits[token // 32] |= np.uint32(1 << (token % 32))
        return bits.view(np.int32)

    def forced(self) -> Sequence[int]:
        allowed = self._allowed()
        return list(allowed) if len(allowed) == 1 else []

    def candidates(self) -> Candidates:
        if self.ranked and self.text.endswith(b'"b": "'):
            words = tuple(tuple(word) for word in WORDS)
            return Candidates(words, tuple(b'"') if len(self.text) % 2 else (), length_power=(len(self.text) % 3) / 2)
        return NO_CANDIDATES

    def continuation(self, most: int) -> Sequence[int]:
        """A guess within "a": right once in a while, and never longer than the value may still be."""
        head = b'{"a": "'
        body = bytes(self.text[len(head) :])
        if len(self.text) < len(head) or b'"' in body:
            return ()
        return list(b"qxzjkv"[len(body) :][:most])

    def commit(self, token: int) -> None:
        assert token in self._allowed()
        self.text.append(token)

    def done(self) -> bool:
        return self.text.endswith(b"}")


class SmallConstraint:
    def __init__(self, ranked: bool = True) -> None:
        self.ranked = ranked

    def start(self) -> SmallCursor:
        return SmallCursor(self.ranked)
