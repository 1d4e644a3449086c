"""Moments as a reader sees them: with their images, who likes them, and the first of their comments.

Who sees what stands in `schema.sql`: the views visible_moments, visible_likes and visible_comments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

from chatd import filing
from chatd.context import Context, Row
from chatd.db.query import query
from chatd.errors import NotFound
from chatd.events import File
from chatd.record import record
from chatd.wire import PAGE_BYTES, Time, fit, rfc3339

Visibility = Literal["all", "friends", "private"]

FIRST_COMMENTS = 3
"""So many comments are shown with a moment."""

FEW_LIKES = 100
"""Where a moment has more likes, those of the reader's friends are looked for one by one."""

MANY_LIKES = 1000
"""Where counting them ends."""

_IMAGE_BYTES = 500
"""About how much an image takes up in a reply."""


@record
class Comment:
    """`reply_to` is another comment, `to_user_id` and `to_username` whose it is; null where I may not see that one."""

    comment_id: int
    user_id: int
    username: str
    content: str
    reply_to: int | None
    to_user_id: int | None
    to_username: str | None
    created_at: Time


@record
class MomentInfo:
    """A moment as I see it.

    Counted and shown are the likes and comments of people I know: myself, my friends and who posted it; who posted it
    sees those of everybody who may still see the moment. Counting likes ends at 1000. `comments` are the first three;
    `moment_comments` has all.
    """

    moment_id: int
    user_id: int
    username: str
    nickname: str
    avatar_url: str | None
    content: str
    images: tuple[File, ...]
    location: str | None
    visibility: Visibility
    created_at: Time
    liked: bool
    like_count: int
    comment_count: int
    comments: tuple[Comment, ...]


SEEN = query("/* moment_views.seen */ SELECT * FROM visible_moments WHERE viewer_id = :me AND id = :moment_id")
PAGE = query(
    """/* moment_views.page */
    SELECT v.*, u.username, u.nickname, u.avatar_file_id,
           EXISTS (SELECT 1 FROM moment_likes l
                   WHERE l.moment_id = v.id AND l.user_id = v.viewer_id AND l.liked_at IS NOT NULL) AS liked,
           (SELECT COUNT(*) FROM (
               SELECT 1 AS one FROM moment_likes l WHERE l.moment_id = v.id LIMIT :few
           ) AS found) AS likes
    FROM visible_moments v JOIN users u ON u.id = v.user_id
    WHERE v.viewer_id = :me AND v.id IN :ids ORDER BY v.id DESC
    """
)
IMAGES = query(
    """/* moment_views.images */
    SELECT i.moment_id, f.* FROM moment_images i JOIN files f ON f.id = i.file_id
    WHERE i.moment_id IN :ids ORDER BY i.moment_id, i.position
    """
)
LIKES = query(
    """/* moment_views.likes */
    SELECT l.moment_id, COUNT(*) AS count FROM visible_likes l
    WHERE l.viewer_id = :me AND l.moment_id IN :ids GROUP BY l.moment_id
    """
)
LIKES_OF_MINE = query(
    """/* moment_views.likes_of_mine */
    SELECT COUNT(*) AS count FROM (
        SELECT 1 AS one FROM visible_likes l WHERE l.viewer_id = :me AND l.moment_id = :moment_id LIMIT :most
    ) AS found
    """
)
LIKES_BY_KNOWN = query(
    """/* moment_views.likes_by_known */
    SELECT COUNT(*) AS count FROM (
        SELECT f.friend_id FROM friends f WHERE f.user_id = :me
        UNION SELECT u.id FROM users u WHERE u.id IN :others
    ) AS k
    CROSS JOIN visible_likes l
    WHERE l.viewer_id = :me AND l.moment_id = :moment_id AND l.user_id = k.friend_id
    """
)
LIKES_OF = query(
    """/* moment_views.likes_of */
    SELECT moment_id, liked_at FROM moment_likes
    WHERE user_id = :user_id AND liked_at IS NOT NULL AND moment_id > :after ORDER BY moment_id LIMIT :most
    """
)
COMMENTS_OF = query(
    """/* moment_views.comments_of */
    SELECT * FROM moment_comments WHERE user_id = :user_id AND id > :after ORDER BY id LIMIT :most
    """
)
COMMENTS = query(
    """/* moment_views.comments */
    SELECT c.id, c.moment_id, c.total FROM (
        SELECT v.id, v.moment_id, ROW_NUMBER() OVER (PARTITION BY v.moment_id ORDER BY v.id) AS place,
               COUNT(*) OVER (PARTITION BY v.moment_id) AS total
        FROM visible_comments v WHERE v.viewer_id = :me AND v.moment_id IN :ids
    ) AS c
    WHERE c.place <= :most ORDER BY c.moment_id, c.id
    """
)
TEXTS = query(
    """/* moment_views.texts */
    SELECT c.id, c.moment_id, c.user_id, c.content, c.created_at, u.username,
           p.id AS reply_to, p.user_id AS to_user_id, t.username AS to_username
    FROM moment_comments c
    JOIN users u ON u.id = c.user_id
    LEFT JOIN moment_comments p ON p.id = (
        SELECT r.id FROM visible_comments r
        WHERE c.reply_to IS NOT NULL AND r.viewer_id = :me AND r.moment_id = c.moment_id AND r.id = c.reply_to
    )
    LEFT JOIN users t ON t.id = p.user_id
    WHERE c.id IN :ids ORDER BY c.id
    """
)


