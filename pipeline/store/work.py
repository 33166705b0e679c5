"""Recipes, the work they make of texts, and the answers.

A work key is fingerprint(hash of a chunk's text, recipe): equal texts are asked once, wherever they stand.
"""

from __future__ import annotations

import array
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.data import Chunk, Completion, Counts, Extraction, Stop, fingerprint
from pipeline.store.connection import PAGE, Part, as_json, clean, now
from pipeline.store.documents import CURRENT, LIVE, MAX_TRIES


def recipe_id(task: str, parts: Mapping[str, str]) -> str:
    """The name of a recipe: equal for the same task and parts on every machine."""
    return fingerprint(task, dict(parts))


def work_key(text_hash: str, recipe: str) -> str:
    """The name of one question: this text under this recipe."""
    return fingerprint(text_hash, recipe)


@dataclass(frozen=True, slots=True)
class Work:
    """One question not yet answered, and the first place of the task where its text stands."""

    work_key: str
    text_hash: str
    tokens: int  # of the chunk
    document: str
    index: int
    start: int
    end: int
    place: int  # ascends from work to work, and is the same for every task that has the text first in this document


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said to one question, as it was saved."""

    raw: str = field(repr=False)
    extraction: Extraction
    completion: Completion


class WorkTable(Part):
    """The tables `_recipes`, `_work` and `_extractions`."""

    def recipe(self, task: str, parts: Mapping[str, str]) -> str:
        """Keep what makes a task's answers what they are (prompt, schema, model ...) and give its name.

        `parts["chunking"]` is the chunking id that the task's chunks are saved under.
        """
        name = recipe_id(task, parts)
        with self.atomic():
            self._do(
                "INSERT INTO _recipes (id, task, chunking, parts, saved) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    name,
                    task,
                    parts["chunking"],
                    as_json(dict(sorted(parts.items()))),
                    now(),
                ),
            )
        return name

    def recipe_parts(self, recipe_id: str) -> dict[str, str]:
        """What `recipe` was told. KeyError where there is none of this name."""
        row = self._one("SELECT parts FROM _recipes WHERE id = ?", (recipe_id,))
        if row is None:
            raise KeyError(recipe_id)
        return dict(json.loads(row[0]))

    def pending(self, task: str, recipe_id: str, *, run_id: int | None = None) -> Iterator[Work]:
        """The questions of the task (with `run_id`, of the files that run reads) that are still to be answered.

        Short documents come before long ones, and documents of about the same length in the order in which they
        were first seen. The caller may write between two of them; what it adds is not seen by an iterator that has
        begun. What failed twice is left out.
        """
        parameters: dict[str, object] = {
            "task": task,
            "recipe": recipe_id,
            "chunking": self._chunking(recipe_id),
            "only": run_id,
            "tries": MAX_TRIES,
        }
        self._enter_new_work(parameters)
        return self._stream(parameters)

    def _enter_new_work(self, parameters: dict[str, object]) -> None:
        self.db.conn.create_function("work_key", 2, work_key, deterministic=True)
        with self.atomic():
            self._do(ENTER_NEW_WORK, parameters)

    def _stream(self, parameters: dict[str, object]) -> Iterator[Work]:
        order, places = array.array("q"), array.array("q")
        for number, place in self._all(WORK_ORDER, parameters):
            order.append(number)
            places.append(place)
        for begin in range(0, len(order), PAGE):
            page = order[begin : begin + PAGE]
            there = {row[0]: row[1:] for row in self._all(NEXT_WORK, {**parameters, "numbers": json.dumps([*page])})}
            for number, place in zip(page, places[begin : begin + PAGE], strict=True):
                if number not in there:  # answered or failed meanwhile
                    continue
                key, text_hash = there[number]
                first = self._one(FIRST_PLACE, {**parameters, "text_hash": text_hash})
                if first is not None:
                    tokens, document, index, start, end = first
                    yield Work(key, text_hash, tokens, document, index, start, end, place)

    def _chunking(self, recipe: str) -> str:
        row = self._one("SELECT chunking FROM _recipes WHERE id = ?", (recipe,))
        if row is None:
            raise KeyError(recipe)
        return str(row[0])

    def save_extraction(
        self,
        run_id: int,
        recipe_id: str,
        work_key: str,
        completion: Completion,
        raw: str,
        extraction: Extraction,
        thought: str | None = None,
    ) -> None:
        """Keep an answer and forget that its key failed. A key is answered once; a second answer is refused.

        `thought` is what stood before the answer, where that is to be kept.
        """
        counts = completion.counts
        with self.atomic():
            if not self._one("SELECT 1 FROM _work WHERE key = ? AND recipe = ?", (work_key, recipe_id)):
                raise KeyError(work_key)
            self._do(
                """INSERT INTO _extractions (work, run, raw, answer, samples, cut, stop, logprob,
                       prefilled, reused, forced, sampled, tokens, saved, thought)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    work_key,
                    run_id,
                    clean(raw),
                    as_json(dict(extraction.values)),
                    as_json([dict(values) for values in extraction.samples]),
                    as_json(extraction.cut),
                    completion.stop.value,
                    sum(completion.logprobs),
                    counts.prefilled,
                    counts.reused,
                    counts.forced,
                    counts.sampled,
                    _packed(completion),
                    now(),
                    None if thought is None or not self.keep_text else clean(thought),  # it talks of the text
                ),
            )
            self._do("DELETE FROM _failures WHERE work_key = ?", (work_key,))

    def answer(self, work_key: str) -> Answer | None:
        """The saved answer to this key."""
        row = self._one(
            """SELECT raw, answer, samples, cut, stop, prefilled, reused, forced, sampled, tokens
               FROM _extractions WHERE work = ?""",
            (work_key,),
        )
        if row is None:
            return None
        raw, answer, samples, cut, stop, prefilled, reused, forced, sampled, tokens = row
        counts = Counts(prefilled, reused, forced, sampled)
        extraction = _extraction(work_key, answer, samples, cut)
        return Answer(raw, extraction, _unpacked(work_key, tokens, counts, Stop(stop)))

    def extractions(self, sha256: str, recipe_id: str) -> list[tuple[Chunk, Extraction | None]]:
        """The document's chunks in order, each with its answer, or None where it failed or is still to come."""
        rows = self._all(
            """SELECT c.position, c.start_char, c.end_char, c.tokens, w.key, e.answer, e.samples, e.cut
               FROM _chunks c
               LEFT JOIN _work w ON w.recipe = :recipe AND w.text_hash = c.text_hash
               LEFT JOIN _extractions e ON e.work = w.key
               WHERE c.document = :document AND c.chunking = :chunking ORDER BY c.position""",
            {"recipe": recipe_id, "document": sha256, "chunking": self._chunking(recipe_id)},
        )
        (text,) = self._one("SELECT text FROM _documents WHERE sha256 = ?", (sha256,))
        return [
            (
                Chunk(sha256, position, start, end, text[start:end], tokens),
                None if answer is None else _extraction(key, answer, samples, cut),
            )
            for position, start, end, tokens, key, answer, samples, cut in rows
        ]

    def completed_documents(self, task: str, recipe_id: str, work_key: str) -> list[str]:
        """The task's documents in which this key's text stands and that now have every chunk answered or failed.

        A document of which every chunk failed is not among them: there is nothing to make a record of.
        """
        return [
            sha256
            for (sha256,) in self._all(
                COMPLETED,
                {
                    "task": task,
                    "recipe": recipe_id,
                    "chunking": self._chunking(recipe_id),
                    "key": work_key,
                    "only": None,
                },
            )
        ]

    def unmerged(self, task: str, recipe_id: str, *, run_id: int | None = None) -> Iterator[str]:
        """Documents with every chunk answered or failed and no current record.

        They come about without an answer of their own: a new or changed text that was all answered before.
        """
        parameters: dict[str, object] = {
            "task": task,
            "recipe": recipe_id,
            "chunking": self._chunking(recipe_id),
            "only": run_id,
            "page": PAGE,
        }
        last = 0
        while rows := self._all(UNMERGED, {**parameters, "last": last}):
            for number, sha256 in rows:
                last = number
                yield sha256


