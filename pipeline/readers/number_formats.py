"""A number in a cell and the cell's format code -> what the spreadsheet shows: `1,240.00 €`, `2025-03-08`, `12%`.

The codes are those of ECMA-376 part 1, 18.8.31. What depends on the settings of a person's machine is written in one
way: a point before decimals, a comma between thousands, English names of months and days, and ISO 8601 for the dates
whose form the system chooses.
"""

from __future__ import annotations

import functools
import re
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

BUILT_IN = {
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    5: '"$"#,##0;-"$"#,##0',
    6: '"$"#,##0;-"$"#,##0',
    7: '"$"#,##0.00;-"$"#,##0.00',
    8: '"$"#,##0.00;-"$"#,##0.00',
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    12: "# ?/?",
    13: "# ??/??",
    14: "yyyy-mm-dd",
    15: "d-mmm-yy",
    16: "d-mmm",
    17: "mmm-yy",
    18: "h:mm AM/PM",
    19: "h:mm:ss AM/PM",
    20: "h:mm",
    21: "h:mm:ss",
    22: "yyyy-mm-dd h:mm",
    **dict.fromkeys([*range(27, 32), 36, *range(50, 55), 57, 58], "yyyy-mm-dd"),
    37: "#,##0;(#,##0)",
    38: "#,##0;(#,##0)",
    39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)",
    41: "#,##0;(#,##0);-",
    42: '"$"#,##0;("$"#,##0);-',
    43: "#,##0.00;(#,##0.00);-",
    44: '"$"#,##0.00;("$"#,##0.00);-',
    45: "mm:ss",
    46: "[h]:mm:ss",
    47: "mm:ss.0",
    48: "##0.0E+0",
}

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|[_*].|\[\$(?P<currency>[^\]-]*)(?:-(?P<system>[^\]]*))?\]'
    r"|\[(?P<elapsed>h+|m+|s+)\]|\[(?P<condition>[<>=]+[-+\d.eE]+)\]|\[[^\]]*\]"
    r"|(?P<general>general)|(?P<noon>am/pm|a/p)|(?P<date>y+|e+(?![+-])|m+|d+|h+|s+(?:\.0+)?)"
    r"|(?P<power>e[+-]0+)|(?P<digit>[0#?])|(?P<mark>[.,%/@])|(?P<plain>.)",
    re.I | re.S,
)
_LONGEST_CODE = 500
_SECONDS = {"h": 3600, "m": 60, "s": 1}
_Tokens = tuple[tuple[str, str], ...]


def shown(value: float, code: str, *, from_1904: bool = False) -> str:
    """What stands in the cell. A code that says nothing of use gives the number as it is."""
    if not abs(value) < 1e300:
        return general(value)
    sections = _sections(code[:_LONGEST_CODE])
    number, signed = _choose(sections, value)
    tokens = sections[number]
    kinds = {kind for kind, _ in tokens}
    if "system" in kinds:
        tokens = (dict(tokens)["system"].casefold() == "f400" and _sections("h:mm:ss")[0]) or _sections("yyyy-mm-dd")[0]
        kinds = {"date"}
    if kinds & {"date", "elapsed"}:
        return _date(value, tokens, from_1904)
    if "general" in kinds or ("mark", "@") in tokens:
        plain = general(abs(value) if signed else value)
        return "".join(plain if kind == "general" or text == "@" else _literal(kind, text) for kind, text in tokens)
    if "digit" not in kinds:
        return "".join(_literal(kind, text) for kind, text in tokens)
    sign = "-" if value < 0 and not signed else ""
    text = _fraction(abs(value), tokens) if ("mark", "/") in tokens else _number(abs(value), tokens)
    return sign + text if re.search("[1-9]", text) or not sign else text


def general(value: float) -> str:
    """A number as it is, in the fifteen digits that a spreadsheet keeps."""
    if value == int(value) and abs(value) < 1e15 if abs(value) < 1e300 else False:
        return str(int(value))
    text = f"{value:.15g}"
    if "e" in text and 1e-10 < abs(value) < 1e15:
        text = format(Decimal(text), "f")
    return text.replace("e", "E")


