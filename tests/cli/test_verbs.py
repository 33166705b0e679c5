from __future__ import annotations

import csv
import io
import json
import re
import time
from pathlib import Path

import pytest


def test_status_counts_documents_and_shows_runs(ran):
    result = ran.call("status", "--db", "night.db")

    assert result.code == 0
    heads, row = (line.split() for line in result.out.splitlines()[:2])
    assert dict(zip(heads, row, strict=False)) | {"in": ""} == {
        "task": "tone", "documents": "3", "done": "2", "incomplete": "0",
        "failed": "1", "pending": "0", "gone": "0", "in": "",
    }  # fmt: skip
    assert "scripted" in result.out
    assert "failures" in result.out


@pytest.mark.parametrize("verb", ["status", "failures", "retry", ["explain", "x"], ["export", "tone"]])
def test_a_database_that_is_not_there_is_not_made(place, verb):
    result = place.call(*([verb] if isinstance(verb, str) else verb), "--db", "missing.db")

    assert result.code == 5
    assert "missing.db" in result.err
    assert not (place.path / "missing.db").exists()


def test_failures_say_what_to_do(ran):
    result = ran.call("failures", "--db", "night.db")

    assert result.code == 0
    assert "docs/empty.txt is empty" in result.out
    assert "Remove it" in result.out
    assert "1 failure." in result.out


def test_failures_as_json(ran):
    (failure,) = json.loads(ran.call("failures", "--db", "night.db", "--json").out)

    assert failure["error"] == "empty"
    assert failure["tries"] == 1
    assert failure["subject"] == str(ran.path / "docs/empty.txt")


def test_what_failed_twice_is_left_alone_until_retry(place):
    place.write("docs/empty.txt", "")
    place.run()
    place.run()

    third = place.run()
    assert third.code == 0
    assert "1 failure of earlier runs left alone; `nightdesk retry --db night.db` lets it be tried again." in third.out
    assert "nightdesk failures --db night.db" in third.out
    retried = place.call("retry", "docs/empty.txt", "--db", "night.db")

    assert retried.code == 0
    assert "The next run tries 1 failure again." in retried.out
    assert place.run().code == 3


def test_retry_of_what_did_not_fail_is_a_mistake(ran):
    result = ran.call("retry", "docs/0000.txt", "--db", "night.db")

    assert result.code == 2
    assert "docs/0000.txt" in result.err


def test_explain_tells_done_failed_and_unknown_apart(ran):
    done, failed, unknown = (
        ran.call("explain", f"docs/{name}.txt", "--db", "night.db").out for name in ("0000", "empty", "nowhere")
    )

    assert "tone: done." in done
    assert "of table tone" in done
    assert "tone: failed." in failed
    assert "Remove it" in failed
    assert "No run into this database has seen" in unknown


def test_explain_says_that_a_file_has_changed_since(place):
    place.documents(2)
    place.run()
    place.write("docs/0001.txt", "It says something else now.")
    same = place.path / "docs/0000.txt"
    same.write_bytes(same.read_bytes())  # its time changes, its bytes do not

    said = [place.call("explain", f"docs/000{i}.txt", "--db", "night.db").out for i in range(2)]

    assert "changed" not in said[0]
    assert "The file has changed since it was read" in said[1]
    assert "Its row is up to date" in said[0]
    assert "Its row is of the file as it was." in said[1]


def test_an_incomplete_row_is_counted_and_explained(place):
    task = place.path / "prompts/tone.toml"
    task.write_text(task.read_text().replace("max_answer_tokens = 40", "max_answer_tokens = 9"))
    place.documents(1)

    ran = place.run()

    assert ran.code == 0
    assert "1 document: 1 done (1 incomplete)." in ran.out
    assert "nightdesk explain FILE --db night.db" in ran.out
    said = place.call("explain", "docs/0000.txt", "--db", "night.db").out
    assert "longer than max_answer_tokens of the task, which cut tone" in said


def test_a_failure_names_every_file_of_these_bytes(place):
    for name in "abcde":
        place.write(f"docs/{name}.txt", "")
    place.run()

    out = place.call("failures", "--db", "night.db").out

    assert "1 failure." in out
    assert re.search(r"The same bytes: \S+/b.txt, \S+/c.txt, \S+/d.txt and 1 more", out)


def test_explain_takes_the_name_of_a_document(ran):
    ((document,),) = ran.sql("SELECT document FROM tone LIMIT 1")

    assert "tone: done." in ran.call("explain", str(document), "--db", "night.db").out


def test_export_writes_json_lines_to_stdout(ran):
    result = ran.call("export", "tone", "--db", "night.db")

    rows = [json.loads(line) for line in result.out.splitlines()]
    assert result.code == 0
    assert len(rows) == 2
    assert {row["tone"] for row in rows} <= {"good", "bad", "mixed"}


def test_export_writes_a_csv_file_for_its_owner(ran, tmp_path):
    file = tmp_path / "tone.csv"

    result = ran.call("export", "tone", "--db", "night.db", "--format", "csv", "-o", str(file))

    assert result.code == 0
    assert result.out == ""
    assert len([*csv.DictReader(io.StringIO(file.read_text()))]) == 2
    assert file.stat().st_mode & 0o077 == 0


def test_an_export_that_fails_leaves_the_old_file(ran, tmp_path):
    file = tmp_path / "tone.csv"
    file.write_text("old")

    result = ran.call("export", "tone", "--db", "night.db", "-f", "csv", "-o", str(file), "--with-evidence")

    assert result.code == 2
    assert file.read_text() == "old"
    assert [*tmp_path.iterdir()] == [file]


