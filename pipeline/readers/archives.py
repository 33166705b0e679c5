"""Archives (.zip, .tar) and compressed files (.gz, .bz2, .xz; .tgz and its kin), with the standard library; .7z with
py7zr (the extra `archives`).

An archive is a folder: each file in it becomes an attachment, to be read by its own suffix; an archive within it too,
as deep as attachments may nest. Nothing is written to the disk and no name becomes a path: a member keeps the last
part of its name. Left out: folders, links, devices, hidden files and the clutter that file managers add. Bounded: the
number of members, what they unpack to, and the ratio of that to the file.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import IO

from pipeline.data import Attachment
from pipeline.errors import ReadError
from pipeline.readers import PageText, Reading, ReadOptions, extras, packages
from pipeline.readers.cleaning import clean

SUFFIXES = (".7z", ".bz2", ".gz", ".tar", ".tbz2", ".tgz", ".txz", ".xz", ".zip")
VERSION = f"3 ({extras.installed('py7zr')})"

_MOST_MEMBERS = 10_000
_MOST_BYTES = 256 << 20  # unpacked
_DEEPEST = 8  # archives in archives
_HIGHEST_RATIO = 250  # of unpacked to packed; counts only beyond what is small anyway
_SMALL = 16 << 20
_BLOCK = 1 << 20
_CLUTTER = frozenset(("thumbs.db", "desktop.ini"))


def _gzip(file: IO[bytes]) -> io.BufferedIOBase:
    return gzip.GzipFile(fileobj=file)


_Unpacker = Callable[[IO[bytes]], io.BufferedIOBase]
_COMPRESSED: tuple[tuple[bytes, _Unpacker], ...] = (
    (b"\x1f\x8b\x08", _gzip),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)
_SEVEN = b"7z\xbc\xaf\x27\x1c"
_TARS = {".tgz", ".tbz2", ".txz"}


def recognises(content: bytes) -> bool:
    """By the first bytes; a tar, which has none, by the checksum of its first header."""
    beginnings = (b"PK\x03\x04", b"PK\x05\x06", _SEVEN)
    return content.startswith(beginnings) or _unpacker(content) is not None or _is_tar(content)


def read(content: bytes, name: str, options: ReadOptions) -> Reading:
    """Members as attachments; no text of its own."""
    budget = _Budget(name, len(content))
    attachments = _members(content, name, options, budget)
    if not attachments:
        raise ReadError(f"{name} has no files in it", code="no_text", hint="There is nothing in it to extract.")
    _look_ahead(attachments, options, budget, depth=1)
    return Reading((PageText(""),), tuple(attachments))


def _members(content: bytes, name: str, options: ReadOptions, budget: _Budget) -> list[Attachment]:
    try:
        unpacker = _unpacker(content)
        if unpacker is not None:
            path = PurePosixPath(name)
            inner = path.stem + (".tar" if path.suffix.lower() in _TARS else "")
            return [Attachment(_name(inner), budget.take(unpacker(io.BytesIO(content))))]
        if content.startswith(_SEVEN):
            return _seven(content, options, budget)
        return list(_tar(content, budget) if _is_tar(content) else _zip(content, options, budget))
    except (MemoryError, ReadError):
        raise
    except Exception as error:  # these libraries raise whatever a broken file leads them into
        raise packages.broken(name, type(error).__name__) from None


def _look_ahead(attachments: list[Attachment], options: ReadOptions, budget: _Budget, depth: int) -> None:
    """Unpack archives within the archive too, on the same budget: ten that hold ten each, eight deep, are 10**8."""
    for one in attachments:
        if depth < _DEEPEST and PurePosixPath(one.name).suffix.lower() in SUFFIXES and recognises(one.content):
            try:
                within = _members(one.content, one.name, options, budget)
            except ReadError as error:
                if error.code == "limits":
                    raise
                continue  # whose failure it is will be seen when it is read
            _look_ahead(within, options, budget, depth + 1)


class _Budget:
    """What an archive may unpack to."""

    def __init__(self, name: str, packed: int) -> None:
        self.name = name
        self._left = min(_MOST_BYTES, max(_SMALL, packed * _HIGHEST_RATIO))
        self._members = 0

    def take(self, file: IO[bytes] | io.BufferedIOBase) -> bytes:
        """All of a member. Raises ReadError limits: what a header says of its size is not believed."""
        self.count()
        blocks = []
        while block := file.read(_BLOCK):
            self.spend(len(block))
            blocks.append(block)
        return b"".join(blocks)

    def count(self) -> None:
        """One more member. Raises ReadError limits."""
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise packages.too_much(self.name, f"more than {_MOST_MEMBERS} files in it")

    def spend(self, size: int) -> None:
        """So many bytes more. Raises ReadError limits."""
        self.require(size)
        self._left -= size

    def require(self, size: int) -> None:
        """Raises ReadError limits where not so many bytes are left."""
        if size > self._left:
            raise packages.too_much(self.name, "more to unpack than any honest file of its size")


def _zip(content: bytes, options: ReadOptions, budget: _Budget) -> Iterator[Attachment]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive = zipfile.ZipFile(io.BytesIO(content))
    for info in archive.infolist():
        if info.is_dir() or (info.external_attr >> 16) & 0o170000 == 0o120000 or _is_clutter(info.filename):
            continue
        yield Attachment(_name(info.filename), _member(archive, info, options, budget))


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, options: ReadOptions, budget: _Budget) -> bytes:
    if not info.flag_bits & 1:
        with archive.open(info) as file:
            return budget.take(file)
    for password in options.passwords:
        try:
            with archive.open(info, pwd=password.encode("utf-8")) as file:
                return budget.take(file)
        except (RuntimeError, zipfile.BadZipFile):  # a wrong password; one in 256 shows only in the checksum
            continue
        except NotImplementedError:
            break
    raise packages.encrypted(budget.name, tried=len(options.passwords))


def _tar(content: bytes, budget: _Budget) -> Iterator[Attachment]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for number, info in enumerate(archive):
            if number >= _MOST_MEMBERS:  # folders and links too: they are not taken but they are looked at
                raise packages.too_much(budget.name, f"more than {_MOST_MEMBERS} files in it")
            if info.isreg() and not _is_clutter(info.name):
                file = archive.extractfile(info)
                if file is not None:
                    yield Attachment(_name(info.name), budget.take(file))
        following = content[archive.offset : archive.offset + tarfile.BLOCKSIZE]
        if not following or following.strip(b"\0"):  # tarfile ends at any bad header as if it were the end
            raise packages.broken(budget.name, "it is cut, or a header in it is wrong")


class _Member:
    """What py7zr writes a member of a 7z archive into."""

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self.content = bytearray()

    def write(self, data: bytes) -> int:
        self._budget.spend(len(data))
        self.content += data
        return len(data)

    def read(self, size: int | None = None) -> bytes:  # noqa: ARG002 - the library's signature
        return bytes(self.content)

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: ARG002 - as above
        return 0

    def flush(self) -> None:
        """Nothing waits."""

    def size(self) -> int:
        return len(self.content)

    def close(self) -> None:
        """Nothing is open."""


class _Members:
    """Gives py7zr a `_Member` for each name, so that it writes nothing to the disk."""

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self.found: list[tuple[str, _Member]] = []

    def create(self, filename: str) -> _Member:
        self._budget.count()
        member = _Member(self._budget)
        self.found.append((filename, member))
        return member


def _seven(content: bytes, options: ReadOptions, budget: _Budget) -> list[Attachment]:
    library = extras.load("py7zr", "archives", budget.name)
    passwords: list[str | None] = [None, *options.passwords]
    for password in passwords:
        members = _Members(budget)
        try:
            with library.SevenZipFile(io.BytesIO(content), password=password) as archive:
                listed = archive.list()
                if len(listed) > _MOST_MEMBERS:
                    raise packages.too_much(budget.name, f"more than {_MOST_MEMBERS} files in it")
                budget.require(sum(one.uncompressed for one in listed))  # a solid archive is unpacked whole
                names = [one.filename for one in listed if one.is_file and not _is_clutter(one.filename)]
                if names:
                    archive.extract(targets=names, factory=members)
        except (MemoryError, ReadError):
            raise
        except library.PasswordRequired:
            continue
        except Exception:
            if password is None:
                raise
            continue  # a wrong password shows in many ways; the next one may be right
        return [Attachment(_name(name), bytes(one.content)) for name, one in members.found]
    raise packages.encrypted(budget.name, tried=len(options.passwords))


def _unpacker(content: bytes) -> _Unpacker | None:
    return next((unpacker for start, unpacker in _COMPRESSED if content.startswith(start)), None)


def _is_tar(content: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(content[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _is_clutter(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return any(part.startswith((".", "__MACOSX")) and part not in {".", ".."} for part in parts) or (
        parts[-1].lower() in _CLUTTER
    )


def _name(given: str) -> str:
    """A name to show, without folders."""
    return clean(given.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]).replace("\n", " ").strip() or "file"
