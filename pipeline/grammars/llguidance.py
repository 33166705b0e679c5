"""Constraints by llguidance: compiled in milliseconds, exact or refused, with forced tokens. The default.

The one module that imports llguidance. Its error texts can quote the answer; only compile errors about a schema
are passed on.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Sequence

import llguidance
import numpy as np
import numpy.typing as npt

from pipeline.data import ConstraintSpec, Vocabulary
from pipeline.errors import AnswerError, EngineError, SchemaError
from pipeline.grammars import MOST_ROWS, NO_CANDIDATES, Candidates, Mask
from pipeline.grammars.front import Json, refuse_formats, rewrite, without_idle
from pipeline.grammars.pointing import Pointing
from pipeline.schema import ITEM_SEPARATOR, KEY_SEPARATOR, TaskSchema, any_extractive

_SEPARATORS = {
    "whitespace_flexible": False,
    "item_separator": ITEM_SEPARATOR,
    "key_separator": KEY_SEPARATOR,
}
_LOOSE_FORMATS = frozenset({"time", "hostname"})  # it accepts 24:00:00 and -a-.b; the conformance suite finds these
_LIMITS = llguidance.LLParserLimits(verbose_errors=False)  # its own but for the errors, which would hold the document
# A grammar that points has a terminal for each place: a list over 32 rows was beyond the usual fuel. 300 rows are not.
_POINTING_LIMITS = llguidance.LLParserLimits(
    verbose_errors=False, initial_lexer_fuel=5_000_000, step_lexer_fuel=5_000_000
)
_KEPT = 64  # compiled grammars
_FEW = 32  # alternatives that are worth decoding all of
# How spans of a type and runs of lines are compared: `length_power`, since the sum prefers short ones and the mean long
# runs; `rows`, since the end of one line is easily found and that of several is not; `margin`, where a smaller one lost
# values. All are measured (tests/benchmarks/LOG.md).
_COMPARED = {
    "number": (0.0, MOST_ROWS, math.inf),  # by the mean, a long price stood for a short quantity
    "line": (0.5, 24, 1.25),
    "lines": (0.8, 48, 2.0),
}
_SPANS = (1.0, MOST_ROWS, math.inf)
_LONG_TOKEN = 16  # characters; few tokens are longer
_MOST_SPANS = 1000  # that are tokenised to see which of them the grammar still allows here


class _Tokenizer:
    """What llguidance asks of a tokenizer."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.tokens = list(vocabulary.pieces)
        self.special_token_ids = [token for token, piece in enumerate(vocabulary.pieces) if not piece]
        self.eos_token_id = min(vocabulary.eog)
        self.bos_token_id = vocabulary.bos
        self._encode = vocabulary.encode

    def __call__(self, text: bytes | str) -> list[int]:
        return self._encode(text if isinstance(text, bytes) else text.encode())


