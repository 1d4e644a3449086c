"""Files in the database: who may see one, what names it, and what is left when nothing does any more.

The bytes lie in the data folder (store.py). A row is there only once they are, and goes before they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import Invalid, NotFound, Phrase
from chatd.events import File
from chatd.wire import MAX_ID, Whole

KINDS = {"image": "image/", "voice": "audio/", "video": "video/", "file": ""}
"""How the type of what a message of this kind holds begins."""

VISIBLE = query(
    """/* filing.visible */
    SELECT f.* FROM files f
    WHERE f.id = :id AND (
        f.user_id = :me
        OR EXISTS (SELECT 1 FROM attachments a
                   CROSS JOIN readable r
                   WHERE a.file_id = f.id AND r.viewer_id = :me AND r.conversation_id = a.conversation_id
                     AND r.seq = a.seq)
        OR EXISTS (SELECT 1 FROM moment_images i
                   CROSS JOIN visible_moments v
                   WHERE i.file_id = f.id AND v.viewer_id = :me AND v.id = i.moment_id)
    )
    """
)
BY_ID = query("/* filing.by_id */ SELECT * FROM files WHERE id = :id")
UPLOADED_BY = query(
    """/* filing.uploaded_by */
    SELECT * FROM files WHERE user_id = :user_id AND id > :after ORDER BY id LIMIT :most
    """
)
ATTACH = query(
    """/* filing.attach */
    INSERT INTO attachments (file_id, conversation_id, seq) VALUES (:file_id, :conversation_id, :seq)
    """
)
DETACH = query(
    """/* filing.detach */
    DELETE FROM attachments WHERE conversation_id = :conversation_id AND seq = :seq RETURNING file_id
    """
)
NAMED = query("/* filing.named */ UPDATE files SET unnamed_since = NULL WHERE id IN :ids")
UNNAMED = query(
    """/* filing.unnamed */
    UPDATE files SET unnamed_since = :now
    WHERE id IN :ids AND unnamed_since IS NULL
      AND NOT EXISTS (SELECT 1 FROM attachments a WHERE a.file_id = files.id)
      AND NOT EXISTS (SELECT 1 FROM users u WHERE u.avatar_file_id = files.id)
      AND NOT EXISTS (SELECT 1 FROM groups g WHERE g.avatar_file_id = files.id)
      AND NOT EXISTS (SELECT 1 FROM moment_images i WHERE i.file_id = files.id)
    """
)
PASS_ON = query(
    """/* filing.pass_on */
    UPDATE files SET user_id = (
        SELECT e.user_id FROM attachments a JOIN entries e ON e.conversation_id = a.conversation_id AND e.seq = a.seq
        WHERE a.file_id = files.id ORDER BY e.id LIMIT 1
    )
    WHERE id IN :ids
      AND EXISTS (SELECT 1 FROM attachments a WHERE a.file_id = files.id)
      AND NOT EXISTS (
          SELECT 1 FROM attachments a JOIN entries e ON e.conversation_id = a.conversation_id AND e.seq = a.seq
          WHERE a.file_id = files.id AND e.user_id = files.user_id
      )
      AND NOT EXISTS (SELECT 1 FROM users u WHERE u.avatar_file_id = files.id)
      AND NOT EXISTS (SELECT 1 FROM groups g WHERE g.avatar_file_id = files.id)
      AND NOT EXISTS (SELECT 1 FROM moment_images i WHERE i.file_id = files.id)
    """
)
FORGET = query(
    """/* filing.forget */
    DELETE FROM files WHERE id IN :ids AND unnamed_since IS NOT NULL RETURNING sha256, thumbnail
    """
)
STALE = query(
    "/* filing.stale */ SELECT id FROM files WHERE unnamed_since <= :before ORDER BY unnamed_since LIMIT :most"
)
HELD = query(
    """/* filing.held */
    SELECT sha256 FROM files WHERE sha256 IN :digests
    UNION SELECT thumbnail AS sha256 FROM files WHERE thumbnail IN :digests
    """
)


async def visible(ctx: Context, file_id: int, *, field: str) -> Row:
    """A file that the asker may see: who uploaded it, who may read a message or see a moment with it.

    Of an avatar everybody is given a link to the small picture, and nobody the file that it was made of.
    Raises `NotFound`.
    """
    row = await ctx.db.one(VISIBLE, id=file_id, me=ctx.user_id)
    if row is None:
        raise NotFound(field=field)
    return row


async def uploaded_by(ctx: Context, user_id: int, *, after: int, most: int = 100) -> Sequence[Row]:
    """Files that a user has uploaded, by id."""
    return await ctx.db.all(UPLOADED_BY, user_id=user_id, after=after, most=most)


async def by_id(ctx: Context, file_id: int) -> Row | None:
    """A file, whoever asks."""
    return await ctx.db.one(BY_ID, id=file_id)


async def linked(ctx: Context, file_id: int) -> Row:
    """A file that somebody has a link to. Raises `NotFound`."""
    row = await by_id(ctx, file_id)
    if row is None:
        raise NotFound(field="file_id")
    return row


async def mine(ctx: Context, file_id: int, *, kind: str, field: str) -> Row:
    """A file that the asker has uploaded, for something of this kind. Raises `NotFound`, `Invalid`."""
    row = await ctx.db.one(BY_ID, id=file_id)
    if row is None or row["user_id"] != ctx.user_id:
        raise NotFound(field=field)
    if not row["type"].startswith(KINDS[kind]):
        raise Invalid(field=field, expected=_of_kind(KINDS[kind] + "*", row["type"]))
    return row


def _of_kind(wanted: str, found: str) -> Phrase:
    return Phrase(f"must be a file of the type {wanted}, not {found}", f"必须是 {wanted} 类型的文件，而不是 {found}")


def told(row: Row) -> dict[str, Any]:
    """What a message keeps of its file, as JSON."""
    kept = {name: row[name] for name in ("name", "type", "size", "width", "height", "duration_ms")}
    return {"file_id": row["id"], **kept, "thumbnail": row["thumbnail"] is not None}


def with_links(ctx: Context, kept: dict[str, Any]) -> File:
    """What a message keeps of its file, with links that hold for a while."""
    fields = dict(kept)
    thumbnail = f"/files/{kept['file_id']}/thumbnail" if fields.pop("thumbnail") else None
    return File(
        **fields,
        url=ctx.links.to(f"/files/{kept['file_id']}", ctx.now),
        thumbnail_url=None if thumbnail is None else ctx.links.to(thumbnail, ctx.now),
    )


def with_file(ctx: Context, extras: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a message says beyond what every message does, as clients see it: its file with links."""
    return {**extras, "file": with_links(ctx, extras["file"])} if "file" in extras else extras


