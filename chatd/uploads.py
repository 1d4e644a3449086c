"""Taking files in, and having the data folder agree with the database: the loop's side of files.

What is there without a row is deleted; a row is written only once what it stands for is on the disk. What an op is
about to write a row for is pinned meanwhile, so that nobody deletes it just then.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, ParamSpec, TypeVar

from chatd import background, filing, media
from chatd.config import Files
from chatd.context import Context, Placed
from chatd.db.query import query
from chatd.errors import Invalid, NotFound, Phrase, TooLarge, Unavailable, WrongOffset
from chatd.store import Store
from chatd.transactions import Transactions
from chatd.writing import Writing

log = logging.getLogger("chatd.uploads")

P = ParamSpec("P")
T = TypeVar("T")

CHECKSUMS = ("sha256", "sha1", "md5")
"""Algorithms that what is sent can be checked with."""

KNOWN = query("/* uploads.known */ SELECT token FROM uploads WHERE token IN :tokens AND file_id IS NULL")
EXPIRE = query("/* uploads.expire */ DELETE FROM uploads WHERE expires_at <= :now RETURNING token")


class WrongChecksum(Exception):
    """What came is not what was sent."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a piece of an upload must come to, by one of `CHECKSUMS`."""

    algorithm: str
    digest: bytes


