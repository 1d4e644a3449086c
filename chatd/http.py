"""What a browser or curl sees of the port. Plain HTTP grows here: health, metrics, files, POST /api/<op>."""

from __future__ import annotations

from http import HTTPStatus

PAGE = """This is chatd, a chat server. It speaks JSON over WebSocket at {scheme}://{host}/ws

Try it:

    npx wscat -c {scheme}://{host}/ws
    > {{"type":"signup","username":"ada","password":"correct horse"}}
    > {{"type":"help"}}
"""

_WHY = b"This is no request that chatd understands. It speaks WebSocket at /ws; GET / says more.\n"

BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_WHY), _WHY)
)
"""The whole answer to what is no HTTP/1.1 request without a body."""


def page(*, method: str, path: str, host: str, secure: bool) -> tuple[HTTPStatus, str]:
    """The answer to a request that is not for the WebSocket: its status and text."""
    if path != "/":
        return HTTPStatus.NOT_FOUND, "There is nothing here. GET / says what this is.\n"
    if method not in ("GET", "HEAD"):
        return HTTPStatus.METHOD_NOT_ALLOWED, "GET only.\n"
    return HTTPStatus.OK, PAGE.format(scheme="wss" if secure else "ws", host=host)
