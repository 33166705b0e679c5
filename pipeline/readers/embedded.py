"""What an Office document embeds, as a file of its own: OLE objects (MS-OLEDS) with olefile, and pieces of web pages.

An object is a file with others in it. Told are what Windows packs (any file, with its name), PDFs, and documents of
Office. Lost: formulas of the old editor, and the name of all but what Windows packs.
"""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import PurePosixPath

import olefile

from pipeline.data import Attachment
from pipeline.readers import decoding
from pipeline.readers.cleaning import clean
from pipeline.readers.signatures import is_pdf

VERSION = f"olefile {olefile.__version__}"

_NATIVE = "\x01Ole10Native"
_FORMULA = "Equation Native"
_FILE = 2  # the kind of native data that is a file
_OLD = {"WordDocument": ".doc", "Workbook": ".xls", "Book": ".xls", "PowerPoint Document": ".ppt"}
_NEW = {b"word/document.xml": ".docx", b"xl/workbook.xml": ".xlsx", b"ppt/presentation.xml": ".pptx"}


def file_of(name: str, content: bytes) -> Attachment | None:
    """The file that a part is or holds; None for a formula.

    An object in which none can be told is given as it is: no reader takes its suffix, so it becomes a failure.
    """
    path = PurePosixPath(name)
    if path.suffix.lower() in {".mht", ".mhtml"}:  # a web page as a mail holds it
        return Attachment(f"{path.stem}.eml", content)
    if not content.startswith(olefile.MAGIC):
        return Attachment(name, content)
    try:
        with warnings.catch_warnings(), olefile.OleFileIO(io.BytesIO(content)) as file:
            warnings.simplefilter("ignore")
            return None if file.exists(_FORMULA) else _within(file, path.stem) or Attachment(name, content)
    except MemoryError:
        raise
    except Exception:  # olefile and struct raise whatever a broken file leads them into
        return Attachment(name, content)


def _within(file: olefile.OleFileIO, stem: str) -> Attachment | None:
    if file.exists(_NATIVE):
        return _packed(file.openstream(_NATIVE).read())
    if file.exists("CONTENTS"):
        content: bytes = file.openstream("CONTENTS").read()
        return Attachment(f"{stem}.pdf", content) if is_pdf(content) else None
    if file.exists("Package"):
        content = file.openstream("Package").read()
        suffix = next((suffix for part, suffix in _NEW.items() if part in content), None)
        return Attachment(stem + suffix, content) if suffix else None
    suffix = next((suffix for stream, suffix in _OLD.items() if file.exists(stream)), None)
    return Attachment(stem + suffix, file.fp.getvalue()) if suffix else None


def _packed(native: bytes) -> Attachment | None:
    """What Windows packed: its label, two paths, the file."""
    (kind,) = struct.unpack_from("<H", native, 4)
    if kind != _FILE:
        return None
    label, _, rest = native[6:].partition(b"\0")
    _, _, rest = rest.partition(b"\0")
    (length,) = struct.unpack_from("<I", rest, 4)
    (size,) = struct.unpack_from("<I", rest, 8 + length)
    content = rest[12 + length : 12 + length + size]
    name = clean(decoding.decode(label).replace("\\", "/").rsplit("/", 1)[-1]).replace("\n", " ").strip()
    return Attachment(name, content) if name and len(content) == size else None
