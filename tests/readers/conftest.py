"""Small valid files of every format, made here."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

FILES = Path(__file__).parent / "files"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
MORE = (
    f'xmlns:r="{OFFICE}" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)

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


def _zip(parts):
    """A ZIP archive of these names and contents."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def _tar(parts):
    """A tar archive of these names and contents."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _relations(*targets):
    """Relations rId1, rId2 ... to these parts; the kind is the part's file name without digits."""
    rows = "".join(
        f'<Relationship Id="rId{number}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{rows}</Relationships>'


def _office(main, kind, parts, targets):
    """An Office document whose main part is `main` and refers to `targets`, each a kind and a name."""
    folder, _, file = main.rpartition("/")
    types = f'<Types><Override PartName="/{main}" ContentType="application/vnd.x.{kind}.main+xml"/></Types>'
    first = {"[Content_Types].xml": types, "_rels/.rels": _relations(("officeDocument", main))}
    return _zip({**first, f"{folder}/_rels/{file}.rels": _relations(*targets), **parts})


def _docx(body, **parts):
    """A Word document of this body; `parts` are the children of styles, numbering, footnotes, comments, header1 ..."""
    roots = {"styles": "styles", "numbering": "numbering", "footnotes": "footnotes", "comments": "comments"}
    files = {
        f"word/{name}.xml": f"<w:{roots.get(name, name[:-1])} {W}>{inner}</w:{roots.get(name, name[:-1])}>"
        for name, inner in parts.items()
        if isinstance(inner, str)
    }
    files |= {f"word/{name}": inner for name, inner in parts.items() if isinstance(inner, bytes)}
    files["word/document.xml"] = f"<w:document {W} {MORE}><w:body>{body}</w:body></w:document>"
    targets = [
        ("package", name) if isinstance(inner, bytes) else (name.rstrip("0123456789"), f"{name}.xml")
        for name, inner in parts.items()
    ]
    return _office("word/document.xml", "wordprocessingml.document", files, targets)


def _xlsx(*sheets, strings=(), formats=(), book="", parts=None):
    """A workbook; a sheet is its name, the XML of its rows, and attributes of its entry in the list of sheets."""
    rows = "".join(f'<sheet name="{name}" r:id="rId{n}" {more}/>' for n, (name, _, more) in enumerate(sheets, start=1))
    codes = "".join(f'<numFmt numFmtId="{200 + n}" formatCode="{code}"/>' for n, code in enumerate(formats))
    styles = "".join(f'<xf numFmtId="{200 + n}"/>' for n in range(len(formats)))
    files = {
        "xl/workbook.xml": f"<workbook {S} {MORE}>{book}<sheets>{rows}</sheets></workbook>",
        "xl/sharedStrings.xml": f"<sst {S}>{''.join(f'<si><t>{text}</t></si>' for text in strings)}</sst>",
        "xl/styles.xml": f"<styleSheet {S}><numFmts>{codes}</numFmts><cellXfs>{styles}</cellXfs></styleSheet>",
    }
    for number, (_, data, _) in enumerate(sheets, start=1):
        files[f"xl/sheet{number}.xml"] = f"<worksheet {S}><sheetData>{data}</sheetData></worksheet>"
    targets = [("worksheet", f"sheet{number}.xml") for number in range(1, len(sheets) + 1)]
    targets += [("sharedStrings", "sharedStrings.xml"), ("styles", "styles.xml")]
    return _office("xl/workbook.xml", "spreadsheetml.sheet", {**files, **(parts or {})}, targets)


def _pptx(*slides, layout="", notes=None):
    """A presentation; a slide is the XML of its shapes. `notes` are the shapes of the notes of the first."""
    ids = "".join(f'<p:sldId r:id="rId{number}"/>' for number in range(1, len(slides) + 1))
    tree = "<p:cSld><p:spTree>{}</p:spTree></p:cSld>"
    files = {
        "ppt/presentation.xml": f"<p:presentation {P} {MORE}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        "ppt/layout.xml": f"<p:sldLayout {P} {MORE}>{tree.format(layout)}</p:sldLayout>",
        "ppt/notes.xml": f"<p:notes {P} {MORE}>{tree.format(notes or '')}</p:notes>",
    }
    for number, shapes in enumerate(slides, start=1):
        files[f"ppt/slide{number}.xml"] = f"<p:sld {P} {MORE}>{tree.format(shapes)}</p:sld>"
        more = [("notesSlide", "notes.xml")] if notes and number == 1 else []
        files[f"ppt/_rels/slide{number}.xml.rels"] = _relations(("slideLayout", "layout.xml"), *more)
    targets = [("slide", f"slide{number}.xml") for number in range(1, len(slides) + 1)]
    return _office("ppt/presentation.xml", "presentationml.presentation", files, targets)


def _odf(kind, body, styles="", masters="", lists=""):
    """The flat form of an OpenDocument text, spreadsheet or presentation."""
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{space}:1.0"'
        for name, space in {
            **{name: name for name in ("office", "style", "text", "table", "presentation")},
            "draw": "drawing",
            "fo": "xsl-fo-compatible",
            "svg": "svg-compatible",
        }.items()
    )
    return (
        f'<office:document {spaces} xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<office:automatic-styles>{styles}{lists}</office:automatic-styles>"
        f"<office:master-styles>{masters}</office:master-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document>"
    ).encode()