AvatarFile = Annotated[int, Whole(0, MAX_ID)]
"""The file that is to be an avatar; 0 for none."""


def avatar(ctx: Context, file_id: int | None) -> str | None:
    """A link to an avatar, small where there is a thumbnail of it."""
    return None if file_id is None else ctx.links.to(f"/files/{file_id}/thumbnail", ctx.now)


async def change_avatar(ctx: Context, *, old: int | None, new: int | None) -> None:
    """`new` is named as an avatar now, in the place of `old`."""
    if new is not None:
        await named(ctx, [new])
    if old is not None and old != new:
        await unnamed(ctx, [old])


async def attach(ctx: Context, file_id: int, *, conversation_id: int, seq: int) -> None:
    """A message names the file."""
    await ctx.db.run(ATTACH, file_id=file_id, conversation_id=conversation_id, seq=seq)
    await named(ctx, [file_id])


async def detach(ctx: Context, *, conversation_id: int, seq: int) -> None:
    """The message does not name its file any more. Nothing is kept of a file that is named nowhere else."""
    files = [row["file_id"] for row in await ctx.db.all(DETACH, conversation_id=conversation_id, seq=seq)]
    await unnamed(ctx, files)
    await forget(ctx, files)


async def named(ctx: Context, file_ids: Sequence[int]) -> None:
    """Something names these files."""
    await ctx.db.run(NAMED, ids=list(file_ids))


async def unnamed(ctx: Context, file_ids: Sequence[int]) -> None:
    """Something does not name these files any more. If nothing else does, they are forgotten after a while.

    What only others' messages name, who have passed it on, is the first of theirs from now on, and fills their room.
    """
    if file_ids:
        await ctx.db.run(UNNAMED, ids=list(file_ids), now=ctx.now)
        await ctx.db.run(PASS_ON, ids=list(file_ids))


async def forget(ctx: Context, file_ids: Sequence[int]) -> None:
    """Delete those of these files that nothing names; after the commit what they held, too."""
    if file_ids:
        ctx.discarded += _held(await ctx.db.all(FORGET, ids=list(file_ids)))


def _held(rows: Iterable[Row]) -> list[str]:
    return [digest for row in rows for digest in (row["sha256"], row["thumbnail"]) if digest is not None]


async def forget_stale(ctx: Context, *, most: int = 1000) -> list[str]:
    """Delete files that nothing has named for `[files] keep_unnamed` hours. The SHA-256 of what they held; [] if none.

    Who asks has to `discard` them after the commit.
    """
    before = ctx.now - ctx.config.files.keep_unnamed * 3_600_000
    stale = [row["id"] for row in await ctx.db.all(STALE, before=before, most=most)]
    already = len(ctx.discarded)
    await forget(ctx, stale)
    return ctx.discarded[already:]


async def held(ctx: Context, digests: Sequence[str]) -> set[str]:
    """Which of these SHA-256 some file has, or some thumbnail."""
    return {row["sha256"] for row in await ctx.db.all(HELD, digests=list(digests))}
