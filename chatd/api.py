"""Ops by plain HTTP: `POST /api/<op>` takes the op's JSON and answers the same reply object as the socket does."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from chatd import wire
from chatd.dispatch import Dispatcher
from chatd.errors import (
    BY_CODE,
    BadToken,
    ChatError,
    InvalidJson,
    NeedsSocket,
    Phrase,
    TooFast,
    Unauthenticated,
    Unavailable,
    UnknownOp,
)
from chatd.exchange import Headers, Request, Response
from chatd.limits import Bucket, Buckets, Rate
from chatd.op import REGISTRY
from chatd.peer import Allowance, Peer
from chatd.session import Identity, State
from chatd.wire import Language, Outgoing

_UNLIMITED = Rate(per_second=0.0, burst=1)

NOT_UTF8 = Phrase("it is not UTF-8", "不是 UTF-8")


class _Share:
    """One caller's part of what is allowed to all."""

    def __init__(self, buckets: Buckets, key: str | int) -> None:
        self._buckets = buckets
        self._key = key

    def take(self, now: float) -> float:
        return self._buckets.take(self._key, now)


class Caller(Peer):
    """Whoever asks for one op, and hears nothing but its reply."""

    __slots__ = ("answered",)

    is_live = False

    def __init__(self, *, number: int, address: str, share: Allowance) -> None:
        super().__init__(number=number, address=address, bucket=share)
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    @property
    def congested(self) -> bool:
        return False

    def send(self, outgoing: Outgoing) -> None:
        if not self.answered.done():
            self.answered.set_result(outgoing.payload)

    def hear(self, outgoing: Outgoing) -> None: ...

    def glimpse(self, outgoing: Outgoing) -> None: ...

    def hold(self, held: bool) -> None: ...

    def pause(self, paused: bool) -> None: ...

    def recognized(self, known: bool) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


class Api:
    """Runs ops that need no live socket. A user is allowed as much as a connection is, and so is an address' guests."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._buckets = Buckets(dispatcher.config.rates.ops)
        self._numbers = itertools.count()

    async def ask(self, name: str, body: bytes, *, token: str | None, address: str) -> tuple[HTTPStatus, bytes]:
        """The reply to a request's body, and its status."""
        name = name[: wire.LONGEST_NAME]
        began = self._dispatcher.clock()
        caller = self._guest(address)
        try:
            op = REGISTRY.get(name)
            if op is None or op.needs_socket:
                self.charge(caller)
                raise UnknownOp(field="type", name=name) if op is None else NeedsSocket(name=name)
            caller = await self.caller(token, address=address)
            self._dispatcher.receive(caller, body or b"{}", name=name)
        except ChatError as error:
            return self.refuse(error, op=name, began=began)
        except wire.NotUtf8:
            return self.refuse(InvalidJson(reason=NOT_UTF8), caller.session.lang, op=name, began=began)
        payload = await caller.answered
        reply = orjson.loads(payload)
        return HTTPStatus.OK if reply["success"] else _status(reply["error"]["code"]), payload

    async def data(self, identity: Identity, lang: Language, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The data of an op's reply, asked for by the daemon on a user's behalf. Raises `Unavailable` if it fails."""
        caller = Caller(number=next(self._numbers), address="", share=Bucket(_UNLIMITED, 0.0))
        caller.session.authenticated(identity, lang)
        self._dispatcher.receive(caller, orjson.dumps(fields), name=name)
        reply = orjson.loads(await caller.answered)
        if not reply["success"]:
            raise Unavailable
        data: dict[str, Any] = reply["data"]
        return data

    def refuse(
        self, error: ChatError, lang: Language = "en", *, op: str, began: float | None = None
    ) -> tuple[HTTPStatus, bytes]:
        """The answer to what does not come to its op, counted. `began` is when it came, by the dispatcher's clock."""
        seconds = 0.0 if began is None else self._dispatcher.clock() - began
        self._dispatcher.tally.failed(op, error.code, seconds)
        return failure(error, lang, op=op)

    async def caller(self, token: str | None, *, address: str) -> Caller:
        """Who asks. Raises what `Recognition.session` does; `TooFast` where tokens are guessed."""
        caller = self._guest(address)
        if token is None:
            return caller
        try:
            session = await self._dispatcher.recognition.session(caller, token)
        except ChatError:
            self.charge(caller)
            raise
        identity = Identity(user_id=session["user_id"], username=session["username"], session_id=session["id"])
        caller.session.authenticated(identity, session["lang"])
        caller.bucket = _Share(self._buckets, identity.user_id)
        return caller

    def _guest(self, address: str) -> Caller:
        return Caller(number=next(self._numbers), address=address, share=_Share(self._buckets, address))

    def charge(self, caller: Caller) -> None:
        """Count a request against what the caller may ask for. Raises `TooFast`."""
        wait = caller.bucket.take(self._dispatcher.clock())
        if wait:
            raise TooFast(retry_after_ms=int(wait * 1000) + 1)

    async def of(self, request: Request, name: str, /, **fields: Any) -> tuple[HTTPStatus, bytes]:
        """The reply to an op that an HTTP request makes necessary, on behalf of who makes it."""
        token = bearer(request.headers.get("authorization"))
        return await self.ask(name, orjson.dumps(fields), token=token, address=request.address)

    async def caller_of(self, request: Request) -> Caller:
        """Who makes an HTTP request: a user. Raises `Unauthenticated` and what `caller` does."""
        caller = await self.caller(bearer(request.headers.get("authorization")), address=request.address)
        if caller.session.state is not State.USER:
            raise Unauthenticated
        self.charge(caller)
        return caller


def as_response(status: HTTPStatus, reply: bytes, headers: Headers = ()) -> Response:
    """A reply as a response."""
    if status is HTTPStatus.UNAUTHORIZED:  # RFC 9110, section 11.6.1
        headers = [*headers, ("WWW-Authenticate", 'Bearer realm="chatd"')]
    return Response(status, reply, "application/json", headers)


def failure(error: ChatError, lang: Language = "en", *, op: str | None = None) -> tuple[HTTPStatus, bytes]:
    """What an error looks like over HTTP."""
    return HTTPStatus(error.status), wire.encode_failure(op, None, error, lang)


def _status(code: str) -> HTTPStatus:
    return HTTPStatus(BY_CODE[code].status)


def bearer(authorization: str | None) -> str | None:
    """The token in an Authorization header (RFC 6750, section 2.1). Raises `BadToken` where it holds something else."""
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise BadToken
    return token.strip()
