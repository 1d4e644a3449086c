"""What people say to a moment: likes and comments, by whoever sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from chatd import events, filing, log, moment_views
from chatd.access import Self
from chatd.context import Context
from chatd.db.query import query
from chatd.errors import NotFound, NotYours, Phrase, TooMany
from chatd.moment_views import Comment, seen
from chatd.op import op
from chatd.record import record
from chatd.wire import PAGE_BYTES, Done, Id, Limit, Seq, Time, Utf8, fit, rfc3339


async def _tell(ctx: Context, event: events.Moment, others: Iterable[int]) -> None:
    """Append an event to the asker's log, and to those of others."""
    await log.append_for(ctx, ctx.user_id, event)
    for user_id in sorted(set(others) - {ctx.user_id}):
        await log.append_for(ctx, user_id, event)


@record
class MomentLike:
    """Like a moment that I may see, or with `on` false no longer. Its author hears of it once."""

    moment_id: Id
    on: bool = True


LIKE = query(
    """/* moment_answers.like */
    INSERT INTO moment_likes (moment_id, user_id, liked_at) VALUES (:moment_id, :me, :now) ON CONFLICT DO NOTHING
    """
)
LIKE_AGAIN = query(
    """/* moment_answers.like_again */
    UPDATE moment_likes SET liked_at = :now WHERE moment_id = :moment_id AND user_id = :me AND liked_at IS NULL
    """
)
UNLIKE = query(
    """/* moment_answers.unlike */
    UPDATE moment_likes SET liked_at = NULL
    WHERE moment_id = :moment_id AND user_id = :me AND liked_at IS NOT NULL
    """
)


@op(
    reply=Done,
    done=Phrase("done", "已完成"),
    needs=Self(),
    rate="chat",
    emits=[events.Moment],
    raises=[NotFound],
    example={"moment_id": 7},
)
async def moment_like(ctx: Context, request: MomentLike) -> Done:
    moment = await seen(ctx, request.moment_id)
    where = {"moment_id": moment["id"], "me": ctx.user_id}
    if not request.on:
        if await ctx.db.run(UNLIKE, **where):
            await _tell(ctx, events.Moment("unliked", moment["id"], ctx.user_id, ctx.identity.username), ())
        return Done()
    liked = events.Moment("liked", moment["id"], ctx.user_id, ctx.identity.username)
    if await ctx.db.run(LIKE, now=ctx.now, **where):
        await _tell(ctx, liked, [moment["user_id"]])
    elif await ctx.db.run(LIKE_AGAIN, now=ctx.now, **where):
        await _tell(ctx, liked, ())
    return Done()


@record
class MomentLikes:
    """Who likes a moment, of those whom I know, by `user_id`."""

    moment_id: Id
    after_user_id: Seq = 0
    limit: Limit = 50


@record
class Liker:
    user_id: int
    username: str
    nickname: str
    avatar_url: str | None
    created_at: Time


@record
class LikeList:
    """`more` says that `after_user_id`, the user_id of the last one here, has a next page."""

    likes: tuple[Liker, ...]
    more: bool


LIKES_OF_MINE = query(
    """/* moment_answers.likes_of_mine */
    SELECT l.user_id, u.username, u.nickname, u.avatar_file_id, l.liked_at
    FROM visible_likes l JOIN users u ON u.id = l.user_id
    WHERE l.viewer_id = :me AND l.moment_id = :moment_id AND l.user_id > :after ORDER BY l.user_id LIMIT :most
    """
)
LIKES_BY_KNOWN = query(
    """/* moment_answers.likes_by_known */
    SELECT l.user_id, u.username, u.nickname, u.avatar_file_id, l.liked_at
    FROM (
        SELECT f.friend_id FROM friends f WHERE f.user_id = :me AND f.friend_id > :after
        UNION SELECT o.id FROM users o WHERE o.id IN :others AND o.id > :after
    ) AS k
    CROSS JOIN visible_likes l
    CROSS JOIN users u
    WHERE l.viewer_id = :me AND l.moment_id = :moment_id AND l.user_id = k.friend_id AND u.id = l.user_id
    ORDER BY l.user_id LIMIT :most
    """
)


