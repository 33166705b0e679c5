"""The normal form -> canonical JSON Schema: what grammars and validators read. The way back is `normal.read`."""

from __future__ import annotations

from pipeline.schema.nodes import ANNOTATION, Boolean, Choice, Field, List, Node, Number, Object, Text


def write(node: Node) -> dict[str, object]:
    """The canonical JSON Schema of this node: reading it gives an equal node."""
    match node:
        case Text():
            noted: dict[str, object] = {}
            if node.extractive is not None:
                noted = node.extractive.says()
            elif node.type != "text":
                noted = {"extractive": False, "type": node.type}
            if node.summary:
                noted["summary"] = True
            return _written(
                type="string",
                minLength=node.min_length or None,
                maxLength=node.max_length,
                pattern=node.pattern,
                format=node.format,
                **{ANNOTATION: noted or None},
            )
        case Number():
            return _written(
                type="integer" if node.integer else "number",
                minimum=node.minimum,
                maximum=node.maximum,
                exclusiveMinimum=node.exclusive_minimum,
                exclusiveMaximum=node.exclusive_maximum,
            )
        case Boolean():
            return {"type": "boolean"}
        case Choice():
            return {"enum": list(node.values)}
        case List():
            noted = _written(in_order=node.in_order or None, within=node.within)
            return _written(
                type="array",
                items=write(node.items),
                minItems=node.min_items or None,
                maxItems=node.max_items,
                **{ANNOTATION: noted or None},
            )
        case Object():
            return _written(
                type="object",
                description=node.description or None,
                properties={field.name: _field(field) for field in node.fields},
                required=[field.name for field in node.fields],
                additionalProperties=False,
                **{ANNOTATION: _written(within=node.within) or None},
            )


def _field(field: Field) -> dict[str, object]:
    inner = write(field.node)
    usual = "union" if isinstance(field.node, List) else "first"
    noted = _written(merge=field.merge if field.merge != usual else None)
    if field.nullable:
        inner = {"anyOf": [inner, {"type": "null"}]}
        if noted:
            inner[ANNOTATION] = noted
    elif noted:
        inner[ANNOTATION] = {**inner.get(ANNOTATION, {}), **noted}  # type: ignore[dict-item]
    if field.description:
        inner["description"] = field.description
    return inner


def _written(**keywords: object) -> dict[str, object]:
    return {keyword: value for keyword, value in keywords.items() if value is not None}
