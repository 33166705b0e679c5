"""Constraints by outlines-core: the second engine, for the schemas that it holds right.

The library compiles a schema to an automaton over bytes, in a child process with limits. Masks are found here, by
running all tokens through the automaton at once, and kept a state.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.data import ConstraintSpec, Vocabulary
from pipeline.errors import EngineError, SchemaError
from pipeline.grammars import NO_CANDIDATES, Candidates, Mask
from pipeline.grammars.front import rewrite, without_idle
from pipeline.grammars.strict import strict
from pipeline.schema import ANNOTATION

_CHILD = Path(__file__).with_name("automaton_child.py")
_SECONDS = 120  # of wall time for one schema
_KEPT = 32  # compiled schemas
_KEPT_MASKS = 2048  # a constraint
_LONGEST_FORCED = 512  # bytes


class Engine:
    """outlines-core over one vocabulary. Keeps what it compiled last."""

    name = "outlines_core"

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._tokens = Tokens(vocabulary)
        self._compiled: OrderedDict[str, Constraint] = OrderedDict()

    def compile(self, spec: ConstraintSpec) -> Constraint:
        """Compile; equal schemas give the same object. Raises SchemaError that names the keyword it cannot hold."""
        if spec.source is not None and '"extractive": true' in spec.schema:
            raise SchemaError(
                f"outlines-core does not hold `{ANNOTATION}`: it cannot point into a document.",
                hint="Use --grammar llguidance.",
            )
        if spec.schema in self._compiled:
            self._compiled.move_to_end(spec.schema)
            return self._compiled[spec.schema]
        constraint = Constraint(_compile(strict(rewrite(json.loads(spec.schema), without_idle))), self._tokens)
        self._compiled[spec.schema] = constraint
        while len(self._compiled) > _KEPT:
            self._compiled.popitem(last=False)
        return constraint


class Tokens:
    """A vocabulary as one matrix of bytes, so that all tokens take a step at once."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.lengths = np.array([len(piece) for piece in vocabulary.pieces], dtype=np.int32)
        self.bytes = np.zeros((len(vocabulary.pieces), max(int(self.lengths.max()), 1)), dtype=np.uint8)
        for token, piece in enumerate(vocabulary.pieces):
            self.bytes[token, : len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        self.eog = np.array(sorted(vocabulary.eog), dtype=np.int64)


class Automaton:
    """States and what each byte leads to; -1 is nowhere. Every state can still reach an end."""

    def __init__(self, initial: int, finals: Sequence[int], table: npt.NDArray[np.int32]) -> None:
        self.initial = initial
        self.final = np.zeros(len(table), dtype=bool)
        self.final[list(finals)] = True
        alive = self.final.copy()
        while True:
            reaching = (alive[table] & (table >= 0)).any(axis=1) | alive
            if (reaching == alive).all():
                break
            alive = reaching
        self.table = np.where((table >= 0) & alive[table], table, -1)
        if not alive[initial]:
            raise SchemaError("No answer fits the schema.", hint="See whether its keywords exclude each other.")

    def ways(self, state: int) -> npt.NDArray[np.intp]:
        """The bytes that may come next."""
        return np.flatnonzero(self.table[state] >= 0)


class Constraint:
    """An automaton and the masks of the states that answers have visited."""

    def __init__(self, automaton: Automaton, tokens: Tokens) -> None:
        self.automaton = automaton
        self.tokens = tokens
        self._masks: OrderedDict[int, Mask] = OrderedDict()

    def start(self) -> Cursor:
        """A cursor at the beginning."""
        return Cursor(self)

    def mask(self, state: int) -> Mask:
        """The tokens that may come in this state."""
        if state in self._masks:
            self._masks.move_to_end(state)
            return self._masks[state]
        tokens, table = self.tokens, self.automaton.table
        allowed = np.zeros(-(-len(tokens.lengths) // 32) * 32, dtype=bool)
        going = np.flatnonzero(tokens.lengths > 0)
        states = np.full(len(going), state, dtype=np.int32)
        for column in range(tokens.bytes.shape[1]):
            states = table[states, tokens.bytes[going, column]]
            going, states = going[states >= 0], states[states >= 0]
            ended = tokens.lengths[going] == column + 1
            allowed[going[ended]] = True
            going, states = going[~ended], states[~ended]
            if not len(going):
                break
        if self.automaton.final[state]:
            allowed[tokens.eog] = True
        mask: Mask = np.packbits(allowed, bitorder="little").view("<i4")
        mask.flags.writeable = False
        self._masks[state] = mask
        while len(self._masks) > _KEPT_MASKS:
            self._masks.popitem(last=False)
        return mask


class Cursor:
    """One answer: a state, and whether an end token came."""

    def __init__(self, constraint: Constraint) -> None:
        self._constraint = constraint
        self._automaton = constraint.automaton
        self._state = constraint.automaton.initial
        self._ended = False

    def mask(self) -> Mask:
        """The tokens that may come next."""
        return self._constraint.mask(self._state)

    def forced(self) -> Sequence[int]:
        """The tokens of the bytes that must come next; the last one waits, because it may melt into what follows."""
        if self.done():
            return ()
        run, state = bytearray(), self._state
        while not self._automaton.final[state] and len(run) < _LONGEST_FORCED:
            ways = self._automaton.ways(state)
            if len(ways) != 1:
                break
            run.append(int(ways[0]))
            state = int(self._automaton.table[state, ways[0]])
        whole = bool(self._automaton.final[state]) and not len(self._automaton.ways(state))
        text = bytes(run).decode(errors="ignore").encode()  # without a character begun
        if not text or not bytes(run).startswith(text):
            return ()
        vocabulary = self._constraint.tokens.vocabulary
        tokens = vocabulary.encode(text)
        if not whole:
            tokens = tokens[:-1]
        return tokens if text.startswith(vocabulary.decode(tokens)) else ()

    def candidates(self) -> Candidates:
        """None: this engine does not point into documents."""
        return NO_CANDIDATES

    def continuation(self, most: int) -> Sequence[int]:  # noqa: ARG002 - it does not point into documents
        """Nothing is copied."""
        return ()

    def commit(self, token: int) -> None:
        """Append a token that `mask()` allows, or one of `forced()`."""
        vocabulary = self._constraint.tokens.vocabulary
        if not self._ended and token in vocabulary.eog and self._automaton.final[self._state]:
            self._ended = True
            return
        state = -1 if self._ended or not vocabulary.pieces[token] else self._state
        for byte in vocabulary.pieces[token]:
            if state < 0:
                break
            state = int(self._automaton.table[state, byte])
        if state < 0:
            raise EngineError("A token was committed that the grammar does not allow.")
        self._state = state

    def done(self) -> bool:
        """The answer is complete and nothing may follow."""
        if self._ended:
            return True
        return bool(self._automaton.final[self._state]) and not len(self._automaton.ways(self._state))


def _compile(schema: dict[str, object]) -> Automaton:
    """Have the child compile; what it cannot do within its limits is refused."""
    try:
        child = subprocess.run(
            [sys.executable, "-I", str(_CHILD)],
            input=json.dumps(schema, ensure_ascii=False).encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SchemaError("outlines-core takes too long for this schema.", hint="Use --grammar llguidance.") from error
    if child.returncode == 3:
        said = (child.stderr.decode(errors="replace").splitlines() or [""])[0][:200]
        raise SchemaError(f"outlines-core does not take this schema: {said}.", hint="Use --grammar llguidance.")
    if child.returncode != 0:
        raise SchemaError(
            "outlines-core needs more memory or time for this schema than it gets.",
            hint="Lower maxLength and maxItems, or use --grammar llguidance.",
        )
    line, _, rows = child.stdout.partition(b"\n")
    head = json.loads(line)
    table = np.frombuffer(rows, dtype="<i4").reshape(-1, 256)
    return Automaton(head["initial"], head["finals"], table)
