"""Links to files: what is signed is good for one thing and for a while, and nothing else is."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.links import Links

LINKS = Links(key=b"k" * 32, lifetime=3600)
NOW = 1_700_000_000_000


def parts(link: str) -> tuple[str, str, str]:
    """Its path, `until` and key."""
    path, _, query = link.partition("?")
    told = parse_qs(query)
    return path, told["until"][0], told["key"][0]


def is_good(link: str, *, at: int, links: Links = LINKS) -> bool:
    path, until, key = parts(link)
    return links.allows(path, until=until, key=key, now=at)


@given(now=st.integers(0, 10**14), lifetime=st.integers(60, 7 * 86400))
def test_a_link_holds_for_one_to_two_lifetimes(now: int, lifetime: int) -> None:
    links = Links(key=b"key", lifetime=lifetime)
    link = links.to("/files/5", now)
    good_until = int(parts(link)[1]) * 1000
    assert lifetime * 1000 <= good_until - now <= 2 * lifetime * 1000
    assert is_good(link, at=now, links=links)
    assert is_good(link, at=good_until - 1, links=links)
    assert not is_good(link, at=good_until, links=links)


def test_links_made_within_a_lifetime_are_the_same() -> None:
    begin = NOW // 3_600_000 * 3_600_000
    assert LINKS.to("/files/5", begin) == LINKS.to("/files/5", begin + 3_599_999)
    assert LINKS.to("/files/5", begin) != LINKS.to("/files/5", begin + 3_600_000)


def test_a_link_can_stand_in_a_page() -> None:
    for number in range(200):
        assert not set('"<> +#\\') & set(LINKS.to(f"/files/{number}", NOW))


@pytest.mark.parametrize("path", ["/files/50", "/files/05", "/files/5/", "/files/5/thumbnail", "/files/%35", "", "/"])
def test_a_link_is_for_one_thing(path: str) -> None:
    _, until, key = parts(LINKS.to("/files/5", NOW))
    assert LINKS.allows("/files/5", until=until, key=key, now=NOW)
    assert not LINKS.allows(path, until=until, key=key, now=NOW)


def test_nobody_else_signs() -> None:
    assert not is_good(Links(key=b"K" * 32, lifetime=3600).to("/files/5", NOW), at=NOW)


@given(at=st.integers(0, 23), char=st.characters(codec="utf-8"))
def test_another_key_is_none(at: int, char: str) -> None:
    _, until, key = parts(LINKS.to("/files/5", NOW))
    other = key[:at] + char + key[at + 1 :]
    assert LINKS.allows("/files/5", until=until, key=other, now=NOW) == (other == key)


@pytest.mark.parametrize(
    "change", ["", " {}", "{} ", "+{}", "-{}", "{}0", "9{}", "1e9", "{}.0", "９{}", "²", "x" * 5000]
)
def test_another_time_is_none(change: str) -> None:
    _, until, key = parts(LINKS.to("/files/5", NOW))
    assert not LINKS.allows("/files/5", until=change.format(until), key=key, now=NOW)


def test_a_key_that_is_cut_or_longer_is_none() -> None:
    _, until, key = parts(LINKS.to("/files/5", NOW))
    for other in ("", key[:-1], key + "A", key + "=", f" {key}", key.swapcase()):
        assert not LINKS.allows("/files/5", until=until, key=other, now=NOW)