async def seen(ctx: Context, moment_id: int) -> Row:
    """A moment that the asker sees, as a row of the view `visible_moments`. Raises `NotFound`."""
    row = await ctx.db.one(SEEN, me=ctx.user_id, moment_id=moment_id)
    if row is None:
        raise NotFound(field="moment_id")
    return row


async def shown(ctx: Context, moment_ids: Sequence[int]) -> list[MomentInfo]:
    """Those of these moments that the asker sees, the newest first; no more than fit into one reply."""
    rows = await ctx.db.all(PAGE, me=ctx.user_id, ids=list(moment_ids), few=FEW_LIKES + 1)
    ids = [row["id"] for row in rows]
    likes = await _likes(ctx, rows)
    images: dict[int, list[File]] = defaultdict(list)
    for row in await ctx.db.all(IMAGES, ids=ids):
        images[row["moment_id"]].append(filing.with_links(ctx, filing.told(row)))
    first = await ctx.db.all(COMMENTS, me=ctx.user_id, ids=ids, most=FIRST_COMMENTS)
    totals = {row["moment_id"]: row["total"] for row in first}
    said: dict[int, list[Comment]] = defaultdict(list)
    for moment_id, comment in await _texts(ctx, [row["id"] for row in first]):
        said[moment_id].append(comment)
    infos = [
        MomentInfo(
            moment_id=row["id"],
            user_id=row["user_id"],
            username=row["username"],
            nickname=row["nickname"],
            avatar_url=filing.avatar(ctx, row["avatar_file_id"]),
            content=row["content"],
            images=tuple(images.get(row["id"], ())),
            location=row["location"],
            visibility=row["visibility"],
            created_at=rfc3339(row["created_at"]),
            liked=bool(row["liked"]),
            like_count=likes.get(row["id"], 0),
            comment_count=totals.get(row["id"], 0),
            comments=tuple(said.get(row["id"], ())),
        )
        for row in rows
    ]
    return infos[: fit([_size(info) for info in infos], most=PAGE_BYTES)]


def _size(info: MomentInfo) -> int:
    texts = (info.content, info.location or "", *(comment.content for comment in info.comments))
    return sum(len(text.encode()) for text in texts) + _IMAGE_BYTES * len(info.images)


async def _likes(ctx: Context, rows: Sequence[Row]) -> dict[int, int]:
    """How many likes of each of these moments the asker sees, without looking at thousands of others'."""
    few = [row["id"] for row in rows if 0 < row["likes"] <= FEW_LIKES]
    found = {row["moment_id"]: row["count"] for row in await ctx.db.all(LIKES, me=ctx.user_id, ids=few)}
    for row in rows:
        if row["likes"] > FEW_LIKES:
            at = {"me": ctx.user_id, "moment_id": row["id"]}
            if row["user_id"] == ctx.user_id:
                counted = await ctx.db.one(LIKES_OF_MINE, most=MANY_LIKES, **at)
            else:
                counted = await ctx.db.one(LIKES_BY_KNOWN, others=[ctx.user_id, row["user_id"]], **at)
            found[row["id"]] = 0 if counted is None else min(counted["count"], MANY_LIKES)
    return found


async def likes_of(ctx: Context, user_id: int, *, after: int, most: int = 200) -> list[dict[str, Any]]:
    """The moments that a user likes, by id."""
    rows = await ctx.db.all(LIKES_OF, user_id=user_id, after=after, most=most)
    return [{"moment_id": row["moment_id"], "created_at": rfc3339(row["liked_at"])} for row in rows]


async def comments_of(ctx: Context, user_id: int, *, after: int, most: int = 200) -> list[dict[str, Any]]:
    """What a user has commented, by id, whether or not that one may still see the moment."""
    rows = await ctx.db.all(COMMENTS_OF, user_id=user_id, after=after, most=most)
    return [
        {
            "comment_id": row["id"],
            "moment_id": row["moment_id"],
            "content": row["content"],
            "reply_to": row["reply_to"],
            "created_at": rfc3339(row["created_at"]),
        }
        for row in rows
    ]


async def comments(ctx: Context, comment_ids: Sequence[int]) -> list[Comment]:
    """These comments, which the asker sees, in order."""
    return [comment for _, comment in await _texts(ctx, comment_ids)]


async def _texts(ctx: Context, comment_ids: Sequence[int]) -> list[tuple[int, Comment]]:
    """(moment_id, comment)s."""
    rows = await ctx.db.all(TEXTS, me=ctx.user_id, ids=list(comment_ids)) if comment_ids else ()
    return [
        (
            row["moment_id"],
            Comment(
                comment_id=row["id"],
                user_id=row["user_id"],
                username=row["username"],
                content=row["content"],
                reply_to=row["reply_to"],
                to_user_id=row["to_user_id"],
                to_username=row["to_username"],
                created_at=rfc3339(row["created_at"]),
            ),
        )
        for row in rows
    ]
