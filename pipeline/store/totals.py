"""How much there is to do: counts of documents and of open work."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.store.documents import CURRENT, HAS_TEXT, LIVE, MAX_TRIES
from pipeline.store.work import WorkTable


@dataclass(frozen=True, slots=True)
class Totals:
    """What a task has to do under a recipe. Equal texts are one piece of work."""

    documents: int
    current: int  # with a record of this recipe and of their text as it is
    work: int
    tokens: int  # of the chunks that the work is about


class TotalsTable(WorkTable):
    """Sums over `_work` and `_records`."""

    def totals(self, task: str, recipe_id: str, *, run_id: int | None = None) -> Totals:
        """Count the task's documents (with `run_id`, those that run reads) and enter and count its open work."""
        parameters: dict[str, object] = {
            "task": task,
            "recipe": recipe_id,
            "chunking": self._chunking(recipe_id),
            "only": run_id,
            "tries": MAX_TRIES,
        }
        self._enter_new_work(parameters)
        documents, current = self._one(DOCUMENTS, parameters)
        work, tokens = self._one(OPEN_WORK, parameters)
        return Totals(documents, current, work, tokens)

    def path_of(self, sha256: str) -> str:
        """A path that holds this document; the first one known, and one that is there if there is one."""
        row = self._one("SELECT path FROM _files WHERE sha256 = ? ORDER BY gone, id LIMIT 1", (sha256,))
        return sha256 if row is None else str(row[0])


DOCUMENTS = f"""
    SELECT count(*), count(r.id) FROM _documents d
    LEFT JOIN _records r ON {CURRENT.format(document="d.sha256")}
    WHERE {HAS_TEXT.format(document="d.sha256")} AND {LIVE.format(document="d.sha256")}"""

OPEN_WORK = f"""
    SELECT count(*), coalesce(sum(tokens), 0) FROM (
        SELECT max(c.tokens) AS tokens FROM _work w
        JOIN _chunks c ON c.text_hash = w.text_hash AND c.chunking = :chunking
        WHERE w.recipe = :recipe AND NOT EXISTS (SELECT 1 FROM _extractions e WHERE e.work = w.key)
          AND NOT EXISTS (SELECT 1 FROM _failures x WHERE x.work_key = w.key AND x.tries >= :tries)
          AND {LIVE.format(document="c.document")}
        GROUP BY w.key)"""
