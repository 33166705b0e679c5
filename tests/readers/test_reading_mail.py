from email.message import EmailMessage

import pytest

from pipeline import readers
from pipeline.errors import ReadError

HEAD = b"From: a@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\n"


def read(content):
    return readers.read(content, "mail.eml")


def multipart(*parts, kind="mixed"):
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts)
    return HEAD + f'Content-Type: multipart/{kind}; boundary="b"\r\n\r\n'.encode() + body + b"--b--\r\n"


def test_headers_come_first_in_one_order():
    mail = (
        b"Subject: Lunch\nX-Other: no\nTo: b@example.org,\n  c@example.org\nDate: 1 Jan 2024\nFrom: a@example.org\n\nHi"
    )

    assert read(mail).text == (
        "From: a@example.org\nTo: b@example.org, c@example.org\nDate: 1 Jan 2024\nSubject: Lunch\n\nHi"
    )


@pytest.mark.parametrize(
    "subject",
    [
        b"=?utf-8?q?Fatura_n=C2=BA_12?=",
        b"=?utf-8?b?RmF0dXJhIG7C?=\r\n =?utf-8?b?uiAxMg==?=",
        b"=?iso-8859-1?q?Fatura_n=BA?= 12",
        b"=?utf-8*pt?B?RmF0dXJhIG7CuiA=?= =?us-ascii?q?1?= =?utf-8?q?2?=",
        "Fatura nº 12".encode(),
        "Fatura nº 12".encode("latin-1"),
        b"=?no-such-charset?q?Fatura_n=BA_12?=",
    ],
)
def test_a_subject_is_read_however_it_is_written(subject):
    assert read(b"From: a@b\r\nSubject: " + subject + b"\r\n\r\nHi").text == "From: a@b\nSubject: Fatura nº 12\n\nHi"


def test_a_header_that_cannot_be_decoded_is_kept_as_it_is():
    assert "=?b?A?=" in read(b"From: a@b\nSubject: =?utf-8?b?A?=\n\nHi").text
    assert "=?utf-8?x?A?=" in read(b"From: a@b\nSubject: =?utf-8?x?A?=\n\nHi").text


def test_plain_text_is_preferred_to_html(valid_files):
    document = read(valid_files[".eml"])

    assert document.text.endswith("Subject: Fatura nº 12\n\nO total é 120 €.")
    assert [(one.name, one.content) for one in document.attachments] == [("linhas.csv", b"a;b\n1;2\n")]


def test_plain_text_is_preferred_wherever_it_stands():
    plain = b"Content-Type: text/plain\r\n\r\nplain"
    html = b"Content-Type: text/html\r\n\r\n<p>rich</p>"

    assert read(multipart(html, plain, html, kind="alternative")).text.endswith("\n\nplain")


def test_html_is_read_where_there_is_no_plain_text():
    plain = b"Content-Type: text/plain\r\n\r\n \r\n"
    html = b"Content-Type: text/html; charset=koi8-r\r\n\r\n<p>" + "Счёт".encode("koi8-r") + b"</p>"

    assert read(multipart(plain, html, kind="alternative")).text.endswith("\n\nСчёт")


def test_texts_before_and_after_an_attachment_are_both_body():
    document = read(
        multipart(
            b"Content-Type: text/plain\r\n\r\nbefore",
            b"Content-Type: application/pdf\r\n\r\n%PDF",
            b"\r\nafter",
        )
    )

    assert document.text.endswith("before\n\nafter")
    assert [one.name for one in document.attachments] == ["attachment.pdf"]


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        (b'Content-Type: application/pdf; name="../../etc/a.pdf"', "a.pdf"),
        (b'Content-Type: application/pdf\r\nContent-Disposition: attachment; filename="C:\\\\x\\\\b.pdf"', "b.pdf"),
        (b"Content-Disposition: attachment; filename*=utf-8''n%C2%BA.txt", "nº.txt"),
        (b'Content-Disposition: attachment; filename="=?utf-8?q?n=C2=BA.txt?="', "nº.txt"),
        (b"Content-Type: application/pdf; name=scan", "scan.pdf"),
        (b"Content-Type: text/html\r\nContent-Disposition: attachment", "attachment.html"),
        (b'Content-Type: image/png; name="..."', "....png"),
        (b'Content-Type: text/plain; name="notes/"', "attachment.txt"),
    ],
)
def test_an_attachment_has_a_name_without_folders_and_with_a_suffix(headers, name):
    assert [one.name for one in read(multipart(headers + b"\r\n\r\nx")).attachments] == [name]


def test_a_mail_within_a_mail_is_an_attachment_byte_for_byte():
    inner = b"From: c@example.org\r\nSubject: inner\r\nX-Odd:   spaces\r\n\r\nDeep\xe9 text"

    document = read(
        multipart(b"Content-Type: text/plain\r\n\r\nsee below", b"Content-Type: message/rfc822\r\n\r\n" + inner)
    )

    assert "Deep" not in document.text
    assert [(one.name, one.content) for one in document.attachments] == [("attachment.eml", inner)]


