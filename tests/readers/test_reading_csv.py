import pytest

from pipeline import readers


def text(content):
    return readers.read(content if isinstance(content, bytes) else content.encode(), "a.csv").text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter):
    rows = [["name", "price"], ["tea", "3.50"], ["cake", "4"]]

    assert text("\n".join(delimiter.join(row) for row in rows)) == "name | price\ntea | 3.50\ncake | 4"


def test_decimal_commas_do_not_win_over_semicolons():
    assert text("a;b\n1,5;2,5\n3,5;4,5\n") == "a | b\n1,5 | 2,5\n3,5 | 4,5"


def test_excels_own_mark_is_believed():
    assert text("sep=;\na;b,c\n") == "a | b,c"


def test_quotes_hold_delimiters_line_ends_and_quotes():
    assert text('a,b\r\n"1,5","two\r\nlines ""x"""\r\n') == 'a | b\n1,5 | two lines "x"'


def test_empty_cells_keep_their_columns_and_empty_rows_go():
    assert text("a,b,c\n1,,3\n,,\n,2,\n") == "a | b | c\n1 |  | 3\n | 2"


def test_one_column_is_a_list():
    assert text("name\nAna Maria\nBo\n") == "name\nAna Maria\nBo"


def test_a_quote_that_never_closes_loses_nothing():
    assert text('a,b\n1,"open\n2,3\n').split() == ["a", "|", "b", "1", "|", "open", "2,3"]


def test_an_old_encoding_is_read():
    assert text("né;où\ncafé;là\n".encode("cp1252")) == "né | où\ncafé | là"


def test_a_cell_of_five_megabytes_is_read_whole():
    assert len(text("a,b\n1," + "x" * 5_000_000)) == len("a | b\n1 | ") + 5_000_000


def test_a_row_of_a_hundred_thousand_cells_is_read_whole():
    assert text("1," * 100_000 + "2").count("1") == 100_000