@op(
    reply=LikeList,
    done=Phrase("likes of the moment", "动态的点赞"),
    needs=Self(),
    lane="read",
    raises=[NotFound],
    example={"moment_id": 7},
)
async def moment_likes(ctx: Context, request: MomentLikes) -> LikeList:
    moment = await seen(ctx, request.moment_id)
    at = {"me": ctx.user_id, "moment_id": moment["id"], "after": request.after_user_id, "most": request.limit + 1}
    if moment["user_id"] == ctx.user_id:
        rows = await ctx.db.all(LIKES_OF_MINE, **at)
    else:
        rows = await ctx.db.all(LIKES_BY_KNOWN, others=[ctx.user_id, moment["user_id"]], **at)
    likes = tuple(
        Liker(
            user_id=row["user_id"],
            username=row["username"],
            nickname=row["nickname"],
            avatar_url=filing.avatar(ctx, row["avatar_file_id"]),
            created_at=rfc3339(row["liked_at"]),
        )
        for row in rows[: request.limit]
    )
    return LikeList(likes=likes, more=len(rows) > request.limit)


@record
class MomentComment:
    """Say something to a moment that I may see, or `reply_to` a comment that I see there.

    Who posted it hears of it, and who wrote that comment, if I am a friend or posted the moment.
    """

    moment_id: Id
    content: Annotated[str, Utf8(1, 2048)]
    reply_to: Id | None = None


@record
class Commented:
    comment_id: int
    created_at: Time


VISIBLE = query(
    """/* moment_answers.visible */
    SELECT id, user_id FROM visible_comments WHERE viewer_id = :me AND moment_id = :moment_id AND id = :comment_id
    """
)
COUNT = query("/* moment_answers.count */ SELECT COUNT(*) AS count FROM moment_comments WHERE moment_id = :moment_id")
COMMENT = query(
    """/* moment_answers.comment */
    INSERT INTO moment_comments (moment_id, user_id, content, reply_to, created_at)
    VALUES (:moment_id, :me, :content, :reply_to, :now) RETURNING id
    """
)
CONCERNED = query(
    """/* moment_answers.concerned */
    SELECT c.user_id, c.moment_id, m.user_id AS author_id, p.user_id AS replied_id
    FROM moment_comments c
    JOIN moments m ON m.id = c.moment_id
    LEFT JOIN moment_comments p ON p.id = c.reply_to
    WHERE c.id = :comment_id
    """
)
HEARERS = query(
    """/* moment_answers.hearers */
    SELECT u.id FROM users u
    WHERE u.id IN :ids AND EXISTS (SELECT 1 FROM visible_comments v
                                   WHERE v.viewer_id = u.id AND v.moment_id = :moment_id AND v.id = :comment_id)
    """
)


async def _hearers(ctx: Context, comment_id: int) -> list[int]:
    """Whom a comment concerns: who wrote it, posted the moment, or is replied to; those of them who see it."""
    row = await ctx.db.one(CONCERNED, comment_id=comment_id)
    if row is None:
        raise LookupError(f"comment {comment_id} does not exist")
    concerned = {row["user_id"], row["author_id"], row["replied_id"]} - {None}
    rows = await ctx.db.all(HEARERS, ids=sorted(concerned), moment_id=row["moment_id"], comment_id=comment_id)
    return [hearer["id"] for hearer in rows]


