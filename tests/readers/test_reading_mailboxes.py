import email
import email.policy
import struct
import time

import pytest

from pipeline import readers
from pipeline.errors import ReadError
from pipeline.readers.msg import _unpacked


def mails(content):
    return [(one.name, one.content) for one in readers.read(content, "a.mbox").attachments]


def refused(content, name="a.msg"):
    with pytest.raises(ReadError) as caught:
        readers.read(content, name)
    return caught.value


FIRST = b"From ana@example.org Sat Mar  8 10:00:00 2025\n"
TICKS = (1741428000 + 11644473600) * 10_000_000  # 8 March 2025, 10:00 UTC
NEXT = b"\nFrom bo Sun Mar  9 11:00:00 2025\n"


def test_each_mail_of_a_mailbox_is_an_attachment():
    content = FIRST + b"Subject: one\n\nText\n" + NEXT + b"Subject: two\n\nMore\n"

    assert mails(content) == [("mail 1.eml", b"Subject: one\n\nText\n\n"), ("mail 2.eml", b"Subject: two\n\nMore\n")]


def test_line_ends_of_windows_part_mails_too():
    content = (FIRST + b"Subject: one\n\nText\n" + NEXT + b"Subject: two\n\nMore\n").replace(b"\n", b"\r\n")

    assert len(mails(content)) == 2


def test_a_line_that_begins_with_from_parts_no_mail_unless_it_looks_like_one():
    content = (
        FIRST
        + b"Subject: one\n\nHi\n\nFrom now on we pay 12.\nFrom bo Sun Mar  9 11:00:00 2025\n\n>From me\n>>From us\n"
    )

    [(_, mail)] = mails(content)

    assert mail.endswith(b"From now on we pay 12.\nFrom bo Sun Mar  9 11:00:00 2025\n\nFrom me\n>From us\n")


def test_a_mail_without_headers_is_a_text():
    assert mails(FIRST + b"\nJust text\n") == [("mail 1.txt", b"\nJust text\n")]


def test_a_mailbox_of_starts_only_ends():
    started = time.process_time()

    assert refused((FIRST + b"\n") * 20_000, "a.mbox").code == "broken"
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    "name", ["1204680122.27c448.host:2,S", "1204680122.M12P3V9.host.example.org,S=12:2,FS", "1699999999.A1.mail"]
)
def test_a_file_of_a_maildir_is_a_mail(name):
    assert readers.read(b"From: ana\nSubject: hello\n\nText", f"/mail/cur/{name}").reader == "mail"


def test_a_file_without_a_suffix_is_a_mail_only_within_a_maildir(tmp_path):
    for name in ("Mail/cur", "Mail/new", "Mail/tmp", "half/cur"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("Mail/cur/1", "Mail/new/msg.of_host.example", "half/cur/1", "Mail/tmp/1"):
        (tmp_path / name).write_bytes(b"From: ana\nSubject: hello\n\nText")

    assert readers.read_file(tmp_path / "Mail/cur/1").reader == "mail"
    assert readers.version(str(tmp_path / "Mail/new/msg.of_host.example")).startswith("mail ")
    for name in ("half/cur/1", "Mail/tmp/1"):
        with pytest.raises(ReadError) as caught:
            readers.read_file(tmp_path / name)
        assert caught.value.code == "unknown_format"


def test_a_dated_name_with_a_suffix_keeps_it():
    assert readers.version("1699999999.report.final.txt").startswith("text")


def test_an_outlook_message_reads_like_a_mail(make_msg):
    strings = {
        0x0C1A: "Ana",
        0x5D01: "ana@example.org",
        0x0E04: "Bo;\r\nEve",
        0x0E03: "Cy",
        0x0037: "Bill",
        0x1000: "Total 12,50 €\r\n",
    }

    document = readers.read(make_msg(strings, numbers=[(0x00390040, TICKS)]), "a.msg")

    assert document.text == (
        "From: Ana <ana@example.org>\nTo: Bo; Eve\nCc: Cy\nDate: Sat, 08 Mar 2025 10:00:00 +0000\nSubject: Bill\n\n"
        "Total 12,50 €"
    )


def test_attachments_of_a_message_keep_no_folders(make_msg):
    more = {
        "__attach_version1.0_#00000000/__substg1.0_37010102": b"a;b",
        "__attach_version1.0_#00000000/__substg1.0_3707001F": "C:\\x/../lines.csv".encode("utf-16-le"),
    }

    [attachment] = readers.read(make_msg({0x1000: "See"}, more), "a.msg").attachments

    assert (attachment.name, attachment.content) == ("lines.csv", b"a;b")


def test_a_message_within_a_message_is_a_mail(make_msg):
    at = "__attach_version1.0_#00000000"
    within = f"{at}/__substg1.0_3701000D"
    more = {
        f"{at}/__substg1.0_3001001F": "Old".encode("utf-16-le"),
        f"{within}/__properties_version1.0": bytes(24) + struct.pack("<IIQ", 0x00390040, 6, TICKS),
        f"{within}/__substg1.0_0037001F": "Re:\nBcc: x".encode("utf-16-le"),
        f"{within}/__substg1.0_1000001F": "Inner é".encode("utf-16-le"),
    }

    [attachment] = readers.read(make_msg({0x1000: "Outer"}, more), "a.msg").attachments
    mail = email.message_from_bytes(attachment.content, policy=email.policy.default)

    assert attachment.name == "Old.eml"
    assert mail["Subject"] == "Re: Bcc: x"
    assert mail["Bcc"] is None
    assert mail.get_content().strip() == "Inner é"
    assert readers.read(attachment.content, attachment.name).text == (
        "Date: Sat, 08 Mar 2025 10:00:00 +0000\nSubject: Re: Bcc: x\n\nInner é"
    )


@pytest.mark.parametrize(
    "more",
    [
        {"__substg1.0_10130102": b"<p>Total <b>12</b></p><script>x</script>"},
        {"__substg1.0_1013001F": "<p>Total <b>12</b></p>".encode("utf-16-le")},
        {"__substg1.0_10090102": struct.pack("<II4sI", 0, 20, b"MELA", 0) + rb"{\rtf1 Total {\b 12}}"},
    ],
)
def test_a_body_in_html_or_rich_text_is_read(make_msg, more):
    assert readers.read(make_msg({}, more), "a.msg").text == "Total 12"


def test_compressed_rich_text_is_unpacked():
    # The example of MS-OXRTFCP 3.1.1.
    packed = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232 0af32068656c090020627705b06c647d0a800fa0".replace(
            " ", ""
        )
    )

    assert _unpacked(packed) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


def test_eight_bit_strings_are_decoded_together(make_ole):
    streams = {
        "__properties_version1.0": bytes(32),
        "__substg1.0_0C1A001E": "L'Équipe".encode("cp1252"),
        "__substg1.0_1000001E": "La réponse à vos attentes en matière de messagerie électronique".encode("cp1252"),
    }

    assert readers.read(make_ole(streams), "a.msg").text.startswith("From: L'Équipe\n")


def test_another_ole_file_under_this_suffix_is_named(make_ole, valid_files):
    assert refused(make_ole({"Workbook": b"x"})).code == "wrong_suffix"
    assert refused(valid_files[".xls"]).code == "wrong_suffix"
