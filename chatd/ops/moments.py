"""Moments: what people show of their days, to everybody, to their friends or to themselves.

Who sees one is asked when it is read, not when it is posted (moment_views.py). What others say about it stands in
moment_answers.py.
"""

from __future__ import annotations

from typing import Annotated

from chatd import events, filing, log
from chatd.access import Self, find_user
from chatd.compose import must_be_place
from chatd.context import Context
from chatd.db.query import query
from chatd.errors import Invalid, NotFound, NotYours, Phrase
from chatd.moment_views import MomentInfo, Visibility, seen, shown
from chatd.op import op
from chatd.record import record
from chatd.wire import MAX_ID, Done, Id, Items, Limit, Name, Time, Utf8, rfc3339


@record
class MomentPost:
    """Post a moment: a text, up to nine images that I have uploaded, a place, or several of these.

    `visibility` says who may see it, whenever they look: `all` (whoever is logged in), my `friends`, or nobody but me
    (`private`); a block goes both ways. `location` is a geo URI (RFC 5870), after a space the name of the place.
    """

    content: Annotated[str, Utf8(0, 8192)] = ""
    images: Annotated[tuple[Id, ...], Items(0, 9)] = ()
    location: Annotated[str, Utf8(1, 1024)] | None = None
    visibility: Visibility = "friends"


@record
class Posted:
    """Where the moment stands. My other devices hear of it, my friends find it in `moments`."""

    moment_id: int
    created_at: Time


_SOMETHING = Phrase("is required where there are no images and no location", "没有图片和位置时不能为空")

POST = query(
    """/* moments.post */
    INSERT INTO moments (user_id, content, location, visibility, created_at)
    VALUES (:me, :content, :location, :visibility, :now) RETURNING id
    """
)
SHOW = query(
    """/* moments.show */
    INSERT INTO moment_images (moment_id, position, file_id) VALUES (:moment_id, :position, :file_id)
    """
)


@op(
    reply=Posted,
    done=Phrase("posted", "已发布"),
    needs=Self(),
    rate="chat",
    emits=[events.Moment],
    raises=[NotFound],
    example={"content": "At the lake", "visibility": "friends"},
)
async def moment_post(ctx: Context, request: MomentPost) -> Posted:
    if not request.content and not request.images and request.location is None:
        raise Invalid(field="content", expected=_SOMETHING)
    if request.location is not None:
        must_be_place(request.location, field="location")
    for file_id in request.images:
        await filing.mine(ctx, file_id, kind="image", field="images")
    row = await ctx.db.one(
        POST,
        me=ctx.user_id,
        content=request.content,
        location=request.location,
        visibility=request.visibility,
        now=ctx.now,
    )
    if row is None:
        raise LookupError("a moment was not stored")
    if request.images:
        count = len(request.images)
        await ctx.db.many(
            SHOW, moment_id=[row["id"]] * count, position=range(1, count + 1), file_id=list(request.images)
        )
        await filing.named(ctx, request.images)
    posted = events.Moment("posted", row["id"], ctx.user_id, ctx.identity.username)
    await log.append_for(ctx, ctx.user_id, posted)
    return Posted(row["id"], rfc3339(ctx.now))


@record
class MomentDelete:
    """Delete a moment of mine. Nothing is left of it, its likes and comments, nor of images that are nowhere else."""

    moment_id: Id


FORGET_IMAGES = query(
    "/* moments.forget_images */ DELETE FROM moment_images WHERE moment_id = :moment_id RETURNING file_id"
)
FORGET_LIKES = query("/* moments.forget_likes */ DELETE FROM moment_likes WHERE moment_id = :moment_id")
FORGET_COMMENTS = query("/* moments.forget_comments */ DELETE FROM moment_comments WHERE moment_id = :moment_id")
FORGET = query("/* moments.forget */ DELETE FROM moments WHERE id = :moment_id")


@op(
    reply=Done,
    done=Phrase("deleted", "已删除"),
    needs=Self(),
    rate="chat",
    emits=[events.Moment],
    raises=[NotFound, NotYours],
    example={"moment_id": 7},
)
async def moment_delete(ctx: Context, request: MomentDelete) -> Done:
    moment = await seen(ctx, request.moment_id)
    if moment["user_id"] != ctx.user_id:
        raise NotYours(field="moment_id")
    images = [row["file_id"] for row in await ctx.db.all(FORGET_IMAGES, moment_id=moment["id"])]
    for statement in (FORGET_LIKES, FORGET_COMMENTS, FORGET):
        await ctx.db.run(statement, moment_id=moment["id"])
    await filing.unnamed(ctx, images)
    await filing.forget(ctx, images)
    deleted = events.Moment("deleted", moment["id"], ctx.user_id, ctx.identity.username)
    await log.append_for(ctx, ctx.user_id, deleted)
    return Done()


@record
class MomentGet:
    """A moment that I may see."""

    moment_id: Id


