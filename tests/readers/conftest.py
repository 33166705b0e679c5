"""Small valid files of every format, made here."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pillow_heif
import py7zr
import pypdf
import pytest
from PIL import Image
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

FILES = Path(__file__).parent / "files"
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
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


def _ole(streams):
    """An OLE file of these streams, each below 4096 bytes; names have their storages before them: `a/b/c`."""
    storages = sorted({"/".join(name.split("/")[:n]) for name in streams for n in range(1, name.count("/") + 1)})
    names = ["", *storages, *streams]
    last, free = 0xFFFFFFFE, 0xFFFFFFFF

    def chain(first, count):
        return [first + n + 1 for n in range(count - 1)] + [last] * (count > 0)

    small, table, starts = b"", [], {}
    for name, content in streams.items():
        starts[name] = len(table)
        table += chain(len(table), max(1, -(-len(content) // 64)))
        small += content.ljust(max(1, -(-len(content) // 64)) * 64, b"\0")
    entries = b""
    for number, name in enumerate(names):
        children = [n for n, other in enumerate(names) if n and other.rpartition("/")[0] == name]
        siblings = [n for n, other in enumerate(names) if n and other.rpartition("/")[0] == name.rpartition("/")[0]]
        after = siblings[siblings.index(number) + 1 :] if number else []
        label = (name.rpartition("/")[2] or "Root Entry").encode("utf-16-le")
        kind = 5 if not number else 2 if name in streams else 1
        links = (free, after[0] if after else free, children[0] if children else free)
        entries += label.ljust(64, b"\0") + struct.pack("<HBB3I16sIQQ", len(label) + 2, kind, 1, *links, b"", 0, 0, 0)
        start, size = (0, len(small)) if not number else (starts.get(name, last), len(streams.get(name, b"")))
        entries += struct.pack("<IQ", start, size)
    parts = [small, struct.pack(f"<{len(table)}I", *table), entries]
    counts = [-(-len(part) // 512) for part in parts]
    places = [sum(counts[:n]) for n in range(4)]
    fat = [entry for place, count in zip(places, counts, strict=False) for entry in chain(place, count)] + [0xFFFFFFFD]
    body = b"".join(
        part.ljust(count * 512, fill) for part, count, fill in zip(parts, counts, (b"\0", b"\xff", b"\0"), strict=True)
    )
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<5H6x", 0x3E, 3, 0xFFFE, 9, 6)
    head += struct.pack("<9I", 0, 1, places[2], 0, 4096, places[1], counts[1], last, 0)
    head += struct.pack("<109I", places[3], *[free] * 108)
    return head + body + struct.pack(f"<{len(fat)}I", *fat).ljust(512, b"\xff")


def _msg(strings, more=None, numbers=()):
    """An Outlook message of these strings by number, and other streams; `numbers` are properties of a fixed size."""
    streams = {f"__substg1.0_{number:04X}001F": text.encode("utf-16-le") for number, text in strings.items()}
    fixed = b"".join(struct.pack("<IIQ", tag, 6, value) for tag, value in numbers)
    return _ole({"__properties_version1.0": bytes(32) + fixed, **streams, **(more or {})})


def _epub(*chapters, **parts):
    """A book of these chapters."""
    items = "".join(f'<item id="c{n}" href="c{n}.html"/>' for n in range(len(chapters)))
    order = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    pages = {f"OPS/c{n}.html": chapter for n, chapter in enumerate(chapters)}
    return _zip(
        {
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/a.opf"/></rootfiles></container>',
            "OPS/a.opf": f"<package><manifest>{items}</manifest><spine>{order}</spine></package>",
            **pages,
            **parts,
        }
    )


@pytest.fixture(scope="session")
def make_ole():
    return _ole


@pytest.fixture(scope="session")
def make_msg():
    return _msg


@pytest.fixture(scope="session")
def make_epub():
    return _epub


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


def _seven(parts, **settings):
    """A 7z archive of these names and contents."""
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w", **settings) as archive:
        for name, content in parts.items():
            archive.writestr(content, name)
    return out.getvalue()


@pytest.fixture(scope="session")
def make_seven():
    return _seven


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
        (next((kind for kind in ("aFChunk", "oleObject") if name.startswith(kind)), "package"), name)
        if isinstance(inner, bytes)
        else (name.rstrip("0123456789"), f"{name}.xml")
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


def _pictures():
    pillow_heif.register_heif_opener()
    kinds = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "TIFF": (".tif", ".tiff"), "WEBP": (".webp",)}
    kinds["HEIF"] = (".heic", ".heif")
    files = {}
    for kind, suffixes in kinds.items():
        file = io.BytesIO()
        Image.effect_noise((120, 80), 60).convert("RGB").save(file, kind)
        files.update(dict.fromkeys(suffixes, file.getvalue()))
    return files


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
        **dict.fromkeys((".msg", ".oft"), _msg({0x0037: "Bill", 0x1000: "Total 12,50 €"})),
        **dict.fromkeys((".mbox", ".mbx"), b"From ana Sat Mar  8 10:00:00 2025\nFrom: ana\nSubject: a\n\nTotal 12\n"),
        ".epub": _epub("<p>Total 12,50 €</p>", "<p>Two</p>"),
        ".ics": b"BEGIN:VCALENDAR\r\nSUMMARY:Meeting\r\nEND:VCALENDAR\r\n",
        ".vcf": b"BEGIN:VCARD\nFN:Ana\nEND:VCARD\n",
        ".json": b'{"total": 12.5}',
        ".log": b"2025-03-08 done\n",
        ".xml": '<?xml version="1.0" encoding="iso-8859-1"?><total>12 café</total>'.encode("latin-1"),
        ".zip": _zip({"a.txt": "Total 12"}),
        ".tar": tar,
        ".7z": _seven({"a.txt": b"Total 12"}),
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
        **dict.fromkeys((".doc", ".dot"), (SAMPLES / "mixed/wollfilz-werkstatt.doc").read_bytes()),
        ".rtf": rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Arial;}}\pard Receipt\par Total 12,50 \'80\par}",
        **_pictures(),
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
