"""The answers of a document's chunks -> one Record. Pure: no model, no store, no text but the values' own.

Scalars follow the field's merge rule, and a null is no vote; nor are words in place of a date, an amount or the like,
where another chunk has one. Every value that lost is a Conflict.

Lists are joined in chunk order (rule `union`, what a list has unless its schema says otherwise). What two chunks both
read in their overlap is kept once; equal items in different places are all kept: two coffees are two rows. A row of the
overlap that they read differently in one part is one item, and that part a Conflict. Plain texts that are not in order,
such as the parties of a contract, are names: what an earlier chunk named is not named again.
Any other rule takes the whole list of one chunk.

votes.py     what the chunks say about one path, and the one that is believed
items.py     lists whose items are joined
equality.py  when two values say the same
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.data import Chunk, Completeness, Document, Evidence, Extraction, Record
from pipeline.finders import Settled
from pipeline.merging.items import join
from pipeline.merging.votes import Answer, Merged, Vote, choose
from pipeline.schema import Field, List, Object

Answered = Sequence[tuple[Chunk, Extraction | None]]
"""The chunks of one document in order, each with its answer; None where it failed."""


def merge(
    document: Document,
    task: str,
    schema: Object,
    answered: Answered,
    evidence: Sequence[Sequence[Evidence]] = (),
    settled: Settled | None = None,
) -> Record:
    """One row for one document.

    `evidence[i]` belongs to `answered[i]`; it says which chunk's value is better grounded (rule `confident`) and which
    list items are one and the same. `settled` is how the document writes dates and amounts: values are equal where they
    mean the same in it. The record is incomplete when a chunk failed, a page was noted or a field was cut.
    """
    answers = [
        Answer(chunk, extraction, tuple(evidence[number]) if number < len(evidence) else (), settled or Settled())
        for number, (chunk, extraction) in enumerate(answered)
        if extraction is not None
    ]
    merged = Merged()
    votes = [Vote(answer, "", dict(answer.extraction.values)) for answer in answers]
    values = _merge_object(schema, votes, "", merged)
    complete = len(answers) == len(answered) and not merged.cut and not any(page.note for page in document.pages)
    return Record(
        document=document.sha256,
        task=task,
        values=values,
        state=Completeness.COMPLETE if complete else Completeness.INCOMPLETE,
        cut=tuple(dict.fromkeys(merged.cut)),
        evidence=tuple(dict.fromkeys(merged.evidence)),
        conflicts=tuple(merged.conflicts),
    )


def _merge_object(node: Object, votes: Sequence[Vote], path: str, merged: Merged) -> dict[str, object]:
    return {
        member.name: _merge_field(
            member,
            [vote.child(member.name) for vote in votes],
            f"{path}.{member.name}" if path else member.name,
            merged,
        )
        for member in node.fields
    }


def _merge_field(member: Field, votes: list[Vote], path: str, merged: Merged) -> object:
    said = [vote for vote in votes if vote.value is not None]
    match member.node:
        case Object() if said or not (votes or member.nullable):
            return _merge_object(member.node, said, path, merged)
        case List() if said and member.merge == "union":
            return join(member.node, votes, path, merged)
        case List():
            said = [vote for vote in said if vote.value] or said[:1]  # an empty list is no vote against a full one
    if not said:
        for vote in votes:
            merged.carry(vote, path)
        return [] if isinstance(member.node, List) and not member.nullable else None
    kept = choose(member, said)
    merged.carry(kept, path)
    known = {kept.key(member.node)}
    for vote in said:
        key = vote.key(member.node)
        if key not in known:
            known.add(key)
            merged.note_conflict(path, kept, vote)
    return kept.value
