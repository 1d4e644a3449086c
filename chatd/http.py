"""HTTP/1.1 on the port (RFC 9112), by h11: requests in, one response at a time out.

Knows nothing of chat: what is answered is the site's affair (site.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import Callable, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

import h11

from chatd.exchange import Answer, Body, Cut, Headers, Refused, Request, Response, Stretch, TooLong

log = logging.getLogger("chatd.http")

LONGEST_HEAD = 16 * 1024
"""Bytes of a request's line and headers."""

BUFFERED = 256 * 1024
"""Bytes of a body that may wait for whoever reads it; past it the client has to."""

SLOWEST = 1024
"""Bytes a second that a body has to come at, once its first `idle` seconds are over."""

STALLED = 30.0
"""Seconds in which a client must take something of what is sent to it."""

LINGER = 2.0
"""Seconds that what a client still sends is read, and thrown away, after an answer that ends the connection."""

PORTION = 128 * 1024
"""Bytes of a file that are sent in one go."""

_ABSOLUTE = re.compile("https?://([^/?#]*)(.*)", re.IGNORECASE)
_CLOSE = ("Connection", "close")
_EMPTY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_STATUSES = frozenset(HTTPStatus)
_DEFECT = b"This is a defect; the log says more.\n"


class _Elsewhere:
    """So many bytes that go out by another way than h11's."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count


class HttpConnection(asyncio.BufferedProtocol):
    """One client's connection. `idle` is how long it may be silent between two requests, or in the middle of one.

    `received` is where what comes is put first, the server's own; `forwarded` finds a request's client behind a proxy;
    `lost` hears that the connection is gone.
    """

    transport: asyncio.Transport

    def __init__(
        self,
        answer: Answer,
        *,
        address: str,
        received: memoryview,
        idle: float,
        forwarded: Callable[[str, Sequence[str]], str],
        lost: Callable[[HttpConnection], None],
    ) -> None:
        self._answer = answer
        self.address = address
        self._received = received
        self._idle = idle
        self._forwarded = forwarded
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)
        self._body: Body | None = None
        self._task: asyncio.Task[None] | None = None
        self._wrong: Refused | None = None
        """What is to be answered to a request whose body makes no sense."""
        self._closing = False
        self._ended = False
        """Whether the client has said all that it has to say."""
        self._sending = False
        self._file = False
        self._sent = 0
        self._left = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self.deadline = self._loop.time() + idle

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._writable.set()
        if self._body is not None and not self._body.ended:
            self._body.cut()  # what came of it may be worth keeping
        elif self._task is not None:
            self._task.cancel()
        self._lost(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._received

    def buffer_updated(self, nbytes: int) -> None:
        self.take(bytes(self._received[:nbytes]))

    def take(self, data: bytes) -> None:
        """What has come."""
        if self._closing:
            return
        now = self._loop.time()
        if self._http.their_state is h11.SEND_BODY:
            self.deadline = min(now + self._idle, self.deadline + len(data) / SLOWEST)
        elif self._http.their_state is h11.IDLE and not self._http.trailing_data[0]:
            self.deadline = now + self._idle
        self._http.receive_data(data)
        self._advance()

    def eof_received(self) -> bool:
        self._ended = True
        if not self._closing:
            self._http.receive_data(b"")
            self._advance()
        return self._task is not None

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # Requests

    def _advance(self) -> None:
        """Take what has come."""
        while not self._closing:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                if self._body is not None and self._body.ended:
                    self.transport.pause_reading()  # what comes after the last request is nobody's
                    return
                why = str(error).partition(": bytearray(")[0]  # what is wrong, without what came
                self._refuse(HTTPStatus(error.error_status_hint), f"{why}.\n")
                return
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data) and self._body is not None:
                self._body.feed(bytes(event.data))
                if self._body.waiting > BUFFERED:
                    self.transport.pause_reading()
            elif isinstance(event, h11.EndOfMessage) and self._body is not None:
                self._body.end()
            elif event is h11.PAUSED:
                self.transport.pause_reading()  # until what came before is answered
                return
            elif isinstance(event, h11.ConnectionClosed):
                if self._task is None:
                    self.transport.close()
                return
            else:
                return

    def _begin(self, event: h11.Request) -> None:
        headers: dict[str, str] = {}
        for name, value in event.headers:
            key, text = name.decode("ascii"), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        target = event.target.decode("latin-1")
        if len(target) + sum(len(name) + len(value) + 4 for name, value in event.headers) > LONGEST_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of the request is too long.\n")
            return
        if "transfer-encoding" in headers and "content-length" in headers:  # RFC 9112, section 6.1
            self._refuse(HTTPStatus.BAD_REQUEST, "Transfer-Encoding and Content-Length exclude each other.\n")
            return
        if absolute := _ABSOLUTE.fullmatch(target):  # RFC 9112, section 3.2.2
            headers["host"], target = absolute[1], absolute[2] if absolute[2].startswith("/") else f"/{absolute[2]}"
        path, _, query = target.partition("?")
        hops = [headers["x-forwarded-for"]] if "x-forwarded-for" in headers else []
        address = self._forwarded(self.address, hops)
        self.deadline = self._loop.time() + self._idle
        self._body = Body(wanted=self._go_on, taken=self._taken)
        request = Request(event.method.decode("ascii"), path, query, headers, address, self.address, self._body)
        self._task = self._loop.create_task(self._respond(request))

    def _go_on(self) -> None:
        """Somebody reads the body now: a client that asked whether to send it may (RFC 9110, section 10.1.1)."""
        if self._http.they_are_waiting_for_100_continue and not self._closing:
            self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))

    def _taken(self) -> None:
        if not self._closing and self._http.their_state is h11.SEND_BODY and not self.transport.is_reading():
            self.deadline = self._loop.time() + self._idle
            self.transport.resume_reading()

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        """Answer what is no request, or no whole one, and end the connection."""
        self.transport.pause_reading()
        self._wrong = Refused(status, why, headers=[_CLOSE])
        if self._body is not None:
            self._body.cut()
        if self._task is None:
            self._task = self._loop.create_task(self._respond(None))

    # Responses

    async def _respond(self, request: Request | None) -> None:
        """Answer a request, or what is none, and look at the next."""
        response = await self._response(request)
        try:
            await self._send(response, bodyless=request is not None and request.method == "HEAD")
            await self._drain()
        except ConnectionError:
            self.transport.abort()
        except asyncio.CancelledError:
            self.transport.abort()
            raise
        except Exception:
            log.exception("a response could not be sent to its end")
            self.transport.abort()
        finally:
            self._task = self._body = None
            self._sending = False
            if isinstance(response.body, Stretch):
                response.body.file.close()
        if not self._closing:
            self._rest()

    async def _response(self, request: Request | None) -> Response:
        try:
            if self._wrong is not None or request is None:
                raise Cut
            return await self._answer(request)
        except TooLong as error:
            refused = Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{error}\n")
        except Cut:
            refused = self._wrong or Refused(HTTPStatus.BAD_REQUEST, "The request has no end.\n", headers=[_CLOSE])
        except Refused as error:
            refused = error
        except Exception:
            log.exception("%s %s failed", *(request.method, request.path) if request is not None else ("", ""))
            return Response(HTTPStatus.INTERNAL_SERVER_ERROR, _DEFECT)
        return Response(refused.status, refused.why.encode(), headers=refused.headers)

    async def _send(self, response: Response, *, bodyless: bool) -> None:
        if self._closing:
            raise ConnectionResetError
        body = response.body
        length = len(body) if isinstance(body, bytes) else body.count if isinstance(body, Stretch) else None
        headers = [("Date", formatdate(usegmt=True)), ("X-Content-Type-Options", "nosniff"), *response.headers]
        if response.status not in _EMPTY:  # RFC 9110, section 8.6
            headers.append(("Content-Type", response.type))
            headers += [("Content-Length", str(length))] if length is not None else []
        if self._body is not None and not self._body.ended and _CLOSE not in headers:
            headers.append(_CLOSE)
        self._sending, self._sent, self._left = True, 0, 0
        self.deadline = self._loop.time() + STALLED
        self._write(self._http.send(_head(response.status, headers)))
        if bodyless or response.status in _EMPTY or length == 0:
            pass
        elif isinstance(body, bytes):
            self._write(self._http.send(h11.Data(data=body)))
        elif isinstance(body, Stretch):
            self._http.send_with_data_passthrough(h11.Data(data=cast(bytes, _Elsewhere(body.count))))
            await self._send_file(body)
        else:
            async with contextlib.aclosing(body):
                async for piece in body:
                    self._write(self._http.send(h11.Data(data=piece)))
                    await self._drain()
        self._write(self._http.send(h11.EndOfMessage()))

    async def _send_file(self, stretch: Stretch) -> None:
        """The kernel copies it from the file to the socket, where the event loop can ask it to (sendfile(2))."""
        offset, end = stretch.offset, stretch.offset + stretch.count
        while offset < end:
            await self._drain()
            count = min(PORTION, end - offset)
            try:
                self._file = True
                sent = await self._loop.sendfile(self.transport, stretch.file, offset, count, fallback=False)
            except (NotImplementedError, asyncio.SendfileNotAvailableError):  # uvloop; TLS
                data = await asyncio.to_thread(os.pread, stretch.file.fileno(), count, offset)
                sent = len(data)
                if not self._closing:
                    self.transport.write(data)
            finally:
                self._file = False
            if not sent:
                raise EOFError("the file is shorter than it was")
            offset += sent
            self._sent += sent

    async def _drain(self) -> None:
        """Wait until the client has taken enough of what was sent. Raises ConnectionResetError."""
        await self._writable.wait()
        if self._closing or self.transport.is_closing():
            raise ConnectionResetError

    def _write(self, data: bytes | None) -> None:
        if data and not self._closing:
            self.transport.write(data)
            self._sent += len(data)

    def _rest(self) -> None:
        """A response is out: the next request may be looked at, or the connection ends."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            self._linger()
            return
        self._http.start_next_cycle()
        self.deadline = self._loop.time() + self._idle
        self.transport.resume_reading()
        self._advance()

    def _linger(self) -> None:
        """End the connection so that the answer arrives, though the client may still be sending."""
        self._closing = True
        self.deadline = self._loop.time() + LINGER
        self._left = self.transport.get_write_buffer_size()
        if self._ended:
            self.transport.close()
            return
        self.transport.resume_reading()
        with contextlib.suppress(OSError):  # the client was quicker
            self.transport.write_eof()

    # The end

    def overdue(self) -> None:
        """The deadline has passed."""
        now = self._loop.time()
        unsent = self.transport.get_write_buffer_size()
        if self._closing:
            if not unsent or unsent == self._left:
                self.transport.abort()
            self._left = unsent
            self.deadline = now + (STALLED if unsent else LINGER)
        elif self._sending:
            if self._sent - unsent == self._left and (unsent or self._file):
                self.abort()
            self._left = self._sent - unsent
            self.deadline = now + STALLED
        elif self._task is None:
            self.transport.close()
        elif self._body is not None and self._body.is_awaited:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "The request was too long in coming.\n")
            self.deadline = now + self._idle
        else:
            self.deadline = now + self._idle  # it is the site that takes its time

    def abort(self) -> None:
        """End it at once."""
        if self._file and self._task is not None:
            self._task.cancel()  # else the event loop would go on waiting for a socket that is closed
        else:
            self.transport.abort()

    async def finish(self) -> None:
        """Wait until the request under way is answered, and close."""
        if self._task is not None:
            await asyncio.wait([self._task])
        self.transport.close()


def _head(status: int, headers: Headers) -> h11.Response:
    phrase = HTTPStatus(status).phrase if status in _STATUSES else ""
    return h11.Response(status_code=status, headers=list(headers), reason=phrase.encode())
