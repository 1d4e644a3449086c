"""The same request again: (user, client_id) is unique for ever, and a retry gets the first answer again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from chatd.call import Call, Replayed
from chatd.context import Context, Outside, Row
from chatd.db.query import query
from chatd.errors import ChatError, Conflict
from chatd.op import REGISTRY, Op

ANSWERED = query(
    """/* retries.answered */
    SELECT digest, reply FROM requests WHERE user_id = :user_id AND client_id = :client_id
    """
)
ANSWER = query(
    """/* retries.answer */
    INSERT INTO requests (user_id, client_id, digest, reply) VALUES (:user_id, :client_id, :digest, :reply)
    ON CONFLICT DO NOTHING
    """
)


def told(op: Op, body: dict[str, Any]) -> bytes:
    """What a request asks for, in one way of writing it."""
    return orjson.dumps([op.name, body], option=orjson.OPT_SORT_KEYS)


def digest(what: bytes) -> bytes:
    """What is kept of it, to tell whether the next one with this client_id is the same."""
    return hashlib.blake2b(what, digest_size=16).digest()


async def answered(ctx: Context, client_id: str | None) -> Row | None:
    """The answer that a client_id of the asker's has had."""
    return await ctx.db.one(ANSWERED, user_id=ctx.user_id, client_id=client_id)


async def replay(ctx: Context, call: Call) -> Replayed | None:
    """The first answer to a retry; None for a new client_id. Raises `Conflict` where it was used for something else."""
    first = await answered(ctx, call.client_id)
    if first is None:
        return None
    if first["digest"] != call.digest:
        raise Conflict(field="client_id")
    return Replayed(first["reply"])


async def remember(ctx: Context, call: Call, reply: str) -> None:
    """Keep an answer, JSON. Raises `Replayed` where the client_id has one already, or `Conflict`."""
    answer = {"client_id": call.client_id, "digest": call.digest, "reply": reply}
    if not await ctx.db.run(ANSWER, user_id=ctx.user_id, **answer):
        raise await replay(ctx, call) or LookupError("a client_id that is taken has an answer")


async def remember_all(answers: Sequence[tuple[Context, Call, str]]) -> None:
    """Keep the answers of one transaction. Raises `Conflict` where one of the client_ids has one already."""
    if not answers:
        return
    kept = await answers[0][0].db.many(
        ANSWER,
        user_id=[ctx.user_id for ctx, _, _ in answers],
        client_id=[call.client_id for _, call, _ in answers],
        digest=[call.digest for _, call, _ in answers],
        reply=[reply for _, _, reply in answers],
    )
    if kept < len(answers):
        raise Conflict(field="client_id")


async def go_on(outside: Outside, name: str, replayed: Replayed) -> str | None:
    """Have the first answer say how its upload stands now, as the op of this name does.

    Returns the upload that the asking connection's binary frames belong to from now on, if it may be gone on with.
    """
    op = REGISTRY[name]
    if op.before is None:
        raise AssertionError("how far an upload is, is asked outside any transaction")
    request = op.schema.convert({"upload": replayed.data["upload"]}, owner=name)
    try:
        given = await op.before(outside, request)
        data, upload = await outside.read(_stands, op, request, given)
    except ChatError:  # it was given up, or is forgotten
        return None
    replayed.data |= vars(data)
    return upload


async def _stands(ctx: Context, op: Op, request: Any, given: Any) -> tuple[Any, str | None]:
    return await op.function(ctx, request, given), ctx.uploads_to
