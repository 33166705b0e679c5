"""Tracked changes, as the user chooses. The files `changes.*` were written by LibreOffice 7.4 from the .fodt."""

from pathlib import Path

import pytest

from pipeline import readers
from pipeline.errors import ReadError
from pipeline.readers import ReadOptions
from pipeline.readers.changes import Change, marked

FILES = Path(__file__).parent / "files"
WRITTEN = [FILES / f"changes{suffix}" for suffix in (".doc", ".docx", ".fodt", ".odt")]


def read(content, name, changes):
    document = readers.read(content, name, ReadOptions(changes=changes))
    assert document.changes == changes
    return document.text


def lines(path, changes):
    return [line for line in read(path.read_bytes(), path.name, changes).split("\n") if line]


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.suffix)
def test_a_contract_that_was_negotiated_is_read_with_without_and_with_marked_changes(path):
    assert lines(path, "final") == [
        "Payment",
        "The rent is due within 60 days of the invoice.",
        "It is 450 EUR.",
        "Paid by transfer.",
        "Signed in Porto.",
    ]
    assert lines(path, "original") == [
        "Payment",
        "The rent is due within 30 days of the invoice.",
        "A whole line.",
        "It is 450 EUR.",
        "Signed in Porto.",
    ]
    # OpenDocument keeps what was deleted at one point, so a line that is gone is marked where it began.
    assert "\n".join(lines(path, "all")).replace(".\n[Deleted", ".[Deleted") == (
        "Payment\n"
        "The rent is due within [Deleted by Ana Reis: 30 days][Inserted by Rui: 60 days] of the invoice."
        "[Deleted by Ana Reis: A whole line.]\n"
        "It is 450 EUR.\n"
        "[Inserted by Rui: Paid by transfer.]\n"
        "Signed in Porto."
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ("final", "Price 12 EUR\nOne\nNew line\nEnd"),
        ("original", "Price 10 EUR\nOne\nOld\nEnd"),
        (
            "all",
            "Price [Deleted by Ana: 10][Inserted by Rui: 12] EUR\n"
            "One\n[Inserted by Rui: New line]\n[Deleted by Ana: Old]\nEnd",
        ),
    ],
)
def test_rich_text_as_word_writes_it(changes, text):
    content = (
        rb"{\rtf1\ansi{\*\revtbl{Unknown;}{Ana;}{Rui;}}\pard Price {\deleted\revauthdel1 10}{\revised\revauth2 12} EUR"
        rb"\par One{\revised\revauth2\par New line}\par {\deleted\revauthdel1 Old\par}End\par}"
    )

    assert read(content, "a.rtf", changes) == text


def run(text, *kinds, author="Ana"):
    """A run of a Word document within these changes, the outermost first."""
    if not kinds:
        return f"<w:r><w:t>{text}</w:t></w:r>"
    return f'<w:{kinds[0]} w:author="{author}">{run(text, *kinds[1:], author="Rui")}</w:{kinds[0]}>'


def paragraph(*runs, end=""):
    mark = f"<w:pPr><w:rPr><w:{end}/></w:rPr></w:pPr>" if end else ""
    return f"<w:p>{mark}{''.join(runs)}</w:p>"


def row(kind, *cells):
    mark = f'<w:trPr><w:{kind} w:author="Ana"/></w:trPr>' if kind else ""
    return f"<w:tr>{mark}{''.join(f'<w:tc>{paragraph(cell)}</w:tc>' for cell in cells)}</w:tr>"


@pytest.mark.parametrize(
    ("body", "final", "original", "both"),
    [
        (
            paragraph(run("30", "moveFrom"), run("to "), run("60", "moveTo"), run(" days", "ins")),
            "to 60 days",
            "30to ",
            "[Deleted by Ana: 30]to [Inserted by Ana: 60 days]",
        ),
        (
            paragraph(run("a "), run("never", "ins", "del"), run("b")),
            "a b",
            "a b",
            "a [Inserted by Ana: [Deleted by Rui: never]]b",
        ),
        (paragraph(run("one "), end="del") + paragraph(run("two")), "one two", "one \ntwo", "one \ntwo"),
        (paragraph(run("one "), end="ins") + paragraph(run("two")), "one \ntwo", "one two", "one \ntwo"),
        (
            f"<w:tbl>{row('', run('a'), run('b'))}{row('ins', run('c', 'ins'), run('d'))}"
            f"{row('del', run('e'), run('f'))}</w:tbl>",
            "a | b\nc | d",
            "a | b\ne | f",
            "a | b\n[Inserted by Ana: c | d]\n[Deleted by Ana: e | f]",
        ),
    ],
    ids=["moved", "inserted and deleted", "paragraphs joined", "paragraph parted", "rows"],
)
def test_changes_of_a_word_document(make_docx, body, final, original, both):
    content = make_docx(body)

    assert "\n".join(map(str.rstrip, final.split("\n"))) == read(content, "a.docx", "final")
    assert "\n".join(map(str.rstrip, original.split("\n"))) == read(content, "a.docx", "original")
    assert "\n".join(map(str.rstrip, both.split("\n"))) == read(content, "a.docx", "all")


def test_a_document_without_changes_reads_the_same_whatever_is_chosen(make_docx):
    content = make_docx(paragraph(run("Total 12")))

    read_ones = [readers.read(content, "a.docx", ReadOptions(changes=one)) for one in ("final", "original", "all")]

    assert len(set(read_ones)) == 1
    assert read_ones[0].changes == ""


def test_a_document_that_is_all_deleted_says_how_it_can_be_read(make_docx):
    with pytest.raises(ReadError) as caught:
        readers.read(make_docx(paragraph(run("gone", "del"))), "a.docx")

    assert caught.value.code == "no_text"
    assert "--changes all" in caught.value.hint


def test_a_deletion_of_an_open_document_that_holds_itself_ends():
    content = (
        (FILES / "changes.fodt")
        .read_text()
        .replace("30 days</text:p>", '30<text:change text:change-id="c1"/></text:p>')
    )

    assert "within 3060 days" not in read(content.encode(), "a.fodt", "original")
    assert "within 30 of" in read(content.encode(), "a.fodt", "original")


def test_blanks_stay_outside_of_a_mark_and_are_not_marked_alone():
    assert marked(" two words\n", Change(True, "Ana")) == " [Inserted by Ana: two words]\n"
    assert marked(" \n", Change(False)) == " \n"
    assert marked("x", Change(False)) == "[Deleted: x]"
