"""What is where on the port for who speaks HTTP: the web page, health and figures, the protocol as data, the ops."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from hashlib import blake2b
from http import HTTPStatus

import orjson

from chatd import openapi, protocol, shell
from chatd.admission import Admission
from chatd.api import Api, as_response, bearer
from chatd.config import Server
from chatd.errors import BadToken, TooLarge
from chatd.exchange import Headers, Refused, Request, Response, TooLong, only
from chatd.metrics import TEXT, Metrics
from chatd.ranges import is_known
from chatd.site_files import FileSite
from chatd.transactions import Transactions

PAGE = """This is chatd, a chat server. It speaks JSON over WebSocket at {scheme}://{host}/ws
and shows a page to browsers at {web}://{host}/

Try it:

    npx wscat -c {scheme}://{host}/ws
    > {first}
    > {{"type":"help"}}
"""

FIRST_FRAMES = {
    "open": '{"type":"signup","username":"ada","password":"correct horse"}',
    "invite": '{"type":"signup","username":"ada","password":"correct horse","invite":"..."}',
    "closed": '{"type":"login","username":"ada","password":"correct horse"}',
}
"""What a newcomer says first, by `[accounts] signup`."""

JSON = "application/json"
DOCUMENTS: dict[str, Callable[[], protocol.Json]] = {
    "/protocol.json": protocol.document,
    "/openapi.json": openapi.document,
}
_CLOSE = ("Connection", "close")

ASKED = (
    "Authorization", "Content-Type", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
    "If-Unmodified-Since", "Range", "Tus-Resumable", "Upload-Checksum", "Upload-Length", "Upload-Metadata",
    "Upload-Offset", "X-HTTP-Method-Override",
)  # fmt: skip
"""Headers that pages of listed origins may send."""

TOLD = (
    "Chatd-File-Id", "Content-Range", "ETag", "Location", "Tus-Checksum-Algorithm", "Tus-Extension", "Tus-Max-Size",
    "Tus-Resumable", "Tus-Version", "Upload-Expires", "Upload-Length", "Upload-Offset",
)  # fmt: skip
"""Headers that they may read."""

FULL = 1024 * 1024
"""Bytes: where fewer are free, no message can be counted on to be stored."""

_NOTHING = "There is nothing here. GET / says what this is.\n"


class Site:
    """Answers requests."""

    def __init__(
        self,
        limits: Server,
        *,
        signup: str,
        admission: Admission,
        api: Api,
        files: FileSite,
        transactions: Transactions,
        metrics: Metrics,
    ) -> None:
        self._limits = limits
        self._first = FIRST_FRAMES[signup]
        self._files = files
        self._admission = admission
        self._api = api
        self._transactions = transactions
        self._metrics = metrics

    async def answer(self, request: Request) -> Response:
        """The response to a request. Raises `Refused`."""
        origin = request.headers.get("origin")
        hosts = [request.headers.get("host", "")]
        refusal = self._admission.refusal(request.address, origins=[] if origin is None else [origin], hosts=hosts)
        if refusal is not None:
            raise Refused(*refusal, headers=[_CLOSE])
        cors = self._cors(origin)
        if request.method == "OPTIONS" and origin in self._limits.origins and request.path != "/files":
            return Response(HTTPStatus.NO_CONTENT, headers=cors)
        try:
            response = await self._answer(request)
        except Refused as refused:
            refused.headers = [*refused.headers, *cors]
            raise
        return replace(response, headers=[*response.headers, *cors]) if cors else response

    async def _answer(self, request: Request) -> Response:
        if request.path.startswith("/api/"):
            return await self._op(request)
        if request.path == "/files" or request.path.startswith(("/files/", "/export/")):
            return await self._files.answer(request)
        if request.path == "/metrics" and self._metrics.may_read(request):
            only(request, "GET", "HEAD")
            return Response(HTTPStatus.OK, await self._metrics.text(), TEXT)
        asset = await shell.find(request.path) if request.path != "/" or shell.wants_html(request) else None
        return await self._page(request) if asset is None else shell.serve(request, asset)

    async def _page(self, request: Request) -> Response:
        if request.path not in openapi.PAGES:
            raise Refused(HTTPStatus.NOT_FOUND, _NOTHING)
        only(request, "GET", "HEAD")
        if request.path == "/":
            secure = request.headers.get("x-forwarded-proto") == "https"
            host = request.headers.get("host") or "127.0.0.1"
            web, scheme = ("https", "wss") if secure else ("http", "ws")
            page = PAGE.format(web=web, scheme=scheme, host=host, first=self._first)
            return Response(HTTPStatus.OK, page.encode(), headers=[("Vary", shell.FRONT_VARY)])
        if request.path in DOCUMENTS:
            return await _document(request)
        if request.path == "/readyz":
            await self._be_ready()
        return Response(HTTPStatus.OK, b"ok\n")

    async def _be_ready(self) -> None:
        try:
            await self._transactions.on_reader(_nothing)
        except Exception as error:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "The database does not answer.\n") from error
        if await asyncio.to_thread(_free, self._transactions.config.database.data) < FULL:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "The disk is full.\n")

    async def _op(self, request: Request) -> Response:
        only(request, "POST")
        name = request.path.removeprefix("/api/")
        try:
            body = await request.body.read(self._limits.frame_bytes)
            token = bearer(request.headers.get("authorization"))
        except TooLong as error:
            return as_response(*self._api.refuse(TooLarge(most=str(error.most)), op=name))
        except BadToken as error:
            return as_response(*self._api.refuse(error, op=name))
        return as_response(*await self._api.ask(name, body, token=token, address=request.address))

    def _cors(self, origin: str | None) -> Headers:
        """What lets a page of a listed origin read the answer (the Fetch standard, CORS protocol).

        An answer to who named no origin, such as an `<img>`, is another one: the browser's cache shall know.
        """
        if not self._limits.origins:
            return ()
        if origin is None or origin not in self._limits.origins:
            return (("Vary", "Origin"),)
        return (
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Methods", "GET, HEAD, POST, PATCH, DELETE"),
            ("Access-Control-Allow-Headers", ", ".join(ASKED)),
            ("Access-Control-Expose-Headers", ", ".join(TOLD)),
            ("Vary", "Origin"),
        )


async def _document(request: Request) -> Response:
    body, etag = await asyncio.to_thread(_made, request.path)  # the first time it takes a while
    headers = [("ETag", etag), ("Cache-Control", "no-cache")]
    if is_known(request.headers, etag):
        return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(HTTPStatus.OK, body, JSON, headers)


@cache
def _made(path: str) -> tuple[bytes, str]:
    """A document and its entity tag."""
    body = orjson.dumps(DOCUMENTS[path]())
    return body, f'"{blake2b(body, digest_size=12).hexdigest()}"'


def _free(folder: str) -> int:
    return shutil.disk_usage(folder).free


async def _nothing(_ctx: object) -> None:
    """That a reader answers is all that is asked."""
