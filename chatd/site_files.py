"""Files and exports over HTTP: uploads in one request or, resumable, by the tus protocol 1.0; downloads with ranges.

tus (https://tus.io/protocols/resumable-upload) with creation, creation-with-upload, expiration, checksum, termination.
What is asked of the database are the ops of ops/files.py.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote

import orjson

from chatd import filing, media
from chatd.api import Api, as_response, failure
from chatd.config import Files
from chatd.context import Row
from chatd.errors import ChatError, NotFound, WrongOffset
from chatd.exchange import Body, Cut, Refused, Request, Response, Stretch, not_allowed, only
from chatd.exporting import Exporter
from chatd.links import Links
from chatd.ranges import stretch_of, unmet
from chatd.session import Identity
from chatd.sessions import user_of
from chatd.transactions import Transactions
from chatd.uploads import CHECKSUMS, Checksum, Uploads, WrongChecksum
from chatd.wire import MAX_ID, milliseconds

TUS = "1.0.0"
OFFSET_STREAM = "application/offset+octet-stream"
CHECKSUM_MISMATCH = 460
"""tus' own status for what did not come as it was sent."""

EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
SAFE_INLINE = ("image/", "audio/", "video/")
_SANDBOX = ("Content-Security-Policy", "default-src 'none'; sandbox")


