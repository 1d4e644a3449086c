"""A PostgreSQL server for the tests: made in a temporary folder, reached by its Unix-domain socket, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from chatd.context import Row
from chatd.db.query import Query


class NotInstalled(Exception):
    """This machine has no PostgreSQL."""


def binaries() -> Path:
    """The folder with initdb and postgres: $CHATD_POSTGRES, else the newest that Debian has. Raises `NotInstalled`."""
    named = os.environ.get("CHATD_POSTGRES")
    if named:
        return Path(named)
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not installed:
        raise NotInstalled("PostgreSQL is not installed: sudo apt-get install postgresql, or set CHATD_POSTGRES")
    return max(installed, key=lambda folder: float(folder.parent.name))


class Server:
    """A running PostgreSQL."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def connect(self, database: str = "postgres") -> Any:
        """A connection, as the superuser."""
        return await asyncpg.connect(host=str(self._folder), user="postgres", database=database)

    @contextlib.asynccontextmanager
    async def database(self) -> AsyncIterator[Any]:
        """A connection to a new, empty database. It ends with the server."""
        name = f"test_{secrets.token_hex(4)}"
        administration = await self.connect()
        try:
            await administration.execute(f"CREATE DATABASE {name}")
        finally:
            await administration.close()
        connection = await self.connect(name)
        try:
            yield connection
        finally:
            await connection.close()


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Start a server; stop it at the end. Raises `NotInstalled`."""
    programs = binaries()
    with tempfile.TemporaryDirectory(prefix="chatd-pg-") as name:
        folder = Path(name)
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:  # initdb and postgres refuse to run as root
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
        # Messages are read below, so they must not be translated.
        settings: dict[str, Any] = {**as_user, "cwd": folder, "env": {"LC_ALL": "C", "PATH": os.defpath}}
        initdb = (programs / "initdb", "--locale=C", "--encoding=UTF8", "--username=postgres", "--auth=trust")
        made = subprocess.run(
            [*initdb, "--no-sync", folder / "data"], check=False, capture_output=True, text=True, **settings
        )
        if made.returncode:
            raise RuntimeError(f"{initdb[0]} failed: {made.stdout}{made.stderr}")
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "log_min_messages": "log",  # that it is ready, but not what the tests make it refuse: nobody reads on
            "log_checkpoints": "off",
        }
        set_options = [f"--{name}={value}" for name, value in options.items()]
        command = [*_dying_with_us(), str(programs / "postgres"), "-D", str(folder / "data"), *set_options]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **settings
        ) as process:
            try:
                _wait_until_ready(process)
                yield Server(folder)
            finally:
                process.send_signal(signal.SIGINT)  # its "fast" shutdown
                process.communicate()


def _dying_with_us() -> Sequence[str]:
    """Where Linux can do it, a killed test run leaves no server behind."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "QUIT", "--") if setpriv is not None else ()


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    said = []
    for line in process.stderr or ():
        said.append(line)
        if "ready to accept connections" in line:
            return
    raise RuntimeError(f"PostgreSQL did not start: {''.join(said)}")


class PostgresTransaction:
    """A `Transaction` on an asyncpg connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def one(self, query: Query, /, **values: Any) -> Row | None:
        row: Row | None = await self._connection.fetchrow(query.postgres, *_in_order(query, values))
        return row

    async def all(self, query: Query, /, **values: Any) -> Sequence[Row]:
        rows: Sequence[Row] = await self._connection.fetch(query.postgres, *_in_order(query, values))
        return rows

    async def run(self, query: Query, /, **values: Any) -> int:
        status: str = await self._connection.execute(query.postgres, *_in_order(query, values))
        return int(status.rpartition(" ")[2])  # "UPDATE 3", "INSERT 0 1"

    async def many(self, query: Query, /, **columns: Sequence[Any]) -> int:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return sum([await self.run(query, **row) for row in rows])


def _in_order(query: Query, values: dict[str, Any]) -> list[Any]:
    return [values[name] for name in query.parameters]
