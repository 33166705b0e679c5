"""Where every document stands: numbers for a task, and why one document was, was not or will be run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.store.connection import clean_path
from pipeline.store.documents import CURRENT, HAS_TEXT, LIVE, MAX_TRIES
from pipeline.store.failures import COLUMNS, Failed, failed
from pipeline.store.reading import Reading
from pipeline.store.work import ANSWERED_CHUNK, OPEN_CHUNK, recipe_id

State = Literal["done", "changed", "pending", "failed", "gone"]


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """How far a task is. documents = done + failed + pending, each document once, whatever its number of files."""

    task: str
    documents: int
    done: int  # with a row of the newest recipe and of their text as it is
    failed: int  # cannot be read, cut or answered
    pending: int
    incomplete: int  # of those done
    gone: int  # rows whose file is gone
    replaced: int  # rows in the history


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a document stands in one task, and why; `changed` names what differs: parts of the recipe, the text."""

    task: str
    state: State
    reason: str
    changed: tuple[str, ...] = ()
    row: int | None = None  # id in the task's table


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of one file or document. Unknown where `paths` is empty."""

    subject: str
    document: str | None
    paths: tuple[str, ...]  # that hold the document now, or held it when last seen
    verdicts: tuple[Verdict, ...]
    failures: tuple[Failed, ...]
    changes: str = ""  # how its tracked changes were read, where it has some


class Status(Reading):
    """Questions about the whole database that change nothing."""

    def status(self) -> tuple[TaskStatus, ...]:
        """The numbers of each task."""
        return tuple(self._task_status(task) for task in self.tasks())

    def _task_status(self, task: str) -> TaskStatus:
        recipe, parts = self._newest_recipe(task)
        row = self._one(
            TASK_STATUS,
            {"task": task, "recipe": recipe, "chunking": parts["chunking"], "only": None},
        )
        documents, done, incomplete, failures = (int(number or 0) for number in row)
        (gone,) = self._one(
            f"SELECT count(*) FROM _records r WHERE r.task = :task AND NOT {LIVE.format(document='r.document')}",
            {"task": task, "only": None},
        )
        (replaced,) = self._one("SELECT count(*) FROM _history WHERE task = ?", (task,))
        return TaskStatus(task, documents, done, failures, documents - done - failures, incomplete, gone, replaced)

    def explain(self, subject: str, recipes: Mapping[str, Mapping[str, str]] | None = None) -> Explanation:
        """Why the document at this path (or with this sha256) was, was not or will be run.

        `recipes` are the parts of the tasks' recipes as they are today; the newest ones that ran stand in.
        """
        paths, document = self._find(subject)
        tasks = self._all(
            """SELECT DISTINCT i.task FROM _inputs i JOIN _files f ON f.id = i.file
               WHERE f.path IN (SELECT value FROM json_each(?)) ORDER BY i.task""",
            (json.dumps(paths),),
        )
        verdicts = []
        for (task,) in tasks:
            if recipes is not None and task in recipes:
                recipe, parts = recipe_id(task, recipes[task]), recipes[task]
            else:
                recipe, parts = self._newest_recipe(task)
            verdicts.append(self._verdict(task, document, paths, recipe, parts))
        row = self._one("SELECT changes FROM _documents WHERE sha256 = ?", (document,))
        failures = tuple(self._failures_of(document, paths))
        return Explanation(subject, document, paths, tuple(verdicts), failures, "" if row is None else str(row[0]))

    def _find(self, subject: str) -> tuple[tuple[str, ...], str | None]:
        row = self._one("SELECT sha256 FROM _files WHERE path = ?", (clean_path(subject),))
        if row is not None and row[0] is None:
            return (clean_path(subject),), None
        document = subject if row is None else row[0]
        paths = self._all("SELECT path FROM _files WHERE sha256 = ? ORDER BY gone, id", (document,))
        return tuple(path for (path,) in paths), document if paths else None

    def _newest_recipe(self, task: str) -> tuple[str, dict[str, str]]:
        row = self._one(
            """SELECT r.id, r.parts FROM _tasks t JOIN _recipes r ON r.id = t.recipe
               WHERE t.name = ? ORDER BY t.version DESC LIMIT 1""",
            (task,),
        )
        if row is None:  # linked, but the run ended before the task was defined
            return "", {"chunking": ""}
        return str(row[0]), json.loads(row[1])

    def _failures_of(self, document: str | None, paths: tuple[str, ...]) -> list[Failed]:
        rows = self._all(
            f"""SELECT {COLUMNS} FROM _failures WHERE document = :document
                OR subject IN (SELECT value FROM json_each(:paths))
                OR work_key IN (SELECT w.key FROM _chunks c JOIN _work w ON w.text_hash = c.text_hash
                                WHERE c.document = :document) ORDER BY id""",
            {"document": document, "paths": json.dumps(paths)},
        )
        return [failed(row) for row in rows]

    def _verdict(
        self, task: str, document: str | None, paths: tuple[str, ...], recipe: str, parts: Mapping[str, str]
    ) -> Verdict:
        asked: dict[str, object] = {
            "task": task,
            "document": document,
            "recipe": recipe,
            "chunking": parts["chunking"],
            "only": None,
            "paths": json.dumps(paths),
        }
        record = self._one(
            """SELECT r.id, r.recipe = :recipe AND r.stale = 0, r.state, p.parts, r.cut, r.stale
               FROM _records r JOIN _recipes p ON p.id = r.recipe
               WHERE r.document = :document AND r.task = :task""",
            asked,
        )
        row = None if record is None else int(record[0])
        if not self._one(HERE, asked)[0]:
            return Verdict(task, "gone", "No file holds these bytes any more.", row=row)
        stuck = [f for f in self._failures_of(document, paths) if f.failure.task in (None, task)]
        if record is not None and record[1]:
            reason = "Its row is up to date."
            if record[2] != "complete":
                reason = f"Its row is up to date, but incomplete: {self._lack(str(document), json.loads(record[4]))}."
            return Verdict(task, "done", reason, row=row)
        whole = [f for f in stuck if f.failure.work_key is None]
        cut, is_open, answered = self._one(
            f"""SELECT EXISTS (SELECT 1 FROM _chunks WHERE document = :document AND chunking = :chunking),
                       {OPEN_CHUNK.format(document=":document")}, {ANSWERED_CHUNK.format(document=":document")}""",
            asked,
        )
        if whole or (cut and not is_open and not answered):
            again = any(f.tries < MAX_TRIES for f in whole or stuck)
            after = "The next run tries once more."
            if not again and any(f.failure.stage == "read" for f in whole):
                after = "A run that would read it otherwise tries it again, or `nightdesk retry`."
            elif not again:
                after = "Only `nightdesk retry` tries it again."
            return Verdict(task, "failed", after, row=row)
        if record is not None:
            changed = (*_changed(json.loads(record[3]), parts), *(["text"] if record[5] else []))
            return Verdict(task, "changed", f"Changed since: {', '.join(changed)}.", changed, row)
        if not self._one("SELECT EXISTS (SELECT 1 FROM _documents WHERE sha256 = :document)", asked)[0]:
            return Verdict(task, "pending", "It has not been read yet.")
        if not self._one(f"SELECT {HAS_TEXT.format(document=':document')}", asked)[0]:
            return Verdict(task, "done", "It has no text of its own; what it holds are documents of their own.")
        if not cut:
            return Verdict(task, "pending", "It has not been cut into chunks yet.")
        return Verdict(task, "pending", "It waits for its answers.")

    def _lack(self, document: str, cut: list[str]) -> str:
        """What keeps a record from being complete."""
        pages = self._all("SELECT number FROM _pages WHERE document = ? AND note IS NOT NULL", (document,))
        lacks = []
        if cut:
            lacks.append(f"its answer was longer than max_answer_tokens of the task, which cut {', '.join(cut)}")
        if pages:
            lacks.append(f"there is no good text on page {', '.join(str(number) for (number,) in pages)}")
        return "; ".join(lacks) or "a part of the document has no answer"


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in {*old, *new} if old.get(name) != new.get(name)))


HERE = """SELECT EXISTS (SELECT 1 FROM _files f CROSS JOIN _inputs i ON i.file = f.id
    WHERE i.task = :task AND f.gone = 0 AND (f.sha256 = :document
        OR (f.sha256 IS NULL AND f.path IN (SELECT value FROM json_each(:paths)))))"""

TASK_STATUS = f"""
    SELECT count(*), sum(done), sum(incomplete), sum(NOT done AND failed) FROM (
        SELECT r.id IS NOT NULL AS done, coalesce(r.state = 'incomplete', 0) AS incomplete,
            (EXISTS (SELECT 1 FROM _failures x WHERE x.work_key IS NULL AND x.document = d.sha256
                     AND coalesce(x.task, :task) = :task)
             OR EXISTS (SELECT 1 FROM _failures x WHERE x.work_key IS NULL AND x.subject = d.path
                        AND coalesce(x.task, :task) = :task)
             OR (EXISTS (SELECT 1 FROM _chunks c WHERE c.document = d.sha256 AND c.chunking = :chunking)
                 AND NOT {OPEN_CHUNK.format(document="d.sha256")}
                 AND NOT {ANSWERED_CHUNK.format(document="d.sha256")})) AS failed
        FROM (SELECT f.sha256, min(f.path) AS path FROM _files f CROSS JOIN _inputs i ON i.file = f.id
              WHERE i.task = :task AND f.gone = 0
                AND NOT EXISTS (SELECT 1 FROM _documents h
                                WHERE h.sha256 = f.sha256 AND NOT {HAS_TEXT.format(document="h.sha256")})
              GROUP BY coalesce(f.sha256, f.path)) AS d
        LEFT JOIN _records r ON {CURRENT.format(document="d.sha256")})"""
