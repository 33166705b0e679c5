"""Account numbers and addresses that others make: each is found in running text as it was written."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.provisional import urls

from pipeline.finders import find
from pipeline.finders.iban import _LENGTHS  # as python-stdnum 2 and schwifty 2026.10 have them

SENTENCES = [
    ("IBAN: ", ", BIC X"),
    ("", ""),
    ("see ", "."),
    ("(", ")"),
    ("x\n", "\n12.50"),
    ("№ ", " 7"),
    ("参见", "。"),
]
GROUPED = ["", " ", "-", "\u00a0", "\u202f", "\u2009"]


@st.composite
def accounts(draw: st.DrawFn) -> str:
    """Two check digits make the whole, read as a number, one more than a multiple of 97 (ISO 13616)."""
    country = draw(st.sampled_from(sorted(_LENGTHS)))
    length = _LENGTHS[country] - 4
    own = draw(st.text(string.ascii_uppercase + string.digits, min_size=length, max_size=length))
    return f"{country}{98 - _number(f'{own}{country}00') % 97:02}{own}"


def _number(characters: str) -> int:
    return int("".join(str(int(each, 36)) for each in characters))


def grouped(account: str, between: str) -> str:
    return between.join(account[at : at + 4] for at in range(0, len(account), 4))


@pytest.mark.parametrize("between", GROUPED)
@settings(deadline=None)
@given(account=accounts(), around=st.sampled_from([*SENTENCES, ("账号", "开户行")]), is_lower=st.booleans())
def test_an_account_number_is_found_as_it_is_usually_grouped(between, account, around, is_lower) -> None:
    written = grouped(account.lower() if is_lower else account, between)
    text = written.join(around)

    assert (written, account) in [(text[one.start : one.end], one.value) for one in find(text, "iban")]


@settings(deadline=None)
@given(account=accounts(), data=st.data())
def test_an_account_number_with_a_slip_in_one_place_is_none(account, data) -> None:
    at = data.draw(st.integers(2, len(account) - 1))
    kind = string.digits if account[at].isdigit() else string.ascii_uppercase
    slip = data.draw(st.sampled_from(kind.replace(account[at], "")))
    written = grouped(account[:at] + slip + account[at + 1 :], " ")

    assert (0, len(written)) not in [(one.start, one.end) for one in find(written, "iban")]


@settings(deadline=None)
@given(url=urls(), around=st.sampled_from([*SENTENCES, ("<", ">"), ("„", "“"), ('"', '"'), ("[", "]"), ("", "!")]))
def test_a_web_address_is_found_as_it_is_written(url, around) -> None:
    assume(url[-1].isalnum() or url[-1] == "/")  # a mark at its end may be the sentence's
    assume("(" not in url)  # so may what closes a parenthesis
    text = url.join(around)

    assert url in [text[one.start : one.end] for one in find(text, "url")]
    assert url.lower() in [one.value.lower() for one in find(text, "url")]
