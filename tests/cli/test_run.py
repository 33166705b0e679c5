from __future__ import annotations

import re

import pytest

from pipeline.cli.progress import Progress
from pipeline.data import Failure
from pipeline.run.events import Failed

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def test_a_folder_becomes_rows(place):
    place.documents(3)

    result = place.run()

    assert result.code == 0
    assert result.out.startswith("tone: 3 documents: 3 done.\n")
    assert "sqlite-utils rows night.db tone" in result.out
    assert len(place.sql("SELECT tone FROM tone")) == 3


def test_running_again_does_nothing_and_says_so(place):
    place.documents(3)
    place.run()

    result = place.run()

    assert result.code == 0
    assert "0 done, 3 skipped because nothing changed." in result.out
    assert "Nothing was left to do." in result.out
    assert "Tokens" not in result.out


def test_an_edited_file_replaces_its_row(place):
    place.documents(2)
    place.run()
    place.write("docs/0001.txt", "Now it says something else, and more of it.")

    result = place.run()

    assert result.code == 0
    assert "1 done, 1 skipped because nothing changed." in result.out
    assert len(place.sql("SELECT 1 FROM tone WHERE NOT gone")) == 2
    assert len(place.sql("SELECT 1 FROM _history")) == 1


def test_a_file_that_is_gone_is_marked(place):
    place.documents(2)
    place.run()
    (place.path / "docs/0001.txt").unlink()

    result = place.run()

    assert result.code == 0
    assert "1 file is gone; what was found in it stays" in result.out
    assert place.sql("SELECT count(*) FROM tone WHERE gone") == [(1,)]


def test_bad_files_are_failures_and_the_run_goes_on(place):
    place.documents(1)
    place.write("docs/empty.txt", "")
    place.write("docs/photo.xyz", "?")

    result = place.run()

    assert result.code == 3
    assert "1 document: 1 done." in result.out
    assert "2 files could not be read." in result.out
    assert "nightdesk failures --db night.db" in result.out
    assert "docs/empty.txt is empty" in result.err


def test_a_limit_is_said_to_be_a_sample(place):
    place.documents(5)

    result = place.run("--limit", "2")

    assert result.code == 0
    assert "2 documents: 2 done." in result.out
    assert "random" in result.out
    assert "without --limit" in result.out


def test_a_dry_run_counts_and_answers_nothing(place):
    place.documents(3)

    result = place.run("--dry-run")

    assert result.code == 0
    task, documents, current, chunks, tokens, prefix = result.out.splitlines()[1].split()
    assert (task, documents, current, chunks) == ("tone", "3", "0", "3")
    assert int(tokens) > 0
    assert int(prefix) > 0
    assert place.sql("SELECT count(*) FROM _extractions") == [(0,)]


def test_a_dry_run_says_when_the_documents_had_better_stand_first(place):
    place.write("docs/long.txt", "The weather was fine. " * 12)
    both = 'model = "scripted"\n' + '[[tasks]]\ntask = "{}"\ninputs = ["docs"]\n' * 2
    for name in ("mood", "air"):
        place.write(f"prompts/{name}.toml", (place.path / "prompts/tone.toml").read_text())
        place.write(f"schemas/{name}.json", (place.path / "schemas/tone.json").read_text())
    place.write("short.toml", both.format("mood", "air"))

    said = place.call("run", "short.toml", "--dry-run").out

    assert re.search(r"mood and air ask about the same chunks: \d+ .* \d+ with `document_first = true` in each", said)
    place.write("docs/short.txt", "Fine.")
    for i in range(9):
        place.write(f"docs/{i}.txt", f"Fine {i}.")
    assert "same chunks" not in place.call("run", "short.toml", "--dry-run").out


def test_quiet_says_nothing_on_stderr(place):
    place.documents(1)
    place.write("docs/empty.txt", "")

    result = place.run("--quiet")

    assert result.code == 3
    assert result.err == ""
    assert "1 document: 1 done." in result.out


def test_an_input_that_is_not_there_is_the_users_mistake(place):
    result = place.call("run", "tone", "nowhere", "--db", "night.db", "--model", "scripted")

    assert result.code == 2
    assert "nowhere" in result.err
    assert not (place.path / "night.db").exists()


def test_a_task_without_inputs_is_the_users_mistake(place):
    result = place.call("run", "tone", "--model", "scripted")

    assert result.code == 2
    assert "nightdesk run tone FOLDER" in result.err


def test_a_wrong_task_file_is_named_with_line_and_key(place):
    place.documents(1)
    place.write("prompts/tone.toml", 'instructions = "x"\n\n[options]\nchunk_token = 3\n')

    result = place.run()

    assert result.code == 2
    assert "tone.toml, line 4" in result.err
    assert "options.chunk_token" in result.err
    assert not (place.path / "night.db").exists()


