"""What the tests of files share: bytes of some kinds, and somebody who uploads and downloads them."""

from __future__ import annotations

import asyncio
import base64
import random
import struct
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support import PATIENCE, Answered, Web

TUS = {"tus_resumable": "1.0.0"}
BYTES = "application/offset+octet-stream"
HELLO = b"hello, world\n"


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that are no known kind of file."""
    return b"noise " + random.Random(seed).randbytes(size - 6) if size > 6 else b"noise"[:size]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *, seed: int = 0) -> bytes:
    """A picture of one colour; its first row only where it is a large one."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    row = b"\0" + bytes([seed % 256, 0, 0]) * width
    rows = row * height if width * height < 1_000_000 else row
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def wav(milliseconds: int) -> bytes:
    """Silence: 8 kHz, one channel, 16 bits."""
    silence = bytes(16 * milliseconds)
    form = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", len(form) + 8 + len(silence))
        + form
        + b"data"
        + struct.pack("<I", len(silence))
        + silence
    )


class User(Web):
    """Somebody with a token, who uploads and downloads."""

    token = ""

    @classmethod
    async def of(cls, url: str, token: str) -> User:
        user = await cls.at(url)
        user.token = token
        return user

    @property
    def auth(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    async def post(self, content: bytes, name: str = "file", **headers: str) -> Answered:
        """Upload in one request."""
        self.say("POST", f"/files?name={quote(name, safe='')}", content, **self.auth, **headers)
        return await self.answer()

    async def file(self, content: bytes, name: str = "file") -> Any:
        """The data of an upload that succeeds."""
        answered = await self.post(content, name)
        assert answered.status == 201, answered
        assert answered.headers["location"] == [f"/files/{answered.json['data']['file_id']}"]
        return answered.json["data"]

    async def create(self, length: object, name: str = "a.bin", **headers: str) -> Answered:
        """Begin an upload by tus."""
        metadata = f"filename {base64.b64encode(name.encode()).decode()},is_confidential"
        told = {"upload_length": str(length), "upload_metadata": metadata, **TUS, **self.auth, **headers}
        self.say("POST", "/files", b"", **told)
        return await self.answer()

    async def begun(self, length: int, name: str = "a.bin") -> str:
        """Where an upload that has begun is."""
        answered = await self.create(length, name)
        assert answered.status == 201, answered
        return answered.headers["location"][0]

    def patch_says(self, at: str, offset: object, content: bytes, **headers: str) -> None:
        told = {"upload_offset": str(offset), "content_type": BYTES, **TUS, **self.auth, **headers}
        self.say("PATCH", at, content, **told)

    async def patch(self, at: str, offset: object, content: bytes, **headers: str) -> Answered:
        """Send a piece."""
        self.patch_says(at, offset, content, **headers)
        return await self.answer()

    async def offset(self, at: str) -> int:
        """How far it has come."""
        answered = await self.get(at, "HEAD", **TUS, **self.auth)
        assert answered.status == 200, answered
        assert answered.headers["cache-control"] == ["no-store"]
        return int(answered.headers["upload-offset"][0])

    async def fetch(self, file_id: object, method: str = "GET", /, **headers: str) -> Answered:
        """Download."""
        return await self.get(f"/files/{file_id}", method, **self.auth, **headers)

    async def anew(self) -> User:
        """The same user on another connection."""
        self.writer.transport.abort()
        return await User.of(f"ws://127.0.0.1:{self.writer.get_extra_info('peername')[1]}/ws", self.token)


def code(answered: Answered) -> tuple[int, str]:
    return answered.status, answered.json["error"]["code"]


def told_offset(answered: Answered) -> tuple[int, int]:
    return answered.status, int(answered.headers["upload-offset"][0])


def on_disk(data: Path) -> dict[str, list[str]]:
    """What is in the data folder: contents, uploads."""
    contents = sorted(path.name for path in (data / "files").glob("*/*"))
    return {"contents": contents, "uploads": sorted(path.name for path in (data / "uploads").iterdir())}


async def settled(data: Path, **left: list[str]) -> None:
    """Wait until nothing is in the data folder but this."""
    wanted = {"contents": [], "uploads": [], **left}
    async with asyncio.timeout(PATIENCE):
        while on_disk(data) != wanted:  # noqa: ASYNC110  (a folder tells nobody)
            await asyncio.sleep(0.01)
