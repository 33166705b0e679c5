"""The container of Office, OpenDocument and EPUB files: a ZIP of XML parts, opened within limits.

Nothing is unpacked to the disk and no name becomes a path. A part is read when it is asked for; all that is read of
one file is bounded, and so is each part that becomes a tree. XML is parsed without network and without entities:
a part that defines entities is refused, since no office program writes one.
"""

from __future__ import annotations

import io
import posixpath
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from pipeline.data import Attachment
from pipeline.errors import ReadError
from pipeline.readers import ReadOptions, embedded, extras

VERSION = f"lxml {etree.__version__}, {embedded.VERSION}"

MOST_BYTES = 256 << 20  # unpacked, all parts of a file that are read
MOST_MEMBERS = 20_000
_LARGEST_TREE = 64 << 20
_MOST_NODES = 3_000_000  # elements and attributes of one tree; each takes about a hundred bytes or more
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_EMBEDDED = frozenset(("package", "aFChunk", "oleObject"))
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


@dataclass(frozen=True, slots=True)
class Relation:
    """What one part says of another."""

    kind: str  # the last word of its type: "footnotes"
    target: str  # name of the other part


class Package:
    """An open container. All methods raise ReadError and nothing else."""

    def __init__(self, content: bytes, name: str) -> None:
        self.name = name
        self._left = MOST_BYTES
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except MemoryError:
            raise
        except Exception as error:  # zipfile raises whatever a broken file leads it into
            raise broken(name, type(error).__name__) from None
        if len(self._zip.infolist()) > MOST_MEMBERS:
            raise too_much(name, f"more than {MOST_MEMBERS} parts")
        self._parts = {info.filename.replace("\\", "/").lstrip("/").lower(): info for info in self._zip.infolist()}

    def __contains__(self, part: str) -> bool:
        return part.lower() in self._parts

    def names(self) -> Iterator[str]:
        """The names of all parts, as they are written."""
        return (info.filename for info in self._zip.infolist())

    def read(self, part: str) -> bytes | None:
        """The bytes of a part; None where there is none."""
        info = self._parts.get(part.lower())
        if info is None:
            return None
        self._left -= info.file_size  # zipfile gives no more than it declares
        if self._left < 0:
            raise too_much(self.name, f"more than {MOST_BYTES >> 20} MB unpacked")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._zip.read(info)
        except MemoryError:
            raise
        except RuntimeError:
            raise encrypted(self.name, tried=0) from None
        except Exception as error:  # as above
            raise broken(self.name, type(error).__name__) from None

    def xml(self, part: str) -> etree._Element | None:
        """The tree of a part; None where there is none."""
        content = self.read(part)
        return None if content is None else parse(content, self.name)

    def iterate(self, part: str, *names: str) -> Iterator[etree._Element]:
        """The elements of these names, each when it ends, and gone when the next one is asked for."""
        content = self.read(part)
        if content is None:
            return
        tags = tuple(f"{{*}}{name}" for name in names)
        walk = etree.iterparse(
            io.BytesIO(content),
            events=("end",),
            tag=tags,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        checked = False
        try:
            for _, element in walk:
                if not checked:
                    refuse_entities(element.getroottree(), self.name)
                    checked = True
                yield element
                element.clear()
                above = element.getparent()
                while above is not None and element.getprevious() is not None:
                    del above[0]
        except etree.XMLSyntaxError:  # its message may hold the text
            raise broken(self.name, "its XML is not well formed") from None

    def relations(self, part: str) -> dict[str, Relation]:
        """What a part refers to within the package, by id. The package itself is the part "" ."""
        folder, _, file = part.rpartition("/")
        root = self.xml(posixpath.join(folder, "_rels", f"{file}.rels"))
        found = {}
        for one in () if root is None else root:
            target, kind = one.get("Target", ""), one.get("Type", "").rpartition("/")[2]
            if target and one.get("TargetMode") != "External":
                path = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
                found[one.get("Id", "")] = Relation(kind, path)
        return found

    def related(self, part: str, kind: str) -> list[str]:
        """The names of the parts of this kind that a part refers to."""
        return [one.target for one in self.relations(part).values() if one.kind == kind and one.target in self]

    def main(self, content_type: str) -> str:
        """The name of an Office file's main part, whose content type has this word in it."""
        for part in self.related("", "officeDocument"):
            if content_type in self._content_types().get(part.lower(), ""):
                return part
        raise another(self.name, "Office document")

    def embedded(self, part: str) -> tuple[Attachment, ...]:
        """The documents that are embedded in a part, each a file of its own, as `embedded.file_of` tells it."""
        related = self.relations(part).values()
        found = dict.fromkeys(one.target for one in related if one.kind in _EMBEDDED and one.target in self)
        files = (embedded.file_of(path.rpartition("/")[2], self.read(path) or b"") for path in found)
        return tuple(file for file in files if file is not None)

    def _content_types(self) -> dict[str, str]:
        root = self.xml("[Content_Types].xml")
        entries = () if root is None else root
        return {one.get("PartName", "").lstrip("/").lower(): one.get("ContentType", "") for one in entries}


def is_package(content: bytes) -> bool:
    """A ZIP archive, or the OLE file that an encrypted Office document is."""
    return content.startswith(b"PK\x03\x04") or (content.startswith(_OLE) and _ENCRYPTED in content)


def open_office(content: bytes, name: str, options: ReadOptions) -> Package:
    """Open an Office document, with a password where it asks for one."""
    return Package(decrypt(content, name, options) if content.startswith(_OLE) else content, name)


def parse(content: bytes, name: str) -> etree._Element:
    """The tree of an XML file. Raises ReadError: broken, limits."""
    nodes = content.count(b"<") + content.count(b'="') + content.count(b"='")
    if len(content) > _LARGEST_TREE or nodes > _MOST_NODES:
        raise too_much(name, "a part that is too large")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError:  # its message may hold the text
        raise broken(name, "its XML is not well formed") from None
    refuse_entities(root.getroottree(), name)
    return root


def refuse_entities(tree: etree._ElementTree, name: str) -> None:
    """Raises ReadError where the document type of an XML file defines entities."""
    dtd = tree.docinfo.internalDTD
    if dtd is not None and any(True for _ in dtd.iterentities()):  # type: ignore[attr-defined]  # the stubs lack it
        raise ReadError(
            f"{name} defines XML entities, as attacks do",
            code="limits",
            hint="No office program writes such a file: leave it out.",
        )


def local(element: etree._Element) -> str:
    """The name of an element without its namespace; "" for what is no element."""
    tag: object = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: etree._Element | None, name: str, default: str = "") -> str:
    """An attribute in the element's own namespace (there are two sets of them), or in none."""
    if element is None:
        return default
    found = element.get(element.tag.rpartition("}")[0] + "}" + name)
    return element.get(name, default) if found is None else found


