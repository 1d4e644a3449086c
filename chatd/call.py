"""One request of a client's on its way to its reply."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import orjson

from chatd.context import Context, Transaction
from chatd.db.job import Job
from chatd.op import Lane, Op
from chatd.peer import Peer
from chatd.wire import RequestId

if TYPE_CHECKING:
    from chatd.transactions import Transactions


class Call(Job):
    """A request, and the job that it is for the database. `error` is there from the beginning where it makes no sense.

    `finish` hears of the call once it has its result or its error.
    """

    __slots__ = (
        "afterwards", "began", "client_id", "context", "digest", "exclusive", "finish", "given", "id", "lane", "name",
        "op", "peer", "request", "told", "transactions", "welcomed",
    )  # fmt: skip

    began: float
    """When it was decoded, by the dispatcher's clock."""

    def __init__(self, peer: Peer, transactions: Transactions, finish: Callable[[Call], None]) -> None:
        super().__init__()
        self.peer = peer
        self.transactions = transactions
        self.finish = finish
        self.id: RequestId = None
        self.name: str | None = None
        self.op: Op | None = None
        self.lane: Lane = "here"
        self.request: Any = None
        self.client_id: str | None = None
        self.told = b""
        self.digest = b""
        self.given: tuple[Any, ...] = ()
        self.context: Context | None = None
        self.exclusive = False
        """Whether it must run alone on its connection: it may change who the connection is."""
        self.welcomed = False
        self.afterwards: Callable[[bool], None] | None = None

    def work(self, transaction: Transaction) -> Coroutine[Any, Any, Any]:
        return self.transactions.execute(self, transaction)

    def done(self) -> None:
        self.finish(self)


class Replayed(Exception):
    """The data of an earlier answer to the same client_id."""

    def __init__(self, data: str) -> None:
        super().__init__()
        self.data = {**orjson.loads(data), "duplicate": True}
