"""Which of the encodings from before Unicode a text is in, told from the letters it would then have.

Detectors that compare letter frequencies need a page; a receipt has twelve letters with accents. So each encoding
is tried, and what comes out is charged for letters that no one language has together, symbols inside words,
scripts mixed within a word, capitals after small letters, rare Han characters. The cheapest reading wins.
"""

from __future__ import annotations

import codecs
import functools
import re
import unicodedata
from itertools import pairwise

_SAMPLE = 8192
_EBCDIC = frozenset({"cp500"})

_EUROPE = tuple(
    frozenset(letters + letters.upper())
    for letters in (
        "àâæçèéêëîïôœùûüÿ",  # French
        "äöüßé",  # German
        "áéíóúüñ",  # Spanish
        "àáâãçéêíóôõúü",  # Portuguese
        "àèéìíîòóù",  # Italian
        "àçèéíïòóúü",  # Catalan
        "æøåéäöü",  # Danish, Norwegian, Swedish, Finnish
        "ëéïóöü",  # Dutch
        "áæéíðóöþúý",  # Icelandic
        "ąćęłńóśźż",  # Polish
        "áčďéěíňóřšťúůýž",  # Czech
        "áäčďéíĺľňóôŕšťúýž",  # Slovak
        "áéíóöőúüű",  # Hungarian
        "ăâîșțşţ",  # Romanian
        "čćđšž",  # Croatian, Slovenian
        "çğıİöşüâî",  # Turkish
        "ąčęėįšųūž",  # Lithuanian
        "āčēģīķļņšūž",  # Latvian
        "äõöüšž",  # Estonian
    )
)
_CYRILLIC = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъёіїєґ"
_GREEK = "αοιετσνηυρπκμλςωδγχθφβξζψάέήίόύώϊϋ"
_COMMON_LETTERS = frozenset((_CYRILLIC[:26] + _GREEK[:26] + "άέήίόύώ").upper() + _CYRILLIC[:26] + _GREEK)
_COMMON_SYLLABLES = frozenset(
    "이다는에의를가을하고한지도사은로기인대자어리시서아나해스수제일정장원부보주전구상관라그게만면년여동국"
    "월성금공용합계세중회조비경신영등과행있안개물우무선재산소방문생화으터내마간모학분통진양니오현액위할유습된강호"
)
_MARKS = frozenset("\xa0–—“”„«»€£§°ºª№…•©®™¡¿½¼¾¹²³×±µ¶¥¢‰†·´’‘‚‹›¨\xad")
_SYMBOL_IN_WORD = re.compile(r"(?<=[^\W\d_])[^\w\s\x00-\x7f’‘´·\xad](?=[^\W\d_])")
_LETTER_AT_DIGIT = re.compile(r"[^\W\d_\x00-\x7f](?=[0-9])|(?<=[0-9])[^\W\d_\x00-\x7f]")
_GREEK_LETTERS = re.compile("[\u0370-\u03ff]")
_GREEK_ACCENTS = re.compile("[άέήίόύώΆΈΉΊΌΎΏ]")

# Best known first: it wins a tie.
_ENCODINGS = (
    ("cp1252", _EUROPE),
    ("iso8859_15", _EUROPE),
    ("cp1250", _EUROPE),
    ("cp1251", ()),
    ("cp932", ()),
    ("gb18030", ()),
    ("cp949", ()),
    ("big5", ()),
    ("euc_jp", ()),
    ("koi8_r", ()),
    ("koi8_u", ()),
    ("cp1254", _EUROPE),
    ("cp1253", ()),
    ("cp1255", ()),
    ("cp1256", ()),
    ("cp874", ()),
    ("iso8859_2", _EUROPE),
    ("cp1257", _EUROPE),
    ("cp850", _EUROPE),
    ("cp866", ()),
    ("mac_roman", _EUROPE),
    ("cp852", _EUROPE),
    ("mac_cyrillic", ()),
    ("iso8859_5", ()),
    ("iso8859_7", ()),
    ("cp500", _EUROPE),
)


def guess(content: bytes) -> tuple[str, float]:
    """The likeliest encoding of bytes that are no UTF-8, and how bad it is a byte (above 0.5: do not trust it)."""
    high = re.search(rb"[\x80-\xff]", content)
    at = high.start() if high else 0
    start = max(content.rfind(b"\n", 0, at), content.rfind(b" ", 0, at), 0)
    sample = content[start : start + _SAMPLE]
    best, least = "latin-1", float("inf")
    for encoding, languages in _ENCODINGS:
        try:  # the sample may end within a character
            text = codecs.getincrementaldecoder(encoding)().decode(sample, final=start + _SAMPLE >= len(content))
        except UnicodeDecodeError:
            continue
        cost = _cost(text, encoding, languages)
        if cost < least:
            best, least = encoding, cost
    return best, least / max(1, len(re.findall(rb"[\x80-\xff]", sample)))


