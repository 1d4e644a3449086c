"""People who search, what they look for, and what there is to be found: an index that forgets or invents shows."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.babble import Babble
from tests.bench.figures import Broken
from tests.bench.load import Client
from tests.bench.seed import NAME, seeding

FEW = 3
"""The conversations of who is in hardly any."""

BOT = "deploybot"
"""A word in every fifth message of the large group, and nowhere else."""

FOLLOWED = 1_000
"""Where there is no more than this to be found, `next` is followed to the end; elsewhere for `FEW_PAGES`."""

FEW_PAGES = 3
MOST_PAGES = 1_000
"""More than any search has: each page looks at hundreds of messages at least."""

_CONVERSATIONS = """
SELECT u.username, m.conversation_id FROM members m JOIN users u ON u.id = m.user_id WHERE u.username NOT LIKE 'ann%'
"""
_MESSAGES = "SELECT id, conversation_id, content FROM entries WHERE event = 'message' ORDER BY id DESC"


@dataclass(frozen=True, slots=True)
class Sought:
    """What one person looks for, and the ids of the messages to be found, the newest first."""

    asker: str
    what: str
    q: str
    ids: Sequence[int]

    @property
    def told(self) -> str:
        """Who looks for what."""
        return f"{self.asker}: {self.what}"

    def verify(self, page: Mapping[str, Any], *, after: int, limit: int) -> None:
        """Raise `Broken` where a page does not begin after the first `after` ids, has others, or ends too early."""
        found = [message["id"] for message in page["messages"]]
        expected = list(self.ids[after : after + limit])
        if not page["complete"]:
            raise Broken(f"{self.told}: the index is behind")
        for one, other in itertools.zip_longest(found, expected):
            if one != other and (one is not None or page["next"] is None):
                raise Broken(f"{self.told}: message {one} was found instead of {other}")
        for message in page["messages"]:
            if not any(part["hit"] for part in message["snippet"]):
                raise Broken(f"{self.told}: the snippet of message {message['id']} does not show it")
        if page["next"] is None and len(self.ids) > after + limit:
            raise Broken(f"{self.told}: {len(self.ids) - after - limit} messages are on no page")

    async def follow(self, client: Client, *, limit: int = 200) -> None:
        """Look at page after page. Raises `Broken`."""
        fields: dict[str, int] = {}
        found = 0
        for number in range(MOST_PAGES):
            page = await client.ask("search", q=self.q, limit=limit, **fields)
            self.verify(page, after=found, limit=limit)
            found += len(page["messages"])
            if page["next"] is None or (len(self.ids) > FOLLOWED and number + 1 == FEW_PAGES):
                return
            fields = {"before_message_id": page["next"]}
        raise Broken(f"{self.told}: more than {MOST_PAGES} pages")


def askers(conversations: int) -> dict[str, str]:
    """The people by what they are in. Who is in the most conversations is in so many."""
    return {
        f"in {FEW} conversations": "few",
        f"in {conversations // 10:,} conversations": "some",
        f"in {conversations:,} conversations": "many",
        "in one with half of all messages": "one",
        f"in {conversations:,} conversations and that one": "all",
    }


def queries(babble: Babble) -> dict[str, str]:
    """What they look for, by what that is."""
    medium, rare = babble.words[500], babble.words[30_000]
    return {
        "a rare word": rare,
        "a medium word": medium,
        "the most common word": "the",
        "a prefix of 1": "n",
        "a prefix of 2": "no",
        "a prefix of 3": "not",
        "a prefix of 5": "notif",
        "a prefix of 8": "notifica",
        "two common words": "the hello",
        "a common word and a rare one": f"the {rare}",
        "a common character": "的",
        "a pair of characters": "会议",
        "an emoji": "👍",
        "a word that is nowhere": "xylophone",
        "a common word with a wrong end": "meetinf",
        "a word that is common in the large group alone": BOT,
    }


def seed(folder: Path, babble: Babble, *, messages: int, conversations: int) -> None:
    """A database where half of the messages are in one group, and the others by chance in small conversations."""
    strangers = [f"ann{number:04}" for number in range(conversations)]
    friends = [
        *(("few", name) for name in strangers[:FEW]),
        *(("some", name) for name in strangers[: conversations // 10]),
        *(("many", name) for name in strangers),
        *(("all", name) for name in strangers),
        *((name, strangers[number - apart]) for apart in range(1, 6) for number, name in enumerate(strangers)),
    ]
    with seeding(folder) as seeded:
        seeded.users([*askers(conversations).values(), *strangers])
        small = seeded.friends(friends)
        large = seeded.group(["one", "all", *strangers[:100]])
        seeded.texts(_said(babble, messages, large, small), remembered=False)


def _said(babble: Babble, count: int, large: int, small: Sequence[int]) -> Iterator[tuple[int, str]]:
    chance = babble.chance
    for _ in range(count):
        if chance.random() < 0.5:
            yield large, f"{babble.sentence()} {BOT}" if chance.random() < 0.2 else babble.sentence()
        else:
            yield chance.choice(small), babble.sentence()


def says(q: str, message: str) -> bool:
    """Whether a message has all that is looked for: not chatd's way to tell, and enough for what is said here."""
    said = f" {message.lower()}"
    return all((f" {term}" if term.isascii() else term) in said for term in q.split())


def sought(folder: Path, people: Mapping[str, str], wanted: Mapping[str, str]) -> list[Sought]:
    """Everybody looks for everything: what is to be found, by looking at every message of a seeded database."""
    mine: dict[str, set[int]] = {name: set() for name in people.values()}
    found = {(name, what): array("q") for name in mine for what in wanted}
    with contextlib.closing(sqlite3.connect(folder / NAME)) as connection:
        for name, conversation_id in connection.execute(_CONVERSATIONS):
            mine[name].add(conversation_id)
        for message_id, conversation_id, content in connection.execute(_MESSAGES):
            readers = [name for name, own in mine.items() if conversation_id in own]
            for what, q in wanted.items() if readers else ():
                if says(q, content):
                    for name in readers:
                        found[name, what].append(message_id)
    return [Sought(asker, what, q, found[name, what]) for asker, name in people.items() for what, q in wanted.items()]
