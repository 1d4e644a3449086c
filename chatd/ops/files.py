"""Files that were uploaded: what a conversation has of them, and how they are fetched without HTTP."""

from __future__ import annotations

import base64
from typing import Annotated

from chatd import filing
from chatd.access import Member, Membership, Self
from chatd.context import Context, Outside
from chatd.db.query import query
from chatd.errors import NotFound, Phrase, Unavailable
from chatd.events import File
from chatd.op import op
from chatd.record import record
from chatd.wire import MAX_ID, Id, Limit, Name, Seq, Time, Whole, rfc3339


@record
class FileGet:
    """A file that I may see, with fresh links."""

    file_id: Id


@op(reply=File, done=Phrase("the file", "文件"), needs=Self(), lane="read", raises=[NotFound], example={"file_id": 5})
async def file_get(ctx: Context, request: FileGet) -> File:
    return filing.with_links(ctx, filing.told(await filing.visible(ctx, request.file_id, field="file_id")))


@record
class Files:
    """The files in a conversation, the newest first."""

    conversation_id: Id | None = None
    user: Name | None = None
    user_id: Id | None = None
    before_seq: Seq | None = None
    limit: Limit = 50


@record
class FileSent:
    """A file, and the message that it came with."""

    message_id: int
    seq: int
    kind: str
    from_user_id: int
    from_username: str
    created_at: Time
    file: File


@record
class FilesSent:
    """`more` says that `before_seq`, the seq of the last one here, has a next page."""

    conversation_id: int
    files: tuple[FileSent, ...]
    more: bool


SENT = query(
    """/* files.sent */
    SELECT f.*, r.id AS message_id, r.seq, r.kind, r.user_id AS from_user_id, r.username AS from_username,
           r.created_at AS sent_at
    FROM attachments a
    CROSS JOIN readable r
    CROSS JOIN files f
    WHERE a.conversation_id = :conversation_id AND a.seq < :before
      AND r.viewer_id = :me AND r.conversation_id = a.conversation_id AND r.seq = a.seq AND f.id = a.file_id
    ORDER BY a.seq DESC LIMIT :most
    """
)


@op(
    reply=FilesSent,
    done=Phrase("files of the conversation", "会话文件"),
    needs=Member(),
    lane="read",
    example={"conversation_id": 12},
)
async def files(ctx: Context, request: Files, at: Membership) -> FilesSent:
    rows = await ctx.db.all(
        SENT,
        me=ctx.user_id,
        conversation_id=at.conversation_id,
        before=at.last_seq + 1 if request.before_seq is None else request.before_seq,
        most=request.limit + 1,
    )
    sent = tuple(
        FileSent(
            message_id=row["message_id"],
            seq=row["seq"],
            kind=row["kind"],
            from_user_id=row["from_user_id"],
            from_username=row["from_username"],
            created_at=rfc3339(row["sent_at"]),
            file=filing.with_links(ctx, filing.told(row)),
        )
        for row in rows[: request.limit]
    )
    return FilesSent(conversation_id=at.conversation_id, files=sent, more=len(rows) > request.limit)


@record
class Download:
    """A piece of a file that I may see, for clients that cannot fetch its `url`."""

    file_id: Id
    offset: Annotated[int, Whole(0, MAX_ID)] = 0
    limit: Annotated[int, Whole(1, 256 * 1024)] = 64 * 1024


@record
class Piece:
    """`content` in base64 (RFC 4648), `size` that of the whole file in bytes."""

    file_id: int
    offset: int
    size: int
    content: str


async def _read(outside: Outside, request: Download) -> Piece:
    row = await outside.read(filing.visible, request.file_id, field="file_id")
    piece = await outside.intake.read(row["sha256"], request.offset, request.limit)
    return Piece(row["id"], request.offset, row["size"], base64.b64encode(piece).decode())


@op(
    reply=Piece,
    done=Phrase("a piece of the file", "文件片段"),
    needs=Self(),
    lane="read",
    before=_read,
    raises=[NotFound, Unavailable],
    example={"file_id": 5, "offset": 65536},
)
async def download(_ctx: Context, _request: Download, piece: Piece) -> Piece:
    return piece
