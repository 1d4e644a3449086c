"""Uploading files.

What happens: `upload_begin` gives a token, under which bytes are gathered (uploads.py), by binary frames or over HTTP
(site_files.py); `upload_end` has them put under their SHA-256 on the disk, and only then makes a file of them.
"""

from __future__ import annotations

import base64
import re
import secrets
import unicodedata
from typing import Annotated

from chatd import filing
from chatd.access import Self
from chatd.context import Context, Outside, Placed, Row
from chatd.db.query import query
from chatd.errors import (
    Incomplete,
    Invalid,
    NotFound,
    Phrase,
    QuotaExceeded,
    TooLarge,
    TooMany,
    Unavailable,
    WrongOffset,
)
from chatd.events import File
from chatd.op import op
from chatd.record import record
from chatd.wire import MAX_ID, Done, Text, Time, Whole, rfc3339

UploadToken = Annotated[str, Text(1, 64)]
Offset = Annotated[int, Whole(0, MAX_ID)]

_HOUR = 3_600_000
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def _plain(name: str) -> str:
    """A file's name as it is kept: no path, nothing that hides what it is. Raises `Invalid` where nothing is left."""
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])
    name = _UNPRINTABLE.sub("", name).strip()
    if not name.strip("."):
        raise Invalid(field="name", expected=Phrase("must be the name of a file", "必须是文件名"))
    return name


# Uploads


@record
class UploadBegin:
    """Begin to upload a file. Binary frames that this connection sends from now on are its bytes.

    `size` in bytes, where it is known. After the last frame, `upload_end` makes a file of it. Over HTTP the bytes go
    to `/files/uploads/<upload>`. Asked for again with the same client_id, it goes on with that one, as `upload_resume`.
    """

    name: Annotated[str, Text(1, 255)]
    size: Offset | None = None


@record
class Upload:
    """`offset` bytes have come; more may come until `expires_at`. `file_id` is there once it is a file."""

    upload: str
    offset: int
    size: int | None
    expires_at: Time
    file_id: int | None = None


COUNT = query(
    """/* uploading.count */
    SELECT COUNT(*) AS count, COALESCE(SUM(size), 0) AS size FROM uploads
    WHERE user_id = :me AND file_id IS NULL AND expires_at > :now
    """
)
STORED = query("/* uploading.stored */ SELECT COALESCE(SUM(size), 0) AS size FROM files WHERE user_id = :me")
BEGIN = query(
    """/* uploading.begin */
    INSERT INTO uploads (token, user_id, name, size, expires_at) VALUES (:token, :me, :name, :size, :expires_at)
    """
)


@op(
    reply=Upload,
    done=Phrase("ready for its bytes", "可以上传"),
    needs=Self(),
    rate="upload",
    raises=[TooLarge, QuotaExceeded, TooMany],
    again="upload_resume",
    example={"name": "holiday.jpg", "size": 482113},
)
async def upload_begin(ctx: Context, request: UploadBegin) -> Upload:
    files, name = ctx.config.files, _plain(request.name)
    if (request.size or 0) > files.max_bytes:
        raise TooLarge(field="size", most=str(files.max_bytes))
    coming = await ctx.db.one(COUNT, me=ctx.user_id, now=ctx.now)
    if coming is None or coming["count"] >= files.uploads_per_user:
        raise TooMany(most=str(files.uploads_per_user))
    await _has_room(ctx, coming["size"] + (request.size or 0))
    token = secrets.token_urlsafe(24)
    expires_at = ctx.now + files.keep_uploads * _HOUR
    await ctx.db.run(BEGIN, token=token, me=ctx.user_id, name=name, size=request.size, expires_at=expires_at)
    ctx.uploads_to = token
    return Upload(token, 0, request.size, rfc3339(expires_at))


async def _has_room(ctx: Context, more: int) -> None:
    """Raise `QuotaExceeded` where the asker's files would take up too much with so many bytes more."""
    stored = await ctx.db.one(STORED, me=ctx.user_id)
    if stored is None or stored["size"] + more > ctx.config.files.user_bytes:
        raise QuotaExceeded(most=str(ctx.config.files.user_bytes))


UPLOAD = query(
    "/* uploading.upload */ SELECT * FROM uploads WHERE token = :token AND user_id = :me AND expires_at > :now"
)


async def _upload(ctx: Context, token: str) -> Row:
    row = await ctx.db.one(UPLOAD, token=token, me=ctx.user_id, now=ctx.now)
    if row is None:
        raise NotFound(field="upload")
    return row


@record
class UploadPiece:
    """Some more bytes of an upload of mine, in base64 (RFC 4648). A binary frame means this, without the base64.

    Without `offset` it goes where the upload is; without `upload` it is of the one that this connection has begun last,
    or has gone on with.
    """

    content: Annotated[str, Text(1, 1 << 24)]
    upload: UploadToken | None = None
    offset: Offset | None = None


