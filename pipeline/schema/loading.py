"""Where a task's schema comes from: a Pydantic model, a JSON Schema, or a file of either.

A `.py` schema is code: it runs only when the user names it. `outlines` turns its types into JSON Schema.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel

from pipeline.data import fingerprint
from pipeline.errors import SchemaError
from pipeline.schema.canonical import write
from pipeline.schema.nodes import Object
from pipeline.schema.normal import read

MOST_CHARACTERS = 1_000_000
"""Of a schema as JSON: what compiling it costs grows with its length. Some seconds and 100 MB are the most, as
tests/grammars/test_limits.py measures."""


@dataclass(frozen=True)
class TaskSchema:
    """What a task asks for. `json_schema` is canonical: reading it again gives an equal schema.

    Raises SchemaError where it is too long.
    """

    root: Object
    json_schema: str = field(init=False, repr=False)
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        text = json.dumps(write(self.root), ensure_ascii=False)
        if len(text) > MOST_CHARACTERS:
            raise SchemaError(
                f"The schema has {len(text):,} characters; {MOST_CHARACTERS:,} are the most.",
                hint="Is it a long enum? Ask for a string, and look the value up afterwards.",
            )
        object.__setattr__(self, "json_schema", text)
        object.__setattr__(self, "hash", fingerprint(text))

    @classmethod
    def from_json(cls, schema: Mapping[str, object]) -> TaskSchema:
        """Read a JSON Schema 2020-12. Raises SchemaError naming the keyword and the JSON pointer."""
        return cls(read(schema))

    @classmethod
    def from_pydantic(cls, model: type) -> TaskSchema:
        """Read a Pydantic model (or a TypedDict or dataclass)."""
        from outlines.types import JsonSchema  # slow to import, needed for schemas written in Python only

        try:
            text = JsonSchema(model).schema
        except Exception as error:
            raise SchemaError(
                f"{model.__name__} cannot be written as JSON Schema: {_first_line(error)}",
                hint="Use str, int, float, bool, Literal, date, lists and nested models.",
            ) from error
        return cls.from_json(json.loads(text))

    @classmethod
    def load(cls, path: Path) -> TaskSchema:
        """Read `path`: `.py` (run as code) or `.json`. Errors name the file."""
        if path.suffix not in (".py", ".json"):
            raise SchemaError(
                f"{path} is neither .py nor .json.", hint="A schema is a Pydantic model or a JSON Schema."
            )
        try:
            return cls._load_python(path) if path.suffix == ".py" else cls._load_json(path)
        except OSError as error:
            raise SchemaError(f"{path} cannot be read: {error.strerror}.", hint="Check the path.") from error
        except SchemaError as error:
            if error.message.startswith(str(path)):
                raise
            hint = error.hint or "Change that place; `nightdesk help tasks` says what a schema may hold."
            raise SchemaError(f"{path}: {error.message}", hint=hint) from error

    @classmethod
    def _load_json(cls, path: Path) -> TaskSchema:
        try:
            schema = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_no_repeats)
        except UnicodeDecodeError as error:
            raise SchemaError(f"{path} is not UTF-8.", hint="Save it as UTF-8.") from error
        except json.JSONDecodeError as error:
            raise SchemaError(
                f"{path}:{error.lineno}: {error.msg}.", hint="A .json schema is one JSON object."
            ) from error
        except RecursionError as error:
            raise SchemaError(f"{path} is nested too deep.") from error
        return cls.from_json(schema)

    @classmethod
    def _load_python(cls, path: Path) -> TaskSchema:
        module = _run(path)
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and value.__module__ == module.__name__ and _is_schema(value)
        ]
        named = [value for value in own if value.__name__ in ("Task", "Schema")]
        # A model that another one holds as a field is a part, not the schema.
        parts = {id(part) for value in own for part in _parts(value)}
        whole = [value for value in own if id(value) not in parts]
        chosen = named if len(named) == 1 else whole if len(whole) == 1 else own
        if len(chosen) != 1:
            found = ", ".join(value.__name__ for value in own) or "none"
            raise SchemaError(
                f"{path} must hold one schema; it holds {found}.",
                hint="Name the one that is meant `Task` or `Schema`.",
            )
        return cls.from_pydantic(chosen[0])


def _run(path: Path) -> ModuleType:
    name = f"nightdesk_schema_{fingerprint(str(path.resolve()))[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SchemaError(f"{path} cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    writes = sys.dont_write_bytecode
    sys.modules[name] = module  # Pydantic looks annotations up there
    sys.dont_write_bytecode = True  # no __pycache__ beside the user's file
    try:
        path.read_bytes()
        spec.loader.exec_module(module)
    except OSError:
        del sys.modules[name]
        raise
    except SyntaxError as error:
        del sys.modules[name]
        raise SchemaError(f"{path}:{error.lineno}: {error.msg}.", hint="The file is not valid Python.") from error
    except Exception as error:
        del sys.modules[name]
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename) == path.absolute()]
        place = f"{path}:{lines[-1]}" if lines else str(path)
        raise SchemaError(
            f"{place}: {type(error).__name__}: {_first_line(error)}.", hint="The file runs as Python: correct it there."
        ) from error
    finally:
        sys.dont_write_bytecode = writes
    return module


def _is_schema(value: type) -> bool:
    typed_dict = "__total__" in vars(value)
    return issubclass(value, BaseModel) or typed_dict or dataclasses.is_dataclass(value)


def _parts(value: type) -> list[type]:
    """The classes that stand in this class's annotations, at any depth of the annotation, and its bases."""
    out: list[type] = list(value.__mro__[1:])
    if issubclass(value, BaseModel):
        todo: list[object] = [info.annotation for info in value.model_fields.values()]
    else:
        todo = list(vars(value).get("__annotations__", {}).values())
    while todo:
        one = todo.pop()
        if isinstance(one, type):
            out.append(one)
        todo.extend(getattr(one, "__args__", ()))
    return out


def _no_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise SchemaError("A JSON object names one key twice.")
    return out


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200].rstrip(".")
