"""Large files: memory stays flat, others do not notice, and a tus client from npm goes on where it was cut."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import math
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import cast

import orjson
import pytest

from tests.files import BYTES, User, png
from tests.support import PATIENCE, SETTINGS, Person, Process, befriend

MEGABYTE = 1 << 20
LARGE = 300
TUS_MB = int(os.environ.get("CHATD_TUS_MB", "20"))
"""How much tus-js-client uploads. `CHATD_TUS_MB=200 bin/test tests/faults/test_large_files.py` is the long run."""

GROWTH = 24 * MEGABYTE
"""More memory the daemon may not take for files, however large: a few pieces of each, and what malloc keeps."""

PACE = 1 / 200
"""Seconds between two messages of the light traffic."""


@pytest.fixture(params=["asyncio", "uvloop"])
async def roomy(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Process]:
    """A daemon that takes large files."""
    async with _roomy(tmp_path, uvloop=request.param == "uvloop") as process:
        yield process


@contextlib.asynccontextmanager
async def _roomy(folder: Path, *, uvloop: bool) -> AsyncIterator[Process]:
    settings = SETTINGS + "\n[files]\nmax_bytes = 1_000_000_000\nuser_bytes = 10_000_000_000\n"
    process = Process(folder, settings, uvloop=uvloop)
    await process.start()
    yield process
    await process.end()


class Memory:
    """The most memory a process has had since `begin`, in bytes."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")
        self._before = 0

    def begin(self) -> None:
        (self._proc / "clear_refs").write_text("5")  # proc_pid_clear_refs(5): the peak is what it is now
        self._before = self._peak()

    def growth(self) -> int:
        return self._peak() - self._before

    def now(self) -> int:
        """What it has, in bytes."""
        return self._told("VmRSS")

    def _peak(self) -> int:
        return self._told("VmHWM")

    def _told(self, name: str) -> int:
        told = re.search(rf"{name}:\s+(\d+) kB", (self._proc / "status").read_text())
        assert told is not None
        return int(told[1]) * 1024


