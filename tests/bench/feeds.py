"""People who post moments, and who reads them: a page that has others, or counts otherwise, shows."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.figures import Broken
from tests.bench.seed import Post, Seed, seeding

READER = "reader"
"""Whose friends post."""

PATIENT = "patient"
"""Whose friends never post, but for one, who did so before all others."""

STRANGER, TALKER = "stranger", "talker"
"""A quarter of all moments each are a stranger's, and a friend's of `READER`."""

CLOSE = 5
"""So many of the next ones among the reader's friends are friends of each one's, in both directions."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A moment as it is to be shown: how many images, likes and comments."""

    moment_id: int
    author: str
    images: int
    likes: int
    comments: int


def seed(folder: Path, *, moments: int, friends: int) -> list[Posted]:
    """A database with so many moments. Returns them as the reader is to see them, the newest first."""
    posting, silent = [f"ben{n:04}" for n in range(friends - 1)], [f"sil{n:04}" for n in range(friends - 1)]
    chance = random.Random(7)
    shown: list[Posted] = []
    with seeding(folder) as seeded:
        seeded.users([READER, PATIENT, STRANGER, TALKER, "first", *posting, *silent])
        seeded.friends([(READER, TALKER), (PATIENT, "first"), *((PATIENT, name) for name in silent)])
        seeded.friends([(READER, name) for name in posting])
        seeded.friends([(name, _at(posting, n + apart)) for apart in _apart(posting) for n, name in enumerate(posting)])
        _posts(seeded, shown, _written(chance, moments, posting))
    return shown[::-1]


def _apart(names: Sequence[str]) -> range:
    return range(1, min(CLOSE, (len(names) - 1) // 2) + 1)


def _at(names: Sequence[str], place: int) -> str:
    return names[place % len(names)]


def _posts(seeded: Seed, shown: list[Posted], posts: Iterator[Post]) -> None:
    def noted() -> Iterator[Post]:
        for moment_id, post in enumerate(posts, 1):
            if post.author not in (STRANGER, "first") and post.visibility != "private":
                known = [name for name in post.likers if name != STRANGER]
                shown.append(Posted(moment_id, post.author, post.images, len(known), len(post.commenters)))
            yield post

    seeded.posts(noted())


def _written(chance: random.Random, count: int, posting: Sequence[str]) -> Iterator[Post]:
    """The first one, and then by chance; what friends of both say, and a stranger where a stranger may."""
    yield Post("first", "friends", 0, (), ())
    for _ in range(count - 1):
        who = chance.random()
        if who < 0.5:
            place = chance.randrange(len(posting))
            near = [_at(posting, place + way * apart) for apart in _apart(posting) for way in (1, -1)]
            visibility = chance.choice(["friends", "friends", "all", "all", "private"])
            if visibility == "private":
                yield Post(posting[place], visibility, 1, (), ())
                continue
            likers = chance.sample(near, chance.randrange(len(near) + 1))
            if visibility == "all":
                likers.append(STRANGER)
            said = chance.choices(near, k=chance.randrange(8))
            yield Post(posting[place], visibility, chance.randrange(4), likers, said)
        else:
            yield Post(STRANGER if who < 0.75 else TALKER, "all", 1, (), ())


def verify(page: Mapping[str, Any], expected: Sequence[Posted]) -> None:
    """Raise `Broken` where a page has not just these."""
    found = [
        Posted(one["moment_id"], one["username"], len(one["images"]), one["like_count"], one["comment_count"])
        for one in page["moments"]
    ]
    for one, other in zip(found, expected, strict=False):
        if one != other:
            raise Broken(f"moments: {one} instead of {other}")
    if len(found) != len(expected):
        raise Broken(f"moments: {len(found)} instead of {len(expected)}")
    for moment in page["moments"]:
        if len(moment["comments"]) != min(3, moment["comment_count"]):
            raise Broken(f"moments: of {moment['comment_count']} comments {len(moment['comments'])} are shown")
