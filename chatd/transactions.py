"""Ops in their transactions: what the database's threads run, and how the loop has it run."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import orjson

from chatd import retries
from chatd.call import Call, Replayed
from chatd.config import Config
from chatd.context import Context, Transaction
from chatd.db.job import Job
from chatd.db.sqlite import Database, result_of
from chatd.errors import ChatError
from chatd.hub import Hub
from chatd.links import NO_LINKS, Links
from chatd.op import REGISTRY, AccessTogether, Op
from chatd.peer import Peer
from chatd.session import NOBODY, Identity

P = ParamSpec("P")
T = TypeVar("T")


class Transactions:
    """Runs ops, and parts of ops, in the database's transactions."""

    def __init__(self, *, config: Config, database: Database, hub: Hub, links: Links = NO_LINKS) -> None:
        self.config = config
        self.links = links
        self.database = database
        self._hub = hub
        self._together = {op.name: partial(self._execute_together, op) for op in REGISTRY.values() if op.together}

    def submit(self, call: Call, op: Op) -> None:
        """Queue a call. Raises `Busy`."""
        if call.lane == "write":
            call.together = self._together.get(op.name)
            self.database.write(call)
        else:
            self.database.read(call, call.peer.number)

    def context(self, transaction: Transaction, identity: Identity = NOBODY, client_id: str | None = None) -> Context:
        """A context in which an op, or a part of one, runs on somebody's behalf."""
        return Context(transaction, self.config, identity, _now(), self._hub, client_id, links=self.links)

    async def execute(self, call: Call, transaction: Transaction) -> Any:
        """The op itself, in its transaction: access, function, and the memory of its answer.

        That a request is a retry shows only when its answer is to be remembered, or where it fails; `Replayed` is then
        raised, so that what it did this time is undone. The common case costs no query.
        """
        if (op := call.op) is None:
            raise AssertionError("a call that is executed has an op")
        ctx = call.context = self.context(transaction, call.peer.session.identity, call.client_id)
        try:
            at = await op.needs.check(ctx, call.request)
            if op.together:
                (data,) = await op.function([ctx], [call.request], [at])
                if isinstance(data, ChatError):
                    raise data
            elif at is not None:
                data = await op.function(ctx, call.request, at)
            else:
                data = await op.function(ctx, call.request, *call.given)
        except ChatError:
            if call.client_id is not None and (replayed := await retries.replay(ctx, call)) is not None:
                raise replayed from None
            raise
        if call.client_id is None:
            return data
        reply = orjson.dumps(data).decode()
        kept = reply if op.forgets is None else orjson.dumps({**vars(data), op.forgets: None}).decode()
        await retries.remember(ctx, call, kept)
        return orjson.Fragment(reply)

    async def _execute_together(self, op: Op, jobs: Sequence[Job], transaction: Transaction) -> list[Any]:
        """Calls of one op that came one after the other, at once. Their results; those that are refused, their errors.

        Raises whatever one of them alone would have raised later: all are then undone and executed one by one.
        """
        calls = cast(Sequence[Call], jobs)
        now, config, hub, links = _now(), self.config, self._hub, self.links
        ctxs = [
            Context(transaction, config, call.peer.session.identity, now, hub, call.client_id, links=links)
            for call in calls
        ]
        requests = [call.request for call in calls]
        places = await cast(AccessTogether, op.needs).check_all(ctxs, requests)
        results: list[Any] = [None] * len(calls)
        able: list[int] = []
        for number, (call, ctx, at) in enumerate(zip(calls, ctxs, places, strict=True)):
            call.context = ctx
            if isinstance(at, ChatError):
                results[number] = at
            else:
                able.append(number)
        if len(able) < len(calls):
            ctxs, requests, places = ([these[number] for number in able] for these in (ctxs, requests, places))
        replies = await op.function(ctxs, requests, places) if able else ()
        answers: list[tuple[Context, Call, str]] = []
        for number, ctx, data in zip(able, ctxs, replies, strict=True):
            call = calls[number]
            if call.client_id is None or isinstance(data, ChatError):
                results[number] = data
            else:
                reply = orjson.dumps(data).decode()
                answers.append((ctx, call, reply))
                results[number] = orjson.Fragment(reply)
        await retries.remember_all(answers)
        for number, (call, error) in enumerate(zip(calls, results, strict=True)):
            if isinstance(error, ChatError) and call.client_id is not None:
                results[number] = await self._replay_or(error, call)
        return results

    async def _replay_or(self, error: ChatError, call: Call) -> ChatError | Replayed:
        """The first answer to a retry, which may be asked for by whom nothing is allowed any more; else the error."""
        if call.context is None:
            raise AssertionError("a call that was refused has a context")
        try:
            return await retries.replay(call.context, call) or error
        except ChatError as conflict:
            return conflict

    async def in_reader(
        self,
        peer: Peer,
        function: Callable[Concatenate[Context, P], Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The result of a function in a transaction that only reads, on a peer's behalf."""
        result: T = await result_of(
            lambda job: self.database.read(job, peer.number),
            lambda transaction: _awaited(function(self.context(transaction, peer.session.identity), *args, **kwargs)),
        )
        return result

    async def on_reader(
        self,
        function: Callable[Concatenate[Context, P], Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The result of a function in a transaction that only reads, on nobody's behalf."""
        result: T = await result_of(
            lambda job: self.database.read(job, 0),
            lambda transaction: _awaited(function(self.context(transaction), *args, **kwargs)),
        )
        return result

    async def in_writer(
        self,
        function: Callable[Concatenate[Context, P], Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The result of a function in a transaction of its own, on nobody's behalf."""
        result: T = await result_of(
            self.database.write,
            lambda transaction: _awaited(function(self.context(transaction), *args, **kwargs)),
        )
        return result


def _now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


async def _awaited(result: Awaitable[T]) -> T:
    return await result
