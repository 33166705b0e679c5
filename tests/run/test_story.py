"""The story of a run on the scripted model: what is done, what is done again, and what is not."""

from __future__ import annotations

import email.message
import itertools
import json
import os
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import platformdirs
import pytest

from pipeline.batching import Halt
from pipeline.config import Job, JobTask, Sampling, Shape
from pipeline.data import Completion, Counts, Document, Page, Prompt, Record, Stop, fingerprint
from pipeline.errors import JobError
from pipeline.run import PACKAGES, Answered, Event, FileRead, ModelChanged, Opened, Recorded, _Run, run
from pipeline.run.extract import TaskRun
from pipeline.run.intake import Intake
from pipeline.run.model import ScriptedModel
from pipeline.run.records import Answers
from pipeline.store import FileRow, Store

TABLES = (
    "SELECT document, file, state, cut, gone, tone, word FROM tone ORDER BY document",
    "SELECT t.document, c.position, c.value FROM tone_topics c JOIN tone t ON t.id = c.parent ORDER BY 1, 2",
    """SELECT r.document, e.path, e.quote, e.found, e.start_char, e.end_char, e.page, e.occurrences
       FROM _evidence e JOIN _records r ON r.id = e.record ORDER BY 1, 2""",
)


def long_letter(parts: int = 6) -> str:
    return "\n\n".join(f"Paragraph {i}. " + f"The weather of day {i} was fine. " * 9 for i in range(parts))


# --- again


def test_running_again_does_nothing(nights):
    nights.letters(3)
    nights.write("long.txt", long_letter())
    first = nights.run()

    again = nights.run()

    assert first.summary.state == again.summary.state == "done"
    assert (again.looked.files, again.looked.unchanged, again.looked.to_read) == (4, 4, 0)
    assert (again.plan().documents, again.plan().current, again.plan().work) == (4, 4, 0)
    assert again.answered == again.recorded == 0
    assert not again.engine_started


def test_a_file_touched_but_not_changed_is_not_done_again(nights):
    file = nights.write("a.txt", "The weather was fine.")
    nights.run()
    file.touch()

    again = nights.run()

    assert again.looked.unchanged == again.looked.to_read == again.answered == 0


def test_an_edited_file_replaces_its_row_and_the_old_one_is_history(nights):
    nights.letters(2)
    nights.run()
    nights.write("0001.txt", "Now it says something else.")

    again = nights.run()

    assert again.answered == again.recorded == 1
    assert nights.count("tone") == 2
    assert nights.sql("SELECT reason, file FROM _history") == [
        ("its file has changed", str(nights.path / "docs/0001.txt"))
    ]


def test_a_file_that_is_gone_is_marked_and_comes_back_without_work(nights):
    nights.letters(2)
    nights.run()
    file = nights.path / "docs/0001.txt"
    text = file.read_text()
    file.unlink()

    assert nights.run().summary.gone == 1
    assert nights.sql("SELECT count(*), sum(gone) FROM tone") == [(2, 1)]

    file.write_text(text)
    back = nights.run()

    assert back.answered == 0
    assert nights.sql("SELECT count(*), sum(gone) FROM tone") == [(2, 0)]


def test_the_same_bytes_under_two_names_are_processed_once_and_reported_under_both(nights):
    one = nights.write("a.txt", "The weather was fine.")
    two = nights.write("b.txt", "The weather was fine.")

    first = nights.run()

    assert (first.looked.files, first.looked.to_read, first.answered, first.recorded) == (2, 1, 1, 1)
    with Store.open(nights.database, write=False) as store:
        for file in (one, two):
            explanation = store.explain(str(file))
            assert set(explanation.paths) == {str(one), str(two)}
            assert [v.state for v in explanation.verdicts] == ["done"]


def test_equal_texts_of_different_files_are_answered_once(nights):
    nights.write("a.txt", "The weather was fine.")
    nights.write("b.txt", "\ufeffThe weather was fine.")

    first = nights.run()

    assert (first.looked.to_read, first.answered, first.recorded) == (2, 1, 2)
    assert nights.count("tone") == 2