# New texts of the task, in the order of their first place. SQLite spills the sort to a temporary file.
ENTER_NEW_WORK = f"""
    INSERT INTO _work (key, recipe, text_hash)
    SELECT work_key(text_hash, :recipe), :recipe, text_hash FROM (
        SELECT c.text_hash, min(d.id * 1000000 + c.position) AS place
        FROM _documents d JOIN _chunks c ON c.document = d.sha256 AND c.chunking = :chunking
        WHERE NOT EXISTS (SELECT 1 FROM _work w WHERE w.recipe = :recipe AND w.text_hash = c.text_hash)
          AND {LIVE.format(document="d.sha256")}
        GROUP BY c.text_hash ORDER BY place)"""

_STILL_OPEN = """NOT EXISTS (SELECT 1 FROM _extractions e WHERE e.work = w.key)
      AND NOT EXISTS (SELECT 1 FROM _failures x WHERE x.work_key = w.key AND x.tries >= :tries)"""

# A night does all letters before the first book. Lengths are told apart in steps of four from 40,000 characters (some
# ten pages) on, so that documents of about the same length keep their order. The length is that of the text and not
# the tokens of the chunks, and the order that of the documents and not of `_work`, which a task enters when it first
# sees them: several tasks, which cut differently and began at different times, must bring the documents in one order.
WORK_ORDER = f"""
    SELECT w.id, place.first + 1000000000000000 * coalesce((
        SELECT CASE WHEN p.end_char < 40000 THEN 0 WHEN p.end_char < 160000 THEN 1
                    WHEN p.end_char < 640000 THEN 2 WHEN p.end_char < 2560000 THEN 3 ELSE 4 END
        FROM _pages p WHERE p.document = d.sha256 ORDER BY p.number DESC LIMIT 1), 0)
    FROM _work w JOIN (
        SELECT c.text_hash, min(d.id * 1000000 + c.position) AS first
        FROM _chunks c JOIN _documents d ON d.sha256 = c.document
        WHERE c.chunking = :chunking AND {LIVE.format(document="c.document")} GROUP BY c.text_hash
    ) AS place ON place.text_hash = w.text_hash
    JOIN _documents d ON d.id = place.first / 1000000
    WHERE w.recipe = :recipe AND {_STILL_OPEN}
    ORDER BY 2"""