class FileSite:
    """What stands under /files and /export."""

    def __init__(self, limits: Files, *, api: Api, uploads: Uploads, transactions: Transactions, links: Links) -> None:
        self._limits = limits
        self._api = api
        self._uploads = uploads
        self._transactions = transactions
        self._links = links
        self._exporter = Exporter(api=api, transactions=transactions, uploads=uploads)

    async def answer(self, request: Request) -> Response:
        """The response to a request for /files or something below it. Raises `Refused`, `Cut`."""
        told = [("Tus-Resumable", TUS)] if "tus-resumable" in request.headers and request.method != "OPTIONS" else []
        try:
            response = await self._answer(request)
        except ChatError as error:
            response = as_response(*failure(error))
        except Refused as refused:
            refused.headers = [*refused.headers, *told]
            raise
        return replace(response, headers=[*response.headers, *told])

    async def _answer(self, request: Request) -> Response:
        parts = request.path.split("/")[2:]
        if request.path.startswith("/export/"):
            only(request, "GET", "HEAD")
            return await self._export(request)
        if not parts:
            if request.method == "OPTIONS":
                return self._options()
            only(request, "POST")
            return await (self._create(request) if "tus-resumable" in request.headers else self._post(request))
        if len(parts) == 2 and parts[0] == "uploads":
            return await self._upload(request, parts[1])
        if parts[0].isascii() and parts[0].isdigit() and len(parts[0]) < 16 and parts[1:] in ([], ["thumbnail"]):
            only(request, "GET", "HEAD")
            return await self._get(request, int(parts[0]), is_thumbnail=len(parts) == 2)
        raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.\n")

    # Uploads in one request

    async def _post(self, request: Request, *, is_empty: bool = False) -> Response:
        if request.headers.get("content-type", "").lower().startswith("multipart/"):
            why = "Send the file itself as the body, its name as ?name=…\n"
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, why)
        length = request.headers.get("content-length", "0")  # without either there is no body (RFC 9112, section 6.3)
        is_chunked = "transfer-encoding" in request.headers and not is_empty
        size = None if is_chunked else min(int(length), MAX_ID)
        name = parse_qs(request.query).get("name", ["file"])[0]
        status, reply = await self._api.of(request, "upload_begin", name=name, size=size)
        if status is not HTTPStatus.OK:
            return as_response(status, reply)
        token = orjson.loads(reply)["data"]["upload"]
        try:
            most = size or self._limits.max_bytes
            if not await self._uploads.receive(token, _pieces(request.body), offset=0, most=most) and is_chunked:
                await self._api.of(request, "upload_cancel", upload=token)
                return await self._post(request, is_empty=True)
            status, reply = await self._api.of(request, "upload_end", upload=token)
            if status is HTTPStatus.OK:
                location = f"/files/{orjson.loads(reply)['data']['file_id']}"
                return as_response(HTTPStatus.CREATED, reply, [("Location", location)])
        except (Cut, ChatError):
            await self._api.of(request, "upload_cancel", upload=token)
            raise
        await self._api.of(request, "upload_cancel", upload=token)
        return as_response(status, reply)

    # tus

    def _options(self) -> Response:
        headers = [
            ("Tus-Resumable", TUS),
            ("Tus-Version", TUS),
            ("Tus-Extension", EXTENSIONS),
            ("Tus-Checksum-Algorithm", ",".join(CHECKSUMS)),
            ("Tus-Max-Size", str(self._limits.max_bytes)),
        ]
        return Response(HTTPStatus.NO_CONTENT, headers=headers)

    async def _create(self, request: Request) -> Response:
        _speaks_tus(request)
        if "upload-defer-length" in request.headers:  # an extension that EXTENSIONS does not have
            raise Refused(HTTPStatus.BAD_REQUEST, "Upload-Defer-Length is not known: tell the Upload-Length alone.\n")
        size = _number(request.headers, "upload-length")
        name = _filename(request.headers.get("upload-metadata", ""))
        status, reply = await self._api.of(request, "upload_begin", name=name, size=size)
        if status is not HTTPStatus.OK:
            return as_response(status, reply)
        data = orjson.loads(reply)["data"]
        headers = [("Location", f"/files/uploads/{data['upload']}"), *_progress(0, data["expires_at"])]
        if request.headers.get("content-type") != OFFSET_STREAM and size:
            return Response(HTTPStatus.CREATED, headers=headers)
        try:
            moved = await self._receive(request, data["upload"], 0, size)
            if moved.status == HTTPStatus.NO_CONTENT:
                return Response(HTTPStatus.CREATED, headers=[headers[0], *moved.headers])
        except (Cut, ChatError):
            await self._api.of(request, "upload_cancel", upload=data["upload"])  # the client does not know where it is
            raise
        await self._api.of(request, "upload_cancel", upload=data["upload"])
        return moved

    async def _upload(self, request: Request, token: str) -> Response:
        method = request.method
        if method == "POST":  # for those whose network knows no PATCH
            method = request.headers.get("x-http-method-override", method).upper()
        if method not in ("HEAD", "PATCH", "DELETE"):
            raise not_allowed("HEAD", "PATCH", "DELETE")
        _speaks_tus(request)
        if method == "DELETE":
            status, reply = await self._api.of(request, "upload_cancel", upload=token)
            return Response(HTTPStatus.NO_CONTENT) if status is HTTPStatus.OK else as_response(status, reply)
        status, reply = await self._api.of(request, "upload_resume", upload=token)
        if status is not HTTPStatus.OK:
            return as_response(status, reply)
        upload = orjson.loads(reply)["data"]
        if method == "PATCH":
            return await self._patch(request, upload)
        length = [] if upload["size"] is None else [("Upload-Length", str(upload["size"]))]
        headers = [*_progress(upload["offset"], upload["expires_at"], upload["file_id"]), *length]
        return Response(HTTPStatus.OK, headers=[*headers, ("Cache-Control", "no-store")])

    async def _patch(self, request: Request, upload: Mapping[str, Any]) -> Response:
        if request.headers.get("content-type") != OFFSET_STREAM:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {OFFSET_STREAM}.\n")
        offset = _number(request.headers, "upload-offset")
        if upload["file_id"] is not None:
            if offset != upload["offset"]:
                raise WrongOffset(field="offset", offset=str(upload["offset"]))
            headers = _progress(offset, upload["expires_at"], upload["file_id"])
            return Response(HTTPStatus.NO_CONTENT, headers=headers)
        return await self._receive(request, upload["upload"], offset, upload["size"])

    async def _receive(self, request: Request, token: str, offset: int, size: int | None) -> Response:
        """Take what a request brings of an upload; when it is all there, make a file of it."""
        check = _checksum(request.headers.get("upload-checksum"))
        most = self._limits.max_bytes if size is None else size
        try:
            offset = await self._uploads.receive(token, _pieces(request.body), offset=offset, most=most, check=check)
        except WrongChecksum:
            why = b"The checksum is another: nothing of this was taken.\n"
            return Response(CHECKSUM_MISMATCH, why)
        op = "upload_end" if offset == size else "upload_resume"
        status, reply = await self._api.of(request, op, upload=token)
        if status is not HTTPStatus.OK:
            return as_response(status, reply)
        data = orjson.loads(reply)["data"]
        return Response(HTTPStatus.NO_CONTENT, headers=_progress(offset, data.get("expires_at"), data.get("file_id")))

    # Downloads

    async def _get(self, request: Request, file_id: int, *, is_thumbnail: bool) -> Response:
        until = self._link(request)
        row = await self._file(request, file_id, has_link=until is not None)
        if is_thumbnail and not row["type"].startswith("image/"):
            raise Refused(HTTPStatus.NOT_FOUND, "There is no thumbnail of it.\n")
        sha256 = (row["thumbnail"] if is_thumbnail else None) or row["sha256"]  # without a thumbnail, the picture
        etag, modified = f'"{sha256}"', row["created_at"] // 1000
        headers = [
            ("ETag", etag),
            ("Last-Modified", formatdate(modified, usegmt=True)),
            ("Accept-Ranges", "bytes"),
            *_caching(until),
        ]
        status = unmet(request.headers, etag=etag, modified=modified)
        if status is not None:
            return Response(status, headers=headers)
        file = await self._uploads.open(sha256)
        kind = media.sniff(await asyncio.to_thread(file.read, media.HEAD)) if is_thumbnail else row["type"]
        name = "thumbnail" if is_thumbnail else row["name"]  # a stranger may see the avatar, and not whose file it was
        headers += [("Content-Disposition", _disposition(name, kind)), _SANDBOX]
        size = file.seek(0, 2)
        asked = None
        if request.method == "GET":  # RFC 9110, section 14.2
            asked = stretch_of(request.headers, size=size, etag=etag, modified=modified)
        kind = "text/plain; charset=utf-8" if kind == "text/plain" else kind
        if asked is None:
            return Response(HTTPStatus.OK, Stretch(file, 0, size), kind, headers)
        first, count = asked
        if not count:
            file.close()
            headers.append(("Content-Range", f"bytes */{size}"))
            return Response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
        headers.append(("Content-Range", f"bytes {first}-{first + count - 1}/{size}"))
        return Response(HTTPStatus.PARTIAL_CONTENT, Stretch(file, first, count), kind, headers)

    def _link(self, request: Request) -> int | None:
        """Until when the link that the request comes with is good, in seconds since the epoch; None without one.

        Raises `Refused` where it is not good any more.
        """
        link = parse_qs(request.query)
        if "key" not in link:
            return None
        until, now = link.get("until", [""])[0], time.time_ns() // 1_000_000
        if not self._links.allows(request.path, until=until, key=link["key"][0], now=now):
            raise Refused(HTTPStatus.FORBIDDEN, "This link is not good any more.\n")
        return int(until)

    async def _export(self, request: Request) -> Response:
        session_id = request.path.rpartition("/")[2]
        if self._link(request) is None:
            asker = (await self._api.caller_of(request)).session.identity
            if request.path != f"/export/{asker.user_id}":
                raise NotFound
            session_id = str(asker.session_id)
        user = await self._transactions.on_reader(user_of, int(session_id))
        if user is None:
            raise NotFound
        if user["id"] in self._exporter.under_way:
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "This is being made already.\n")
        identity = Identity(user_id=user["id"], username=user["username"], session_id=0)
        headers = [
            ("Content-Disposition", _disposition(f"{user['username']}.zip", "application/zip")),
            ("Cache-Control", "no-store"),
        ]
        body = self._exporter.zipped(identity, user["lang"])
        return Response(HTTPStatus.OK, body, "application/zip", headers)

    async def _file(self, request: Request, file_id: int, *, has_link: bool) -> Row:
        """The file, for who has a link to it or may see it. Raises `NotFound` and what `Api.caller` does."""
        if has_link:
            return await self._transactions.on_reader(filing.linked, file_id)
        caller = await self._api.caller_of(request)
        return await self._transactions.in_reader(caller, filing.visible, file_id, field="file_id")