def test_a_new_file_with_a_known_text_needs_no_engine(nights):
    nights.write("a.txt", "The weather was fine.")
    nights.run()
    nights.write("b.txt", "\ufeffThe weather was fine.")

    again = nights.run()

    assert (again.answered, again.recorded) == (0, 1)
    assert not again.engine_started


# --- what makes an answer what it is

SMALLER_SCHEMA = '{"type": "object", "properties": {"tone": {"enum": ["good", "bad"]}}, "required": ["tone"]}'
CHANGES = {
    "instructions": ({"instructions": "Say the tone."}, {}),
    "examples": ({"examples": ""}, {}),
    "schema": ({"schema": SMALLER_SCHEMA, "examples": ""}, {}),
    "chunk size": ({"chunk": 300}, {}),
    "answer budget": ({"answer": 119}, {}),
    "temperature": ({}, {"sampling": Sampling(temperature=0.7)}),
    "seed": ({}, {"sampling": Sampling(seed=1)}),
    "grammar": ({}, {"grammar": "free"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_makes_an_answer_what_it_is_asks_again_and_reads_nothing(nights, change):
    task, engine = CHANGES[change]
    nights.letters(2)
    nights.run()
    ids = nights.sql("SELECT id, document FROM tone ORDER BY id")
    nights.task("tone", **task)

    again = nights.run(**engine)

    assert again.looked.to_read == 0
    assert not again.all(FileRead)
    assert again.plan().current == 0
    if change != "grammar":  # unconstrained noise is no valid answer
        assert again.answered == again.recorded == 2
        assert nights.sql("SELECT id, document FROM tone ORDER BY id") == ids
        assert nights.sql("SELECT DISTINCT reason FROM _history") == [("answered again",)]
        assert nights.run(**engine).answered == 0


SPEED = {
    "slots": {"slots": 2},
    "context": {"context": 4096},
    "threads": {"threads": 1},
    "ubatch": {"ubatch": 64},
    "batch": {"batch": 256},
    "flash attention off": {"flash_attention": False},
    "flash attention for prompts": {"flash_attention": "prompts"},
    "cache type": {"kv_type": "q8_0"},
    "forced tokens off": {"forced_tokens": False},
    "drafts": {"drafts": 8},
    "replicas": {"replicas": 2},
    "prefix cache": {"prefix_cache": True},
    "passive": {"passive": True, "replicas": 2},  # it is a child process that has it
    "layers on the GPU": {"gpu_layers": 0},
    "swapping": {"allow_swap": True},
}
"""Every setting of shape, so that a new one is not forgotten."""


def test_every_setting_of_shape_is_among_them():
    assert {name for shape in SPEED.values() for name in shape} == {*Shape.model_fields}


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(
    "engine",
    [*({"shape": Shape(**shape)} for shape in SPEED.values()), {"engine": "naive"}],
    ids=[*SPEED, "naive"],
)
def test_what_only_makes_it_faster_or_slower_does_nothing_again(nights, engine):
    nights.letters(2)
    nights.run()

    assert nights.run(**engine).answered == 0


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("shape", SPEED.values(), ids=SPEED)
def test_what_only_makes_it_faster_or_slower_writes_the_tables_of_the_slow_twin(nights, shape):
    """All but the confidence: what the model thinks of a forced token is known only where it was sampled."""
    nights.letters(3)
    nights.write("long.txt", long_letter())
    nights.run(engine="naive")
    slow = [nights.sql(query) for query in TABLES]
    for _ in range(2):  # the second time with what the first one has kept
        nights.database.unlink()
        nights.run(shape=Shape(**{"slots": 3} | shape))
        assert [nights.sql(query) for query in TABLES] == slow

    assert slow[0]


def test_a_changed_task_leaves_the_other_tasks_alone(nights):
    nights.letters(2)
    nights.task("other", instructions="Another question.")
    nights.run(tasks=("tone", "other"))
    nights.task("tone", instructions="Say the tone.")

    again = nights.run(tasks=("tone", "other"))

    assert again.plan("tone").work == 2
    assert again.plan("other").work == 0
    assert {event.task for event in again.all(Answered)} == {"tone"}


@pytest.fixture
def other_model(monkeypatch):
    """A scripted model whose file has changed: another hash, the same name."""

    def change(sha256="1" * 64):
        monkeypatch.setattr(ScriptedModel, "sha256", sha256)

    return change


def test_a_changed_model_is_said_and_its_rows_are_made_again(nights, other_model):
    nights.letters(3)
    assert nights.run().all(ModelChanged) == []
    assert nights.run().all(ModelChanged) == []
    other_model()
    again = nights.run()

    assert again.all(ModelChanged) == [ModelChanged("tone", "scripted", "0" * 64, "scripted", "1" * 64, 3, kept=False)]
    assert again.answered == again.recorded == 3
    assert nights.run().all(ModelChanged) == []


def test_a_run_records_its_model_its_settings_and_the_versions_of_the_libraries(nights):
    nights.letters(1)
    nights.run()
    ((sha256, settings, versions),) = nights.sql("SELECT model_sha256, settings, versions FROM _runs")

    assert sha256 == ScriptedModel.sha256
    assert json.loads(settings)["model"] == "scripted"
    assert json.loads(versions).items() >= {name: metadata.version(name) for name in PACKAGES}.items()


def test_rows_of_another_model_may_be_kept_and_the_new_model_does_the_rest(nights, other_model):
    nights.letters(3)
    nights.run()
    rows = nights.sql("SELECT id, run, word FROM tone ORDER BY id")
    other_model()
    nights.letters(5)
    kept = nights.run(model_change="keep")

    assert kept.all(ModelChanged)[0].kept
    assert kept.all(ModelChanged)[0].documents == 3
    assert kept.answered == kept.recorded == kept.plan().documents == 2
    assert nights.sql("SELECT id, run, word FROM tone ORDER BY id")[:3] == rows
    assert nights.count("_history") == 0
    assert nights.run(model_change="keep").answered == 0
    nights.check()
    assert nights.run().answered == 3  # the choice is made anew by every run


def test_rows_are_not_kept_when_more_than_the_model_has_changed(nights, other_model):
    nights.letters(2)
    nights.run()
    other_model()
    nights.task("tone", instructions="Say it otherwise.")

    assert nights.run(model_change="keep").answered == 2


def test_a_setting_taken_back_finds_its_answers_again(nights):
    nights.letters(2)
    nights.run()
    before = nights.sql(TABLES[0])
    nights.run(sampling=Sampling(temperature=0.9, seed=3))

    back = nights.run()

    assert (back.answered, back.recorded) == (0, 2)
    assert nights.sql(TABLES[0]) == before


def test_two_tasks_of_one_name_are_the_users_mistake(nights, tmp_path):
    copy = tmp_path / "elsewhere/prompts/tone.toml"
    copy.parent.mkdir(parents=True)
    copy.write_text((tmp_path / "prompts/tone.toml").read_text())
    (tmp_path / "elsewhere/schemas").mkdir()
    (tmp_path / "elsewhere/schemas/tone.json").write_text((tmp_path / "schemas/tone.json").read_text())
    entries = tuple(
        JobTask(task=str(path), inputs=(tmp_path / "docs",)) for path in (tmp_path / "prompts/tone.toml", copy)
    )
    with pytest.raises(JobError, match="tone"):
        list(run(Job(database=nights.database, model="scripted", tasks=entries)))
    assert not nights.database.exists()


def test_the_inputs_of_one_task_may_be_said_in_two_places(nights, tmp_path):
    nights.letters(1)
    (tmp_path / "more").mkdir()
    (tmp_path / "more/x.txt").write_text("Another letter.")
    task = str(tmp_path / "prompts/tone.toml")
    entries = tuple(JobTask(task=task, inputs=(tmp_path / folder,)) for folder in ("docs", "more"))

    list(run(Job(database=nights.database, model="scripted", tasks=entries)))

    assert nights.sql("SELECT count(*), sum(gone) FROM tone") == [(2, 0)]


# --- parts of a job


def test_a_limit_draws_that_many_and_takes_nothing_for_gone(nights):
    nights.letters(12)
    nights.run(limit=5)

    sample = nights.run(limit=3)

    drawn = nights.count("tone")
    assert (sample.looked.files, sample.plan().documents, sample.summary.gone) == (3, 3, 0)
    assert 5 <= drawn <= 8
    assert nights.sql("SELECT sum(gone) FROM tone") == [(0,)]
    assert nights.run().answered == 12 - drawn


def test_a_limit_beyond_the_folder_is_the_folder(nights):
    nights.letters(2)

    assert nights.run(limit=50).recorded == 2


def test_a_dry_run_starts_no_engine_and_keeps_what_was_read(nights, monkeypatch):
    nights.letters(3)

    def started(*args: object, **kwargs: object) -> None:
        raise AssertionError("a dry run started an engine")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.run.model.ScriptedModel.start", started)
        dry = nights.run(dry_run=True)

    assert dry.summary.state == "planned"
    assert (dry.plan().documents, dry.plan().work) == (3, 3)
    assert dry.plan().tokens == sum(len(f.read_bytes()) for f in (nights.path / "docs").iterdir())
    assert nights.count("_documents") == nights.count("_chunks") == 3
    assert nights.count("tone") == 0
    real = nights.run()
    assert (real.looked.to_read, real.recorded) == (0, 3)


def test_draining_leaves_the_rest_pending_and_the_next_run_does_it(nights):
    nights.letters(30)
    asked = itertools.count()

    outcome = nights.run(stop=lambda: Halt.DRAIN if next(asked) > 40 else Halt.NO, shape=Shape(slots=2))

    assert outcome.summary.state == "stopped"
    assert 0 < outcome.recorded < 30
    assert outcome.summary.left == 30 - outcome.answered
    assert nights.sql("SELECT state FROM _runs") == [("stopped",)]
    rest = nights.run()
    assert rest.recorded == 30 - outcome.recorded
    assert rest.summary.state == "done"


def test_a_run_that_breaks_off_is_marked_and_what_it_finished_is_kept(nights, monkeypatch):
    nights.letters(6)
    save, calls = TaskRun.save, []

    def breaking(self, completion):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return save(self, completion)

    with monkeypatch.context() as patch:
        patch.setattr(TaskRun, "save", breaking)
        with pytest.raises(KeyboardInterrupt):
            nights.run()

    assert nights.sql("SELECT state FROM _runs") == [("interrupted",)]
    assert nights.count("tone") == 3
    assert nights.run().recorded == 3


# --- documents within documents, and documents of many chunks


def mail(*attachments: tuple[str, bytes], body: str = "Please find it attached.") -> bytes:
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.org", "b@example.org", "Papers"
    message.set_content(body)
    for name, content in attachments:
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()


def test_attachments_become_documents_of_their_own_with_a_link_to_their_mail(nights):
    inner = mail(("deep.txt", b"A letter within a mail within a mail."))
    file = nights.write("a.eml", mail(("one.txt", b"A letter in a mail."), ("inner.eml", inner)))

    outcome = nights.run()

    assert outcome.recorded == 4
    assert nights.sql("SELECT path, parent, name FROM _files ORDER BY path") == [
        (str(file), None, "a.eml"),
        (f"{file}!/1", str(file), "one.txt"),
        (f"{file}!/2", str(file), "inner.eml"),
        (f"{file}!/2!/1", f"{file}!/2", "deep.txt"),
    ]
    assert nights.sql("SELECT sum(gone), count(DISTINCT file) FROM tone") == [(0, 4)]
    assert nights.run().answered == 0


def test_attachments_are_saved_before_their_mail_is_done(nights, monkeypatch):
    """Else a crash between the two would lose them: a mail that was read is not read again."""
    nights.write("a.eml", mail(("one.txt", b"A letter in a mail."), ("two.txt", b"A second letter.")))
    save = Store.save_document
    saved = []

    def breaking(self, run_id, document):
        if saved:
            raise KeyboardInterrupt
        save(self, run_id, document)
        saved.append(document.reader)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save_document", breaking)
        with pytest.raises(KeyboardInterrupt):
            nights.run()

    assert nights.run().recorded == 3


def test_an_attachment_that_cannot_be_read_is_tried_twice_and_then_after_retry(nights):
    file = nights.write("a.eml", mail(("empty.txt", b""), ("one.txt", b"A letter in a mail.")))

    first, second, third = nights.run(), nights.run(), nights.run()

    assert [f.failure.subject for f in first.failures] == [f"{file}!/1"]
    assert first.recorded == 2
    assert [f.tries for f in second.failures] == [2]
    assert not third.failures
    with Store.open(nights.database) as store:
        assert store.retry() == 1
    assert [f.tries for f in nights.run().failures] == [1]


def test_a_mail_of_attachments_only_is_not_read_every_night(nights):
    message = email.message.EmailMessage()
    message.add_attachment(b"A letter in a mail.", maintype="text", subtype="plain", filename="one.txt")
    nights.write("a.eml", b"MIME-Version: 1.0\n" + message.as_bytes())

    outcome = nights.run()
    again = nights.run()

    assert outcome.recorded >= 1
    assert again.looked.to_read == 0
    assert again.answered == 0


def test_a_document_of_many_chunks_is_one_row(nights):
    nights.write("long.txt", long_letter())

    outcome = nights.run()

    assert nights.count("_chunks") == outcome.answered > 4
    assert outcome.recorded == nights.count("tone") == 1
    assert nights.sql("SELECT state FROM tone") == [("complete",)]


def test_a_document_whose_chunk_failed_is_incomplete_until_that_is_answered(nights, refusing, monkeypatch):
    nights.write("long.txt", long_letter(5) + "\n\n#refuse#")

    outcome = nights.run()

    assert nights.sql("SELECT state FROM tone") == [("incomplete",)]
    assert [(f.failure.stage, f.failure.error, f.tries) for f in outcome.failures] == [("answer", "AnswerError", 1)]
    assert outcome.failures[0].failure.hint
    assert outcome.summary.state == "failures"
    monkeypatch.setattr(type(refusing[0]), "words", b"#never#")
    again = nights.run()
    assert again.answered == 1
    assert nights.sql("SELECT state FROM tone") == [("complete",)]
    assert nights.count("_failures") == 0


@pytest.mark.parametrize("number", ["1e999", "1" + "0" * 20])
def test_a_number_that_no_column_holds_costs_its_own_document_only(nights, answering, number):
    answering(f'{{"n": {number}}}'.encode())
    kind = "integer" if number.isdigit() else "number"
    schema = f'{{"type": "object", "properties": {{"n": {{"type": "{kind}"}}}}, "required": ["n"]}}'
    nights.task("counts", schema=schema, examples="")
    nights.write("a.txt", "A letter #refuse# of doom.")
    nights.write("b.txt", "A letter.")

    outcome = nights.run(tasks=("counts",))

    assert [f.failure.message for f in outcome.failures] == ["n is a number beyond what a table can hold."]
    assert nights.sql("SELECT file FROM counts WHERE state = 'complete'") == [(str(nights.path / "docs/b.txt"),)]


def test_a_failed_answer_is_tried_twice_and_then_after_retry(nights, refusing):
    nights.write("a.txt", "A letter #refuse# of doom.")
    nights.write("b.txt", "A letter.")

    tries = [[f.tries for f in nights.run().failures] for _ in range(4)]

    assert tries == [[1], [2], [], []]
    assert nights.count("tone") == 1
    with Store.open(nights.database) as store:
        assert store.retry() == 1
    assert [[f.tries for f in nights.run().failures] for _ in range(3)] == [[1], [2], []]


def test_a_file_that_cannot_be_read_is_tried_twice_and_then_after_retry(nights):
    nights.write("a.txt", "")
    nights.write("b.txt", "A letter.")

    tries = [[f.tries for f in nights.run().failures] for _ in range(4)]

    assert tries == [[1], [2], [], []]
    with Store.open(nights.database) as store:
        assert store.retry() == 1
    assert [[f.tries for f in nights.run().failures] for _ in range(3)] == [[1], [2], []]


def test_a_failure_is_told_after_it_is_kept(nights, refusing, monkeypatch):
    """An event that is told inside its transaction tells of what a crash takes back."""
    nights.write("a.txt", "A letter #refuse# of doom.")
    open_transactions = []
    count = _Run._count

    def counting(self, event):
        open_transactions.append(self._store.db.conn.in_transaction)
        count(self, event)

    monkeypatch.setattr(_Run, "_count", counting)
    nights.run()

    assert not any(open_transactions)


def test_a_repaired_file_takes_its_failure_along(nights):
    nights.write("a.txt", "")
    nights.run()
    nights.write("a.txt", "A letter.")

    again = nights.run()

    assert (again.recorded, nights.count("_failures")) == (1, 0)


def test_a_file_that_may_be_read_again_takes_its_failure_along(nights, monkeypatch):
    """Its bytes are those it had: nothing is read, and nothing failed any more."""
    nights.letters(2)
    nights.run()
    with monkeypatch.context() as patch:
        hide(patch, "0001.txt")
        hidden = nights.run()
    again = nights.run()

    assert [f.failure.error for f in hidden.failures] == ["unreadable"]
    assert nights.sql("SELECT count(*), sum(gone) FROM tone") == [(2, 0)]
    assert not again.failures
    assert nights.count("_failures") == 0


def hide(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The file may not be looked at: what the permissions of its folder do to anybody but root."""
    stat = Path.stat

    def refusing(path: Path, **kwargs: bool) -> object:
        if path.name == name:
            raise PermissionError(13, "Permission denied")
        return stat(path, **kwargs)

    monkeypatch.setattr(Path, "stat", refusing)


# --- the answers


@pytest.mark.parametrize("engine", ["batched", "naive"])
def test_several_replicas_write_the_same_tables(nights, engine):
    nights.letters(20)
    nights.write("long.txt", long_letter())
    nights.run()
    alone = [nights.sql(query) for query in TABLES]
    nights.database.unlink()

    outcome = nights.run(engine=engine, shape=Shape(replicas=2))

    assert [nights.sql(query) for query in TABLES] == alone
    assert "2 processes" in outcome.all(Opened)[-1].shape
    assert nights.run().answered == 0  # replicas are no part of what an answer is


def test_tasks_that_read_the_document_first_share_it_and_answer_as_the_slow_twin(nights):
    nights.letters(4)
    nights.task("tone", options="document_first = true\n", examples="")
    nights.task("other", options="document_first = true\n", examples="", instructions="Another question.")
    fast = nights.run(tasks=("tone", "other"), shape=Shape(slots=3))
    queries = [query.replace("tone ", f"{task} ") for query in TABLES[:1] for task in ("tone", "other")]
    tables = [nights.sql(query) for query in queries]
    letters = sum(file.stat().st_size for file in (nights.path / "docs").iterdir())
    nights.database.unlink()

    slow = nights.run(tasks=("tone", "other"), engine="naive")

    assert len(tables[1]) == 4
    assert [nights.sql(query) for query in queries] == tables
    assert fast.summary.counts.reused >= letters  # by the second task
    assert fast.summary.counts.prefilled == slow.summary.counts.prefilled - fast.summary.counts.reused


def test_a_task_that_begins_later_shares_the_documents_that_the_others_have_still_to_read(nights):
    nights.letters(30)
    tasks = ("tone", "other", "third")
    for name in tasks:
        nights.task(name, options="document_first = true\n", examples="", instructions=f"A question of {name}.")
    nights.run(tasks=tasks[:2], limit=10)
    shortest = min(file.stat().st_size for file in (nights.path / "docs").iterdir())

    rest = nights.run(tasks=tasks)

    assert rest.answered == 20 + 20 + 30
    assert rest.summary.counts.reused >= 2 * 20 * shortest


@pytest.mark.parametrize("engine", ["batched", "naive"])
def test_thoughts_come_before_answers_and_are_kept_only_on_demand(nights, engine):
    nights.letters(3)
    nights.task("tone", options="reasoning = 30\n")
    first = nights.run(engine=engine)

    assert first.recorded == 3
    assert first.summary.counts.sampled >= 3 * 30
    assert nights.sql("SELECT DISTINCT thought FROM _extractions") == [(None,)]
    rows = nights.sql("SELECT tone, word FROM tone")
    nights.task("tone", options="reasoning = 30\nkeep_reasoning = true\n")
    assert nights.run(engine=engine).answered == 0  # to keep them changes no answer

    nights.letters(4)
    assert nights.run(engine=engine).answered == 1
    (thought,) = next(row for row in nights.sql("SELECT thought FROM _extractions") if row[0] is not None)
    assert thought.rstrip().endswith("</think>")
    assert nights.sql("SELECT tone, word FROM tone")[:3] == rows
    assert not nights.sql("SELECT 1 FROM _extractions WHERE raw LIKE '%</think>%'")
    nights.task("tone")
    assert nights.run(engine=engine).answered == 4  # without thoughts it is another question


def test_an_answer_that_the_budget_cut_is_null_and_marked(nights):
    nights.write("a.txt", "The weather was fine.")
    nights.task("tone", answer=30, examples="")

    outcome = nights.run()

    (cut,) = nights.sql("SELECT state, cut, word FROM tone")
    assert cut[0] == "incomplete"
    assert "word" in cut[1]
    assert cut[2] is None
    assert nights.sql("SELECT stop FROM _extractions") == [("length",)]
    assert outcome.summary.state == "done"


# --- memory


def peak(of: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        of()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Quick:
    """An engine that answers at once: only the bookkeeping is measured."""

    calls = 0
    answer = (1,) * 40

    def run(self, prompts: Iterable[Prompt], should_stop: object) -> Iterator[Completion]:
        zeros = (0.0,) * len(self.answer)
        for prompt in prompts:
            yield Completion(prompt.work_key, self.answer, zeros, zeros, zeros, Counts(), Stop.END)

    def close(self) -> None:
        pass


VALUES = {"tone": "bad", "topics": [], "word": "x"}


def quick_record(answers: Answers, *rest: object) -> tuple[Record, dict[str, None]]:
    return Record(answers.document.sha256, answers.task.name, VALUES), {}


@pytest.mark.parametrize(
    "numbers", [(60, 360), pytest.param((300, 10_000), marks=pytest.mark.long)], ids=lambda numbers: numbers[1]
)
def test_memory_does_not_grow_with_the_number_of_documents(nights, monkeypatch, numbers):
    """What a night works on lies in the database and nowhere else."""
    monkeypatch.setattr("pipeline.run.model.ScriptedModel.start", lambda *args, **kwargs: (Quick(), "quick"))
    monkeypatch.setattr("pipeline.run.extract.parse", lambda schema, raw: VALUES)
    monkeypatch.setattr("pipeline.run.extract.build_record", quick_record)
    monkeypatch.setattr("pipeline.run.texts.MOST_CHARACTERS", 10_000)  # the texts used last are kept up to this bound

    def night(number: int) -> None:
        def look(self: Intake, tasks: Sequence[tuple[str, object]], limit: int | None) -> Iterator[Event]:
            for i in range(number):
                text = f"Letter {i}. " + "The weather was fine. " * 12
                sha256 = fingerprint(text)
                row = FileRow(f"/in/{i:06}", None, f"{i:06}", len(text), 1, sha256)
                self._store.save_document(self._run_id, Document(sha256, text, (Page(1, 0, len(text)),), "text", "1"))
                self._store.save_files(self._run_id, [row])
                self._store.link_inputs(self._run_id, tasks[0][0], [row.path])
            return iter(())

        nights.database.unlink(missing_ok=True)
        monkeypatch.setattr(Intake, "look", look)
        job = nights.job()
        assert sum(isinstance(event, Recorded) for event in run(job)) == number

    night(30)  # what is loaded once
    small, large = peak(lambda: night(numbers[0])), peak(lambda: night(numbers[1]))

    assert large < small + 60 * (numbers[1] - numbers[0])  # bytes a document: not even its hash is kept


def test_a_file_that_is_overwritten_between_its_hash_and_its_reading_fails_and_is_read_by_the_next_run(nights):
    file = nights.write("letter.txt", "The old letter was fine.")
    nights.letters(1)

    def overwritten() -> Halt:  # asked for the first time when all files were looked at
        before = file.stat()
        file.write_text("The new letter was fine.")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # size and time do not show it
        return Halt.NO

    night = nights.run(stop=overwritten)

    [failed] = night.failures
    assert (failed.failure.error, failed.failure.subject) == ("changed", str(file))
    assert (night.summary.state, night.recorded) == ("failures", 1)
    assert nights.sql("SELECT text FROM _documents") == [("Letter number 0. The weather was fine.",)]

    again = nights.run()

    assert (again.summary.state, again.recorded) == ("done", 1)
    assert nights.sql("SELECT count(*) FROM _documents WHERE text LIKE 'The new letter%'") == [(1,)]
    assert nights.sql("SELECT count(*) FROM _failures") == [(0,)]
