"""The data folder's files: what was uploaded, under its SHA-256, and what is still coming.

    files/3a/3a7bd3…    whole, synced before it gets this name, never changed
    uploads/<token>     as far as it has come

Every method that touches the disk is to be called in a thread; `Store` keeps no state but the folder's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO


class Store:
    """Where the bytes are. Raises OSError where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._files = folder / "files"
        self._uploads = folder / "uploads"
        for one in (self._files, self._uploads):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)

    # What is coming

    def _upload(self, token: str) -> Path:
        return self._uploads / token

    def received(self, token: str) -> int:
        """How many bytes of an upload have come."""
        try:
            return self._upload(token).stat().st_size
        except FileNotFoundError:
            return 0

    def open(self, token: str) -> int:
        """A file descriptor to write an upload with."""
        return os.open(self._upload(token), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def drop(self, token: str) -> None:
        """Forget what has come of an upload."""
        self._upload(token).unlink(missing_ok=True)

    def uploads(self) -> list[str]:
        """The tokens of all that is there."""
        return [entry.name for entry in os.scandir(self._uploads)]

    def path(self, token: str) -> Path:
        """Where an upload is."""
        return self._upload(token)

    # What is there

    def _file(self, sha256: str) -> Path:
        return self._files / sha256[:2] / sha256

    def digest(self, token: str) -> tuple[str, int]:
        """An upload's SHA-256, in hexadecimal, and how long it is."""
        with self._upload(token).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()

    def keep(self, token: str, sha256: str) -> None:
        """Give an upload its name. It keeps the old one, too, so that this can be done again, until it is dropped.

        Both the bytes and the name are on the disk when it returns.
        """
        with self._upload(token).open("rb") as file:
            os.fsync(file.fileno())
        target = self._file(sha256)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # the same content is there already
            os.link(self._upload(token), target)
        for folder in (target.parent, self._files):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def keep_bytes(self, content: bytes, sha256: str) -> None:
        """The same for what was made here."""
        token = f".{secrets.token_hex(16)}"  # its own: what has two names would be emptied under both
        self._upload(token).write_bytes(content)
        self.keep(token, sha256)
        self.drop(token)

    def read(self, sha256: str) -> BinaryIO:
        """What has this SHA-256. Raises FileNotFoundError."""
        return self._file(sha256).open("rb")

    def size(self, sha256: str) -> int | None:
        """How long it is; None where it is not there."""
        try:
            return self._file(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def remove(self, sha256: str) -> None:
        """Delete what has this SHA-256."""
        self._file(sha256).unlink(missing_ok=True)

    def faults(self, held: Mapping[str, int | None]) -> Iterator[str]:
        """What is wrong with what files hold, a line for each: by SHA-256, how long it is (None: who knows)."""
        for sha256, size in sorted(held.items()):
            try:
                with self._file(sha256).open("rb") as file:
                    found, length = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
            except OSError as error:
                yield f"content {sha256}: {error.strerror}"
                continue
            if found != sha256:
                yield f"content {sha256}: its SHA-256 is {found}"
            elif length != (size or length):
                yield f"content {sha256}: has {length} bytes, not {size}"

    def strays(self, held: Container[str], tokens: Container[str]) -> Iterator[str]:
        """What is there for no reason, a line for each: no file holds it, no upload is to go on."""
        for digest in (one for folder in self.contents() for one in folder if one not in held):
            yield f"content {digest}: no file holds it"
        for token in (one for one in self.uploads() if one not in tokens):
            yield f"upload {token}: is of no upload"

    def contents(self) -> Iterator[list[str]]:
        """The SHA-256 of everything that is there, folder by folder."""
        for folder in sorted(self._files.iterdir()):
            yield [path.name for path in folder.iterdir()]
