import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest

from pipeline import readers
from pipeline.errors import ReadError
from pipeline.readers import archives

LOCKED = (
    "504b03040a0009000000e806755dbe990fcf150000000900000005001c00612e7478745554090003f3eb006bf3eb006b7578"
    "0b000104000000000400000000f1c4731f142fdb2257d48c1334981f579fb021ea34504b0708be990fcf1500000009000000"
    "504b01021e030a0009000000e806755dbe990fcf1500000009000000050018000000000001000000a48100000000612e7478"
    "745554050003f3eb006b75780b000104000000000400000000504b050600000000010001004b000000640000000000"
)


def members(content, name="a.zip", **options):
    found = readers.read(content, name, readers.ReadOptions(**options)).attachments
    return [(one.name, one.content) for one in found]


def refused(content, name="a.zip", **options):
    with pytest.raises(ReadError) as caught:
        readers.read(content, name, readers.ReadOptions(**options))
    return caught.value


def test_each_file_of_an_archive_is_an_attachment(make_zip, make_tar):
    parts = {"folder/": b"", "folder/a.txt": b"one", "b.csv": b"two"}
    expected = [("a.txt", b"one"), ("b.csv", b"two")]

    assert members(make_zip(parts)) == expected
    assert members(make_tar({name: content for name, content in parts.items() if content}), "a.tar") == expected


@pytest.mark.parametrize("name", ["../../etc/a.txt", "/etc/a.txt", "C:\\windows\\a.txt", "x/./../a.txt"])
def test_a_member_keeps_the_last_part_of_its_name_only(make_zip, make_tar, name):
    assert members(make_zip({name: b"x"})) == [("a.txt", b"x")]
    assert members(make_tar({name: b"x"}), "a.tar") == [("a.txt", b"x")]


def test_links_devices_hidden_files_and_clutter_are_left_out(make_zip):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo("link.txt")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        archive.addfile(tarfile.TarInfo("a.txt"))

    assert members(out.getvalue(), "a.tar") == [("a.txt", b"")]
    parts = {"__MACOSX/._a.txt": b"x", ".git/config": b"x", "Thumbs.db": b"x", "a.txt": b"y"}
    assert members(make_zip(parts)) == [("a.txt", b"y")]


@pytest.mark.parametrize(
    ("pack", "name", "inner"),
    [
        (gzip.compress, "letter.txt.gz", "letter.txt"),
        (gzip.compress, "all.tar.gz", "all.tar"),
        (gzip.compress, "all.tgz", "all.tar"),
        (bz2.compress, "all.tbz2", "all.tar"),
        (lzma.compress, "letter.txt.xz", "letter.txt"),
    ],
)
def test_a_compressed_file_holds_one_file(pack, name, inner):
    assert members(pack(b"hello"), f"/folder/{name}") == [(inner, b"hello")]


def test_an_archive_without_files_says_so(make_zip):
    assert refused(make_zip({})).code == "no_text"


def test_a_password_opens_the_files(monkeypatch):
    # Made with: printf 'Total 12\n' > a.txt; zip -P secret locked.zip a.txt
    locked = bytes.fromhex(LOCKED)

    assert refused(locked).code == "encrypted"
    assert refused(locked, passwords=("wrong",)).code == "encrypted"
    assert members(locked, passwords=("wrong", "secret")) == [("a.txt", b"Total 12\n")]


def test_a_bomb_is_refused(make_zip):
    bomb = b"\x00" * (40 << 20)

    assert refused(make_zip({"a.txt": bomb})).code == "limits"
    assert refused(gzip.compress(bomb), "a.gz").code == "limits"
    assert refused(bz2.compress(bomb), "a.bz2").code == "limits"


def test_what_a_header_says_of_its_size_is_not_believed(make_zip):
    content = bytearray(make_zip({"a.txt": b"x" * 5000}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.start_dir
    content[start + 24 : start + 28] = (10).to_bytes(4, "little")

    assert refused(bytes(content)).code == "broken"


def test_too_many_members_are_refused(make_zip, make_tar, monkeypatch):
    monkeypatch.setattr(archives, "_MOST_MEMBERS", 20)
    parts = {f"{number}.txt": b"" for number in range(21)}

    assert refused(make_zip(parts)).code == "limits"
    assert refused(make_tar(parts), "a.tar").code == "limits"


def test_archives_in_archives_share_one_budget(make_zip, monkeypatch):
    monkeypatch.setattr(archives, "_MOST_MEMBERS", 500)
    content = b"hello"
    for name in ("a.txt", "1.zip", "2.zip", "3.zip"):
        content = make_zip({f"{number}{name}": content for number in range(8)})

    assert refused(content).code == "limits"


def test_an_archive_that_holds_itself_ends(make_zip):
    content = b"x"
    for _ in range(30):
        content = make_zip({"same.zip": content})

    assert members(content)[0][0] == "same.zip"


def test_a_broken_archive_within_costs_itself_only(make_zip):
    inner = make_zip({"a.txt": b"x" * 1000})[:-30]

    assert [name for name, _ in members(make_zip({"bad.zip": inner, "b.txt": b"y"}))] == ["bad.zip", "b.txt"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.gz", "a.xz"])
def test_a_cut_archive_is_broken(name, valid_files):
    content = valid_files["." + name.partition(".")[2]]

    assert refused(content[: len(content) // 2 if name != "a.tar" else 515], name).code == "broken"


def test_a_tar_that_is_cut_or_damaged_behind_its_first_file_is_broken(make_tar):
    content = make_tar(dict.fromkeys(("a.txt", "b.txt", "c.txt"), b"x" * 600))
    second = 512 + 1024
    flipped = bytearray(content)
    flipped[second] ^= 1

    assert len(members(content, "a.tar")) == 3
    assert refused(bytes(flipped), "a.tar").code == "broken"
    assert refused(content[: second + 100], "a.tar").code == "broken"
    assert refused(content[:second], "a.tar").code == "broken"


def test_a_tar_that_ends_in_one_block_of_zeros_is_read(make_tar):
    content = make_tar({"a.txt": b"x", "b.txt": b"y"})

    assert len(members(content[: 4 * 512 + 512], "a.tar")) == 2
