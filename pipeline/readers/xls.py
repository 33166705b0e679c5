"""Excel workbooks from before 2007 (.xls, .xlt), with xlrd (the extra `office`).

Kept and lost: as for xlsx, but comments and text boxes are lost too.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

from pipeline.errors import ReadError
from pipeline.readers import PageText, Reading, ReadOptions, extras, number_formats, packages
from pipeline.readers.sheets import Sheets

SUFFIXES = (".xls", ".xlt")
VERSION = f"3 ({extras.installed('xlrd')})"

_BEGINNINGS = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\x09\x08", b"\x09\x04", b"\x09\x02", b"\x09\x00")
_TEXT, _NUMBER, _DATE, _BOOLEAN, _ERROR = 1, 2, 3, 4, 5


def recognises(content: bytes) -> bool:
    """An OLE file, or the bare stream that the oldest programs wrote."""
    return content.startswith(_BEGINNINGS)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:  # noqa: ARG001 - the contract's signature
    """Each visible sheet as a page."""
    library = extras.load("xlrd", "office", name)
    sheets = Sheets(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = library.open_workbook(file_contents=content, formatting_info=True, logfile=io.StringIO())
            all_sheets = book.sheets()
            visible = [sheet for sheet in all_sheets if sheet.visibility == 0] or all_sheets
            pages = tuple(_page(book, sheet, sheets, library) for sheet in visible)
    except (MemoryError, ReadError):
        raise
    except Exception as error:  # xlrd raises whatever a broken file leads it into
        if isinstance(error, library.XLRDError) and "encrypted" in str(error):
            raise ReadError(
                f"{name} is encrypted, and such old files are not opened even with a password",
                code="encrypted",
                hint="Save it without a password in its own program.",
            ) from None
        raise packages.broken(name, type(error).__name__) from None
    return Reading(pages)


def _page(book: Any, sheet: Any, sheets: Sheets, library: Any) -> PageText:  # noqa: ANN401 - xlrd's own
    for row in range(sheet.nrows):
        for column in range(sheet.row_len(row)):
            cell = sheet.cell(row, column)
            if cell.ctype == _TEXT:
                text = cell.value
            elif cell.ctype in {_NUMBER, _DATE}:
                style = book.xf_list[cell.xf_index] if cell.xf_index is not None else None
                code = book.format_map[style.format_key].format_str if style is not None else ""
                text = number_formats.shown(cell.value, code, from_1904=book.datemode == 1)
            elif cell.ctype == _BOOLEAN:
                text = "TRUE" if cell.value else "FALSE"
            elif cell.ctype == _ERROR:
                text = library.error_text_from_code.get(cell.value, "")
            else:
                continue
            sheets.put(row + 1, column + 1, text)
    for top, behind_bottom, left, behind_right in sheet.merged_cells:
        sheets.merge(top + 1, left + 1, behind_bottom, behind_right)
    return sheets.page(" ".join(sheet.name.split()), [])
