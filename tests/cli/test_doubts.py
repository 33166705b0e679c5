"""What of a run's rows needs a person's eye is said in its summary, in the row, and by `explain`."""

from __future__ import annotations

import pytest

from pipeline.cli import call

SCHEMA = """{
  "type": "object",
  "properties": {
    "word": {"type": "string", "maxLength": 8},
    "rows": {
      "type": "array", "minItems": 2, "maxItems": 2,
      "items": {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20, "x-nightdesk": {"extractive": true}}},
        "required": ["name"], "additionalProperties": false
      }
    }
  },
  "required": ["word", "rows"], "additionalProperties": false
}"""


@pytest.fixture
def ran(tmp_path, monkeypatch, capfd):
    for name, text in {
        "prompts/bills.toml": 'instructions = "Copy."\n[options]\nmax_answer_tokens = 200\n',
        "schemas/bills.json": SCHEMA,
        "docs/a.txt": "\n".join(f"{n} tea {n}.50 EUR {n}.00" for n in range(1, 30)),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert call(["run", "bills", "docs", "--db", "n.db", "--model", "scripted", "--quiet"]) == 0
    return capfd.readouterr().out


def test_values_that_stand_nowhere_and_short_lists_are_counted(ran):
    assert "1 value of bills not found in the document: nightdesk help trust" in ran
    assert "1 list of bills may be short: see the column `marked`." in ran


def test_explain_shows_what_is_marked(ran, capfd):
    assert call(["explain", "docs/a.txt", "--db", "n.db"]) == 0

    assert "marked: rows: may be short, more lines look like its items" in capfd.readouterr().out