def block(number: int) -> bytes:
    """A megabyte of what is sent."""
    return hashlib.sha256(number.to_bytes(4, "big")).digest() * (MEGABYTE // 32)


async def _upload(user: User) -> str:
    """Send it all in one piece. Returns the file's id."""
    at = await user.begun(LARGE * MEGABYTE)
    told = {"Host": "x", "Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": BYTES}
    told |= {"Authorization": f"Bearer {user.token}", "Content-Length": str(LARGE * MEGABYTE)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    user.writer.write(f"PATCH {at} HTTP/1.1\r\n{lines}\r\n".encode())
    for number in range(LARGE):
        user.writer.write(block(number))
        await user.writer.drain()
    answered = await user.answer()
    assert answered.status == 204, answered
    return answered.headers["chatd-file-id"][0]


async def test_memory_is_flat_whatever_goes_up_and_comes_down(roomy: Process) -> None:
    ada = await Person.named(roomy.url, "ada")
    user = await User.of(roomy.url, ada.token)
    await user.file(block(0))
    memory = Memory(roomy.pid)
    memory.begin()
    file_id = await _upload(user)
    went_up = memory.growth()
    memory.begin()
    user.say("GET", f"/files/{file_id}", **user.auth)
    await user.reader.readuntil(b"\r\n\r\n")
    for number in range(LARGE):
        assert await user.reader.readexactly(MEGABYTE) == block(number)
    came_down = memory.growth()
    memory.begin()
    slow = [await User.of(roomy.url, ada.token) for _ in range(20)]
    for one in slow:
        cast(asyncio.Transport, one.writer.transport).pause_reading()
        one.say("GET", f"/files/{file_id}", **one.auth)
    for _ in range(20):
        await ada.events()
    waited = memory.growth()
    print(f"memory: up {went_up >> 10} KiB, down {came_down >> 10} KiB, 20 slow readers {waited >> 10} KiB")
    assert max(went_up, came_down, waited) < GROWTH
    assert "Traceback" not in roomy.log


# tus-js-client


async def test_memory_comes_back_after_pictures(roomy: Process) -> None:
    """A small file may be a huge picture: what decoding takes is not kept, however many come at once."""
    image = pytest.importorskip("PIL.Image")
    ada = await Person.named(roomy.url, "ada")
    people = [await User.of(roomy.url, ada.token) for _ in range(6)]
    await people[0].file(png(9, 9))  # which loads Pillow
    memory = Memory(roomy.pid)
    before = memory.now()
    huge = io.BytesIO()
    image.new("RGBA", (4000, 4000)).save(huge, "PNG")
    assert len(huge.getvalue()) < MEGABYTE // 8
    for file in await asyncio.gather(*(one.file(huge.getvalue()) for one in people)):
        assert file["thumbnail_url"] is not None
    kept = memory.now() - before
    print(f"memory: {kept >> 10} KiB kept after pictures")
    assert kept < GROWTH


async def _light(one: Person, stop: asyncio.Event, *, at_least: int) -> list[float]:
    """Send messages by the clock. The seconds that each took to its reply, sorted."""
    loop = asyncio.get_running_loop()
    sent: dict[int, float] = {}
    took: list[float] = []

    async def hear() -> None:
        while True:
            reply = await one.reply()
            took.append(time.perf_counter() - sent[reply["id"]])

    hearing = asyncio.create_task(hear())
    begin, number = loop.time(), 0
    while not stop.is_set() or number < at_least:
        sent[number] = time.perf_counter()
        await one.say("send", id=number, to_user="bob", content=f"light {number}")
        number += 1
        await asyncio.wait([hearing], timeout=max(0.0, begin + number * PACE - loop.time()))
    while len(took) < len(sent) and not hearing.done():
        await asyncio.wait([hearing], timeout=PACE)
    hearing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await hearing
    return sorted(took)


def _p99(took: list[float]) -> float:
    return took[math.ceil(len(took) * 0.99) - 1]


ROUNDS = 5 if "CHATD_TUS_MB" in os.environ else 1
"""How often it is uploaded. What a disk and two cores do to a hundredth of all messages is another thing each time."""


@contextlib.asynccontextmanager
async def _tus(daemon: Process, token: str, path: Path) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """A client that is ready: called, it uploads a file through three cuts, and gives its id."""
    cuts = [str(TUS_MB * MEGABYTE * part // 4) for part in (1, 2, 3)]
    node = await asyncio.create_subprocess_exec(
        *("chrt", "--idle", "0", "node"),  # it is at home on a machine of its own
        str(Path(__file__).with_name("tus.cjs")),
        *(os.environ["CHATD_TUS"], str(daemon.port), token, str(path), *cuts),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert node.stdout is not None
    assert await asyncio.wait_for(node.stdout.readline(), PATIENCE) == b"ready\n"

    async def upload() -> str:
        output, _ = await asyncio.wait_for(node.communicate(b""), PATIENCE + TUS_MB)
        told = orjson.loads(output)
        assert told.get("error") is None, told
        assert told["cutsLeft"] == 0
        assert told["retries"] >= 3  # more where what was cut was still being written when it was asked how far it is
        return str(told["fileId"])

    try:
        yield upload
    finally:
        with contextlib.suppress(ProcessLookupError):
            node.kill()
        await node.wait()


def _large(path: Path, around: int) -> str:
    """Write what nobody has uploaded before, and have the disk done with it. Returns its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(around * TUS_MB, (around + 1) * TUS_MB):
            file.write(block(number))
            digest.update(block(number))
        os.fsync(file.fileno())
    return digest.hexdigest()


@pytest.mark.skipif("CHATD_TUS" not in os.environ, reason="CHATD_TUS names no tus-js-client")
async def test_a_tus_client_goes_on_through_three_cuts(roomy: Process, tmp_path: Path) -> None:
    """And light traffic takes less than twice as long meanwhile (the long run holds that; one round says little)."""
    ada, bob = await Person.named(roomy.url, "ada"), await Person.named(roomy.url, "bob")
    await befriend(ada, bob, username="bob")
    p99s: dict[str, list[float]] = {"quiet": [], "meanwhile": []}
    for around in range(ROUNDS):
        digest = _large(tmp_path / "large", around)
        done = asyncio.Event()
        done.set()
        quiet = await _light(ada, done, at_least=800)
        done.clear()
        async with _tus(roomy, ada.token, tmp_path / "large") as upload:
            traffic = asyncio.create_task(_light(ada, done, at_least=100))
            file_id = await upload()
        done.set()
        fetched = await (await User.of(roomy.url, ada.token)).fetch(file_id, "HEAD")
        assert fetched.headers["etag"] == [f'"{digest}"']
        assert fetched.headers["content-length"] == [str(TUS_MB * MEGABYTE)]
        for name, took in zip(p99s, (quiet, await traffic), strict=True):
            p99s[name].append(_p99(took))
    for name, seconds in p99s.items():
        print(f"{TUS_MB} MB: light traffic's p99, ms, {name}: {[round(1000 * one, 1) for one in sorted(seconds)]}")
    assert median(p99s["meanwhile"]) < (2 * median(p99s["quiet"]) if "CHATD_TUS_MB" in os.environ else 0.5)
    assert "Traceback" not in roomy.log
