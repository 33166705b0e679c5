"""One normal form for what a task asks for, whether written as Pydantic or as JSON Schema.

The normal form is a tree of the frozen nodes below: what fits a row, its child tables and one JSON object.
From it come the JSON Schema text for the grammar, the one rendering of answers, parsing, and the shortest ending.
Knows nothing of models, tokens or SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ValueType = Literal["text", "date", "money", "number", "email", "phone", "iban", "url"]
Unit = Literal["word", "line"]
Merge = Literal["first", "last", "confident", "majority", "union"]

ITEM_SEPARATOR = ", "
KEY_SEPARATOR = ": "


@dataclass(frozen=True, slots=True)
class Extractive:
    """Marks a string field as copied from the document.

    Pydantic: `total: Annotated[str, Extractive("money")]`. JSON Schema: `"x-nightdesk": {"type": "money"}` ....
    `type` narrows what may be pointed at; `unit="line"` holds the value to whole lines or runs of lines.
    """

    type: ValueType = "text"
    unit: Unit = "word"


@dataclass(frozen=True, slots=True)
class Text:
    """A string. `type` says what it means: a `money` or `date` string is normalised after decoding."""

    min_length: int = 0
    max_length: int | None = None
    pattern: str | None = None
    format: str | None = None
    type: ValueType = "text"
    extractive: Extractive | None = None
    summary: bool = False  # free words about the document, not from it


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number, bounds inclusive unless said."""

    integer: bool = False
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Boolean:
    """true or false."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An enumeration of strings, numbers or booleans (null is said by the field's `nullable`)."""

    values: tuple[str | int | float | bool, ...]


@dataclass(frozen=True, slots=True)
class List:
    """An array."""

    items: Node
    min_items: int = 0
    max_items: int | None = None
    in_order: bool = False  # each item stands behind the one before in the document
    within: Literal["line", "block"] | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A named member of an object. Every field is always written; a missing value is null where `nullable`."""

    name: str
    node: Node
    nullable: bool = False
    description: str = ""
    merge: Merge = "first"


@dataclass(frozen=True, slots=True)
class Object:
    """A JSON object with exactly these fields in this order."""

    fields: tuple[Field, ...]
    description: str = ""


Node = Text | Number | Boolean | Choice | List | Object
