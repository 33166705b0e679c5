"""Small valid files of every format, made here."""

import io
from email.message import EmailMessage

import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

HELVETICA = DictionaryObject(
    {
        NameObject("/Type"): NameObject("/Font"),
        NameObject("/Subtype"): NameObject("/Type1"),
        NameObject("/BaseFont"): NameObject("/Helvetica"),
        NameObject("/Encoding"): NameObject("/WinAnsiEncoding"),
    }
)


def _pdf(*pages, font=HELVETICA, password=None, owner=None, algorithm="AES-256"):
    """A PDF; a page is its lines of text, or the bytes of its content stream."""
    writer = pypdf.PdfWriter()
    for page in pages:
        if isinstance(page, str):
            lines = page.encode("cp1252").split(b"\n")
            page = b"BT /F1 12 Tf 14 TL 72 760 Td " + b" ".join(b"(%s) Tj T*" % line for line in lines) + b" ET"
        sheet = writer.add_blank_page(595, 842)
        stream = DecodedStreamObject()
        stream.set_data(page)
        sheet[NameObject("/Contents")] = writer._add_object(stream)
        fonts = DictionaryObject({NameObject("/F1"): font})
        sheet[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    if password is not None:
        writer.encrypt(password, owner, algorithm=algorithm)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _mail():
    mail = EmailMessage()
    mail["From"] = "Ana <ana@example.org>"
    mail["To"] = "Bo <bo@example.org>"
    mail["Subject"] = "Fatura nº 12"
    mail.set_content("O total é 120 €.\n")
    mail.add_alternative("<p>O total é <b>120</b> €.</p>", subtype="html")
    mail.add_attachment(b"a;b\n1;2\n", maintype="text", subtype="csv", filename="linhas.csv")
    return mail.as_bytes()


@pytest.fixture(scope="session")
def make_pdf():
    return _pdf


@pytest.fixture(scope="session")
def valid_files():
    """Suffix -> a valid file."""
    page = "<html><head><title>Bill</title></head><body><p>Total</p><table><tr><td>a<td>1</table></body></html>"
    text = "Receipt\r\n\r\nTotal 12,50 €\r\n\fPage two\r\n"
    table = 'name;price\ncafé;3,50\n"a; b";4\n'
    return {
        ".pdf": _pdf("Receipt\nTotal 12.50", "Page two"),
        ".txt": text.encode("utf-8"),
        ".text": text.encode("utf-16"),
        ".md": b"# Minutes\n\n- Ana writes the report\n",
        ".markdown": b"# Minutes\n\n- Ana writes the report\n",
        ".html": page.encode(),
        ".htm": page.encode("utf-16"),
        ".xhtml": b'<?xml version="1.0" encoding="iso-8859-1"?><html><body><p>caf\xe9</p></body></html>',
        ".eml": _mail(),
        ".csv": table.encode("cp1252"),
        ".tsv": table.replace(";", "\t").encode("utf-8"),
    }
