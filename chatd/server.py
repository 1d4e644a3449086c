"""The port: the listener and all its connections.

No task belongs to a connection, and no timer: one sweep looks after the deadlines and the keepalive of all of them,
and one flush per turn of the loop writes what each has queued.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import cast

from websockets.extensions import ServerExtensionFactory
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from chatd import config
from chatd.admission import Admission
from chatd.api import Api
from chatd.connection import Connection
from chatd.dispatch import Dispatcher
from chatd.http import HttpConnection
from chatd.hub import Hub
from chatd.metrics import Metrics
from chatd.peer import RESTART
from chatd.site import Site
from chatd.site_files import FileSite

log = logging.getLogger("chatd.server")

RECEIVED = 64 * 1024
"""The most bytes taken from a connection in one go: the others wait for them, 0.1 ms where it is an upload."""

SWEEP = 1.0
"""Seconds between two looks at every connection's deadline."""


class Server:
    """The listener and all its connections."""

    def __init__(self, configuration: config.Config, dispatcher: Dispatcher, hub: Hub) -> None:
        self.config = configuration
        self.dispatcher = dispatcher
        self.loop = asyncio.get_running_loop()
        self.extensions: list[ServerExtensionFactory] | None = (
            [ServerPerMessageDeflateFactory()] if configuration.server.compression else None
        )
        self._connections: set[Connection] = set()
        self._http: set[HttpConnection] = set()
        self.admission = Admission(configuration.server)
        api, transactions = Api(dispatcher), dispatcher.transactions
        files = FileSite(
            configuration.files,
            api=api,
            uploads=dispatcher.uploads,
            transactions=transactions,
            links=transactions.links,
        )
        self.site = Site(
            configuration.server,
            signup=configuration.accounts.signup,
            admission=self.admission,
            api=api,
            files=files,
            transactions=transactions,
            metrics=Metrics(
                configuration,
                dispatcher=dispatcher,
                hub=hub,
                admission=self.admission,
                sockets=self._connections,
                web=self._http,
            ),
        )
        self._dirty: list[Connection] = []
        self.received = memoryview(bytearray(RECEIVED))
        """Where every connection's bytes arrive; each takes its own out at once."""
        self._number = 0
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()

    async def listen(self) -> tuple[str, int]:
        """Begin to accept connections. Returns the address it is. Raises OSError."""
        host, port = config.address(self.config.server.listen)
        self._listener = await self.loop.create_server(lambda: Connection(self), host, port, backlog=100)
        self._sweeper = self.loop.call_later(SWEEP, self._sweep)
        bound = self._listener.sockets[0].getsockname()
        return bound[0], bound[1]

    def next_number(self) -> int:
        """A number of its own for each connection."""
        self._number += 1
        return self._number

    # Connections

    def made(self, connection: Connection) -> None:
        """A connection was accepted."""
        self._connections.add(connection)
        self.admission.came(connection.address)
        if self.admission.is_flooded(connection.address):
            connection.transport.abort()

    def speak_http(self, connection: Connection, data: bytes) -> None:
        """A connection turns out not to be for the WebSocket. `data` is what has come on it."""
        self._connections.discard(connection)
        http = HttpConnection(
            self.site.answer,
            address=connection.address,
            received=self.received,
            idle=self.config.server.handshake_timeout,
            forwarded=self.admission.behind,
            lost=self._lost_http,
        )
        self._http.add(http)
        connection.transport.set_protocol(http)
        http.connection_made(connection.transport)
        http.take(data)

    def _lost_http(self, connection: HttpConnection) -> None:
        self._http.discard(connection)
        self.admission.went(connection.address)

    def too_slow(self, connection: Connection) -> None:
        """A connection is closed because its client reads too slowly."""
        log.info("connection %d reads too slowly", connection.number)
        self.dispatcher.tally.too_slow += 1

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self.admission.went(connection.address)
        if not self._connections:
            self._empty.set()

    # Writing, once a turn

    def dirty(self, connection: Connection) -> None:
        """The connection has something to write at the end of this turn of the loop."""
        if not self._dirty:
            self.loop.call_soon(self._flush)
        self._dirty.append(connection)

    def _flush(self) -> None:
        connections, self._dirty = self._dirty, []
        for connection in connections:
            try:
                connection.flush()
            except Exception:
                _give_up(connection)

    # Deadlines

    def _sweep(self) -> None:
        now = self.loop.time()
        self._sweeper = self.loop.call_later(SWEEP, self._sweep)
        for connection in [one for one in self._connections if one.deadline <= now]:
            try:
                connection.overdue(now)
            except Exception:
                _give_up(connection)
        for http in [one for one in self._http if one.deadline <= now]:
            try:
                http.overdue()
            except Exception:
                log.exception("a connection is given up")
                http.abort()

    # The end

    async def shutdown(self) -> None:
        """Stop accepting, finish the ops that have begun, tell every client to come back, and close."""
        now, timeout = time.monotonic(), self.config.server.shutdown_timeout
        deadline = now + timeout
        if self._listener is not None:
            self._listener.close()
        for connection in self._connections:
            connection.pause(True)
            connection.backlog = connection.waiting = None
        await _within(self.dispatcher.settle(), now + timeout / 2)
        await _within(asyncio.gather(*(http.finish() for http in self._http)), now + timeout / 2)
        self.dispatcher.abandon()
        for connection in tuple(self._connections):
            connection.close(RESTART, "the server restarts: reconnect and sync")
        if self._connections:
            self._empty.clear()
            await _within(self._empty.wait(), deadline)
        for connection in tuple(self._connections):
            connection.transport.abort()
        for http in tuple(self._http):
            http.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()


def _give_up(connection: Connection) -> None:
    """Whatever goes wrong with one connection ends that one alone."""
    log.exception("connection %d is given up", connection.number)
    connection.transport.abort()


async def _within(waiting: object, deadline: float) -> None:
    try:
        await asyncio.wait_for(cast("asyncio.Future[None]", waiting), max(0.05, deadline - time.monotonic()))
    except TimeoutError:
        log.warning("shutdown_timeout is over")
