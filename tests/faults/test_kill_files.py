"""The daemon is killed while files are uploaded, sent and recalled, posted as moments and deleted again: what is there
is whole, nothing is left over."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import random
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatd.store import Store
from tests.faults.test_kill import KILLS, SEED
from tests.files import HELLO, User, noise, png
from tests.support import PATIENCE, Person, Process

LOST = (ConnectionError, asyncio.IncompleteReadError, TimeoutError)


class Sender:
    """Keeps uploading, in one request or in pieces, sending what is there, and recalling some of it."""

    def __init__(self, process: Process, token: str, seed: int, up: asyncio.Event) -> None:
        self._process = process
        self._up = up
        self._token = token
        self._dice = random.Random(seed)
        self._seed = seed
        self.sent: dict[int, str | None] = {}
        """The SHA-256 of what a message holds that was acknowledged; None of one that was recalled."""
        self.posted: dict[int, tuple[str, int]] = {}
        """Of each moment that was acknowledged, and not deleted, the SHA-256 of its picture and how often it has been
        commented on."""
        self.stopping = False

    async def run(self) -> None:
        """Until told to stop."""
        for number in itertools.count():
            if self.stopping:
                return
            content = self._content(number)
            file_id = await self._again(partial(self._upload, content=content))
            fields = {"to_user": "ada", "kind": "file", "file_id": file_id, "client_id": f"{self._seed} {number}"}
            sent = await self._again(partial(_asked, op="send", fields=fields))
            self.sent[sent["message_id"]] = hashlib.sha256(content).hexdigest()
            if number % 2:
                message_id = self._dice.choice([one for one, digest in self.sent.items() if digest is not None])
                await self._again(partial(_asked, op="recall", fields={"message_id": message_id}))
                self.sent[message_id] = None
            if number % 4 == 0:
                await self._show(number, content)

    async def _show(self, number: int, picture: bytes) -> None:
        """Post a picture, comment on it, and every other time delete a moment."""
        file_id = await self._again(partial(self._upload, content=picture))
        once = f"{self._seed} {number}"
        fields: dict[str, Any] = {"content": once, "images": [file_id], "client_id": f"post {once}"}
        moment_id = (await self._again(partial(_asked, op="moment_post", fields=fields)))["moment_id"]
        self.posted[moment_id] = (hashlib.sha256(picture).hexdigest(), 0)
        fields = {"moment_id": moment_id, "content": "look", "client_id": f"comment {once}"}
        await self._again(partial(_asked, op="moment_comment", fields=fields))
        self.posted[moment_id] = (self.posted[moment_id][0], 1)
        if number % 8:
            gone = self._dice.choice(list(self.posted))
            fields = {"moment_id": gone, "client_id": f"delete {once}"}
            await self._again(partial(_asked, op="moment_delete", fields=fields))
            del self.posted[gone]

    def _content(self, number: int) -> bytes:
        if number % 4 == 0:
            return png(20, 10, seed=number % 8)  # the same for everybody, again and again
        return noise(self._dice.randrange(1, 300_000), number)

    async def _again(self, work: Callable[[User], Awaitable[Any]]) -> Any:
        """What it comes to, however often it takes."""
        while True:
            with contextlib.suppress(*LOST):
                user = await User.of(self._process.url, self._token)
                try:
                    return await work(user)
                finally:
                    await user.close()
            await self._up.wait()

    async def _upload(self, user: User, content: bytes) -> int:
        if self._dice.random() < 0.5:
            return int((await user.file(content))["file_id"])
        at = await user.begun(len(content))
        while True:
            try:
                offset = await user.offset(at)
                piece = content[offset : offset + max(1, len(content) // 3)]
                answered = await user.patch(at, offset, piece)
                if "chatd-file-id" in answered.headers:
                    return int(answered.headers["chatd-file-id"][0])
            except LOST:
                with contextlib.suppress(*LOST):
                    user = await User.of(self._process.url, self._token)
                await self._up.wait()


async def _asked(user: User, *, op: str, fields: dict[str, Any]) -> Any:
    return await user.data(op, token=user.token, **fields)


def strays(data: Path) -> list[str]:
    """What is there for no reason."""
    with contextlib.closing(sqlite3.connect(data / "chatd.db")) as database:
        rows = database.execute("SELECT sha256 FROM files UNION SELECT thumbnail FROM files").fetchall()
        tokens = database.execute("SELECT token FROM uploads WHERE file_id IS NULL").fetchall()
    return list(Store(data).strays({row[0] for row in rows}, {row[0] for row in tokens}))


async def test_files_are_whole_and_nothing_is_left_over(process: Process) -> None:
    print(f"CHATD_SEED={SEED}")
    dice = random.Random(SEED)
    process.settings += "\n[files]\nuploads_per_user = 10000\n"
    await process.crash()
    token = (await Person.named(process.url, "ada")).token
    up = asyncio.Event()
    up.set()
    senders = [Sender(process, token, seed, up) for seed in range(3)]
    sending = [asyncio.create_task(sender.run()) for sender in senders]
    for _ in range(2 * KILLS):
        before = sum(len(sender.sent) for sender in senders)
        while sum(len(sender.sent) for sender in senders) < before + 2:
            done, _ = await asyncio.wait(sending, timeout=0.01, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        await asyncio.wait(sending, timeout=dice.uniform(0, 0.1))
        up.clear()
        await process.crash()
        up.set()
    for sender in senders:
        sender.stopping = True
    await asyncio.gather(*sending)
    await process.crash()
    ada = await Person.again(process.url, token)
    async with asyncio.timeout(PATIENCE):
        while strays(process.data):
            await ada.events()
    user = await User.of(process.url, token)
    sent = {message_id: digest for sender in senders for message_id, digest in sender.sent.items()}
    seen: dict[int, str | None] = {}
    after = 0
    while (page := await ada.data("history", user="ada", after_seq=after, limit=200))["messages"]:
        for message in page["messages"]:
            after = message["seq"]
            if message["file"] is None:
                seen[message["id"]] = None
            else:
                answered = await user.fetch(message["file"]["file_id"])
                assert (answered.status, len(answered.body)) == (200, message["file"]["size"])
                seen[message["id"]] = hashlib.sha256(answered.body).hexdigest()
    assert seen == sent
    shown: dict[int, tuple[str, int]] = {}
    asks: dict[str, Any] = {"user": "ada", "limit": 200}
    while (page := await ada.data("moments_of", **asks))["moments"]:
        for moment in page["moments"]:
            asks["before_moment_id"] = moment["moment_id"]
            answered = await user.fetch(moment["images"][0]["file_id"])
            shown[moment["moment_id"]] = (hashlib.sha256(answered.body).hexdigest(), moment["comment_count"])
    assert shown == {moment_id: kept for sender in senders for moment_id, kept in sender.posted.items()}
    assert await process.kill(15) == 0
    status, output = await process.command("check")
    assert status == 0, output
    assert "Traceback" not in process.log


@pytest.mark.parametrize("process", ["asyncio"], indirect=True)
async def test_check_says_what_is_wrong_with_files(process: Process) -> None:
    user = await User.of(process.url, (await Person.named(process.url, "ada")).token)
    kept, lost, cut, changed = [await user.file(noise(1000, seed)) for seed in range(4)]
    assert await process.command("check") == (0, f"{process.data / 'chatd.db'}: ok\n")  # while it runs
    paths = {path.name: path for path in (process.data / "files").glob("*/*")}
    digests = [hashlib.sha256(noise(1000, seed)).hexdigest() for seed in range(4)]
    paths[digests[1]].unlink()
    paths[digests[2]].write_bytes(noise(1000, 2)[:-1])
    paths[digests[3]].write_bytes(HELLO)
    assert await process.kill(15) == 0
    stray = hashlib.sha256(HELLO).hexdigest()
    folder = process.data / "files" / stray[:2]
    folder.mkdir(exist_ok=True)
    (folder / stray).write_bytes(HELLO)
    (process.data / "uploads" / "nobodys").write_bytes(HELLO)
    status, output = await process.command("check")
    *said, last = output.splitlines()
    assert (status, last) == (1, f"{process.data / 'chatd.db'}: 5 problems")
    assert sorted(said) == sorted(
        [
            f"content {digests[1]}: No such file or directory",
            f"content {digests[2]}: its SHA-256 is {hashlib.sha256(noise(1000, 2)[:-1]).hexdigest()}",
            f"content {digests[3]}: its SHA-256 is {stray}",
            f"content {stray}: no file holds it",
            "upload nobodys: is of no upload",
        ]
    )
    await process.start()
    user = await User.of(process.url, user.token)
    assert (await user.fetch(kept["file_id"])).status == 200
    assert (await user.fetch(lost["file_id"])).status == 404
    async with asyncio.timeout(PATIENCE):
        while strays(process.data):
            await user.get("/healthz")
    assert len(cut) == len(changed)