class Uploads:
    """Writes uploads, makes files of them, and deletes what no file holds."""

    def __init__(self, store: Store, transactions: Transactions, config: Files) -> None:
        self.store = store
        self._transactions = transactions
        self._config = config
        self._open: dict[str, Writing] = {}
        self._beginning = asyncio.Lock()
        self._deleting = asyncio.Lock()
        self._decoder = background.threads(1, "chatd-pictures")  # one at a time, and the memory is one thread's
        self._hashers = background.threads(os.cpu_count() or 1, "chatd-files")
        self._pins: Counter[str] = Counter()
        self._placing: Counter[str] = Counter()
        self._unwanted: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._leftovers = store.uploads()

    # What is coming

    async def received(self, token: str) -> int:
        """How many bytes of an upload have come."""
        return await _on_disk(self.store.received, token)

    async def receive(
        self, token: str, pieces: AsyncIterator[bytes], *, offset: int | None, most: int, check: Checksum | None = None
    ) -> int:
        """Write what comes of an upload from `offset` (None: from where it is) on; whoever wrote it before stops,
        unless the offset is another than where that one is.

        Returns the new offset. What has come stays, whatever is raised: `WrongOffset`, `TooLarge` past `most` bytes,
        what `pieces` raises; but nothing of it with `Unavailable`, where the disk takes no more, nor with a `check` and
        `WrongChecksum`.
        """
        return await self._undisturbed(self._receive(token, pieces, offset=offset, most=most, check=check))

    async def _receive(
        self, token: str, pieces: AsyncIterator[bytes], *, offset: int | None, most: int, check: Checksum | None
    ) -> int:
        writing = await self._begin(token, offset)
        begun, checked = writing.offset, hashlib.new(check.algorithm) if check else None
        is_right = is_full = False
        try:
            async for piece in pieces:
                if writing.offset + len(piece) > most:
                    raise TooLarge(most=str(most))
                if checked is not None:
                    checked.update(piece)
                with _disk_errors():
                    await writing.write(piece)
            is_right = check is None or checked is None or hmac.compare_digest(checked.digest(), check.digest)
            if not is_right:
                raise WrongChecksum
        except Unavailable:
            is_full = True
            raise
        finally:
            with _disk_errors():
                await writing.close(back_to=begun if is_full or (checked is not None and not is_right) else None)
            if self._open.get(token) is writing:
                del self._open[token]
        return writing.offset

    async def append(self, token: str, piece: bytes, *, offset: int | None, most: int) -> int:
        """The same for one piece."""

        async def pieces() -> AsyncIterator[bytes]:
            yield piece

        return await self.receive(token, pieces(), offset=offset, most=most)

    async def _begin(self, token: str, offset: int | None) -> Writing:
        async with self._beginning:
            writing = self._open.get(token)
            if writing is not None and offset is not None and offset != (reached := await writing.reached()):
                raise WrongOffset(field="offset", offset=str(reached))  # it knows less than who writes it
            await self._stop(token)
            received = await self.received(token)
            if self._placing[token] or offset not in (None, received):
                raise WrongOffset(field="offset", offset=str(received))
            writing = self._open[token] = Writing(
                await _on_disk(self.store.open, token), received, reserve=self._config.reserve
            )
            return writing

    async def _stop(self, token: str) -> None:
        """Whoever writes an upload does not go on with it."""
        if (writing := self._open.pop(token, None)) is not None:
            with _disk_errors():
                await writing.close()

    async def drop(self, token: str) -> None:
        """Forget what has come of an upload; if a file is just being made of it, after that."""
        async with self._beginning:
            if self._placing[token]:
                self._unwanted.add(token)
                return
            await self._stop(token)
            await _on_disk(self.store.drop, token)

    # What has come

    async def place(self, token: str) -> Placed:
        """Have what has come of an upload on the disk under its SHA-256, and look what it is.

        It is pinned until `release` is called, and nobody writes it. Raises `Invalid` for a picture that is too large,
        `NotFound` for what is being forgotten, `Unavailable`.
        """
        return await self._undisturbed(self._place(token))

    async def _place(self, token: str) -> Placed:
        pinned: list[str] = []
        async with self._beginning:
            if token in self._unwanted:
                raise NotFound(field="upload")
            self._placing[token] += 1
            try:
                await self._stop(token)
            except Unavailable:
                self._placed(token, pinned, is_kept=False)
                raise
        try:
            return await self._place_pinned(token, pinned)
        except BaseException:
            self._placed(token, pinned, is_kept=False)
            raise

    async def _place_pinned(self, token: str, pinned: list[str]) -> Placed:
        found = await _on_disk(self._look, token)
        if (found.width or 0) * (found.height or 0) > self._config.pixels:
            raise Invalid(field="upload", expected=_pixels(self._config.pixels))
        loop = asyncio.get_running_loop()
        with _disk_errors():
            small = await loop.run_in_executor(self._decoder, self._small, token, found)
            sha256, size = await loop.run_in_executor(self._hashers, self.store.digest, token)
        await self._pin(sha256, pinned)
        await _on_disk(self.store.keep, token, sha256)
        thumbnail = None
        if small is not None:
            thumbnail = hashlib.sha256(small).hexdigest()
            await self._pin(thumbnail, pinned)
            await _on_disk(self.store.keep_bytes, small, thumbnail)
        return Placed(sha256, size, found.type, found.width, found.height, found.duration_ms, thumbnail)

    async def _pin(self, digest: str, pinned: list[str]) -> None:
        async with self._deleting:
            self._pins[digest] += 1
            pinned.append(digest)

    def _look(self, token: str) -> media.Media:
        with os.fdopen(self.store.open(token), "rb") as file:  # which makes it, where it is of no bytes
            return media.inspect(file)

    def _small(self, token: str, found: media.Media) -> bytes | None:
        edge = self._config.thumbnail_edge
        if not edge or not found.type.startswith("image/"):
            return None
        return media.thumbnail(self.store.path(token), edge=edge, most_pixels=self._config.pixels)

    def release(self, token: str, placed: Placed, *, is_kept: bool) -> None:
        """There is a row for it now (`is_kept`), or there will be none."""
        digests = [one for one in (placed.sha256, placed.thumbnail) if one is not None]
        self._placed(token, digests, is_kept=is_kept)

    def _placed(self, token: str, pinned: Sequence[str], *, is_kept: bool) -> None:
        self._pins.subtract(pinned)
        self._pins += Counter()  # forgets those that are at zero
        self.discard(pinned)
        if is_kept:
            self._unwanted.add(token)
        if token in self._unwanted and self._placing[token] == 1:
            self._spawn(self._forget(token))
        else:
            self._may_be_written(token)

    async def _forget(self, token: str) -> None:
        """What is a file now has two names: nobody may write to it by this one, to the last."""
        try:
            await _on_disk(self.store.drop, token)
        finally:
            self._unwanted.discard(token)
            self._may_be_written(token)

    def _may_be_written(self, token: str) -> None:
        self._placing[token] -= 1
        self._placing += Counter()

    async def open(self, sha256: str) -> BinaryIO:
        """What has this SHA-256, to be read and closed. Raises `NotFound` if it was just deleted, `Unavailable`."""
        return await _on_disk(self._opened, sha256)

    def _opened(self, sha256: str) -> BinaryIO:
        try:
            return self.store.read(sha256)
        except FileNotFoundError:
            raise NotFound(field="file_id") from None

    async def read(self, sha256: str, offset: int, count: int) -> bytes:
        """A piece of what has this SHA-256. Raises what `open` does."""
        return await _on_disk(self._read, sha256, offset, count)

    def _read(self, sha256: str, offset: int, count: int) -> bytes:
        with self._opened(sha256) as file:
            return os.pread(file.fileno(), count, offset)

    # What nothing holds any more

    def discard(self, digests: Sequence[str]) -> None:
        """Delete what has these SHA-256, unless some file holds it."""
        self._spawn(self._discard(digests))

    async def _discard(self, digests: Iterable[str]) -> None:
        for digest in digests:
            async with self._deleting:
                if not self._pins[digest] and not await self._transactions.on_reader(filing.held, [digest]):
                    await _on_disk(self.store.remove, digest)

    async def tidy(self) -> None:
        """Forget uploads that were given up, and files that nothing has named for long."""
        for token in await self._transactions.in_writer(_expire):
            await self.drop(token)
        while digests := await self._transactions.in_writer(filing.forget_stale):
            self.discard(digests)
        there = await _on_disk(self.store.uploads)  # a piece may have come when its upload was just given up
        await self._drop_unknown([token for token in there if not token.startswith(".")])

    async def _drop_unknown(self, tokens: Sequence[str]) -> None:
        """An upload has its row before it has a file: these were there before it is asked which have one."""
        for token in set(tokens) - await self._transactions.on_reader(_known, tokens):
            await self.drop(token)

    async def sweep(self) -> None:
        """Delete what was in the folder for no reason when the daemon started: the one before ended too soon for it."""
        leftovers, self._leftovers = self._leftovers, []
        await self._drop_unknown(leftovers)
        for digests in await _on_disk(lambda: list(self.store.contents())):
            held = await self._transactions.on_reader(filing.held, digests)
            await self._discard(digest for digest in digests if digest not in held)

    async def _undisturbed(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work returns. It goes on without who asked for it: what a thread writes to must stay open."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a file could not be deleted; it is when the daemon starts again", exc_info=error)

    async def close(self) -> None:
        """Wait until what is to be deleted is, and end the threads."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._decoder.shutdown(wait=False)
        self._hashers.shutdown(wait=False)


def _pixels(most: int) -> Phrase:
    return Phrase(f"must be a picture of {most} pixels at most", f"图片不得超过 {most} 像素")


async def _known(ctx: Context, tokens: Sequence[str]) -> set[str]:
    return {row["token"] for row in await ctx.db.all(KNOWN, tokens=list(tokens))}


async def _expire(ctx: Context) -> list[str]:
    return [row["token"] for row in await ctx.db.all(EXPIRE, now=ctx.now)]


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """What the disk refuses is `Unavailable` to a client; the log has the reason."""
    try:
        yield
    except OSError as error:
        log.error("the data folder does not take a file: %s", error)
        raise Unavailable from error


async def _on_disk(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    with _disk_errors():
        return await asyncio.to_thread(function, *args, **kwargs)