def test_an_unknown_task_is_answered_with_those_there_are(place):
    result = place.call("run", "ton", "docs", "--model", "scripted")

    assert result.code == 2
    assert "tone" in result.err


def test_a_model_that_is_not_there_is_exit_code_4(place):
    place.documents(1)

    result = place.call("run", "tone", "docs", "--model", "nowhere.gguf")

    assert result.code == 4
    assert "nowhere.gguf" in result.err


def test_a_wrong_number_names_its_option(place):
    place.documents(1)

    result = place.run("--slots", "500")

    assert result.code == 2
    assert "--slots" in result.err
    assert "255" in result.err


def test_an_unknown_option_is_exit_code_2(place):
    result = place.run("--bogus")

    assert result.code == 2
    assert "--bogus" in result.err


def test_a_bug_is_named_by_kind_and_line_only(place, monkeypatch):
    place.documents(1)

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("words of a document")

    monkeypatch.setattr("pipeline.run.run", broken)

    result = place.run()

    assert result.code == 1
    assert "RuntimeError at " in result.err
    assert re.search(r"pipeline/cli/run\.py:\d+", result.err)
    assert "words" not in result.out + result.err


def test_the_database_and_the_model_may_come_from_the_environment(place, monkeypatch):
    place.documents(1)
    monkeypatch.setenv("NIGHTDESK_DB", "other.db")
    monkeypatch.setenv("NIGHTDESK_MODEL", "scripted")

    result = place.call("run", "tone", "docs")

    assert result.code == 0
    assert (place.path / "other.db").exists()
    assert "documents" in place.call("status").out


def test_without_any_of_them_the_database_is_in_the_working_directory(place):
    place.documents(1)

    place.call("run", "tone", "docs", "--model", "scripted")

    assert (place.path / "nightdesk.db").exists()


@pytest.mark.parametrize("form", ["--password=open sesame", "--password open sesame"])
def test_passwords_are_not_kept(place, monkeypatch, form):
    place.documents(1)
    args = form.split(" ", 1) if form.startswith("--password ") else [form]
    monkeypatch.setattr("sys.argv", ["nightdesk", "run", *args])

    place.run(*args)

    assert "***" in str(place.sql("SELECT command FROM _runs"))
    assert b"sesame" not in (place.path / "night.db").read_bytes()


def test_passwords_come_from_a_file_too(place):
    place.documents(1)
    place.write("secret.txt", "one\ntwo\n")

    assert place.run("--password-file", "secret.txt").code == 0
    missing = place.run("--password-file", "missing.txt")

    assert missing.code == 2
    assert "--password-file" in missing.err


def test_output_in_a_pipe_has_no_control_characters(place):
    place.documents(1)
    place.write("docs/evil\x1b[2Jname.txt", "")

    process = place.start_run()
    out, err = process.communicate(timeout=120)

    assert process.returncode == 3
    assert not CONTROL.search(out + err)
    assert r"\x1b[2Jname.txt" in err


def test_inputs_without_a_file_are_said(place):
    for more in ((), ("--dry-run",)):
        result = place.run(*more)

        assert result.code == 0
        assert "No file was found in the inputs." in result.out
        assert "othing" not in result.out


def test_what_a_run_writes_into_its_inputs_is_no_document(place):
    place.documents(1)
    (place.path / "link.db").symlink_to("docs/night.db")

    for database in ("docs/night.db", "docs/night.db", "link.db"):
        ran = place.call(
            *("run", "tone", "docs", "--db", database, "--model", "scripted", "--summary", "docs/night.md")
        )

        assert ran.code == 0, ran.out
        assert "1 document: " in ran.out


def test_a_job_file_with_inputs_beside_it_is_said_to_be_one(place):
    place.documents(1)
    place.write("night.toml", '[[tasks]]\ntask = "tone"\ninputs = ["docs"]\n')

    result = place.call("run", "night.toml", "docs")

    assert result.code == 2
    assert "night.toml is a job file, which names its own inputs." in result.err


def test_a_wrong_value_names_the_option_as_it_is_written(place):
    place.documents(1)

    assert "--max-duration: expected" in place.run("--max-duration", "tomorrow").err


def test_a_path_in_a_next_step_can_be_pasted(place):
    place.documents(1)

    result = place.call("run", "tone", "docs", "--db", "my files/night.db", "--model", "scripted")

    assert result.code == 5
    assert f"mkdir -p '{place.path}/my files'" in result.err


def test_a_failure_is_told_with_its_file(capsys):
    bad = Failure("/in/a.txt chunk 1", "answer", "AnswerError", "n is a number beyond what a table can hold.")
    with Progress(quiet=False) as progress:
        progress.show(Failed(bad, 1))

    assert capsys.readouterr().err.endswith("/in/a.txt chunk 1: n is a number beyond what a table can hold.\n")