NEXT_WORK = f"""
    SELECT w.id, w.key, w.text_hash FROM _work w
    WHERE w.id IN (SELECT value FROM json_each(:numbers)) AND {_STILL_OPEN}"""

FIRST_PLACE = f"""
    SELECT c.tokens, c.document, c.position, c.start_char, c.end_char
    FROM _chunks c JOIN _documents d ON d.sha256 = c.document
    WHERE c.text_hash = :text_hash AND c.chunking = :chunking AND {LIVE.format(document="c.document")}
    ORDER BY d.id, c.position LIMIT 1"""

OPEN_CHUNK = """EXISTS (
    SELECT 1 FROM _chunks o LEFT JOIN _work w ON w.recipe = :recipe AND w.text_hash = o.text_hash
    WHERE o.document = {document} AND o.chunking = :chunking
      AND (w.key IS NULL OR NOT EXISTS (SELECT 1 FROM _extractions e WHERE e.work = w.key)
           AND NOT EXISTS (SELECT 1 FROM _failures x WHERE x.work_key = w.key)))"""

ANSWERED_CHUNK = """EXISTS (
    SELECT 1 FROM _chunks a JOIN _work w ON w.recipe = :recipe AND w.text_hash = a.text_hash
    JOIN _extractions e ON e.work = w.key WHERE a.document = {document} AND a.chunking = :chunking)"""

COMPLETED = f"""
    SELECT DISTINCT c.document FROM _work k
    JOIN _chunks c ON c.text_hash = k.text_hash AND c.chunking = :chunking
    WHERE k.key = :key AND {LIVE.format(document="c.document")}
      AND NOT {OPEN_CHUNK.format(document="c.document")} AND {ANSWERED_CHUNK.format(document="c.document")}
    ORDER BY c.document"""

UNMERGED = f"""
    SELECT d.id, d.sha256 FROM _documents d
    WHERE d.id > :last AND {LIVE.format(document="d.sha256")}
      AND NOT EXISTS (SELECT 1 FROM _records r WHERE {CURRENT.format(document="d.sha256")})
      AND {ANSWERED_CHUNK.format(document="d.sha256")} AND NOT {OPEN_CHUNK.format(document="d.sha256")}
    ORDER BY d.id LIMIT :page"""


def _extraction(key: str, answer: str, samples: str, cut: str) -> Extraction:
    return Extraction(key, json.loads(answer), tuple(json.loads(cut)), tuple(json.loads(samples)))


def _packed(completion: Completion) -> bytes:
    """Token ids and their three rows of figures: most are forced tokens' zeros, so it packs well."""
    numbers = array.array("i", completion.tokens)
    figures = array.array("d", (*completion.logprobs, *completion.removed, *completion.gaps))
    if sys.byteorder == "big":
        numbers.byteswap()
        figures.byteswap()
    return zlib.compress(len(numbers).to_bytes(4, "little") + numbers.tobytes() + figures.tobytes())


def _unpacked(key: str, packed: bytes, counts: Counts, stop: Stop) -> Completion:
    plain = zlib.decompress(packed)
    length = int.from_bytes(plain[:4], "little")
    numbers, figures = array.array("i"), array.array("d")
    numbers.frombytes(plain[4 : 4 + length * numbers.itemsize])
    figures.frombytes(plain[4 + length * numbers.itemsize :])
    if sys.byteorder == "big":
        numbers.byteswap()
        figures.byteswap()
    third = len(figures) // 3
    return Completion(
        key,
        tuple(numbers),
        tuple(figures[:third]),
        tuple(figures[third : 2 * third]),
        tuple(figures[2 * third :]),
        counts,
        stop,
    )
