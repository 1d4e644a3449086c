"""The servers under test: each a process of its own, pinned to one core, and measured from /proc."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tests.bench.figures import Broken

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 60.0
"""Seconds after which a server that is to start or to end is not going to."""

_TICK = os.sysconf("SC_CLK_TCK")
_READY = re.compile(rb" on http://[\d.]+:(\d+)")
_OFF = {"per_second": 0.0, "burst": 1}


class Cores:
    """One core for the server, the others for the load generator; on a machine with one core, that one for both."""

    def __init__(self) -> None:
        self.all = sorted(os.sched_getaffinity(0))
        self.server = {self.all[0]}
        self.load = set(self.all[1:]) or self.server

    @property
    def apart(self) -> bool:
        return self.server.isdisjoint(self.load)

    @contextlib.contextmanager
    def generating(self) -> Iterator[None]:
        """This process generates load: it keeps off the server's core."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.load)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """What is started in here inherits the server's core before it executes, so all of its threads do."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.server)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


class Server:
    """A running server process."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, started_in: float) -> None:
        self._process = process
        self.port = port
        self.started_in = started_in
        """Seconds from its execution to its line that it is ready."""

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def _proc(self, name: str) -> str:
        try:
            return Path(f"/proc/{self._process.pid}/{name}").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            raise Broken("the server has ended by itself") from None

    def cpu(self) -> float:
        """Seconds of CPU that the whole process has used, user and system; in clock ticks of 10 ms."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def cpu_since(self, before: float) -> float:
        """Seconds of CPU used since `cpu` gave `before`; a tick at least, for less cannot be told from none."""
        return max(self.cpu() - before, 1 / _TICK)

    def pss(self) -> int:
        """Bytes of memory that are this process's: shared pages count in proportion (PSS)."""
        return self._memory("smaps_rollup", "Pss")

    def rss(self) -> int:
        """Bytes of memory that this process has mapped and resident, shared ones in full."""
        return self._memory("status", "VmRSS")

    def _memory(self, file: str, name: str) -> int:
        match = re.search(rf"^{name}:\s+(\d+) kB", self._proc(file), re.MULTILINE)
        if match is None:
            raise Broken(f"/proc/PID/{file} has no {name}")
        return int(match[1]) * 1024

    def has_mapped(self, library: str) -> bool:
        """Whether the process has loaded a library of this name."""
        return library in self._proc("maps")

    async def end(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal, and make sure that it is gone. May be called again."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            await asyncio.wait_for(self._process.wait(), PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


@contextlib.asynccontextmanager
async def _started(
    arguments: Sequence[str], *, cores: Cores, folder: Path, path: Sequence[Path] = ()
) -> AsyncIterator[Server]:
    """A Python process that prints where it listens. It is gone afterwards, whatever happens."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT))), "PYTHONUNBUFFERED": "1"}
    log = folder / "log"
    with log.open("ab") as errors, cores.serving():
        begun = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=environment,
        )
    server = Server(process, 0, 0.0)
    try:
        if process.stdout is None:
            raise AssertionError("its output is a pipe")
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
        server.started_in = time.perf_counter() - begun
        ready = _READY.search(line)
        if ready is None:
            raise Broken(f"{arguments[0]} did not start: {log.read_text(errors='replace')[-1000:]}")
        server.port = int(ready[1])
        yield server
    except Exception as error:
        tail = log.read_text(errors="replace")[-2000:].strip()
        if tail and "Traceback" in tail:
            error.add_note(f"the server's log ends with:\n{tail}")
        raise
    finally:
        await server.end()


@contextlib.asynccontextmanager
async def daemon(
    folder: Path,
    *,
    cores: Cores,
    uvloop: bool = False,
    server: Mapping[str, Any] | None = None,
    accounts: Mapping[str, Any] | None = None,
    presence: Mapping[str, Any] | None = None,
    search: Mapping[str, Any] | None = None,
) -> AsyncIterator[Server]:
    """A real chatd on the database in a folder: its defaults without rate limits, and what the sections change.

    The environment has uvloop, for the load generator; without `uvloop` the daemon does not see it.
    """
    settings = folder / "chatd.toml"
    sections: dict[str, Mapping[str, Any]] = {
        "server": {"listen": "127.0.0.1:0", **(server or {})},
        "accounts": accounts or {},
        "presence": presence or {},
        "search": search or {},
        "rates": dict.fromkeys(("ops", "chat", "social", "account"), _OFF),
    }
    settings.write_text("\n".join(_toml(name, table) for name, table in sections.items()), encoding="utf-8")
    hiding = folder / "without-uvloop"
    hiding.mkdir(exist_ok=True)
    (hiding / "uvloop.py").write_text("raise ImportError('this daemon is measured without uvloop')\n")
    arguments = ("chatd", "serve", "--config", str(settings), "--data", str(folder))
    async with _started(arguments, cores=cores, folder=folder, path=() if uvloop else (hiding,)) as started:
        yield started


def _toml(name: str, table: Mapping[str, Any]) -> str:
    lines = [f"[{name}]"]
    for key, value in table.items():
        if isinstance(value, Mapping):
            shown = "{ " + ", ".join(f"{inner} = {number}" for inner, number in value.items()) + " }"
        else:
            shown = orjson.dumps(value).decode()
        lines.append(f"{key} = {shown}")
    return "\n".join(lines) + "\n"


@contextlib.asynccontextmanager
async def yardstick(name: str, folder: Path, *, cores: Cores) -> AsyncIterator[Server]:
    """One of the yardsticks; its log goes to an empty folder."""
    async with _started(("tests.bench.yardsticks", name), cores=cores, folder=folder) as started:
        yield started


async def check(folder: Path) -> None:
    """Let `chatd check` look at the database in a folder. Raises `Broken`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "chatd", "check", "--data", str(folder)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 5 * PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode != 0:
        raise Broken(f"chatd check: {output.decode().strip()}")