class _Ends:
    """Which tokens begin with these bytes. Asked for the few ways in which a value ends; remembered."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._pieces = vocabulary.pieces
        self._known: dict[bytes, npt.NDArray[np.intp]] = {}

    def __getitem__(self, beginning: bytes) -> npt.NDArray[np.intp]:
        if beginning not in self._known:
            found = [token for token, piece in enumerate(self._pieces) if piece.startswith(beginning)]
            self._known[beginning] = np.array(found, np.intp)
        return self._known[beginning]


class Engine:
    """llguidance over one vocabulary. Keeps what it compiled last."""

    name = "llguidance"

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._tokenizer = llguidance.LLTokenizer(
            llguidance.TokenizerWrapper(_Tokenizer(vocabulary)),
            n_vocab=len(vocabulary.pieces),
            eos_token=sorted(vocabulary.eog),
        )
        self._words = -(-len(vocabulary.pieces) // 32)
        self._ends = _Ends(vocabulary)
        self._compiled: OrderedDict[ConstraintSpec, Constraint] = OrderedDict()

    def compile(self, spec: ConstraintSpec) -> Constraint:
        """Compile; equal specs give the same object. Raises SchemaError that names the keyword it cannot hold."""
        if spec in self._compiled:
            self._compiled.move_to_end(spec)
            return self._compiled[spec]
        pointing = _pointing(spec)
        if pointing is None:
            schema = json.dumps(rewrite(json.loads(spec.schema), _change), ensure_ascii=False)
            try:
                grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, overrides=_SEPARATORS)
            except ValueError as error:  # it is nested too deeply
                raise _refused(_reason(str(error))) from None
        else:
            grammar = llguidance.LLMatcher.grammar_from_lark(pointing.lark)
        limits = _LIMITS if pointing is None else _POINTING_LIMITS
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            # With a source the error's text could quote the document.
            raise _refused(_reason(matcher.get_error()) if pointing is None else "its extractive form is refused")
        constraint = Constraint(matcher, self._tokenizer, self._words, self._ends, pointing)
        self._compiled[spec] = constraint
        while len(self._compiled) > _KEPT:
            self._compiled.popitem(last=False)
        return constraint


class Constraint:
    """A matcher at its beginning; each answer works on a copy."""

    def __init__(
        self,
        matcher: llguidance.LLMatcher,
        tokenizer: llguidance.LLTokenizer,
        words: int,
        ends: _Ends,
        pointing: Pointing | None,
    ) -> None:
        self._matcher = matcher
        self._tokenizer = tokenizer
        self._words = words
        self._ends = ends
        self._pointing = pointing

    def start(self) -> Cursor:
        """A cursor at the beginning."""
        return Cursor(self._matcher.deep_copy(), self._tokenizer, self._words, self._ends, self._pointing)


class Cursor:
    """One answer's matcher."""

    def __init__(
        self,
        matcher: llguidance.LLMatcher,
        tokenizer: llguidance.LLTokenizer,
        words: int,
        ends: _Ends,
        pointing: Pointing | None,
    ) -> None:
        self._matcher = matcher
        self._tokenizer = tokenizer
        self._mask: Mask = np.zeros(words, dtype=np.int32)
        self._ends = ends
        self._pointing = pointing
        self._tokens: list[int] = []  # kept with their text only where the grammar points
        self._text = bytearray()

    def mask(self) -> Mask:
        """The tokens that may come next, in a buffer that the next call overwrites."""
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        self._check()
        return self._mask

    def forced(self) -> Sequence[int]:
        """Tokens that must come next, canonically tokenised."""
        if self.done():
            return ()
        tokens: list[int] = self._matcher.compute_ff_tokens()
        self._check()
        return tokens

    def candidates(self) -> Candidates:
        """The spans of a typed field or the runs of lines, closing quote included, where they are not too many."""
        if self._pointing is None or self.done() or self.forced():
            return NO_CANDIDATES
        # A space before the value may be held back because it can melt into the value's first token.
        held = bytes(self._matcher.compute_ff_bytes())
        try:
            text = (self._text + held).decode()
        except UnicodeDecodeError:
            return NO_CANDIDATES
        found, nullable = self._pointing.alternatives_at(text)
        if not found.lines and len(found.values) > _MOST_SPANS:
            return NO_CANDIDATES
        # Spans of other lines drop out once an item is held to one line.
        values = [value for value in (held + one.encode() for one in found.values) if self._allows(value)]
        if len(values) < 2 or (not found.lines and len(values) > _FEW):
            return NO_CANDIDATES
        ends: dict[int, npt.NDArray[np.intp]] = {}
        if found.lines == "lines":  # a quote alone is unlikely, which keeps runs of lines from ending early (LOG.md)
            paths = tuple(tuple(self._tokenizer.tokenize_bytes(value)) for value in values)
        else:
            behind = self._forced_behind(values[0])
            paths = tuple(self._closed(value, behind, ends) for value in values)
        nothing = held + b"null"
        null = tuple(self._tokenizer.tokenize_bytes(nothing)) if nullable and self._allows(nothing) else ()
        return Candidates(paths, null, *_COMPARED.get(found.lines or found.type, _SPANS), ends=ends)

    def _allows(self, text: bytes) -> bool:
        tokens = self._tokenizer.tokenize_bytes(text)
        allowed: int = self._matcher.validate_tokens(tokens)
        return allowed == len(tokens)

    def _forced_behind(self, value: bytes) -> bytes:
        """What the grammar forces behind a value that it allows here."""
        matcher = self._matcher.deep_copy()
        matcher.consume_tokens(self._tokenizer.tokenize_bytes(value))
        return bytes(matcher.compute_ff_bytes())

    def _closed(self, value: bytes, behind: bytes, ends: dict[int, npt.NDArray[np.intp]]) -> tuple[int, ...]:
        """The tokens of a value to the one that holds its last byte, the closing quote, tokenised with what is forced
        behind it where that is allowed. Notes in `ends` what could stand for the last one."""
        for text in (value + behind, value):
            tokens, length = [], 0
            for token in self._tokenizer.tokenize_bytes(text):
                tokens.append(token)
                length += len(piece := self._tokenizer.decode_bytes([token]))
                if length >= len(value):
                    break
            if self._matcher.validate_tokens(tokens) == len(tokens):
                break
        ends[token] = self._ends[piece[: len(piece) - (length - len(value))]]
        return tuple(tokens)

    def continuation(self, most: int) -> Sequence[int]:
        """The document's next words, as far as the grammar allows them, behind a value that is being copied."""
        if self._pointing is None or self.done():
            return ()
        try:
            text = self._text.decode()
        except UnicodeDecodeError:
            return ()
        following = self._pointing.continuations(text, most * _LONG_TOKEN)
        paths = [self._tokenizer.tokenize_bytes(rest.encode())[:most] for rest in following]
        return max((path[: self._matcher.validate_tokens(path)] for path in paths), key=len, default=())

    def commit(self, token: int) -> None:
        """Append a token that `mask()` allows, or one of `forced()`."""
        if self.done():
            raise EngineError("A token came behind the end of an answer.")
        if not self._matcher.consume_token(token):
            self._check()
        if self._pointing is not None:
            self._tokens.append(token)
            self._text += self._tokenizer.decode_bytes([token])
            self._stage(self._pointing)

    def _stage(self, pointing: Pointing) -> None:
        """Behind the comma of an ordered list's item: go on in the grammar of what is left of the document."""
        if not self._text.endswith(ITEM_SEPARATOR[:1].encode()):
            return
        following = pointing.behind(self._text.decode(errors="replace"))
        if following is None:
            return
        grammar = llguidance.LLMatcher.grammar_from_lark(following.lark)
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0, limits=_POINTING_LIMITS)
        if not matcher.consume_tokens(self._tokens):
            raise AnswerError("The grammar of an ordered list cannot go on.", hint="Drop in_order from the schema.")
        self._matcher, self._pointing = matcher, following

    def done(self) -> bool:
        """The answer is complete and nothing may follow."""
        return bool(self._matcher.is_stopped()) and not self._matcher.is_error()

    def _check(self) -> None:
        if not self._matcher.is_error():
            return
        # The error's own text can show the answer: it must not travel.
        if "doesn't satisfy" in self._matcher.get_error():
            raise EngineError("A token was committed that the grammar does not allow.")
        raise AnswerError(
            "The answer took the grammar beyond its limits, or nothing may come next.",
            hint="Simplify the schema or lower its maxLength.",
        )


def _change(schema: Json) -> Json:
    return refuse_formats(without_idle(schema), _LOOSE_FORMATS, "llguidance")


def _pointing(spec: ConstraintSpec) -> Pointing | None:
    """The extractive grammar, where there is a source and the schema points into it."""
    if spec.source is None:
        return None
    root = TaskSchema.from_json(json.loads(spec.schema)).root
    return Pointing.over(root, spec.source, _SEPARATORS) if any_extractive(root) else None


def _refused(reason: str) -> SchemaError:
    return SchemaError(
        f"llguidance does not take this schema: {reason}.",
        hint="Leave the keyword out; the instructions can still ask for it.",
    )


def _reason(error: str) -> str:
    """The first line of a compile error, which speaks of the schema."""
    return (error.strip().splitlines() or ["no reason given"])[0][:300].rstrip(".")