@op(
    reply=MomentInfo,
    done=Phrase("the moment", "动态"),
    needs=Self(),
    lane="read",
    raises=[NotFound],
    example={"moment_id": 7},
)
async def moment_get(ctx: Context, request: MomentGet) -> MomentInfo:
    found = await shown(ctx, [request.moment_id])
    if not found:
        raise NotFound(field="moment_id")
    return found[0]


@record
class Moments:
    """My friends' moments and mine, the newest first."""

    before_moment_id: Id | None = None
    limit: Limit = 50


@record
class MomentList:
    """`more` says that `before_moment_id`, the id of the last one here, has a next page."""

    moments: tuple[MomentInfo, ...]
    more: bool


# A page of so many moments has those of at most as many friends: the ones whose newest moments are the newest. Of each
# friend one row is read to find these, and of each of these no more than a page: that is all that somebody costs who
# never posts, or never stops.
TIMELINE = query(
    """/* moments.timeline */
    SELECT t.id FROM (
        SELECT m.id FROM (
            SELECT f.friend_id, COALESCE((
                SELECT l.id FROM moments l
                WHERE l.user_id = f.friend_id AND l.visibility <> 'private' AND l.id < :before
                ORDER BY l.id DESC LIMIT 1
            ), 0) AS newest
            FROM friends f WHERE f.user_id = :me ORDER BY newest DESC LIMIT :most
        ) AS n
        CROSS JOIN moments m
        WHERE m.user_id = n.friend_id AND m.visibility <> 'private' AND m.id <= n.newest AND m.id >= COALESCE((
            SELECT o.id FROM moments o
            WHERE o.user_id = n.friend_id AND o.visibility <> 'private' AND o.id <= n.newest
            ORDER BY o.id DESC LIMIT 1 OFFSET :rest
        ), 0)
        UNION ALL
        SELECT mine.id FROM (
            SELECT m.id FROM moments m WHERE m.user_id = :me AND m.id < :before ORDER BY m.id DESC LIMIT :most
        ) AS mine
    ) AS t
    ORDER BY t.id DESC LIMIT :most
    """
)


@op(reply=MomentList, done=Phrase("moments", "动态列表"), needs=Self(), lane="read", example={"limit": 20})
async def moments(ctx: Context, request: Moments) -> MomentList:
    most = request.limit + 1
    rows = await ctx.db.all(TIMELINE, me=ctx.user_id, before=_before(request), most=most, rest=most - 1)
    return await _page(ctx, [row["id"] for row in rows], request.limit)


def _before(request: Moments | MomentsOf) -> int:
    return MAX_ID + 1 if request.before_moment_id is None else request.before_moment_id


async def _page(ctx: Context, ids: list[int], limit: int) -> MomentList:
    found = await shown(ctx, ids[:limit])
    return MomentList(moments=tuple(found), more=len(found) < len(ids))


@record
class MomentsOf:
    """A user's moments, those that I may see, the newest first; without a user mine."""

    user: Name | None = None
    user_id: Id | None = None
    before_moment_id: Id | None = None
    limit: Limit = 50


STANDING = query(
    """/* moments.standing */
    SELECT EXISTS (SELECT 1 FROM friends WHERE user_id = :me AND friend_id = :other) AS friends,
           EXISTS (SELECT 1 FROM blocks WHERE user_id = :me AND blocked_id = :other
                   UNION ALL SELECT 1 FROM blocks WHERE user_id = :other AND blocked_id = :me) AS blocked
    """
)
MINE = query(
    """/* moments.mine */
    SELECT id FROM moments WHERE user_id = :user_id AND id < :before ORDER BY id DESC LIMIT :most
    """
)
FOR_FRIENDS = query(
    """/* moments.for_friends */
    SELECT id FROM moments
    WHERE user_id = :user_id AND visibility <> 'private' AND id < :before ORDER BY id DESC LIMIT :most
    """
)
FOR_ALL = query(
    """/* moments.for_all */
    SELECT id FROM moments
    WHERE user_id = :user_id AND visibility = 'all' AND id < :before ORDER BY id DESC LIMIT :most
    """
)


@op(
    reply=MomentList,
    done=Phrase("moments of the user", "用户的动态"),
    needs=Self(),
    lane="read",
    raises=[NotFound],
    example={"user": "bob", "limit": 20},
)
async def moments_of(ctx: Context, request: MomentsOf) -> MomentList:
    user_id = ctx.user_id
    if request.user is not None or request.user_id is not None:
        user_id = (await find_user(ctx, name=request.user, user_id=request.user_id, field="user"))["id"]
    standing = await ctx.db.one(STANDING, me=ctx.user_id, other=user_id)
    if standing is None:
        raise LookupError("a standing is a row")
    if standing["blocked"]:  # as if there were none: who is blocked is not told
        return MomentList(moments=(), more=False)
    of = MINE if user_id == ctx.user_id else FOR_FRIENDS if standing["friends"] else FOR_ALL
    rows = await ctx.db.all(of, user_id=user_id, before=_before(request), most=request.limit + 1)
    return await _page(ctx, [row["id"] for row in rows], request.limit)
