"""Pages without text are read by Tesseract, however they lie; what it reads has its place on the page."""

import io
import os
import socket
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from pipeline import readers
from pipeline.errors import NightdeskError, ReadError
from pipeline.offline import guard
from pipeline.readers import ocr
from pipeline.readers.cleaning import clean
from pipeline.readers.ocr import straightening, tesseract, words
from pipeline.readers.ocr.coverage import covered
from pipeline.supervise import Worker

FOUND = ocr.find()
needs_tesseract = pytest.mark.skipif(FOUND is None, reason="tesseract is not here: apt install tesseract-ocr")
LINES = ("Harbour Lantern Books", "14 Quay Street, Porthaven", "Atlas of small islands 18.20", "Total due 41.50 EUR")


def page(lines=LINES, size=(700, 460), ink=20, paper=255):
    picture = Image.new("L", size, paper)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=28)
    for number, line in enumerate(lines):
        draw.text((60, 60 + 54 * number), line, fill=ink, font=font)
    return picture


def saved(picture, kind="PNG", **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def read(content, name="scan.png", number=1, **more):
    return ocr.answer(ocr.OcrRequest(name, number, FOUND, ("eng",), content=content, **more))


def flat(text):
    return " ".join(text.split())


@needs_tesseract
def test_a_photo_is_read_with_its_words_in_place():
    reading = read(saved(page()))

    assert flat(reading.text) == " ".join(LINES)
    assert clean(reading.text) == reading.text
    total = next(word for word in reading.words if reading.text[word.start : word.end] == "41.50")
    left, top, right, bottom = total.box
    assert 170 < left < right < 350
    assert 215 < top < bottom < 260
    assert 0.5 < total.confidence <= 1


@needs_tesseract
@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_page_that_lies_on_its_side_is_turned_and_its_boxes_are_those_of_the_page(turn):
    lines = [*LINES, "Thank you for your visit", "Open every day from nine to six", "Bring this receipt for returns"]
    upright = page(lines, size=(700, 600))
    lying = upright.rotate(turn, expand=True)

    reading = read(saved(lying))

    assert "Total due 41.50 EUR" in flat(reading.text)
    word = next(word for word in reading.words if reading.text[word.start : word.end] == "41.50")
    inside = np.asarray(lying.crop(tuple(map(round, word.box))))
    assert inside.min() < 60  # ink
    assert (word.box[2] - word.box[0] < word.box[3] - word.box[1]) == (turn != 180)


@needs_tesseract
def test_a_skewed_page_in_uneven_light_is_straightened():
    light = np.linspace(120, 255, 700)[None, :] / 255
    dim = Image.fromarray((np.asarray(page(), dtype=float) * light).astype(np.uint8))

    reading = read(saved(dim.rotate(4, resample=3, expand=True, fillcolor=130), "JPEG", quality=60), "photo.jpg")

    assert "Total due 41.50 EUR" in flat(reading.text)


@needs_tesseract
def test_a_page_of_a_pdf_is_drawn_and_its_boxes_are_in_points():
    content = saved(page(), "PDF", resolution=100)

    reading = read(content, "scan.pdf")

    assert "Total due 41.50 EUR" in flat(reading.text)
    word = next(word for word in reading.words if reading.text[word.start : word.end] == "41.50")
    assert 170 * 72 / 100 < word.box[0] < word.box[2] < 350 * 72 / 100


@needs_tesseract
def test_each_page_of_a_tiff_is_read_and_a_blank_one_is_known():
    content = saved(page(), "TIFF", save_all=True, append_images=[page(()), page(["Second sheet of the letter"])])

    assert len(readers.read(content, "fax.tif", readers.ReadOptions(scans=True)).pages) == 3
    assert read(content, "fax.tif", 2) == words.PageRead("", blank=True)
    assert flat(read(content, "fax.tif", 3).text) == "Second sheet of the letter"


@needs_tesseract
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_is_see_through_is_white(kind):
    picture = Image.new("RGBA", (700, 460), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, *picture.size), page().point(lambda value: 255 - value))

    assert "Total due 41.50 EUR" in flat(read(saved(picture, kind), f"a.{kind.lower()}").text)


@needs_tesseract
def test_the_camera_says_which_way_is_up():
    turned = page().rotate(90, expand=True)
    exif = turned.getexif()
    exif[0x0112] = 6

    assert flat(read(saved(turned, "JPEG", exif=exif), "a.jpg").text) == " ".join(LINES)


