"""Where calibrations are kept, and the labelled values that one is made of.

A calibration belongs to a recipe: task, examples, schema, model, settings. It lies in the user's data directory and not
in a database, because it is made on labelled documents and used on all the others, which lie in databases of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from pipeline import private_file
from pipeline.confidence import Calibration, Observation, features, field_of, rated
from pipeline.data import Evidence, Vocabulary
from pipeline.errors import UserError
from pipeline.merging import merge
from pipeline.prompting import Task
from pipeline.run.records import gather, settled_in, trace
from pipeline.store import Store


def file_of(recipe: str) -> Path:
    """Where the calibration of this recipe lies, if there is one."""
    return Path(platformdirs.user_data_dir("nightdesk")) / "calibrations" / f"{recipe[:16]}.json"


def load(recipe: str) -> Calibration | None:
    """The calibration of this recipe. Raises UserError where its file cannot be used."""
    file = file_of(recipe)
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The calibration {file} cannot be read.", hint="Remove it, or make it anew.") from error
    try:
        return Calibration.from_json(text)
    except UserError as error:
        raise UserError(f"{file}: {error.message}", hint=error.hint) from error


def save(recipe: str, calibration: Calibration) -> Path:
    """Keep the calibration of a recipe in place of an earlier one; its file."""
    file = file_of(recipe)
    try:
        private_file.write(file, calibration.to_json())
    except OSError as error:
        raise UserError(
            f"{file} cannot be written: {error.strerror}.", hint="Check the folder's permissions."
        ) from error
    return file


def observe(
    store: Store,
    task: Task,
    recipe: str,
    vocabulary: Vocabulary,
    verdicts: Mapping[str, Mapping[str, bool]],
    *,
    pointed: bool,
) -> list[Observation]:
    """The values of the records of these documents, each with whether it is right by its path."""
    found: list[Observation] = []
    for sha256, right in verdicts.items():
        answers = gather(store, task, recipe, store.document(sha256), vocabulary, pointed=pointed)
        traced = [(rated(pieces, its), its) for pieces, its in trace(answers)]
        # Merging renumbers items; a value is known again by all else that is known of it.
        known = {_unnumbered(piece): its[piece.path] for pieces, its in traced for piece in pieces if piece.path in its}
        evidence = [pieces for pieces, _ in traced]
        merged = merge(answers.document, task.name, task.schema.root, answers.chunks, evidence, settled_in(answers))
        for piece in merged.evidence:
            signal = known.get(_unnumbered(piece))
            if piece.path in right and signal is not None:
                numbers = features(signal, piece)
                found.append(Observation(sha256, field_of(piece.path), right[piece.path], numbers))
    return found


def _unnumbered(piece: Evidence) -> Evidence:
    return dataclasses.replace(piece, path=field_of(piece.path))