def _caching(until: int | None) -> list[tuple[str, str]]:
    """How long a browser may keep a file (RFC 9111), `until` when its link is good; None: it came with a token.

    The next one who asks for the same address may be somebody else then.
    """
    if until is None:
        return [("Cache-Control", "private, no-cache"), ("Vary", "Authorization")]
    left = until - time.time_ns() // 1_000_000_000 - 1
    return [("Cache-Control", f"private, max-age={min(left, 86400)}, immutable")]


async def _pieces(body: Body) -> AsyncIterator[bytes]:
    while piece := await body.chunk():
        yield piece


def _progress(offset: int, expires_at: str | None, file_id: int | None = None) -> list[tuple[str, str]]:
    headers = [("Upload-Offset", str(offset))]
    if expires_at is not None:
        expires = formatdate(milliseconds(expires_at, field="expires_at") / 1000, usegmt=True)
        headers.append(("Upload-Expires", expires))
    if file_id is not None:
        headers.append(("Chatd-File-Id", str(file_id)))
    return headers


def _speaks_tus(request: Request) -> None:
    if request.headers.get("tus-resumable") != TUS:
        raise Refused(HTTPStatus.PRECONDITION_FAILED, f"Tus-Resumable must be {TUS}.\n", headers=[("Tus-Version", TUS)])


def _number(headers: Mapping[str, str], name: str) -> int:
    value = headers.get(name, "")
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        raise Refused(HTTPStatus.BAD_REQUEST, f"{name.title()} must be a number of bytes.\n")
    return int(value)


def _filename(header: str) -> str:
    """What `Upload-Metadata`, pairs of a key and a value in base64 with commas between, says of the file's name."""
    told: dict[str, bytes] = {}
    try:
        for pair in filter(None, header.split(",")):
            key, _, value = pair.strip().partition(" ")
            told[key] = base64.b64decode(value, validate=True)
        return told.get("filename", b"").decode() or "file"
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "Upload-Metadata must be keys and values in base64.\n") from None


def _checksum(header: str | None) -> Checksum | None:
    if header is None:
        return None
    algorithm, _, value = header.partition(" ")
    try:
        if algorithm in CHECKSUMS:
            return Checksum(algorithm, base64.b64decode(value, validate=True))
    except ValueError:
        pass
    raise Refused(HTTPStatus.BAD_REQUEST, f"Upload-Checksum must be one of {', '.join(CHECKSUMS)}, then base64.\n")


def _disposition(name: str, kind: str) -> str:
    """RFC 6266: shown where that does no harm, else saved; the name also for clients that know no RFC 8187."""
    how = "inline" if kind.startswith(SAFE_INLINE) else "attachment"
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
