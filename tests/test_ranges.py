"""Conditions and ranges, as RFC 9110 has them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.ranges import stretch_of, unmet

ETAG = '"abc"'
MODIFIED = 784111777
IMF, RFC_850, ASCTIME = (
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
)
EARLIER, LATER = "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"
NO_DATES = [
    "",
    "0",
    "yesterday",
    "Sun, 06 Nov 99999999 08:49:37 GMT",
    "1994",
    "Sun, 06 Nov 1994 28:49:37 GMT",
    ",",
    "-",
]

MET, UNMODIFIED, FAILED = None, HTTPStatus.NOT_MODIFIED, HTTPStatus.PRECONDITION_FAILED


@pytest.fixture(params=["UTC", "Asia/Shanghai"])
def zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where the daemon is."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield
    del os.environ["TZ"]
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


# Section 13: conditions


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, MET),
        # 13.1.1: strong comparison
        ({"if-match": ETAG}, MET),
        ({"if-match": f'"x", {ETAG}'}, MET),
        ({"if-match": f'"x",{ETAG} ,"y"'}, MET),
        ({"if-match": "*"}, MET),
        ({"if-match": '"x"'}, FAILED),
        ({"if-match": f"W/{ETAG}"}, FAILED),
        ({"if-match": "abc"}, FAILED),
        ({"if-match": ""}, FAILED),
        # 13.1.2: weak comparison
        ({"if-none-match": ETAG}, UNMODIFIED),
        ({"if-none-match": f"W/{ETAG}"}, UNMODIFIED),
        ({"if-none-match": f'"x", W/{ETAG}'}, UNMODIFIED),
        ({"if-none-match": "*"}, UNMODIFIED),
        ({"if-none-match": '"x"'}, MET),
        ({"if-none-match": "abc"}, MET),
        # 13.1.3
        ({"if-modified-since": IMF}, UNMODIFIED),
        ({"if-modified-since": LATER}, UNMODIFIED),
        ({"if-modified-since": EARLIER}, MET),
        # 13.1.4
        ({"if-unmodified-since": IMF}, MET),
        ({"if-unmodified-since": LATER}, MET),
        ({"if-unmodified-since": EARLIER}, FAILED),
        # 13.2.2: the tags come before the dates, what fails before what is not modified
        ({"if-match": ETAG, "if-unmodified-since": EARLIER}, MET),
        ({"if-match": '"x"', "if-unmodified-since": LATER}, FAILED),
        ({"if-none-match": '"x"', "if-modified-since": LATER}, MET),
        ({"if-none-match": ETAG, "if-modified-since": EARLIER}, UNMODIFIED),
        ({"if-match": '"x"', "if-none-match": ETAG}, FAILED),
        ({"if-match": ETAG, "if-none-match": ETAG}, UNMODIFIED),
        ({"if-unmodified-since": LATER, "if-modified-since": LATER}, UNMODIFIED),
        ({"if-unmodified-since": EARLIER, "if-none-match": ETAG}, FAILED),
    ],
)
def test_conditions(headers: dict[str, str], status: HTTPStatus | None) -> None:
    assert unmet(headers, etag=ETAG, modified=MODIFIED) is status


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("date", [IMF, RFC_850, ASCTIME, "Sun, 06 Nov 1994 08:49:37 -0000"])
def test_a_date_is_the_same_in_each_form_and_wherever_the_daemon_is(date: str) -> None:
    for since, status in ((MODIFIED, UNMODIFIED), (MODIFIED + 1, MET)):
        assert unmet({"if-modified-since": date}, etag=ETAG, modified=since) is status


@pytest.mark.parametrize("date", NO_DATES)
def test_what_is_no_date_is_no_condition(date: str) -> None:
    assert unmet({"if-modified-since": date, "if-unmodified-since": date}, etag=ETAG, modified=MODIFIED) is None


@given(st.text())
def test_whatever_stands_there_is_answered(text: str) -> None:
    names = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
    for name in names:
        unmet({name: text}, etag=ETAG, modified=MODIFIED)
    stretch_of({"range": text, "if-range": text}, size=9, etag=ETAG, modified=MODIFIED)
    stretch_of({"range": text}, size=9, etag=ETAG, modified=MODIFIED)


# Section 14: ranges


def stretch(asked: str, *, size: int = 10, **headers: str) -> tuple[int, int] | None:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return stretch_of({"range": asked, **told}, size=size, etag=ETAG, modified=MODIFIED)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-9", (0, 10)),
        ("bytes=2-4", (2, 3)),
        ("bytes=9-9", (9, 1)),
        ("bytes=0-", (0, 10)),
        ("bytes=9-", (9, 1)),
        ("bytes=5-999", (5, 5)),
        ("bytes=5-999999999999999", (5, 5)),
        ("bytes=0005-06", (5, 2)),
        ("Bytes=0-1", (0, 2)),
        ("BYTES=0-1", (0, 2)),
        (" bytes=0-1 ", (0, 2)),
        # the end
        ("bytes=-1", (9, 1)),
        ("bytes=-10", (0, 10)),
        ("bytes=-999999999999999", (0, 10)),
        # nothing is there
        ("bytes=10-", (10, 0)),
        ("bytes=10-20", (10, 0)),
        ("bytes=999999999999999-", (999999999999999, 0)),
        ("bytes=-0", (10, 0)),
        # not one range
        ("", None),
        ("bytes", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=5-4", None),
        ("bytes=10-9", None),
        ("bytes=0-1,3-4", None),
        ("bytes=0-1, -1", None),
        ("bytes=0-1,", None),
        ("bytes=1 2-3", None),
        ("bytes=+1-3", None),
        ("bytes=1-+3", None),
        ("bytes=--3", None),
        ("bytes=0x1-3", None),
        ("bytes=1e1-", None),
        ("bytes=１-３", None),
        ("bytes=0-1-2", None),
        ("bytes 0-1", None),
        ("bytes:0-1", None),
        ("items=0-1", None),
        ("bytes=99999999999999999999-", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_ranges(asked: str, found: tuple[int, int] | None) -> None:
    assert stretch(asked) == found


@pytest.mark.parametrize(
    ("asked", "found"), [("bytes=0-", (0, 0)), ("bytes=0-0", (0, 0)), ("bytes=-0", None), ("bytes=-5", None)]
)
def test_ranges_of_nothing(asked: str, found: tuple[int, int] | None) -> None:
    assert stretch(asked, size=0) == found


@given(size=st.integers(0, 50), first=st.integers(0, 60), last=st.integers(0, 60))
def test_a_range_is_a_slice(size: int, first: int, last: int) -> None:
    content = bytes(range(size))
    for asked, part in (
        (f"bytes={first}-{last}", content[first : last + 1] if last >= first else None),
        (f"bytes={first}-", content[first:]),
        (f"bytes=-{last}", content[max(0, size - last) :] if size else None),
    ):
        found = stretch(asked, size=size)
        assert part == (None if found is None else content[found[0] : found[0] + found[1]])
        assert found is None or found[1] == 0 or found[0] + found[1] <= size


@pytest.mark.parametrize(
    ("only_if", "is_same"),
    [
        (ETAG, True),
        (IMF, True),
        (RFC_850, True),
        (ASCTIME, True),
        ('"x"', False),
        (f"W/{ETAG}", False),
        (f'{ETAG}, "x"', False),
        ("*", False),
        (EARLIER, False),
        (LATER, False),
        *((no_date, False) for no_date in NO_DATES),
    ],
)
def test_a_range_of_another_version_is_all_of_this_one(only_if: str, is_same: bool) -> None:
    assert stretch("bytes=2-4", if_range=only_if) == ((2, 3) if is_same else None)


def test_without_a_range_it_is_everything() -> None:
    assert stretch_of({}, size=10, etag=ETAG, modified=MODIFIED) is None
    assert stretch_of({"if-range": ETAG}, size=10, etag=ETAG, modified=MODIFIED) is None