@pytest.mark.parametrize("fold", [b"\r\n ", b"\n\t", b"  ", b""])
def test_a_mail_within_a_mail_is_known_however_its_header_is_folded(fold):
    inner = b"From: c@example.org\r\nSubject: inner\r\n\r\nDeep"

    document = read(
        multipart(b"Content-Type: text/plain\r\n\r\nsee", b"Content-Type:" + fold + b"message/rfc822\r\n\r\n" + inner)
    )

    assert "Deep" not in document.text
    assert [(one.name, one.content) for one in document.attachments] == [("attachment.eml", inner)]


def test_pictures_of_the_body_and_signatures_are_no_documents():
    document = read(
        multipart(
            b"Content-Type: text/html\r\n\r\n<p>Hi <img src=cid:1></p>",
            b"Content-Type: image/png\r\nContent-ID: <1>\r\n\r\nx",
            b"Content-Type: application/pgp-signature\r\n\r\nx",
            kind="related",
        )
    )

    assert document.attachments == ()


@pytest.mark.parametrize(
    ("body", "identity", "drawn"),
    [
        (b"Content-Type: text/plain\r\n\r\nsee cid:abc@x", b"<abc@x>", False),
        (b"Content-Type: text/html\r\n\r\n<p>See the picture.</p>", b"<abc@x>", False),
        (b"Content-Type: text/html\r\n\r\n<img src='cid:abc@xyz'>", b"<abc@x>", False),
        (b"Content-Type: text/html\r\n\r\n<img src='CID:abc@x'>", b"<abc@x>", True),
        (b"Content-Type: text/html\r\n\r\n<img src=cid:a%25b%40x>", b" <a%b@x>", True),
        (
            b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
            b'<img src=3D"cid:ab=\r\nc@x">',
            b"\r\n <abc@x>",
            True,
        ),
        (b"Content-Type: text/html\r\n\r\n<img src='cid:'>", b"<>", False),
    ],
)
def test_a_picture_is_left_out_only_where_an_html_body_draws_it(body, identity, drawn):
    picture = b"Content-Type: image/jpeg; name=IMG_1.jpg\r\nContent-Disposition: inline\r\nContent-ID:" + identity

    document = read(multipart(body, picture + b"\r\n\r\njpeg"))

    assert [one.name for one in document.attachments] == ([] if drawn else ["IMG_1.jpg"])


def test_a_mail_with_nothing_but_an_attachment_is_a_document():
    mail = b"Content-Type: application/pdf; name=a.pdf\r\n\r\n%PDF"

    document = read(mail)

    assert document.text == ""
    assert document.attachments[0].content == b"%PDF"


def test_damaged_transfer_encodings_survive():
    assert "caf" in read(HEAD + b"Content-Transfer-Encoding: base64\r\n\r\nY2Fm6Q=!=?").text
    assert "x=ZZy" in read(HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n\r\nx=ZZy").text
    assert "hello" in read(HEAD + b"Content-Transfer-Encoding: no-such\r\n\r\nhello").text
    assert "café" in read(HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\ncaf\xe9").text


def test_a_text_without_headers_is_no_mail():
    with pytest.raises(ReadError, match="looks like plain text") as caught:
        read(b"Dear Ana\n\nbye")

    assert caught.value.code == "wrong_suffix"


def test_parts_nested_too_deep_are_refused():
    levels = range(1500)
    head = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in levels)

    with pytest.raises(ReadError) as caught:
        read(HEAD + head + b"\r\nx")

    assert caught.value.code == "limits"


def test_a_hundred_thousand_parts_are_refused():
    with pytest.raises(ReadError) as caught:
        read(multipart(*[b"\r\n"] * 100_000))

    assert caught.value.code == "limits"


@pytest.mark.parametrize("name", [b"To", b"Subject", b"Content-Type", b"Content-Disposition"])
@pytest.mark.parametrize("value", [b"a@b.c, ", b'";', b"=?utf-8?q?a?= ", b"(("])
def test_a_header_of_a_megabyte_is_no_trouble(name, value):
    document = read(b"From: a@b\r\n" + name + b": text/plain; " + value * (1_000_000 // len(value)) + b"\r\n\r\nHi")

    assert document.text or document.attachments


def test_a_line_of_five_megabytes_is_read_whole():
    mail = EmailMessage()
    mail["From"] = "a@example.org"
    content = mail.as_bytes().rstrip(b"\n") + b"\nContent-Type: text/plain\n\n" + b"x" * 5_000_000

    assert len(read(content).text) == 5_000_000 + len("From: a@example.org\n\n")
