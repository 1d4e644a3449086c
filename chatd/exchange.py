"""A request over HTTP and its response, as the site sees them (RFC 9110)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import BinaryIO

Headers = Sequence[tuple[str, str]]


class Refused(Exception):
    """The answer to a request that is not granted: a status, and a line for people."""

    def __init__(self, status: HTTPStatus, why: str, *, headers: Headers = ()) -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        self.headers = headers


class Cut(Exception):
    """The body ends before its end: the client has left, is too slow, or sends what is no body."""


class TooLong(Exception):
    """The body is longer than `most` bytes."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The body may have {most} bytes at most.")
        self.most = most


class Body:
    """A request's body, as it comes."""

    def __init__(self, *, wanted: Callable[[], None], taken: Callable[[], None]) -> None:
        self._wanted = wanted
        self._taken = taken
        self._chunks: list[bytes] = []
        self._cut = False
        self._news = asyncio.Event()
        self.waiting = 0
        """Bytes that have come and were not read."""
        self.ended = False

    def feed(self, chunk: bytes) -> None:
        """Some of it has come."""
        self._chunks.append(chunk)
        self.waiting += len(chunk)
        self._news.set()

    def end(self) -> None:
        """All of it has come."""
        self.ended = True
        self._news.set()

    def cut(self) -> None:
        """Nothing more will come, though it was not all."""
        self._cut = not self.ended
        self._news.set()

    @property
    def is_awaited(self) -> bool:
        """Whether it is the client that is waited for."""
        return not self.ended and not self.waiting

    async def chunk(self) -> bytes:
        """What has come since the last time; b"" at the end. Raises `Cut`."""
        if not self._chunks and not self.ended and not self._cut:
            self._wanted()
            self._news.clear()
            await self._news.wait()
        if self._cut and not self._chunks:
            raise Cut
        whole = b"".join(self._chunks)
        self._chunks.clear()
        self.waiting = 0
        self._taken()
        return whole

    async def read(self, most: int) -> bytes:
        """All of it. Raises `Cut`; `TooLong` where it is longer than `most` bytes."""
        whole = bytearray()
        while chunk := await self.chunk():
            whole += chunk
            if len(whole) > most:
                raise TooLong(most)
        return bytes(whole)


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` by lower-case name; of a name that came more than once, the values with commas between.

    `address` is the client's, `peer` that of the connection: a proxy's, where one is trusted.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    address: str
    peer: str
    body: Body


def only(request: Request, *methods: str) -> None:
    """Raise `Refused` for another method."""
    if request.method not in methods:
        raise not_allowed(*methods)


def not_allowed(*methods: str) -> Refused:
    """The answer to any method but these (RFC 9110, section 15.5.6)."""
    why = f"{' or '.join(methods)} only.\n"
    return Refused(HTTPStatus.METHOD_NOT_ALLOWED, why, headers=[("Allow", ", ".join(methods))])


@dataclass(frozen=True, slots=True)
class Stretch:
    """`count` bytes of a file, from `offset` on. Whoever sends it closes the file."""

    file: BinaryIO
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class Response:
    """`type` is the body's media type. A body that comes in pieces is sent in pieces, its length unknown."""

    status: int
    body: bytes | Stretch | AsyncGenerator[bytes, None] = b""
    type: str = "text/plain; charset=utf-8"
    headers: Headers = field(default=())


Answer = Callable[[Request], Awaitable[Response]]
