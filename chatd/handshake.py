"""The answer to a request for the WebSocket: it becomes one, or it is refused."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from websockets.extensions import ServerExtensionFactory
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from chatd.admission import Admission

LONGEST_HEAD = 16 * 1024
"""Bytes of a request after which nobody waits for its end."""

BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
"""The answer where websockets gives none: to what it could not parse."""

# websockets logs whole frames at DEBUG: passwords and tokens would be among them.
_quiet = logging.getLogger("chatd.websockets")
_quiet.setLevel(logging.WARNING)

_OURS = re.compile(rb"GET /ws(?:/chat)?(?:\?[^ ]*)? HTTP/1\.1\r\n")


def protocol(extensions: Sequence[ServerExtensionFactory] | None, *, longest: int) -> ServerProtocol:
    """The server's side of one WebSocket; no frame may be longer than `longest` bytes."""
    return ServerProtocol(extensions=extensions, max_size=longest, logger=_quiet)


def is_for_websocket(head: bytes | bytearray) -> bool:
    """Whether a request that begins like this is for the WebSocket; all others are plain HTTP."""
    return _OURS.match(head) is not None


def answer(protocol: ServerProtocol, request: Request, *, address: str, admission: Admission) -> Response:
    """What to send to a request that came from this address (RFC 6455, section 4.2.2, where it is a WebSocket's)."""
    headers = request.headers
    hosts = headers.get_all("Host")
    refusal = admission.refusal(address, origins=headers.get_all("Origin"), hosts=hosts)
    return protocol.reject(*refusal) if refusal is not None else protocol.accept(request)