def _cost(text: str, encoding: str, languages: tuple[frozenset[str], ...]) -> float:
    foreign = [character for character in text if character > "\x7f" or character < " "]
    cost = sum(_charge(character, encoding) for character in foreign)
    letters = [character for character in foreign if character > "\x7f" and _script(character) == "LATIN"]
    if letters:
        cost += min((sum(letter not in known for letter in letters) for known in languages), default=len(letters))
    cost += len(_SYMBOL_IN_WORD.findall(text))
    cost += sum(_script(letter) not in {"CJK", "HANGUL"} for letter in _LETTER_AT_DIGIT.findall(text))
    cost += sum(_neighbours(a, b) for a, b in pairwise(text) if a > "\x7f" or b > "\x7f")
    if _GREEK_LETTERS.search(text) and not _GREEK_ACCENTS.search(text):
        cost += 0.05 * len(foreign)
    if encoding in _EBCDIC:  # where every letter is a high byte, and ASCII says nothing
        cost += 0.1 * len(text.split()) + 0.05 * len("".join(text.split()))
    return cost


@functools.lru_cache(maxsize=65536)
def _neighbours(first: str, second: str) -> float:
    """What two characters cost that stand next to each other in a word."""
    if not (_in_word(first) and _in_word(second)):
        both_marks = first in _MARKS and second in _MARKS
        return 0.15 if both_marks else 0.0
    if _script(first) != _script(second) or (first.islower() and second.isupper()):
        return 1.0
    both_accented = _script(first) == "LATIN" and first > "\x7f" and second > "\x7f"
    return 0.2 if both_accented else 0.0


@functools.lru_cache(maxsize=65536)
def _script(character: str) -> str:
    """LATIN, CYRILLIC ...; Han and kana count as one, as Japanese mixes them."""
    if character < "\x80":
        return "LATIN"
    name = unicodedata.name(character, "").split(" ", 1)[0]
    return "CJK" if name in {"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"} else name


def _in_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM" and character not in _MARKS


@functools.lru_cache(maxsize=65536)
def _charge(character: str, encoding: str) -> float:
    """What one character costs by itself; letters of Latin script are judged together, by language."""
    if character in "\t\n\r\f\x85":
        return 0.0
    category = unicodedata.category(character)
    if category in {"Cc", "Cn", "Co", "Cs"}:
        return 3.0
    if character in _MARKS or "\u3000" <= character <= "\u303f":
        return 0.05
    script = _script(character)
    if script in {"CJK", "HANGUL", "HALFWIDTH"}:
        return _charge_east_asian(character, encoding, script)
    if category[0] == "L":
        if script in {"CYRILLIC", "GREEK"} and character not in _COMMON_LETTERS:
            return 0.25
        return {"ARABIC": 0.08, "HEBREW": 0.08, "THAI": 0.1}.get(script, 0.07 if character.isupper() else 0.05)
    if category[0] == "M":
        return {"ARABIC": 0.1, "HEBREW": 0.3, "THAI": 0.1}.get(script, 1.0)
    return 0.1 if script in {"ARABIC", "THAI", "FULLWIDTH"} else 1.0


def _charge_east_asian(character: str, encoding: str, script: str) -> float:
    """Each of these encodings keeps its common characters together, in rows of their own."""
    if script == "HALFWIDTH":
        return 0.2
    lead, trail = character.encode(encoding)[:2]
    if script == "HANGUL":
        if not (0xB0 <= lead <= 0xC8 and trail > 0xA0):
            return 1.0
        return 0.03 if character in _COMMON_SYLLABLES else 0.15
    if unicodedata.name(character).startswith(("HIRAGANA", "KATAKANA")):
        return 0.0 if encoding in {"cp932", "euc_jp"} else 0.5
    first, last = {
        "cp932": (0x88, 0x97),
        "euc_jp": (0xB0, 0xCF),
        "gb18030": (0xB0, 0xD7),
        "big5": (0xA4, 0xC6),
    }.get(encoding, (0, 0))
    in_row = trail > 0xA0 or encoding in {"cp932", "big5"}
    return 0.1 if first <= lead <= last and in_row else 0.6