@op(
    reply=Commented,
    done=Phrase("said", "已评论"),
    needs=Self(),
    rate="chat",
    emits=[events.Moment],
    raises=[NotFound, TooMany],
    example={"moment_id": 7, "content": "How beautiful!"},
)
async def moment_comment(ctx: Context, request: MomentComment) -> Commented:
    moment = await seen(ctx, request.moment_id)
    if request.reply_to is not None:
        at = {"me": ctx.user_id, "moment_id": moment["id"]}
        if await ctx.db.one(VISIBLE, comment_id=request.reply_to, **at) is None:
            raise NotFound(field="reply_to")
    most = ctx.config.moments.max_comments
    counted = await ctx.db.one(COUNT, moment_id=moment["id"])
    if counted is None or counted["count"] >= most:
        raise TooMany(most=str(most))
    row = await ctx.db.one(
        COMMENT,
        moment_id=moment["id"],
        me=ctx.user_id,
        content=request.content,
        reply_to=request.reply_to,
        now=ctx.now,
    )
    if row is None:
        raise LookupError("a comment was not stored")
    commented = events.Moment("commented", moment["id"], ctx.user_id, ctx.identity.username, row["id"])
    await _tell(ctx, commented, await _hearers(ctx, row["id"]))
    return Commented(row["id"], rfc3339(ctx.now))


@record
class MomentCommentDelete:
    """Delete a comment: one of mine, or any that I see on a moment of mine. Replies to it stay."""

    comment_id: Id


DELETE = query("/* moment_answers.delete */ DELETE FROM moment_comments WHERE id = :comment_id")


@op(
    reply=Done,
    done=Phrase("deleted", "已删除"),
    needs=Self(),
    rate="chat",
    emits=[events.Moment],
    raises=[NotFound, NotYours],
    example={"comment_id": 11},
)
async def moment_comment_delete(ctx: Context, request: MomentCommentDelete) -> Done:
    comment = await ctx.db.one(CONCERNED, comment_id=request.comment_id)
    if comment is None:
        raise NotFound(field="comment_id")
    if comment["user_id"] != ctx.user_id:  # one's own words one may always take back
        at = {"me": ctx.user_id, "moment_id": comment["moment_id"]}
        if await ctx.db.one(VISIBLE, comment_id=request.comment_id, **at) is None:
            raise NotFound(field="comment_id")
        if comment["author_id"] != ctx.user_id:
            raise NotYours(field="comment_id")
    hearers = await _hearers(ctx, request.comment_id)
    await ctx.db.run(DELETE, comment_id=request.comment_id)
    deleted = events.Moment(
        action="comment_deleted",
        moment_id=comment["moment_id"],
        by_user_id=ctx.user_id,
        by_username=ctx.identity.username,
        comment_id=request.comment_id,
    )
    await _tell(ctx, deleted, hearers)
    return Done()


@record
class MomentComments:
    """What was said to a moment, by those whom I know, the oldest first."""

    moment_id: Id
    after_comment_id: Seq = 0
    limit: Limit = 50


@record
class CommentList:
    """`more` says that `after_comment_id`, the id of the last one here, has a next page."""

    comments: tuple[Comment, ...]
    more: bool


COMMENTS = query(
    """/* moment_answers.comments */
    SELECT id FROM visible_comments
    WHERE viewer_id = :me AND moment_id = :moment_id AND id > :after ORDER BY id LIMIT :most
    """
)


@op(
    reply=CommentList,
    done=Phrase("comments on the moment", "动态的评论"),
    needs=Self(),
    lane="read",
    raises=[NotFound],
    example={"moment_id": 7},
)
async def moment_comments(ctx: Context, request: MomentComments) -> CommentList:
    moment = await seen(ctx, request.moment_id)
    at = {"me": ctx.user_id, "moment_id": moment["id"]}
    rows = await ctx.db.all(COMMENTS, after=request.after_comment_id, most=request.limit + 1, **at)
    found = await moment_views.comments(ctx, [row["id"] for row in rows[: request.limit]])
    page = found[: fit([len(comment.content.encode()) for comment in found], most=PAGE_BYTES)]
    return CommentList(comments=tuple(page), more=len(page) < len(rows))
