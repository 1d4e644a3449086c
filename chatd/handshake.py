"""The answer to a connection's first request: it becomes a WebSocket, it gets a page, or it is refused."""

from __future__ import annotations

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from chatd.admission import Admission
from chatd.http import page

PATHS = frozenset({"/ws", "/ws/chat"})


def answer(protocol: ServerProtocol, request: Request, *, address: str, admission: Admission) -> Response:
    """What to send to a request that came from this address (RFC 6455, section 4.2.2, where it is a WebSocket's)."""
    headers = request.headers
    hosts = headers.get_all("Host")
    path = request.path.partition("?")[0]
    refusal = admission.refusal(address, origins=headers.get_all("Origin"), hosts=hosts)
    if refusal is not None:
        response = protocol.reject(*refusal)
    elif path in PATHS:
        response = protocol.accept(request)
    else:
        secure = "https" in headers.get_all("X-Forwarded-Proto")
        host = ",".join(hosts) or "127.0.0.1"
        response = protocol.reject(*page(method=request.method, path=path, host=host, secure=secure))
    if request.method == "HEAD":
        response.body = b""
    return response