def test_an_export_into_a_missing_folder_says_so(ran):
    result = ran.call("export", "tone", "--db", "night.db", "-o", "missing/tone.jsonl")

    assert result.code == 2
    assert "missing/tone.jsonl" in result.err


def test_check_counts_without_a_database(place):
    result = place.call("check", "tone", "--model", "scripted")

    assert result.code == 0
    assert "up to 300 tokens" in result.out
    assert "llguidance takes the schema" in result.out
    assert [file.name for file in place.path.iterdir() if file.suffix == ".db"] == []


def test_check_shows_the_prompt_and_where_the_prefix_ends(place):
    result = place.call("check", "tone", "--model", "scripted", "--show-prompt")

    before, after = result.out.split("--- the shared prefix ends here ---")
    assert "Say the tone." in before
    assert "⟦<|system|>⟧" in before
    assert "the document stands here" in after


def test_check_of_a_contradiction_is_the_users_mistake(place):
    place.write(
        "schemas/tone.json", '{"type": "object", "properties": {"a": {"type": "integer", "minimum": 3, "maximum": 1}}}'
    )

    result = place.call("check", "tone", "--model", "scripted")

    assert result.code == 2


def test_help_shows_pages_and_finds_near_names(place):
    assert "running" in place.call("help").out
    assert "x-nightdesk" in place.call("help", "tasks").out
    wrong = place.call("help", "task")

    assert wrong.code == 2
    assert "Did you mean tasks?" in wrong.err


def test_version_is_that_of_the_package(place):
    assert place.call("--version").out.startswith("nightdesk 0.")


def test_no_command_shows_the_commands(place):
    result = place.call()

    assert result.code == 2
    assert "status" in result.out + result.err


def test_explain_says_how_tracked_changes_were_read(place):
    contract = Path(__file__).resolve().parents[1] / "readers/files/changes.docx"
    (place.path / "docs/contract.docx").write_bytes(contract.read_bytes())
    place.run("--changes", "original")

    said = place.call("explain", "docs/contract.docx", "--db", "night.db").out

    assert "its tracked changes: read as refused (--changes original)" in said
    place.documents(1)
    place.call("run", "tone", "docs/0000.txt", "--db", "night.db", "--model", "scripted")
    said = place.call("explain", "docs/contract.docx", "--db", "night.db").out
    assert "The newest job says --changes final: its next run reads the file again." in said


def test_a_misspelt_task_is_no_good_news(ran):
    for verb in ("failures", "retry"):
        result = ran.call(verb, "--task", "tune", "--db", "night.db")

        assert (result.code, result.out) == (2, "")
        assert "Its tasks: tone." in result.err


def test_explain_speaks_of_the_file_that_was_named(place):
    for name in ("a", "b"):
        place.write(f"docs/{name}.txt", "The weather was fine.")
    place.run()
    (place.path / "docs/b.txt").unlink()

    said = place.call("explain", "docs/b.txt", "--db", "night.db").out.splitlines()

    assert said[0].endswith("docs/b.txt")
    assert said[1].endswith("the same bytes: " + str(place.path / "docs/a.txt"))
    assert "The file is gone" in "".join(said)
    assert "Its row is up to date." in said[-1]


def test_explain_of_a_folder_says_so(ran):
    assert "It is a folder" in ran.call("explain", "docs", "--db", "night.db").out


def test_a_long_next_step_is_said_once(place):
    for name in ("a.xyz", "b.xyz"):
        place.write(f"docs/{name}", name)
    place.run()

    out = place.call("failures", "--db", "night.db").out

    assert out.count("These are read:") == 1
    assert out.count("The next step is the one above.") == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("eval", "tone", "--labels", "g.jsonl", "--examples", "--calibrate"), "--examples makes runs of its own"),
        (("eval", "tone", "--labels", "g.jsonl", "--engine", "http://127.0.0.1:1"), "--engine is for --examples"),
        (("eval", "tone", "--labels", "g.jsonl", "--plot", "p.svg"), "--plot draws what --calibrate finds"),
        (("fit", "--replicas", "2"), "about one model"),
        (("fit", "--engine", "http://127.0.0.1:1", "--replicas", "2"), "a server has its own"),
        (("tune", "--requantize", "--plot", "p.svg"), "nothing to plot"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(place, args, said):
    result = place.call(*args)

    assert result.code == 2
    assert said in result.err


def test_saying_no_or_ctrl_c_to_a_question_deletes_nothing_and_is_no_bug(place, monkeypatch):
    place.write("docs/a.txt", "A letter.")
    assert place.run().code == 0
    time.sleep(1.1)
    monkeypatch.setattr("sys.stdin", Keyboard("n\n"))
    refused = place.call("purge", "--older-than", "1s", "--db", "night.db")
    monkeypatch.setattr("sys.stdin", Keyboard(""))
    left = place.call("purge", "--older-than", "1s", "--db", "night.db")

    assert (refused.code, left.code) == (0, 130)
    assert "Nothing was deleted." in refused.out
    assert place.sql("SELECT count(*) FROM tone") == [(1,)]


class Keyboard(io.StringIO):
    """Somebody at a terminal. An end of what they type is how Ctrl-C and Ctrl-D reach a question."""

    def isatty(self):
        return True
