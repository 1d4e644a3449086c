"""Everything of mine in one ZIP: what the ops give me, page by page, as JSON lines, and the files I uploaded.

Made of the same ops that I could ask for myself, so that it is what I may see, and nothing else; and of what I have
liked and commented. Each line of `account.jsonl` is an object whose `from` names the op that it is from; its other
fields are in the op's reference.
"""

from __future__ import annotations

import asyncio
import io
import time
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import orjson

from chatd import filing
from chatd.api import Api
from chatd.context import Row
from chatd.errors import NotFound
from chatd.moment_views import comments_of, likes_of
from chatd.session import Identity
from chatd.transactions import Transactions
from chatd.uploads import Uploads
from chatd.wire import Language

PIECE = 256 * 1024
"""Bytes of a file that are read at once."""

LONGEST_NAME = 255
LONGEST_ENDING = 32
"""Bytes of a name, and of what is taken for its ending."""


@dataclass(frozen=True, slots=True)
class Source:
    """An op whose pages are exported: the field with the items, and how the next page is asked for by the last item."""

    op: str
    items: str | None = None
    after: Mapping[str, str] = field(default_factory=dict)
    asks: Mapping[str, Any] = field(default_factory=dict)


SOURCES = (
    Source("profile"),
    Source("sessions", "sessions"),
    Source("friends", "friends", {"after_username": "username"}),
    Source("friend_requests", "requests", {"before_request_id": "request_id"}, {"box": "received"}),
    Source("friend_requests", "requests", {"before_request_id": "request_id"}, {"box": "sent"}),
    Source("blocks", "users", {"after_username": "username"}),
    Source("moments_of", "moments", {"before_moment_id": "moment_id"}),
    Source("invites", "invites"),
    Source("groups", "groups", {"after_conversation_id": "conversation_id"}),
)
CONVERSATIONS = Source(
    "conversations", "conversations", {"before_last_at": "last_at", "before_conversation_id": "conversation_id"}
)


ANSWERS = (("moment_like", "moment_id", likes_of), ("moment_comment", "comment_id", comments_of))
"""What I have said to moments: the op that it was said with, the field that pages go by, and who reads a page."""


class _Sink(io.RawIOBase):
    """What a ZIP is written to before it goes on: a stream, in which nobody can seek."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


class Exporter:
    """Makes exports, one at a time for each user."""

    def __init__(self, *, api: Api, transactions: Transactions, uploads: Uploads) -> None:
        self._api = api
        self._transactions = transactions
        self._uploads = uploads
        self.under_way: set[int] = set()
        """Users whose export is being made."""

    async def zipped(self, identity: Identity, lang: Language) -> AsyncGenerator[bytes, None]:
        """The ZIP (APPNOTE.TXT 6.3), as it grows."""
        self.under_way.add(identity.user_id)
        try:
            sink = _Sink()
            with zipfile.ZipFile(sink, "w") as archive:
                with archive.open(_entry("account.jsonl"), "w", force_zip64=True) as lines:
                    async for line in self._lines(identity, lang):
                        lines.write(line)
                        yield sink.taken()
                async for row in self._files(identity):
                    try:
                        file = await self._uploads.open(row["sha256"])
                    except NotFound:  # recalled meanwhile
                        continue
                    entry_of = _entry("files/" + _segment(f"{row['id']}-{row['name']}"))
                    with file, archive.open(entry_of, "w", force_zip64=True) as entry:
                        while piece := await asyncio.to_thread(file.read, PIECE):
                            entry.write(piece)
                            yield sink.taken()
            yield sink.taken()
        finally:
            self.under_way.discard(identity.user_id)

    async def _lines(self, identity: Identity, lang: Language) -> AsyncIterator[bytes]:
        for source in SOURCES:
            async for page in self._pages(identity, lang, source):
                yield b"".join(_line(source.op, item) for item in page)
        for op, key, read in ANSWERS:
            after = 0
            while page := await self._transactions.on_reader(read, identity.user_id, after=after):
                yield b"".join(_line(op, item) for item in page)
                after = page[-1][key]
        conversations: list[int] = []
        async for page in self._pages(identity, lang, CONVERSATIONS):
            conversations += [item["conversation_id"] for item in page]
            yield b"".join(_line(CONVERSATIONS.op, item) for item in page)
        for conversation_id in conversations:
            asks = {"conversation_id": conversation_id, "after_seq": 0}
            history = Source("history", "messages", {"after_seq": "seq"}, asks)
            async for page in self._pages(identity, lang, history):
                yield b"".join(_line(history.op, item) for item in page)

    async def _pages(self, identity: Identity, lang: Language, source: Source) -> AsyncIterator[list[dict[str, Any]]]:
        asks = {**source.asks, **({"limit": 200} if source.after else {})}
        while True:
            data = await self._api.data(identity, lang, source.op, asks)
            items = [data] if source.items is None else data[source.items]
            yield items
            if not (source.after and data["more"]):
                return
            asks |= {name: items[-1][key] for name, key in source.after.items()}

    async def _files(self, identity: Identity) -> AsyncIterator[Row]:
        after = 0
        while rows := await self._transactions.on_reader(filing.uploaded_by, identity.user_id, after=after):
            for row in rows:
                yield row
            after = rows[-1]["id"]


def _segment(name: str) -> str:
    """As much of a file's name as file systems take, with its ending: 255 bytes (NAME_MAX of Linux and macOS)."""
    ending = PurePath(name).suffix.encode()
    ending = ending if len(ending) <= LONGEST_ENDING else b""
    whole = name.encode()
    if len(whole) <= LONGEST_NAME:
        return name
    return whole[: LONGEST_NAME - len(ending)].decode(errors="ignore") + ending.decode()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, time.gmtime()[:6])
    entry.external_attr = 0o600 << 16
    return entry


def _line(op: str, item: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"from": op, **item}, option=orjson.OPT_APPEND_NEWLINE)