def _packed(flat):
    """The packed form of a flat OpenDocument file."""
    return _zip({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": flat})


@pytest.fixture(scope="session")
def make_pptx():
    return _pptx


@pytest.fixture(scope="session")
def make_odf():
    return _odf


@pytest.fixture(scope="session")
def make_pdf():
    return _pdf


@pytest.fixture(scope="session")
def make_zip():
    return _zip


@pytest.fixture(scope="session")
def make_tar():
    return _tar


@pytest.fixture(scope="session")
def make_docx():
    return _docx


@pytest.fixture(scope="session")
def make_xlsx():
    return _xlsx


@pytest.fixture(scope="session")
def valid_files():
    """Suffix -> a valid file."""
    page = "<html><head><title>Bill</title></head><body><p>Total</p><table><tr><td>a<td>1</table></body></html>"
    text = "Receipt\r\n\r\nTotal 12,50 €\r\n\fPage two\r\n"
    table = 'name;price\ncafé;3,50\n"a; b";4\n'
    paragraph = "<w:p><w:r><w:t>Receipt, total 12,50 €</w:t></w:r></w:p>"
    cells = '<row r="1"><c r="A1" t="inlineStr"><is><t>Total</t></is></c><c r="B1"><v>12.5</v></c></row>'
    word, excel = _docx(paragraph), _xlsx(("Costs", cells, ""))
    slides = _pptx("<p:sp><p:txBody><a:p><a:r><a:t>Total 12.50</a:t></a:r></a:p></p:txBody></p:sp>")
    line = "<text:p>Total 12,50</text:p>"
    letter = _odf("text", line)
    cell = f'<table:table table:name="S"><table:table-row><table:table-cell>{line}</table:table-cell></table:table-row>'
    sheet = _odf("spreadsheet", f"{cell}</table:table>")
    show = _odf(
        "presentation", f"<draw:page><draw:frame><draw:text-box>{line}</draw:text-box></draw:frame></draw:page>"
    )
    tar = _tar({"a.txt": b"Total 12"})
    return {
        ".zip": _zip({"a.txt": "Total 12"}),
        ".tar": tar,
        **dict.fromkeys((".gz", ".tgz"), gzip.compress(tar, mtime=0)),
        **dict.fromkeys((".bz2", ".tbz2"), bz2.compress(tar)),
        **dict.fromkeys((".xz", ".txz"), lzma.compress(tar)),
        **dict.fromkeys((".potm", ".potx", ".ppsm", ".ppsx", ".pptm", ".pptx"), slides),
        **{".fodt": letter, ".fods": sheet, ".fodp": show},
        **dict.fromkeys((".odt", ".ott"), _packed(letter)),
        **dict.fromkeys((".ods", ".ots"), _packed(sheet)),
        **dict.fromkeys((".odp", ".otp"), _packed(show)),
        **dict.fromkeys((".docm", ".docx", ".dotm", ".dotx"), word),
        **dict.fromkeys((".xlsm", ".xlsx", ".xltm", ".xltx"), excel),
        **dict.fromkeys((".xls", ".xlt"), (FILES / "small.xls").read_bytes()),
        ".rtf": rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Arial;}}\pard Receipt\par Total 12,50 \'80\par}",
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
