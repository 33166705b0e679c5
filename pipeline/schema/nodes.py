"""The nodes of the normal form, and the annotations a Pydantic schema says the same things with.

The normal form is a tree of the frozen nodes below: what fits a row, its child tables and one JSON object.
This module knows no JSON Schema beyond the `x-nightdesk` object that its annotations write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

ValueType = Literal["text", "date", "money", "number", "id", "currency", "email", "phone", "iban", "url"]
Unit = Literal["word", "line", "lines"]
Merge = Literal["first", "last", "confident", "majority", "union"]

Within = Literal["line", "block", "row"]

ITEM_SEPARATOR = ", "
KEY_SEPARATOR = ": "
ANNOTATION = "x-nightdesk"
"""The JSON Schema keyword that carries what JSON Schema has no word for."""


class _Annotation:
    """What Pydantic asks an annotation for: the schema it stands on, with its part of `x-nightdesk` added."""

    __slots__ = ()

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:  # noqa: ANN401
        schema: dict[str, Any] = dict(handler(core_schema))
        schema[ANNOTATION] = {**schema.get(ANNOTATION, {}), **self.says()}
        return schema

    def says(self) -> dict[str, object]:
        """Its keys of `x-nightdesk`."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Extractive(_Annotation):
    """Marks a string field as copied from the document.

    Pydantic: `total: Annotated[str, Extractive("money")]`. JSON Schema: `"x-nightdesk": {"type": "money"}`.
    `type` narrows what may be pointed at; `one_of` to words of a list, in upper or lower case. `unit="line"` holds the
    value to lines, and so does "lines": both take runs of lines, but "line" expects one (a name), "lines" several (an
    address). A run may leave out a label before it ("Supplier: "), what stands apart, and brackets at its end; a name
    what follows it on its line ("Acme, 9 Elm Road"). It holds a date, an amount, a telephone number and the like only
    where all do, or where it is near a word.
    `near=("total due", "total")` narrows a typed field to the spans beside the first of these words that has any:
    on its line, or, where that has none, on the next one; identifiers right behind the word come first. It narrows a
    field of lines to those that begin behind the word in its cell, or else on its line or, where the word is all that
    its cell says, on the next one. In an item `within` a "row" the words are those of
    the table's header, and the cell below is meant. Where something stands there, the value is not null; where
    nothing does, all that the type or the unit allows can be pointed at.
    """

    type: ValueType = "text"
    unit: Unit = "word"
    near: tuple[str, ...] = ()
    one_of: tuple[str, ...] | None = None

    @property
    def finds(self) -> bool:
        """Whether it points at spans that are found before the model is asked."""
        return self.type != "text" or bool(self.one_of)

    def says(self) -> dict[str, object]:
        """See _Annotation."""
        lists = {"near": self.near or None, "one_of": self.one_of}
        # A text alone is refused where it is read.
        words = {key: said if isinstance(said, str) else [*said] for key, said in lists.items() if said is not None}
        return {"extractive": True, "type": self.type, "unit": self.unit, **words}


@dataclass(frozen=True, slots=True)
class Typed(_Annotation):
    """Says what a free string means without holding it to the document: `Annotated[str, Typed("money")]`."""

    type: ValueType

    def says(self) -> dict[str, object]:
        """See _Annotation."""
        return {"extractive": False, "type": self.type}


@dataclass(frozen=True, slots=True)
class Summary(_Annotation):
    """Marks a string field as free words about the document, not from it."""

    def says(self) -> dict[str, object]:
        """See _Annotation."""
        return {"summary": True}


@dataclass(frozen=True, slots=True)
class InOrder(_Annotation):
    """Marks a list whose items stand one behind the other in the document.

    `within` holds each item to one "line", to one "block" (lines without an empty one between them), or to one "row"
    of a table: there the model says in which table the list begins, and every row of it is an item.
    """

    within: Within | None = None

    def says(self) -> dict[str, object]:
        """See _Annotation."""
        return {"in_order": True, **({"within": self.within} if self.within else {})}


@dataclass(frozen=True, slots=True)
class HeldTo(_Annotation):
    """Holds an object to one place of the document: all its words stand on one "line", in one "block" or one "row".

    Pydantic: `sender: Annotated[Party, HeldTo("line")]`; on a list `within` holds each item. Where no such place has
    all that the object needs, it is null if the field allows it, and else not held.
    """

    within: Within

    def says(self) -> dict[str, object]:
        """See _Annotation."""
        return {"within": self.within}


@dataclass(frozen=True, slots=True)
class MergeBy(_Annotation):
    """Says which value stays when the chunks of a document differ: `Annotated[str, MergeBy("majority")]`."""

    rule: Merge

    def says(self) -> dict[str, object]:
        """See _Annotation."""
        return {"merge": self.rule}


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
    within: Within | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A named member of an object. Every field is always written; `nullable` allows null for it."""

    name: str
    node: Node
    nullable: bool = False
    description: str = ""
    merge: Merge = "first"  # a list that says nothing else is joined: "union"


@dataclass(frozen=True, slots=True)
class Object:
    """A JSON object with exactly these fields in this order."""

    fields: tuple[Field, ...]
    description: str = ""
    within: Within | None = None  # all its words stand in one of these


Node = Text | Number | Boolean | Choice | List | Object


def any_extractive(node: Node) -> bool:
    """Whether a value in this part of the schema is copied from the document."""
    match node:
        case Text():
            return node.extractive is not None
        case List():
            return any_extractive(node.items)
        case Object():
            return any(any_extractive(field.node) for field in node.fields)
    return False