def child(element: etree._Element | None, *path: str) -> etree._Element | None:
    """The first child of this name, and its first child of the next name, and so on."""
    for name in path:
        element = next((one for one in element if local(one) == name), None) if element is not None else None
    return element


def broken(name: str, why: str) -> ReadError:
    """The file is damaged."""
    return ReadError(
        f"{name} is damaged ({why})", code="broken", hint="Get it again, or open and save it in its own program."
    )


def another(name: str, what: str) -> ReadError:
    """The container is sound, but holds another kind of document."""
    return ReadError(
        f"{name} is not the {what} that its suffix says",
        code="wrong_suffix",
        hint="Give the file the suffix that fits its content.",
    )


def too_much(name: str, what: str) -> ReadError:
    """The file asks for more than any honest one does."""
    return ReadError(f"{name} has {what}", code="limits", hint="Split it in its own program, or leave it out.")


def encrypted(name: str, tried: int) -> ReadError:
    """The file asks for a password."""
    what = "and none of the passwords given opens it" if tried else "and asks for a password"
    return ReadError(f"{name} is encrypted {what}", code="encrypted", hint="Give its password with --password.")


def decrypt(content: bytes, name: str, options: ReadOptions) -> bytes:
    """An Office document without its password. Raises ReadError: encrypted, missing_extra."""
    if not options.passwords:
        raise encrypted(name, tried=0)
    library = extras.load("msoffcrypto", "office", name)
    for password in options.passwords:
        out = io.BytesIO()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                file = library.OfficeFile(io.BytesIO(content))
                file.load_key(password=password)
                file.decrypt(out)
        except MemoryError:
            raise
        except Exception:  # noqa: S112 - a wrong password shows in many ways; the next one may be right
            continue
        return out.getvalue()
    raise encrypted(name, tried=len(options.passwords))
