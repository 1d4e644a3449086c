"""Conditional requests and ranges (RFC 9110, sections 13 and 14). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII | re.IGNORECASE)


def unmet(headers: Mapping[str, str], *, etag: str, modified: int) -> HTTPStatus | None:
    """The status where the request's conditions do not hold; None where it is to be answered in full.

    `etag` is strong, in its quotes; `modified` in seconds since the epoch. In the order of section 13.2.2.
    """
    if "if-match" in headers:
        if not _lists(headers["if-match"], etag, weak=False):
            return HTTPStatus.PRECONDITION_FAILED
    elif (since := _seconds(headers.get("if-unmodified-since"))) is not None and modified > since:
        return HTTPStatus.PRECONDITION_FAILED
    if "if-none-match" in headers:
        if _lists(headers["if-none-match"], etag, weak=True):
            return HTTPStatus.NOT_MODIFIED
    elif (since := _seconds(headers.get("if-modified-since"))) is not None and modified <= since:
        return HTTPStatus.NOT_MODIFIED
    return None


def is_known(headers: Mapping[str, str], etag: str) -> bool:
    """Whether the client says that it has this version, of what has no date (section 13.1.2)."""
    return _lists(headers.get("if-none-match", ""), etag, weak=True)


def stretch_of(headers: Mapping[str, str], *, size: int, etag: str, modified: int) -> tuple[int, int] | None:
    """The first byte and the number of bytes that are asked for; no bytes where there are none there.

    None for everything: without a range, with more than one, with one of a unit that is not known, for the end of what
    is empty, and where the client's `If-Range` is another version.
    """
    if (only_if := headers.get("if-range")) is not None and only_if != etag and _seconds(only_if) != modified:
        return None
    asked = _RANGE.fullmatch(headers.get("range", "").strip())
    if asked is None or not (asked[1] or asked[2]):
        return None
    if not asked[1]:
        count = min(int(asked[2]), size)
        return (size - count, count) if size else None
    first, last = int(asked[1]), int(asked[2] or size)
    if last < first and asked[2]:
        return None
    return first, max(0, min(last + 1, size) - first)


def _lists(header: str, etag: str, *, weak: bool) -> bool:
    tags = [tag.strip() for tag in header.split(",")]
    return "*" in tags or etag in tags or (weak and f"W/{etag}" in tags)


def _seconds(date: str | None) -> int | None:
    """A date in any of the three forms (RFC 9110, section 5.6.7), in seconds since the epoch; None for what is none."""
    try:
        if date is None:
            return None
        at = parsedate_to_datetime(date)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())  # asctime's names no zone: it is UTC
    except (ValueError, OverflowError):
        return None
