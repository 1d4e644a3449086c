"""What the tests share: a real daemon on a loopback port, and people who talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import struct
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Self

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode

from chatd import fulltext
from chatd.app import Daemon
from chatd.config import Accounts, Config, Database, Presence, Rates, Server
from chatd.context import Context
from chatd.db.sqlite import SqliteTransaction, drive
from chatd.hub import Hub
from chatd.limits import Rate
from chatd.session import NOBODY

PASSWORD = "correct horse"
OFF = Rate(per_second=0.0, burst=1)
PATIENCE = 20.0
"""Seconds after which what a test waits for will not come any more."""


def config_for(data: Path, **server: Any) -> Config:
    """Settings for tests: a free port, no rate limits, cheap hashing, nobody told who comes and goes.

    `server` overrides what stands in [server].
    """
    return Config(
        server=replace(Server(listen="127.0.0.1:0"), **server),
        database=Database(data=str(data)),
        accounts=Accounts(bcrypt_cost=4),
        presence=Presence(enabled=False),
        rates=Rates(ops=OFF, chat=OFF, social=OFF, account=OFF, upload=OFF),
    )


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[str]:
    """A daemon in this process. Gives its WebSocket address."""
    daemon = await Daemon.start(config)
    try:
        yield f"ws://127.0.0.1:{daemon.address[1]}/ws"
    finally:
        await daemon.stop()


def masked(payload: bytes) -> bytes:
    """A whole text frame, as a client sends it."""
    return Frame(Opcode.TEXT, payload).serialize(mask=True)


class Person:
    """Somebody at a WebSocket, frame by frame."""

    everybody: ClassVar[list[Person]] = []
    """Who came during this test; a fixture sees them off."""

    def __init__(self, socket: ClientConnection) -> None:
        self.everybody.append(self)
        self.socket = socket
        self.token = ""
        self.frames: deque[dict[str, Any]] = deque()

    @classmethod
    async def at(cls, url: str, **options: Any) -> Self:
        """Connect, as a guest."""
        return cls(await connect(url, compression=None, max_size=None, **options))

    @classmethod
    async def named(cls, url: str, username: str, **fields: Any) -> Self:
        """Connect and sign up."""
        person = await cls.at(url)
        signed_up = await person.ask("signup", username=username, password=PASSWORD, **fields)
        person.token = signed_up["data"]["token"]
        return person

    @classmethod
    async def again(cls, url: str, token: str, **fields: Any) -> Self:
        """Connect and authenticate."""
        person = await cls.at(url)
        assert (await person.ask("auth", token=token, **fields))["success"]
        person.token = token
        return person

    async def say(self, op: str, **fields: Any) -> None:
        """Send a request."""
        await self.socket.send(orjson.dumps({"type": op, **fields}).decode())

    def say_at_once(self, requests: Iterable[dict[str, Any]]) -> None:
        """Send requests in one segment, so that they are there in one turn of the daemon's loop."""
        self.socket.transport.write(b"".join(masked(orjson.dumps(request)) for request in requests))

    async def next(self) -> dict[str, Any]:
        """The next frame."""
        if self.frames:
            return self.frames.popleft()
        return await self._receive()

    async def _receive(self) -> dict[str, Any]:
        frame: dict[str, Any] = orjson.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE))
        return frame

    async def reply(self) -> dict[str, Any]:
        """The next reply; events that come before it are kept for `next`."""
        while True:
            frame = await self._receive()
            if frame["type"] == "reply":
                return frame
            self.frames.append(frame)

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for its reply."""
        await self.say(op, **fields)
        return await self.reply()

    async def data(self, op: str, **fields: Any) -> Any:
        """The data of a successful reply."""
        reply = await self.ask(op, **fields)
        assert reply["success"], reply
        return reply["data"]

    async def error(self, op: str, **fields: Any) -> str:
        """The code of a failed reply."""
        reply = await self.ask(op, **fields)
        assert not reply["success"], reply
        code: str = reply["error"]["code"]
        return code

    async def events(self) -> list[dict[str, Any]]:
        """Every event up to now: a heartbeat is the barrier."""
        assert (await self.ask("heartbeat"))["op"] == "heartbeat"
        heard, self.frames = list(self.frames), deque()
        return heard

    async def close(self) -> None:
        """Leave."""
        await self.socket.close()


@dataclass(frozen=True, slots=True)
class Answered:
    """A response. `headers` by lower-case name; of a name that came more than once, all values."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Web:
    """Somebody who speaks HTTP on one connection, byte by byte where need be."""

    everybody: ClassVar[list[Web]] = []
    """Who came during this test; a fixture sees them off."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.everybody.append(self)
        self.reader = reader
        self.writer = writer

    @classmethod
    async def at(cls, url: str) -> Self:
        """Connect to where the WebSocket of this address is."""
        host, _, port = url.removeprefix("ws://").removesuffix("/ws").rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    def say(self, method: str, target: str, body: bytes | None = None, /, **headers: str) -> None:
        """Send a request; `content_type` is the header Content-Type."""
        told = {"Host": "chat.test", **{name.replace("_", "-").title(): value for name, value in headers.items()}}
        if body is not None:
            told["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        self.writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + (body or b""))

    async def answer(self, *, bodyless: bool = False) -> Answered:
        """The next response; `bodyless` if it has only the head of one, as to HEAD."""
        async with asyncio.timeout(PATIENCE):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            headers: dict[str, list[str]] = {}
            for name, _, value in (line.partition(": ") for line in lines[1:]):
                headers.setdefault(name.lower(), []).append(value)
            version, status, _ = lines[0].split(" ", 2)
            assert version == "HTTP/1.1"
            length = 0 if bodyless else int(headers.get("content-length", ["0"])[0])
            return Answered(int(status), headers, await self.reader.readexactly(length))

    async def get(self, target: str, method: str = "GET", /, **headers: str) -> Answered:
        """Ask for something without a body, and wait for the response."""
        self.say(method, target, **headers)
        return await self.answer(bodyless=method == "HEAD")

    async def ask(self, op: str, /, *, token: str | None = None, **fields: Any) -> tuple[HTTPStatus, dict[str, Any]]:
        """Ask for an op, and wait for its status and its reply."""
        authorization = {} if token is None else {"authorization": f"Bearer {token}"}
        self.say("POST", f"/api/{op}", orjson.dumps(fields), **authorization)
        answered = await self.answer()
        assert answered.headers["content-type"] == ["application/json"], answered
        return HTTPStatus(answered.status), answered.json

    async def data(self, op: str, /, *, token: str | None = None, **fields: Any) -> Any:
        """The data of a successful reply."""
        status, reply = await self.ask(op, token=token, **fields)
        assert (status, reply["success"]) == (200, True), reply
        return reply["data"]

    async def error(self, op: str, /, *, token: str | None = None, **fields: Any) -> tuple[int, str]:
        """The status and the code of a failed reply."""
        status, reply = await self.ask(op, token=token, **fields)
        assert not reply["success"], reply
        return status.value, reply["error"]["code"]

    async def ended(self) -> bool:
        """Wait until the daemon ends the connection. Whether it sent nothing before that."""
        try:
            return await asyncio.wait_for(self.reader.read(), PATIENCE) == b""
        except ConnectionResetError:
            return True

    def reset(self) -> None:
        """Leave without a goodbye (RFC 9293, section 3.10.5)."""
        client: socket.socket = self.writer.get_extra_info("socket")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        """Leave."""
        self.writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def befriend(one: Person, other: Person, *, username: str) -> int:
    """Make two people friends; `username` is the other's. Returns their conversation's id."""
    request = await one.data("friend_request", to_user=username)
    accepted = await other.data("friend_respond", request_id=request["request_id"], accept=True)
    await one.events()
    await other.events()
    conversation_id: int = accepted["conversation_id"]
    return conversation_id


def index_all(connection: sqlite3.Connection) -> None:
    """Have the full-text index know everything, as a daemon does after a while."""
    with contextlib.closing(connection.cursor()) as cursor:
        ctx = Context(SqliteTransaction(cursor), Config(), NOBODY, 0, Hub())
        drive(fulltext.begin(ctx))
        while drive(fulltext.index_next(ctx, 100)):
            pass


ROOT = Path(__file__).parent.parent
SETTINGS = """
[server]
listen = "127.0.0.1:{port}"
[accounts]
bcrypt_cost = 4
[presence]
enabled = false
debounce = 0.02
grace = 0.05
[rates]
ops = {{ per_second = 0, burst = 1 }}
chat = {{ per_second = 0, burst = 1 }}
social = {{ per_second = 0, burst = 1 }}
account = {{ per_second = 0, burst = 1 }}
upload = {{ per_second = 0, burst = 1 }}
"""


def _hiding_uvloop(folder: Path) -> Path:
    hiding = folder / "without-uvloop"
    hiding.mkdir(exist_ok=True)
    (hiding / "uvloop.py").write_text("raise ImportError('hidden')\n")
    return hiding


class Process:
    """A daemon in a process of its own, that can be killed and started again on the same port and data.

    uvloop is installed for the tests; the daemon takes it unless it is hidden.
    """

    def __init__(self, folder: Path, settings: str = SETTINGS, *, uvloop: bool = False) -> None:
        self.folder = folder
        self.settings = settings
        self._path = [ROOT] if uvloop else [_hiding_uvloop(folder), ROOT]
        self.port = 0
        self.output: list[str] = []
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self, *arguments: str) -> None:
        """Start, and wait until it accepts connections."""
        file = self.folder / "chatd.toml"
        file.write_text(self.settings.format(port=self.port))
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "chatd", "serve", "--config", str(file), "--data", str(self.data), *arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, self._path))},
            )
        assert self._process.stdout is not None
        ready = (await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)).decode()
        assert ready.startswith("chatd ready on http://127.0.0.1:"), (ready, self.log)
        self.output.append(ready.strip())
        self.port = int(ready.split()[3].rpartition(":")[2])

    async def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait for the end. Returns the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return await asyncio.wait_for(self._process.wait(), PATIENCE)

    async def crash(self) -> None:
        """SIGKILL, and start again."""
        await self.kill()
        await self.start()

    async def command(self, *arguments: str, stdin: str = "") -> tuple[int, str]:
        """Run a chatd command on the same data. Returns its exit status and what it printed."""
        return await self.run_command(*arguments, "--data", str(self.data), cwd=self.folder, stdin=stdin)

    @staticmethod
    async def run_command(*arguments: str, cwd: Path, stdin: str = "") -> tuple[int, str]:
        """Run a chatd command. Returns its exit status and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chatd", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        output, _ = await asyncio.wait_for(process.communicate(stdin.encode()), PATIENCE)
        assert process.returncode is not None
        return process.returncode, output.decode()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    async def end(self) -> None:
        """Make sure it is gone."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()
