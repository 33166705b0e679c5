"""What OCR was not sure of is less sure; what it misread in amounts and dates is repaired; both are marked."""

from __future__ import annotations

import pytest

from pipeline.confidence import Observation, Signal, features, fit, rate, rated
from pipeline.data import Chunk, Document, Evidence, Extraction, Found, Page, Word
from pipeline.finders import mend
from pipeline.prompting import load_task
from pipeline.run.doubt import is_doubtful, read
from pipeline.run.records import Answers, build_record, trace
from pipeline.store.tables import fill, plan

WORDS = (Word(1, 0, 5, 0, 0, 1, 1, 0.9), Word(1, 6, 9, 0, 0, 1, 1, 0.4), Word(1, 10, 12, 0, 0, 1, 1, 0.95))
SURE = Signal(2, 0.0, 0.0, 0.0, 9.0)


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("1O.5O", "10.50"),
        ("l2/O3/2O25", "12/03/2025"),
        ("RM6O.3O", "RM60.30"),
        ("12 Oct 2O25", "12 Oct 2025"),
        ("2l", "2l"),
        ("10 Il Ol", "10 Il Ol"),
        ("Oslo 4", "Oslo 4"),
        ("1O.O5EUR", "1O.O5EUR"),
        ("7.50", "7.50"),
    ],
)
def test_letters_among_digits_are_digits(read, meant):
    assert mend(read) == meant


def test_a_value_is_read_as_surely_as_its_least_sure_word():
    pieces = (
        Evidence("a", "x", Found.EXACT, 0, 5, 1, 1),
        Evidence("b", "x", Found.EXACT, 4, 9, 1, 1),
        Evidence("c", "x", Found.NOT_FOUND),
    )
    signals = dict.fromkeys("abcd", SURE)

    assert {path: signal.read for path, signal in read(signals, pieces, WORDS).items()} == {
        "a": 0.9, "b": 0.4, "c": 1.0, "d": 1.0,
    }  # fmt: skip
    assert [is_doubtful(piece, WORDS) for piece in pieces] == [False, True, False]
    assert read(signals, pieces, ()) == signals


def test_doubt_lowers_the_number_with_a_calibration_and_without_one(tmp_path):
    text, values = "Books 41.50 EUR", {"shop": "Books", "total": "41.50 EUR"}
    words = (Word(1, 0, 5, 0, 0, 1, 1, 0.5), Word(1, 6, 11, 0, 0, 1, 1, 0.9), Word(1, 12, 15, 0, 0, 1, 1, 0.8))
    document = Document("d", text, (Page(1, 0, len(text)),), "pictures", "1", ocr="x", words=words)
    chunks = [(Chunk("d", 0, 0, len(text), text), Extraction("k", values))]
    answers = Answers(document, till(tmp_path), chunks, [{"shop": SURE, "total": SURE}], pointed=False)
    ((pieces, its),) = trace(answers)
    labelled = [Observation("d", "shop", n % 4 > 0, features(SURE, pieces[0])) for n in range(40)]
    never_scanned = fit("till", labelled)

    assert [rate(its[piece.path], piece) for piece in pieces] == pytest.approx([0.5, 0.8])
    for calibration in (None, never_scanned):
        record, _ = build_record(answers, calibration)
        assert [piece.confidence for piece in record.evidence] == pytest.approx(
            [piece.confidence for piece in rated(pieces, its, calibration)]
        )
        clear = rated(pieces, {"shop": SURE, "total": SURE}, calibration)
        assert all(a.confidence < b.confidence for a, b in zip(record.evidence, clear, strict=True))


def till(tmp_path):
    """A task with a shop and a total."""
    (tmp_path / "till.toml").write_text('instructions = "Copy."\nschema = "till.json"')
    (tmp_path / "till.json").write_text(
        '{"type": "object", "additionalProperties": false, "required": ["shop", "total"], "properties": {'
        '"shop": {"type": "string", "maxLength": 30},'
        '"total": {"type": "string", "x-nightdesk": {"type": "money"}, "maxLength": 20}}}'
    )
    return load_task(str(tmp_path / "till.toml"))


def row_of(task, text, values, words=()):
    document = Document("d", text, (Page(1, 0, len(text)),), "pictures", "1", ocr="x" if words else "", words=words)
    chunks = [(Chunk("d", 0, 0, len(text), text), Extraction("k", values))]
    record, normalised = build_record(Answers(document, task, chunks, [{}], pointed=False))
    return fill(plan("till", task.schema.root, set()), record.values, normalised)


def test_the_row_says_what_was_repaired_and_what_was_read_with_doubt(tmp_path):
    words = (Word(1, 0, 5, 0, 0, 1, 1, 0.5), Word(1, 6, 11, 0, 0, 1, 1, 0.9), Word(1, 12, 15, 0, 0, 1, 1, 0.9))

    row = row_of(till(tmp_path), "Books 4l.5O EUR", {"shop": "Books", "total": "4l.5O EUR"}, words)

    assert row.cells["shop"] == "Books"
    assert (row.cells["total"], row.cells["total_text"], row.cells["total_currency"]) == (41.5, "4l.5O EUR", "EUR")
    assert sorted(row.all_marks()) == ["shop: read with doubt", "total: repaired"]


@pytest.mark.parametrize(
    ("text", "said", "value", "currency"),
    [("Books 1,234.58", "1,234.56", 1234.56, None), ("Books €5.00", "$5.00", 5.0, "USD")],
)
def test_a_figure_that_the_document_does_not_hold_is_never_replaced_by_its_neighbour(
    tmp_path, text, said, value, currency
):
    row = row_of(till(tmp_path), text, {"shop": "Books", "total": said})

    assert (row.cells["total"], row.cells["total_text"], row.cells["total_currency"]) == (value, said, currency)


def test_words_where_a_typed_value_should_be_are_kept_and_marked(tmp_path):
    row = row_of(till(tmp_path), "Books, a gift", {"shop": "Books", "total": "a gift"})

    assert (row.cells["total"], row.cells["total_text"]) == (None, "a gift")
    assert [*row.all_marks()] == ["total: no money"]


@pytest.mark.parametrize(
    ("text", "said", "code", "marks"),
    [
        ("Total 5.00 €", "€", "EUR", []),
        ("Total 5.00 USD", "USD", "USD", []),
        ("Total $5.00", "$", "USD", ["currency: ambiguous"]),
        ("Total 5.00 kr.", "kr.", "kr", ["currency: ambiguous"]),
    ],
)
def test_the_invoices_that_ship_keep_a_currency_as_printed_and_as_its_code(text, said, code, marks):
    task = load_task("invoices")
    nothing = {field.name: [] if field.name == "items" else None for field in task.schema.root.fields}

    row = row_of(task, text, {**nothing, "currency": said})

    assert (row.cells["currency"], row.cells["currency_text"]) == (code, said)
    assert [*row.all_marks()] == marks