@functools.lru_cache(maxsize=1000)
def _sections(code: str) -> tuple[_Tokens, ...]:
    sections: list[list[tuple[str, str]]] = [[]]
    for match in _TOKEN.finditer(code):
        kind = match.lastgroup
        if kind == "plain" and match[0] == ";":
            sections.append([])
        elif kind == "system":
            if match["system"].casefold() in {"f800", "f400"}:
                sections[-1].append((kind, match["system"]))
            elif match["currency"]:
                sections[-1].append(("quoted", match["currency"]))
        elif kind is not None:
            sections[-1].append(("quoted" if kind == "currency" else kind, match[kind]))
        elif match[0][0] == "_":
            sections[-1].append(("plain", " "))
    return tuple(tuple(section) for section in sections)


def _choose(sections: tuple[_Tokens, ...], value: float) -> tuple[int, bool]:
    """Which section is for this value, and whether it shows the sign by itself."""
    conditions = [dict(section).get("condition") for section in sections[:3]]
    if any(conditions):
        for number, condition in enumerate(conditions):
            if condition is None or _holds(condition, value):
                return number, False
        return len(conditions) - 1, False
    if value < 0 and len(sections) > 1:
        return 1, True
    if value == 0 and len(sections) > 2:
        return 2, True
    return 0, False


def _holds(condition: str, value: float) -> bool:
    sign = re.match("[<>=]+", condition)
    try:
        other = float(condition.lstrip("<>="))
    except ValueError:
        return False
    less, same, more = value < other, value == other, value > other
    return {"<": less, "<=": less or same, ">": more, ">=": more or same, "=": same, "<>": not same}.get(
        sign[0] if sign else "", False
    )


def _literal(kind: str, text: str) -> str:
    return text if kind in {"quoted", "escaped", "plain"} or (kind, text) == ("mark", "%") else ""


def _number(value: float, tokens: _Tokens) -> str:
    digits = [index for index, (kind, _) in enumerate(tokens) if kind == "digit"]
    power = next((text for kind, text in tokens if kind == "power"), "")
    point = next((i for i, token in enumerate(tokens) if token == ("mark", ".")), None)
    whole = [i for i in digits if point is None or i < point]
    decimals = [i for i in digits if point is not None and i > point]
    last = (whole or digits)[-1]
    commas = [i for i, token in enumerate(tokens) if token == ("mark", ",")]
    grouped = any(whole and whole[0] < i < last for i in commas)
    thousands = sum(all(tokens[j] == ("mark", ",") for j in range((digits[-1] + 1), i + 1)) for i in commas if i > last)
    with localcontext(prec=400):
        exact = Decimal(f"{value:.15g}") * 100 ** tokens.count(("mark", "%")) / 1000**thousands
        exponent = 0
        if power and exact:
            exponent = exact.adjusted() - (max(1, len(whole)) - 1)
            if len(whole) > 1:
                exponent = exact.adjusted() // len(whole) * len(whole)
            exact = exact.scaleb(-exponent)
        text = format(exact.quantize(Decimal(1).scaleb(-len(decimals)), ROUND_HALF_UP), "f")
    before, _, after = text.partition(".")
    before = before.lstrip("0")
    optional = [i for i in decimals if tokens[i][1] != "0"]
    out: list[str] = []
    place = len(before)
    missing = len(whole) - len(before)
    for index, (kind, mark) in enumerate(tokens):
        if index in whole:
            position = whole.index(index)
            if position < missing:
                out.append({"0": "0", "?": " "}.get(mark, ""))
                left = len(whole) - position - 1
                if grouped and mark == "0" and left and left % 3 == 0:
                    out.append(",")
                continue
            count = len(before) - (len(whole) - position - 1) if position == 0 else 1
            for _ in range(count):
                out.append(before[len(before) - place])
                place -= 1
                if grouped and place and place % 3 == 0:
                    out.append(",")
        elif index in decimals:
            rest = after[decimals.index(index) :]
            if index in optional and not rest.strip("0"):
                out.append(" " if mark == "?" else "")
            else:
                out.append(rest[0])
        elif (kind, mark) == ("mark", ".") and index == point:
            if not whole:
                out.append(before)
            out.append("." if after.strip("0") or len(optional) < len(decimals) or not decimals else "")
        elif kind == "power":
            sign = "-" if exponent < 0 else "+" if "+" in mark else ""
            out.append(f"E{sign}{abs(exponent):0{len(mark) - 2}}")
        else:
            out.append(_literal(kind, mark))
    return "".join(out)


