"""One client's connection: an asyncio protocol over websockets' Sans-I/O `ServerProtocol`."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN

from chatd import wire
from chatd.frames import LONGEST_CONTROL, PONG, TEXT, measure, text_frame, unmask
from chatd.handshake import BAD_REQUEST, LONGEST_HEAD, answer, is_for_websocket, protocol
from chatd.limits import Bucket
from chatd.peer import BAD_PAYLOAD, TOO_SLOW, Peer
from chatd.phase import LIVE, Phase
from chatd.wire import Outgoing

if TYPE_CHECKING:
    from chatd.server import Server

END = b"\r\n\r\n"
"""What ends the request (RFC 9112, section 2.1)."""

SLICE = 1024
"""Bytes of compressed frames that are looked at in one go."""

HELD = 1000
"""The most events held back while `auth` reads what its client missed."""

PING = Frame(Opcode.PING, b"").serialize(mask=False)


class Connection(Peer, asyncio.BufferedProtocol):
    """One client's TCP connection: bytes in, frames out."""

    __slots__ = (
        "_dirty",
        "_ended",
        "_fragments",
        "_frames",
        "_held",
        "_is_text",
        "_pauses",
        "_pinged",
        "_queued",
        "_rest",
        "_server",
        "_unread",
        "_wanted",
        "_whole_frames",
        "_writable",
        "deadline",
        "heard",
        "phase",
        "protocol",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        now = server.loop.time()
        super().__init__(number=server.next_number(), address="", bucket=Bucket(server.config.rates.ops, now))
        self._server = server
        self.protocol = protocol(server.extensions, longest=server.config.server.frame_bytes)
        self.phase = Phase.HANDSHAKE
        self.heard = now
        self.deadline = now + server.config.server.handshake_timeout
        self._pinged = 0.0
        self._frames: list[bytes] = []
        self._queued = 0
        self._writable = True
        self._dirty = False
        self._ended = False
        self._whole_frames = False
        self._rest = bytearray()
        self._wanted = 0
        self._unread = b""
        self._held: list[Outgoing] | None = None
        self._fragments: bytearray | None = None
        self._is_text = True
        self._pauses = 0

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        self.address = peername[0] if peername else ""
        self._server.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.phase = Phase.LOST
        self._frames.clear()
        self._held = None
        self._server.dispatcher.gone(self)
        self._server.lost(self)
        self.protocol.parser.close()  # its frame, and that of the traceback, hold the protocol: a cycle
        self.protocol.parser_exc = None

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._server.received

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._server.received[:nbytes])
        self.heard = self._server.loop.time()
        self._take(data)

    def _take(self, data: bytes) -> None:
        if self._whole_frames:
            self._cut(data)
        elif self.protocol.extensions:
            self._inflate(data)
        elif self.phase is Phase.HANDSHAKE:
            self._shake_hands(data)
        else:
            self._feed(data)

    def _shake_hands(self, data: bytes) -> None:
        """Have the request answered before what may have come with it; what is not for us goes to HTTP."""
        self._rest += data
        head, end, following = self._rest.partition(END)
        if not end and len(self._rest) < LONGEST_HEAD:
            return
        self._rest.clear()
        if not is_for_websocket(head):
            self.phase = Phase.LOST
            self._server.speak_http(self, bytes(head + end + following))
            return
        self._feed(bytes(head + end))
        self._whole_frames = self.phase in LIVE and not self.protocol.extensions
        if following:
            self._take(bytes(following))

    def _cut(self, data: bytes) -> None:
        """Cut whole text frames by hand; all others are websockets', which thus always stands between two frames."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
            self._rest.clear()
        at, most = 0, self._server.config.server.frame_bytes
        while at < len(data):
            header, length = measure(data, at)
            if header < 0 or length > most or self.phase not in LIVE:
                self._whole_frames = False  # what is wrong with it, websockets says best
                self._feed(data[at:])
                return
            end = at + header + length
            if not header or end > len(data):
                self._rest += data[at:]
                self._wanted = end - at
                return
            if data[at] == TEXT and self._fragments is None:
                self._text(unmask(data, at + header, end))
            elif data[at] != PONG or length > LONGEST_CONTROL:  # that something was heard is all that a pong says
                self._feed(data[at:end])
            at = end

    def _inflate(self, data: bytes) -> None:
        """Take compressed frames a little at a time: inside they may be a hundred times larger."""
        for start in range(0, len(data), SLICE):
            if self._pauses:
                self._unread = data[start:]
                return
            self._feed(data[start : start + SLICE])

    def _feed(self, data: bytes) -> None:
        protocol = self.protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if type(event) is Frame:
                self._received(event)
            elif type(event) is Request:
                self._requested(event)
        if protocol.writes:
            if protocol.close_expected() and self.phase is not Phase.CLOSING:
                self._leave()
                protocol.writes = protocol.writes if protocol.writes != [b""] else [BAD_REQUEST, b""]
            self._send_protocol()

    def eof_received(self) -> bool:
        self.protocol.receive_eof()
        return False

    def pause_writing(self) -> None:
        # Whoever does not read what it asked for may not ask for more.
        self._writable = False
        self._pause(1)

    def resume_writing(self) -> None:
        self._writable = True
        self._resume(1)
        self._server.dispatcher.advance(self)
        if self._frames or self._ended:
            self._soon()

    # Frames in

    def _received(self, frame: Frame) -> None:
        if self.phase not in LIVE:
            return
        opcode = frame.opcode
        if opcode is Opcode.TEXT and frame.fin:
            self._text(cast(bytes, frame.data))
        elif opcode is Opcode.BINARY and frame.fin:
            self._server.dispatcher.receive_binary(self, bytes(frame.data))
        elif opcode is Opcode.TEXT or opcode is Opcode.BINARY:
            self._fragments, self._is_text = bytearray(frame.data), opcode is Opcode.TEXT
        elif opcode is Opcode.CONT and self._fragments is not None:
            self._fragments += frame.data
            if frame.fin:
                whole, self._fragments = self._fragments, None
                (self._text if self._is_text else partial(self._server.dispatcher.receive_binary, self))(whole)

    def _text(self, payload: bytes | bytearray) -> None:
        try:
            self._server.dispatcher.receive(self, payload)
        except wire.NotUtf8:
            self.close(BAD_PAYLOAD, "text frames must be UTF-8")

    def pause(self, paused: bool) -> None:
        if paused:
            self._pause(2)
        else:
            self._resume(2)

    def _pause(self, reason: int) -> None:
        if not self._pauses and self.phase is not Phase.CLOSING:
            self.transport.pause_reading()
        self._pauses |= reason

    def _resume(self, reason: int) -> None:
        if self._pauses == reason and not self.transport.is_closing():
            self.transport.resume_reading()
            if self._unread:
                data, self._unread = self._unread, b""
                self._server.loop.call_soon(self._inflate, data)  # before anything that is read now
        self._pauses &= ~reason

    # Handshake

    def _requested(self, request: Request) -> None:
        protocol, server = self.protocol, self._server
        self.address = server.admission.moved(self.address, request.headers.get_all("X-Forwarded-For"))
        protocol.send_response(answer(protocol, request, address=self.address, admission=server.admission))
        if protocol.state is OPEN:
            self.phase = Phase.GUEST
            self.deadline = server.loop.time() + server.config.server.auth_timeout
        else:
            self._leave()

    def recognized(self, known: bool) -> None:
        if self.phase in LIVE:
            self.phase = Phase.USER if known else Phase.GUEST
            limits = self._server.config.server
            now = self._server.loop.time()
            self._pinged = 0.0
            self.deadline = now + (limits.ping_interval if known else limits.auth_timeout)

    # Frames out

    @property
    def congested(self) -> bool:
        return not self._writable

    def outbox(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._queued + self.transport.get_write_buffer_size()

    def send(self, outgoing: Outgoing) -> None:
        if self.phase not in LIVE:
            return
        if self.protocol.extensions and self.protocol.state is OPEN:
            self.protocol.send_text(outgoing.payload)
            self._send_protocol()
            return
        frame = outgoing.frame
        if frame is None:
            frame = outgoing.frame = text_frame(outgoing.payload)
        self._queue(frame)

    def hear(self, outgoing: Outgoing) -> None:
        if self._held is None:
            self.send(outgoing)
        elif len(self._held) < HELD:
            self._held.append(outgoing)
        else:
            self._too_slow()

    def glimpse(self, outgoing: Outgoing) -> None:
        if self._writable and self._held is None:
            self.send(outgoing)

    def hold(self, held: bool) -> None:
        kept, self._held = self._held, [] if held else None
        for outgoing in kept or ():
            self.send(outgoing)

    def _queue(self, frame: bytes) -> None:
        if self._queued and self._queued + len(frame) > self._server.config.server.outbox_bytes:
            self.flush()  # what came in one turn of the loop says nothing about the client yet
            if self._queued and self.phase in LIVE:
                self._too_slow()
                return
        self._queued += len(frame)
        self._frames.append(frame)
        self._soon()

    def _soon(self) -> None:
        """Have what is queued written at the end of this turn of the loop."""
        if self._writable and not self._dirty:
            self._dirty = True
            self._server.dirty(self)

    def _too_slow(self) -> None:
        if self.phase in LIVE:
            self._server.too_slow(self)
            # Whole frames are dropped, none is cut: what is dropped here, the next sync gives.
            self._frames.clear()
            self._queued = 0
            self._held = None
            self.close(TOO_SLOW, "too slow: reconnect and sync")

    def _send_protocol(self) -> None:
        """Queue what websockets wants sent: handshakes, pongs, closes, the end of the stream."""
        for data in self.protocol.data_to_send():
            if data:
                self._queue(data)
            else:
                self._ended = True
                self._soon()

    def flush(self) -> None:
        """Write what is queued, in one piece."""
        self._dirty = False
        if not self._writable or self.phase is Phase.LOST:
            return
        if self._frames:
            data = self._frames[0] if len(self._frames) == 1 else b"".join(self._frames)
            self._frames.clear()
            self._queued = 0
            self.transport.write(data)
        if self._ended and not self.transport.is_closing():
            try:
                self.transport.write_eof()
            except OSError:  # the client was quicker
                self.transport.abort()

    # Keepalive and the end

    def overdue(self, now: float) -> None:
        """The deadline has passed."""
        limits = self._server.config.server
        if self.phase is Phase.USER:
            self._keep_alive(now)
        elif self.phase is Phase.GUEST and self.session.under_way:
            self.deadline = now + limits.auth_timeout
        elif self.phase is Phase.GUEST:
            self.close(1008, f"authenticate within {limits.auth_timeout:g} seconds")
        else:
            self.transport.abort()

    def _keep_alive(self, now: float) -> None:
        limits = self._server.config.server
        if self._pinged and self.heard <= self._pinged:
            self.close(1011, "no answer to a ping")
        elif now - self.heard < limits.ping_interval:
            self._pinged = 0.0
            self.deadline = self.heard + limits.ping_interval
        else:
            self._pinged = now
            self.deadline = now + limits.ping_timeout
            self._queue(PING)

    def close(self, code: int, reason: str) -> None:
        if self.phase is Phase.HANDSHAKE:
            self.transport.abort()
        elif self.phase in LIVE:
            if self.protocol.state is OPEN:  # else the client has closed in the same segment
                self.protocol.send_close(code, reason)
            self._leave()
            self._send_protocol()

    def _leave(self) -> None:
        """From here on only the closing handshakes, WebSocket's and TCP's, are waited for, and not for long."""
        self.phase = Phase.CLOSING
        self.deadline = self._server.loop.time() + self._server.config.server.close_timeout
        self._held = None
        self._fragments = None
        self._server.dispatcher.gone(self)
        if self._pauses:
            self._pauses = 0
            self.transport.resume_reading()
