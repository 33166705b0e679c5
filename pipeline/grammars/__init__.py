"""Grammars: a ConstraintSpec -> a Constraint -> one Cursor per answer. The loop sees only what stands here.

A member of this room is a module with a class `Engine`: `name`, `__init__(vocabulary: Vocabulary)` and
`compile(spec) -> Constraint`. Compiled grammars do not pickle: they are made where the engine lives.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from pipeline.data import ConstraintSpec, Vocabulary

Mask = npt.NDArray[np.int32]
"""Allowed tokens, one bit a token, little-endian in each word: shape (ceil(n_vocab / 32),)."""


MOST_ROWS = 96  # that a round of comparing candidates may spend: three tokens more of each of 32


@dataclass(frozen=True, slots=True)
class Candidates:
    """A few whole alternatives, as token sequences up to the end of the value, closing quote included.

    The last token of an alternative may hold what the grammar forces behind the quote, as the model would write it.
    `ends` has for such a token all those that close the value at the same place: the model may have wanted another one
    (`"`, `",` or `"}`), and the probability that the value ends is that of all of them together.

    `otherwise` are the tokens of what may be written in their place (null), empty where nothing may. Whether the
    model wants it is asked first, against the beginnings of the alternatives, not against any whole one: the
    likelihood of a whole span is spread over all the spans, that of null is not.
    """

    alternatives: tuple[tuple[int, ...], ...] = ()
    otherwise: tuple[int, ...] = ()
    length_power: float = 0.0  # compared is total / length ** length_power: 0 the sum, 1 the mean over the tokens
    rows: int = MOST_ROWS  # fewer look at fewer beginnings, which is faster
    margin: float = math.inf  # a beginning that lies so far behind the best one is left; in what is compared
    ends: Mapping[int, npt.NDArray[np.intp]] = field(default_factory=dict)


NO_CANDIDATES = Candidates()


class Cursor(Protocol):
    """Where one answer stands in its grammar. One writer: the sequence that owns it."""

    def mask(self) -> Mask:
        """The tokens that may come next. Never empty while `done()` is false. Valid until the next call."""
        ...

    def forced(self) -> Sequence[int]:
        """Tokens that must come next whatever the model thinks, canonically tokenised; may be empty. Not committed."""
        ...

    def candidates(self) -> Candidates:
        """The spans of a typed field where its value begins and they are few; NO_CANDIDATES elsewhere."""
        ...

    def continuation(self, most: int) -> Sequence[int]:
        """At most so many tokens that are likely next, because the document goes on with them behind the beginning of
        a value that is being copied; empty elsewhere. A guess: the grammar allows them, others may come. Not committed.
        """
        ...

    def commit(self, token: int) -> None:
        """Append a token that `mask()` allows, or one of `forced()`. Raises EngineError when it does not."""
        ...

    def done(self) -> bool:
        """The answer is complete and nothing may follow."""
        ...


class Constraint(Protocol):
    """A compiled grammar, shared by all answers that use it."""

    def start(self) -> Cursor:
        """A cursor at the beginning."""
        ...


class Grammar(Protocol):
    """A grammar engine over one vocabulary."""

    name: str

    def __init__(self, vocabulary: Vocabulary) -> None: ...

    def compile(self, spec: ConstraintSpec) -> Constraint:
        """Compile; equal specs may return the same object. Raises SchemaError that names the keyword it cannot hold."""
        ...


@cache
def members() -> tuple[str, ...]:
    """The names of the grammar engines there are."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(name for name in modules if hasattr(importlib.import_module(f"{__name__}.{name}"), "Engine"))


def grammar(name: str, vocabulary: Vocabulary) -> Grammar:
    """The engine of this name over `vocabulary`. Raises KeyError where there is none."""
    if name not in members():
        raise KeyError(name)
    return cast(Grammar, importlib.import_module(f"{__name__}.{name}").Engine(vocabulary))