def _fraction(value: float, tokens: _Tokens) -> str:
    code = "".join(text for kind, text in tokens if kind in {"digit", "mark", "plain"})
    fixed = re.search(r"/\s*(\d*[1-9]\d*)", code)
    below = code.partition("/")[2]
    digits = min(sum(char in "0#?" for char in below), 4)
    split = " " in code.partition("/")[0].strip()
    exact = Fraction(value)
    part = (
        Fraction(round(exact * int(fixed[1])), int(fixed[1]))
        if fixed and len(fixed[1]) < 6
        else exact.limit_denominator(10 ** max(digits, 1) - 1)
    )
    whole, rest = divmod(part.numerator, part.denominator) if split else (0, part.numerator)
    if not rest:
        return str(whole)
    scale = int(fixed[1]) // part.denominator if fixed and len(fixed[1]) < 6 else 1
    return (
        f"{whole} {rest * scale}/{part.denominator * scale}" if whole else f"{rest * scale}/{part.denominator * scale}"
    )


def _date(value: float, tokens: _Tokens, from_1904: bool) -> str:
    finest = max((len(text.partition(".")[2]) for kind, text in tokens if kind == "date"), default=0)
    seconds = round(value * 86400, min(finest, 6))
    epoch = datetime(1904, 1, 1) if from_1904 else datetime(1899, 12, 30 if value >= 60 else 31)
    try:
        moment = epoch + timedelta(seconds=seconds)
    except OverflowError:
        return general(value)
    if value < 0 and not any(kind == "elapsed" for kind, _ in tokens):
        return general(value)
    noon = any(kind == "noon" for kind, _ in tokens)
    clock = [text[0].lower() for kind, text in tokens if kind in {"date", "elapsed"}]
    out: list[str] = []
    place = 0
    for kind, text in tokens:
        if kind == "elapsed":
            amount = int(abs(seconds)) // _SECONDS[text[0].lower()]
            out.append(("-" if seconds < 0 else "") + f"{amount:0{len(text)}}")
        elif kind == "noon":
            out.append(moment.strftime("%p") if "m" in text.lower() else moment.strftime("%p")[0])
        elif kind == "date":
            minute = text[0] in "mM" and len(text) < 3 and ("h" in clock[:place][-1:] or "s" in clock[place + 1 :][:1])
            out.append(_part(moment, text.lower(), minute=minute, noon=noon))
        elif kind != "condition":
            out.append(text)
        place += kind in {"date", "elapsed"}
    return "".join(out)


def _part(moment: datetime, text: str, *, minute: bool, noon: bool) -> str:
    wide = len(text) > 1
    if text[0] in "ye":
        return f"{moment.year % 100:02}" if text in {"y", "yy"} else str(moment.year)
    if text[0] == "h":
        hour = (moment.hour % 12 or 12) if noon else moment.hour
        return f"{hour:02}" if wide else str(hour)
    if text[0] == "s":
        whole, _, finer = text.partition(".")
        rest = f".{moment.microsecond:06}"[: len(finer) + 1] if finer else ""
        return (f"{moment.second:02}" if len(whole) > 1 else str(moment.second)) + rest
    if text[0] == "d":
        name = "%a" if len(text) == 3 else "%A"
        number = moment.day
    elif minute:
        return f"{moment.minute:02}" if wide else str(moment.minute)
    else:
        name = "%b" if len(text) == 3 else "%B"
        number = moment.month
        if len(text) == 5:
            return moment.strftime(name)[0]
    return moment.strftime(name) if len(text) > 2 else f"{number:02}" if wide else str(number)
