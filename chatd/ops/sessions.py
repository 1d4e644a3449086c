"""Saying who a connection is by a token, and looking after one's sessions."""

from __future__ import annotations

from chatd import events
from chatd.access import Guest, Self
from chatd.catchup import Synced, catch_up
from chatd.context import Context, Outside, Row
from chatd.errors import AccountDisabled, BadToken, NotFound, Phrase, TooManyConnections, UsernameTaken
from chatd.op import op
from chatd.record import record
from chatd.session import Identity
from chatd.sessions import end_sessions, my_sessions, still_valid
from chatd.wire import Cursors, Done, Id, Language, Time, Token, rfc3339, rfc3339_or_none


@record
class Auth:
    """Say who this connection is, by the token of an earlier `signup` or `login`, or of the server's issuer.

    An issuer's token makes its user on first sight, and its session ends with it at the latest. With `cursors` the
    reply has what `sync` would give. No event comes before the reply.
    """

    token: Token
    cursors: Cursors | None = None
    since: Time | None = None
    epoch: str | None = None
    lang: Language | None = None


@record
class Authenticated:
    """Who the connection is; `sync` as the op of that name gives it, where cursors came."""

    user_id: int
    username: str
    session_id: int
    sync: Synced | None


async def _identify(outside: Outside, request: Auth) -> Row:
    session = await outside.recognize(request.token)
    identity = Identity(user_id=session["user_id"], username=session["username"], session_id=session["id"])
    outside.authenticate(identity, request.lang or session["lang"])
    return session


@op(
    reply=Authenticated,
    done=Phrase("authenticated", "认证成功"),
    needs=Guest(),
    needs_socket=True,
    lane="read",
    before=_identify,
    raises=[BadToken, AccountDisabled, UsernameTaken, TooManyConnections],
    example={"token": "Jx0…", "cursors": {"1": 4, "2": 17}},
)
async def auth(ctx: Context, request: Auth, session: Row) -> Authenticated:
    # From here on whoever ends the session finds this connection in the hub; an end that came before is seen here.
    await still_valid(ctx, session["id"])
    sync = None
    if request.cursors is not None:
        sync = await catch_up(ctx, cursors=request.cursors, since=request.since, epoch=request.epoch)
    return Authenticated(user_id=session["user_id"], username=session["username"], session_id=session["id"], sync=sync)


# sessions


@record
class Logout:
    """End this session: its token is worth nothing any more. The connection stays open, as a guest's."""


@op(
    reply=Done,
    done=Phrase("logged out", "已退出登录"),
    needs=Self(),
    emits=[events.Session],
    example={},
)
async def logout(ctx: Context, request: Logout) -> Done:
    await end_sessions(ctx, ctx.user_id, [ctx.identity.session_id])
    return Done()


@record
class Sessions:
    """My sessions, the one used last first."""


@record
class SessionInfo:
    session_id: int
    device: str | None
    created_at: Time
    last_used_at: Time
    expires_at: Time | None
    current: bool


@record
class SessionList:
    """`current` marks the session of this connection. `expires_at` is when an issuer's token ends, null for others."""

    sessions: tuple[SessionInfo, ...]


@op(reply=SessionList, done=Phrase("your sessions", "您的会话"), needs=Self(), lane="read", example={})
async def sessions(ctx: Context, request: Sessions) -> SessionList:
    rows = await my_sessions(ctx)
    return SessionList(
        tuple(
            SessionInfo(
                session_id=row["id"],
                device=row["device"],
                created_at=rfc3339(row["created_at"]),
                last_used_at=rfc3339(row["last_used_at"]),
                expires_at=rfc3339_or_none(row["expires_at"]),
                current=row["id"] == ctx.identity.session_id,
            )
            for row in rows
        )
    )


@record
class SessionRevoke:
    """End one of my sessions; its live connections are closed at once (4001).

    The connection that asks is not closed: if the session was its own, it is a guest's again.
    """

    session_id: Id


@op(
    reply=Done,
    done=Phrase("session ended", "会话已结束"),
    needs=Self(),
    emits=[events.Session],
    raises=[NotFound],
    example={"session_id": 3},
)
async def session_revoke(ctx: Context, request: SessionRevoke) -> Done:
    if not await end_sessions(ctx, ctx.user_id, [request.session_id]):
        raise NotFound(field="session_id")
    return Done()