ITEMS = {
    "Bread, rye": "3.20",
    "Milk, oat": "1.15",
    "Tea, green": "4.60",
    "Butter": "2.75",
    "Apples": "3.05",
    "Candles": "6.10",
    "Matches": "0.45",
    "Soap": "1.90",
    "TOTAL": "23.20",
}


def till_roll(width=1100, pitch=27):
    """Amounts at the far right, each digit as wide as the next, as a till prints them."""
    head, step, margin = LINES[:2], 56, 50
    picture = Image.new("L", (width, 2 * margin + step * (len(head) + 1 + len(ITEMS))), 255)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=40)
    for number, line in enumerate(head):
        draw.text((margin, margin + step * number), line, fill=20, font=font)
    for number, (item, amount) in enumerate(ITEMS.items(), start=len(head) + 1):
        draw.text((margin, margin + step * number), item, fill=20, font=font)
        for place, digit in enumerate(reversed(amount)):
            middle = width - margin - pitch * (place + 0.5)
            draw.text((middle, margin + step * number), digit, fill=20, font=font, anchor="ma")
    return picture


def two_columns():
    """Prose in two columns, in noise, so that it is read again as one block."""
    said = "the first of all laws is that whoever borrows a boat brings it back with dry seats and oars"
    prose = said.split()
    starts = {60: range(0, 36, 3), 860: range(7, 43, 3)}
    columns = {x: [" ".join(prose[(at + n) % len(prose)] for n in range(5)) for at in of] for x, of in starts.items()}
    picture = Image.new("L", (1500, 800), 255)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=36)
    for x, lines in columns.items():
        for number, line in enumerate(lines):
            draw.text((x, 60 + 52 * number), line, fill=20, font=font)
    grain = np.random.default_rng(7).normal(0, 30, (picture.height, picture.width))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8)), columns.values()


@needs_tesseract
def test_a_column_of_amounts_that_tesseract_loses_is_read_with_its_lines():
    picture = till_roll()
    lost = words.parse(tesseract.table(FOUND, saved(picture), ("eng",), "till.png"))
    assert lost.confidence > 0.8
    assert not [amount for amount in ITEMS.values() if amount in lost.text]

    reading = read(saved(picture))

    assert [f"{item} {amount}" for item, amount in ITEMS.items()] == [
        line for line in reading.text.splitlines() if line.startswith(tuple(ITEMS))
    ]
    total = next(word for word in reading.words if reading.text[word.start : word.end] == "23.20")
    assert total.box[0] > picture.width / 2
    assert read(saved(picture)) == reading


@needs_tesseract
def test_two_columns_of_text_stay_columns():
    picture, (left, right) = two_columns()

    text = flat(read(saved(picture)).text)

    assert " ".join(left[:4]) in text
    assert " ".join(right[:4]) in text


def test_amounts_are_words_with_cents_that_were_read_without_doubt():
    rows = [("4.50", 90), ("EUR", 90), ("1.204,10", 80), ("€7,25", 95), ("3.99", 40), ("12.07.2026", 95), ("418", 95)]
    table = "\n".join(f"5\t1\t1\t1\t1\t{n}\t1\t2\t3\t4\t{sure}\t{word}" for n, (word, sure) in enumerate(rows))

    assert words.parse(table).amounts == 3


def test_ink_outside_of_words_and_under_unsure_ones_is_not_covered():
    picture = Image.new("L", (400, 200), 255)
    for left in (40, 240):
        picture.paste(0, (left, 80, left + 60, 100))
    both = [words.PageWord(0, 1, (left, 80, left + 60, 100), sure) for left, sure in ((40, 1.0), (240, 0.5))]

    assert covered(picture, both) == pytest.approx(0.75, abs=0.02)
    assert covered(picture, both[:1]) == pytest.approx(0.5, abs=0.02)
    assert covered(picture, [both[0], both[0]]) == covered(picture, both[:1])
    assert covered(picture, ()) == 0
    assert covered(Image.new("L", (400, 200), 255), ()) == 1


def probe(_request):
    """In the worker's child: Tesseract reads, and a program that is started there has no network."""
    code = "import socket\ntry:\n    socket.socket()\nexcept PermissionError:\n    raise SystemExit(9)"
    closed = subprocess.run([os.sys.executable, "-I", "-S", "-c", code], check=False).returncode == 9
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    except NightdeskError:
        return closed, ocr.answer(ocr.OcrRequest("scan.png", 1, FOUND, ("eng",), content=saved(page())))
    return False, None


