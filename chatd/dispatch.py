"""From a frame to its reply and its events: decode → gate → transaction → commit → reply → publish.

Everything here runs on the loop; transactions.py is what the database's threads run.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any

import orjson

from chatd import retries, wire
from chatd.before import Before
from chatd.call import Call, Replayed
from chatd.config import Config
from chatd.context import Context, Guards, NoTransaction
from chatd.db.sqlite import drive
from chatd.errors import ChatError, Conflict, Internal, TooFast, TooManyConnections, UnknownOp
from chatd.hub import Hub
from chatd.issuer import Issuer
from chatd.limits import Backoff, Buckets
from chatd.mail import Mailer
from chatd.op import REGISTRY, Function, Op, Rate
from chatd.passwords import Passwords, is_hash
from chatd.peer import BAD_PAYLOAD, SESSION_ENDED, Peer
from chatd.presence import Choice
from chatd.publish import publish
from chatd.recognition import Recognition
from chatd.session import Identity, State
from chatd.sessions import went_away
from chatd.tally import Tally
from chatd.transactions import Transactions
from chatd.uploads import Uploads
from chatd.wire import Language, Outgoing

log = logging.getLogger("chatd.dispatch")

ABSENCES = 200
"""Of how many users it is noted in one go that they have gone."""

READS = 2
"""How many reads of one connection may be under way: their replies are large, and have to fit into its outbox."""


class Dispatcher:
    """Runs ops for peers."""

    def __init__(
        self,
        *,
        config: Config,
        transactions: Transactions,
        hub: Hub,
        passwords: Passwords,
        mail: Mailer,
        uploads: Uploads,
        issuer: Issuer | None = None,
    ) -> None:
        self.config = config
        self.uploads = uploads
        self.transactions = transactions
        self._hub = hub
        self.passwords = passwords
        self.mail = mail
        self.recognition = Recognition(transactions, issuer, self.publish)
        self.clock = time.monotonic
        self.tally = Tally(REGISTRY)
        rates = config.rates
        self._rates: dict[Rate, Buckets] = {
            "chat": Buckets(rates.chat),
            "social": Buckets(rates.social),
            "account": Buckets(rates.account),
            "upload": Buckets(rates.upload),
        }
        self.guards = Guards(accounts=Backoff(), addresses=self._rates["account"])
        self._absent: list[tuple[Identity, bool]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._preparing: set[asyncio.Task[None]] = set()

    # Frames in

    def receive(self, peer: Peer, data: bytes | bytearray, *, name: str | None = None) -> None:
        """Take a text frame's payload, or the request for the op of this name. Raises `wire.NotUtf8`."""
        if peer.waiting is None and not peer.backlog:
            call = self._decode(peer, data, name)
            if self._may_begin(call):
                self._begin(call, call.began)
            else:
                peer.waiting = call
                peer.pause(True)
        else:
            if peer.backlog is None:
                peer.backlog = deque()
            peer.backlog.append(data)

    def receive_binary(self, peer: Peer, data: bytes | bytearray) -> None:
        """Take a binary frame's payload: a piece of the upload that the peer will have begun when it is its turn."""
        piece = {"type": "upload_piece", "content": base64.b64encode(data).decode()}
        self.receive(peer, orjson.dumps(piece))

    def advance(self, peer: Peer) -> None:
        """Begin what has waited, as far as the order of replies and what the client has taken allow."""
        while peer.waiting is not None or peer.backlog:
            if peer.waiting is None and peer.backlog:
                try:
                    peer.waiting = self._decode(peer, peer.backlog.popleft())
                except wire.NotUtf8:
                    peer.backlog = None
                    peer.close(BAD_PAYLOAD, "text frames must be UTF-8")
                    return
            call = peer.waiting
            if call is None or not self._may_begin(call):
                return
            peer.waiting = None
            self._begin(call, self.clock())
        if peer.backlog is not None:
            peer.backlog = None
        peer.pause(False)

    def _may_begin(self, call: Call) -> bool:
        peer = call.peer
        most = READS if call.lane == "read" else self.config.server.in_flight
        return not peer.congested and peer.session.may_begin(call.lane, exclusive=call.exclusive, most=most)

    def _decode(self, peer: Peer, data: bytes | bytearray, name: str | None = None) -> Call:
        call = Call(peer, self.transactions, self._finish)
        call.began = self.clock()
        call.name = name
        try:
            body = wire.parse(data)
            call.id = wire.take_id(body)
            if name is not None:
                body["type"] = name
            call.name = wire.take_type(body)
            wire.refuse_nul(data, body)
            op = REGISTRY.get(call.name)
            if op is None:
                raise UnknownOp(field="type", name=call.name[: wire.LONGEST_NAME])
            if op.takes_client_id:
                call.client_id = wire.take_client_id(body)
            call.request = op.schema.convert(body, owner=op.name)
            if call.client_id is not None:
                told = retries.told(op, body)
                call.digest = retries.digest(told)
                if op.before is not None and op.schema.secrets:
                    call.told = told
            call.op = op
            call.exclusive = op.before is not None or op.again is not None
            call.lane = op.lane if op.write_when is None else op.lane_for(call.request)
        except ChatError as error:
            call.error = error
        return call

    # Gate

    def _begin(self, call: Call, now: float) -> None:
        peer, op = call.peer, call.op
        peer.session.begin(call.lane, exclusive=call.exclusive)
        try:
            wait = peer.bucket.take(now)
            if wait:
                raise TooFast(retry_after_ms=int(wait * 1000) + 1)
            if op is None or call.error is not None:
                raise call.error or AssertionError("a call has an op or an error")
            peer.session.refuse(op)
            if op.rate is not None:
                self._limit(op.rate, peer, now)
            if op.before is not None:
                self._spawn(self._prepare(call, op, op.before), self._preparing)
            elif call.lane == "here":
                self._succeed(call, drive(call.work(NoTransaction())))
            else:
                self.transactions.submit(call, op)
        except Exception as error:
            self._fail(call, error)

    def _limit(self, rate: Rate, peer: Peer, now: float) -> None:
        key = peer.address if rate in ("account", "upload") else peer.session.identity.user_id
        wait = self._rates[rate].take(key, now)
        if wait:
            raise TooFast(retry_after_ms=int(wait * 1000) + 1)

    def _spawn(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)

    async def _prepare(self, call: Call, op: Op, before: Function) -> None:
        """The part of an op that waits: hashing, backing off. Then its transaction."""
        try:
            if call.client_id is not None and call.told:
                replayed = await self._recognize(call, call.client_id)
                if replayed is not None:
                    raise replayed
            call.given = (await before(Before(self, call), call.request),)
            self.transactions.submit(call, op)
        except Exception as error:
            call.error = error
            self._finish(call)

    async def _recognize(self, call: Call, client_id: str) -> Replayed | None:
        """The earlier answer to a request that is prepared: one with passwords in it.

        A fast hash of a password must not lie in the database, so what was asked is kept as a bcrypt hash here.
        """
        told = call.told.decode()
        answered = await self.transactions.in_reader(call.peer, retries.answered, client_id)
        if answered is None:
            call.digest = (await self.passwords.hash(told)).encode()
            return None
        hashed = answered["digest"]
        if not is_hash(hashed) or not await self.passwords.check(told, hashed.decode()):
            raise Conflict(field="client_id")  # it was used for an op without passwords, or with other ones
        return Replayed(answered["reply"])

    # Reply and events

    def _finish(self, call: Call) -> None:
        """What came of a call that had to wait; then what waited for it."""
        peer, error = call.peer, call.error
        if call.afterwards is not None:
            call.afterwards(error is None)
        try:
            if error is None:
                self._succeed(call, call.result)
            elif isinstance(error, Replayed) and call.op is not None and call.op.again is not None:
                self._spawn(self._go_on(call, call.op.again, error), self._preparing)
            elif isinstance(error, Replayed):
                self._repeat(call, error)
            else:
                self._fail(call, error)
        finally:
            if peer.waiting is not None or peer.backlog:
                self.advance(peer)

    def _succeed(self, call: Call, data: Any) -> None:
        peer, op, ctx = call.peer, call.op, call.context
        if op is None or ctx is None:
            raise AssertionError("only an op that ran succeeds")
        try:
            if ctx.authenticated is not None:
                self.welcome(peer, ctx.authenticated, ctx.speaks or "en")
        except ChatError as error:
            self._fail(call, error)
        else:
            if ctx.speaks is not None:
                peer.session.lang = ctx.speaks
            if ctx.shows is not None:
                self._show(peer, ctx.shows)
            if ctx.uploads_to is not None:
                peer.upload = ctx.uploads_to
            peer.send(self._reply(call, op, data))
            self.tally.seconds[op.name].note(self.clock() - call.began)
            peer.session.end()
            if call.welcomed:
                peer.hold(False)
        self.publish(ctx, peer)

    def _show(self, peer: Peer, choice: Choice) -> None:
        """The peer shows this of its user; whoever becomes invisible was last seen then."""
        identity = peer.session.identity
        seen = self._hub.shown(identity.user_id).status != "offline"
        peer.session.choice = choice
        self._hub.chose(identity.user_id)
        if seen and self._hub.shown(identity.user_id).status == "offline":
            self._absence(identity, seen=True)

    def _repeat(self, call: Call, replayed: Replayed) -> None:
        """The first answer again; what the op did this time was undone."""
        call.error = None
        if call.op is not None:
            call.peer.send(self._reply(call, call.op, replayed.data))
            self.tally.seconds[call.op.name].note(self.clock() - call.began)
        call.peer.session.end()

    async def _go_on(self, call: Call, again: str, replayed: Replayed) -> None:
        try:
            call.peer.upload = await retries.go_on(Before(self, call), again, replayed) or call.peer.upload
            self._repeat(call, replayed)
        except Exception as error:
            self._fail(call, error)
        if call.peer.waiting is not None or call.peer.backlog:
            self.advance(call.peer)

    def _reply(self, call: Call, op: Op, data: Any) -> Outgoing:
        return Outgoing(wire.encode_reply(op.name, call.id, op.done.speak(call.peer.session.lang), data))

    def _fail(self, call: Call, error: BaseException) -> None:
        if not isinstance(error, ChatError):
            error_id = secrets.token_hex(4)
            log.error("error %s in op %s", error_id, call.name, exc_info=error)
            error = Internal(error_id=error_id)
        peer, session = call.peer, call.peer.session
        call.error = None  # its traceback holds the frames, they hold the call and all that came with it: a cycle
        if call.welcomed:
            self.part(peer)
        peer.send(Outgoing(wire.encode_failure(call.name, call.id, error, session.lang)))
        self.tally.failed(call.name, error.code, self.clock() - call.began)
        session.end()
        if call.welcomed:
            peer.hold(False)

    def publish(self, ctx: Context, peer: Peer | None) -> None:
        """Tell everyone concerned what a durable transaction did. `peer` is the connection that asked."""
        for user_id, session_id in ctx.ended:
            for listener in self._hub.of_session(user_id, session_id):
                if listener is peer:
                    self.part(peer)
                else:
                    listener.close(SESSION_ENDED, "this session was ended: log in again")
        self._hub.leaving |= ctx.leaves
        if ctx.discarded:
            self.uploads.discard(ctx.discarded)
        publish(self._hub, ctx, peer)
        for letter in ctx.letters:
            self.mail.post(letter)

    # Identity

    def welcome(self, peer: Peer, identity: Identity, lang: Language) -> None:
        """The peer is this user. Raises `TooManyConnections`."""
        if peer.session.state is State.CLOSED:
            return
        if not peer.is_live:
            peer.session.authenticated(identity, lang)
            return
        self.admit(identity.user_id)
        peer.session.authenticated(identity, lang)
        self._hub.add(identity.user_id, peer)
        peer.recognized(True)

    def admit(self, user_id: int) -> None:
        """Raise `TooManyConnections` where the user may have no more."""
        if len(self._hub.of(user_id)) >= self.config.server.connections_per_user:
            raise TooManyConnections

    def part(self, peer: Peer) -> None:
        """The peer is nobody any more."""
        if peer.session.state is not State.USER or not peer.is_live:
            return
        self._lose(peer)
        peer.session.signed_out()
        peer.recognized(False)

    def gone(self, peer: Peer) -> None:
        """The peer's connection is lost or being closed: it hears nothing more, and nothing it asks for is begun."""
        session = peer.session
        peer.backlog = peer.waiting = None
        if session.state is State.USER:
            self._lose(peer)
        session.closed()

    def _lose(self, peer: Peer) -> None:
        """The peer's user has one connection less."""
        identity = peer.session.identity
        seen = self._hub.shown(identity.user_id).status != "offline"
        self._hub.remove(identity.user_id, peer)
        if not self._hub.of(identity.user_id):
            self._absence(identity, seen=seen)

    def _absence(self, identity: Identity, *, seen: bool) -> None:
        """Have it noted when the user was last there."""
        if not self._absent:
            self._spawn(self._note_absences(), self._tasks)
        self._absent.append((identity, seen))

    async def _note_absences(self) -> None:
        """Many at once: the others do not wait for a write of each."""
        while self._absent:
            some = self._absent[:ABSENCES]
            seen = [identity for identity, was_seen in some if was_seen]
            unseen = [identity for identity, was_seen in some if not was_seen]
            try:
                await self.transactions.in_writer(went_away, seen, unseen)
            except Exception:
                log.exception("%d users' absence was not noted", len(some))
            del self._absent[: len(some)]

    async def settle(self) -> None:
        """Wait until the ops that have begun are done."""
        await self.transactions.database.idle()
        while tasks := self._tasks | self._preparing:
            await asyncio.wait(tasks)
            await self.transactions.database.idle()

    def abandon(self) -> None:
        """Give up what has not come to its transaction: logins that wait to be hashed, for the most part."""
        for task in self._preparing:
            task.cancel()