async def _append(outside: Outside, request: UploadPiece) -> Upload:
    try:
        piece = base64.b64decode(request.content, validate=True)
    except ValueError:
        raise Invalid(field="content", expected=Phrase("must be base64", "必须是 base64")) from None
    token = outside.upload if request.upload is None else request.upload
    if token is None:
        raise NotFound(field="upload")
    row = await outside.read(_upload, token)
    if row["file_id"] is not None:
        raise NotFound(field="upload")
    most = outside.config.files.max_bytes if row["size"] is None else row["size"]
    offset = await outside.intake.append(token, piece, offset=request.offset, most=most)
    return Upload(token, offset, row["size"], rfc3339(row["expires_at"]))


@op(
    reply=Upload,
    done=Phrase("received", "已收到"),
    needs=Self(),
    lane="read",
    before=_append,
    raises=[NotFound, TooLarge, WrongOffset, Unavailable],
    example={"upload": "t0ken", "offset": 65536, "content": "aGVsbG8="},
)
async def upload_piece(_ctx: Context, _request: UploadPiece, upload: Upload) -> Upload:
    return upload


@record
class UploadResume:
    """How far an upload of mine has come. Binary frames that this connection sends from now on go on with it."""

    upload: UploadToken


async def _received(outside: Outside, request: UploadResume) -> int:
    await outside.read(_upload, request.upload)
    return await outside.intake.received(request.upload)


@op(
    reply=Upload,
    done=Phrase("this far it has come", "已上传的进度"),
    needs=Self(),
    lane="read",
    before=_received,
    raises=[NotFound, Unavailable],
    example={"upload": "t0ken"},
)
async def upload_resume(ctx: Context, request: UploadResume, received: int) -> Upload:
    row = await _upload(ctx, request.upload)
    size = received
    if row["file_id"] is None:
        ctx.uploads_to = request.upload
    elif (file := await filing.by_id(ctx, row["file_id"])) is not None:
        size = file["size"]
    return Upload(request.upload, size, row["size"], rfc3339(row["expires_at"]), row["file_id"])


@record
class UploadEnd:
    """All bytes of an upload have come: make a file of it, to be named in a message. Asking again gives it again."""

    upload: UploadToken


async def _place(outside: Outside, request: UploadEnd) -> Placed | None:
    upload = await outside.read(_upload, request.upload)
    if upload["file_id"] is not None:
        return None
    received = await outside.intake.received(request.upload)
    if upload["size"] is not None and received != upload["size"]:
        raise Incomplete(field="upload", received=str(received), size=str(upload["size"]))
    if received == 0 and upload["size"] is None:
        raise Incomplete(field="upload", received="0", size="1")
    placed = await outside.intake.place(request.upload)
    outside.afterwards(lambda is_kept: outside.intake.release(request.upload, placed, is_kept=is_kept))
    return placed


ADD_FILE = query(
    """/* uploading.add_file */
    INSERT INTO files (user_id, name, type, size, width, height, duration_ms, sha256, thumbnail, unnamed_since,
                       created_at)
    VALUES (:me, :name, :type, :size, :width, :height, :duration_ms, :digest, :thumbnail, :now, :now) RETURNING *
    """
)
ENDED = query("/* uploading.ended */ UPDATE uploads SET file_id = :file_id WHERE id = :id")


@op(
    reply=File,
    done=Phrase("uploaded", "上传成功"),
    needs=Self(),
    before=_place,
    raises=[NotFound, Incomplete, TooLarge, QuotaExceeded, Unavailable],
    example={"upload": "t0ken"},
)
async def upload_end(ctx: Context, request: UploadEnd, placed: Placed | None) -> File:
    upload = await _upload(ctx, request.upload)
    if upload["file_id"] is None:
        if placed is None:
            raise NotFound(field="upload")
        if placed.size > ctx.config.files.max_bytes:
            raise TooLarge(field="upload", most=str(ctx.config.files.max_bytes))
        await _has_room(ctx, placed.size)
        file = await ctx.db.one(
            ADD_FILE,
            me=ctx.user_id,
            name=upload["name"],
            type=placed.type,
            size=placed.size,
            width=placed.width,
            height=placed.height,
            duration_ms=placed.duration_ms,
            digest=placed.sha256,
            thumbnail=placed.thumbnail,
            now=ctx.now,
        )
        if file is None:
            raise LookupError("a file was not stored")
        await ctx.db.run(ENDED, id=upload["id"], file_id=file["id"])
    else:
        file = await filing.by_id(ctx, upload["file_id"])
        if file is None:
            raise NotFound(field="upload")
    return filing.with_links(ctx, filing.told(file))


@record
class UploadCancel:
    """Give an upload up, and forget what has come of it."""

    upload: UploadToken


CANCEL = query("/* uploading.cancel */ DELETE FROM uploads WHERE id = :id")


async def _drop(outside: Outside, request: UploadCancel) -> None:
    upload = await outside.read(_upload, request.upload)
    if upload["file_id"] is None:
        await outside.intake.drop(request.upload)


@op(
    reply=Done,
    done=Phrase("given up", "已取消上传"),
    needs=Self(),
    before=_drop,
    raises=[NotFound, Unavailable],
    example={"upload": "t0ken"},
)
async def upload_cancel(ctx: Context, request: UploadCancel, _dropped: None) -> Done:
    row = await _upload(ctx, request.upload)
    await ctx.db.run(CANCEL, id=row["id"])
    return Done()