@needs_tesseract
def test_tesseract_works_in_a_worker_where_the_network_is_refused_to_all_programs():
    worker = Worker(probe, name="OCR", timeout=60, memory=ocr.MEMORY)
    try:
        closed, reading = worker.ask(1)
    finally:
        worker.close()

    assert closed == guard.__module__.endswith("offline")
    assert "Total due 41.50 EUR" in flat(reading.text)


def bomb(width, height):
    """A PNG that says it is this large, in a few bytes."""
    content = bytearray(saved(Image.new("L", (1, 1))))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = __import__("zlib").crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


def test_a_picture_bomb_is_refused_before_it_is_unpacked():
    with pytest.raises(ReadError) as caught:
        readers.read(bomb(60_000, 60_000), "bomb.png", readers.ReadOptions(scans=True))

    assert caught.value.code == "limits"
    assert "60000 x 60000" in caught.value.message


def test_a_huge_page_of_a_pdf_is_drawn_smaller():
    from pipeline.readers.ocr import rendering

    content = saved(Image.new("L", (10, 10)), "PDF", resolution=0.1)  # 100 x 100 inches

    picture, scale = rendering.page(content, "poster.pdf", 1, ())

    assert picture.size[0] * picture.size[1] <= 41_000_000
    assert scale < rendering.DPI / 72


def test_a_scan_is_an_error_where_nobody_reads_it():
    for name, content in (("a.pdf", saved(page(), "PDF")), ("a.png", saved(page()))):
        with pytest.raises(ReadError) as caught:
            readers.read(content, name)
        assert caught.value.code == "no_text"
        assert "--ocr off" in caught.value.hint


def test_what_is_missing_is_named_with_its_cure(monkeypatch):
    absent = tesseract.Tesseract("tesseract", "5.3.0", ("eng",), True)
    with pytest.raises(ReadError) as caught:
        ocr.answer(ocr.OcrRequest("a.png", 1, absent, ("por",), content=saved(page())))
    assert (caught.value.code, caught.value.hint) == ("missing_extra", "Install it: apt install tesseract-ocr-por")
    assert "apt install tesseract-ocr" in ocr.missing("a.png").hint
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ReadError) as caught:
        readers.read(saved(page()), "a.png", readers.ReadOptions(scans=True))
    assert (caught.value.code, caught.value.hint) == ("missing_extra", "Install it: pip install 'nightdesk[ocr]'")


def test_without_the_program_nothing_is_found(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert ocr.find() is None


def test_languages_follow_the_script():
    there = tesseract.Tesseract("t", "5", ("eng", "por", "rus", "ukr"), True)

    assert tesseract.languages_of("Latin", there) == ("eng", "por")
    assert tesseract.languages_of("Cyrillic", there) == ("rus", "ukr")
    assert tesseract.languages_of("Thai", there) == there.languages
    assert tesseract.languages_of("", there) == there.languages


CELLS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), st.text(max_size=6), st.floats(-1, 120)),
    max_size=12,
)


@given(CELLS)
def test_words_stand_where_their_offsets_say(cells):
    kept = [cell for cell in cells if not set(cell[3]) & {"\t", "\n"}]
    table = "\n".join(f"5\t1\t{b}\t{p}\t{n}\t1\t10\t20\t30\t40\t{c}\t{w}" for b, p, n, w, c in kept)

    reading = words.parse(table)

    assert [reading.text[word.start : word.end] for word in reading.words] == [
        word for word in (" ".join(clean(cell[3]).split()) for cell in kept) if word
    ]
    assert all(0 <= word.confidence <= 1 for word in reading.words)


@given(st.floats(-8, 8), st.sampled_from([0, 90, 180, 270]))
@settings(max_examples=12, deadline=None)
def test_boxes_come_back_to_where_they_were(angle, clockwise):
    picture = Image.new("L", (300, 200), 255)
    picture.paste(0, (100, 60, 140, 90))
    turn = angle - clockwise
    turned = straightening.Turned(picture.rotate(turn, expand=True, fillcolor=255), turn, picture.size)
    ys, xs = np.nonzero(np.asarray(turned.picture) < 128)

    left, top, right, bottom = turned.back((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))

    assert left <= 102
    assert top <= 62
    assert right >= 138
    assert bottom >= 88
    assert right - left < 70
    assert bottom - top < 70


@pytest.mark.parametrize("angle", [-7.3, -2, 0, 0.6, 5])
def test_skew_is_measured(angle):
    skewed = page().rotate(angle, resample=3, expand=True, fillcolor=255)

    assert straightening.skew_of(skewed) == pytest.approx(-angle, abs=0.4)
