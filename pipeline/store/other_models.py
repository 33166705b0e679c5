"""Records that another model made than the one of this run: who made them, and how they are left as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.store.connection import Part

MODEL_PARTS = ("model", "lora")
_FOLLOW = ("template", "chunking")  # they come from the model's file: its chat template, its tokenizer


@dataclass(frozen=True, slots=True)
class OtherModel:
    """The newest of the models that made records of this run's documents before, and how many records."""

    name: str
    sha256: str
    documents: int


class OtherModels(Part):
    """Questions and one change over `_records`, `_recipes` and `_inputs`."""

    def other_model(self, run_id: int, task: str, parts: Mapping[str, str]) -> OtherModel | None:
        """Which other model made records of the documents that this run reads; None where none did."""
        others = self._recipes_of_others(task, parts, only_the_model=False)
        row = self._one(
            f"""SELECT n.model, n.model_sha256, count(DISTINCT r.document) FROM _records r JOIN _runs n ON n.id = r.run
                WHERE {RECORD_OF_OTHERS}
                  AND r.document IN (SELECT f.sha256 FROM _files f JOIN _inputs i ON i.file = f.id
                                     WHERE i.task = :task AND i.run = :run AND f.gone = 0)
                GROUP BY n.model_sha256 ORDER BY max(r.run) DESC LIMIT 1""",
            {"task": task, "run": run_id, "recipes": json.dumps(others)},
        )
        return None if row is None else OtherModel(*row)

    def keep_records(self, run_id: int, task: str, parts: Mapping[str, str]) -> None:
        """Leave documents out of this run whose record differs from its recipe only in the model."""
        others = self._recipes_of_others(task, parts, only_the_model=True)
        with self.atomic():
            self._do(
                f"""UPDATE _inputs SET run = (
                        SELECT max(r.run) FROM _records r JOIN _files f ON f.sha256 = r.document
                        WHERE f.id = _inputs.file AND {RECORD_OF_OTHERS})
                    WHERE task = :task AND run = :run AND file IN (
                        SELECT f.id FROM _records r JOIN _files f ON f.sha256 = r.document WHERE {RECORD_OF_OTHERS})""",
                {"task": task, "run": run_id, "recipes": json.dumps(others)},
            )

    def _recipes_of_others(self, task: str, parts: Mapping[str, str], *, only_the_model: bool) -> list[str]:
        found = []
        for recipe, text in self._all("SELECT id, parts FROM _recipes WHERE task = ?", (task,)):
            old: dict[str, str] = json.loads(text)
            if all(old.get(name) == parts.get(name) for name in MODEL_PARTS):
                continue
            rest = {*old, *parts} - {*MODEL_PARTS, *_FOLLOW}
            if not only_the_model or all(old.get(name) == parts.get(name) for name in rest):
                found.append(recipe)
        return found


RECORD_OF_OTHERS = "r.task = :task AND r.recipe IN (SELECT value FROM json_each(:recipes))"
