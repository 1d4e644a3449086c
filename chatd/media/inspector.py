"""What a file is, of those kinds that chatd knows: its type, how large it is shown, how long it lasts.

Whoever made the file may want to do harm: no length in it is believed, and what is read of it is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from chatd.media import boxes, ebml, pictures, streams
from chatd.media.kinds import HEAD, UNKNOWN, sniff
from chatd.media.source import Broken, Measures, Source
from chatd.record import record


@record
class Media:
    """What a file is: one of `TYPES`, and, where they apply and can be told, its measures.

    Width and height are pixels as it is shown (Exif orientation and rotation applied), both or neither; they are the
    file's own claim, up to 2^32, and not bounded here. The duration is milliseconds, at least 1 and at most a year.
    """

    type: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None


_READERS: dict[str, Callable[[Source, Measures], None]] = {
    "image/png": pictures.png,
    "image/jpeg": pictures.jpeg,
    "image/gif": pictures.gif,
    "image/webp": pictures.webp,
    "image/avif": boxes.still,
    "image/heic": boxes.still,
    "image/bmp": pictures.bmp,
    "image/tiff": pictures.tiff,
    "image/vnd.microsoft.icon": pictures.ico,
    "audio/mpeg": streams.mp3,
    "audio/aac": streams.aac,
    "audio/ogg": streams.ogg,
    "audio/flac": streams.flac,
    "audio/wav": streams.wav,
    "audio/amr": streams.amr,
    "audio/amr-wb": streams.amr,
    "audio/mp4": boxes.film,
    "video/mp4": boxes.film,
    "video/quicktime": boxes.film,
    "video/webm": ebml.film,
    "video/matroska": ebml.film,
    "video/ogg": streams.ogg,
    "video/vnd.avi": streams.avi,
}

_SOUND_ALONE = {"video/mp4": "audio/mp4", "video/webm": "audio/webm", "video/matroska": "audio/matroska"}

_MOST_MS = 366 * 24 * 3600 * 1000


def inspect(file: BinaryIO) -> Media:
    """What a seekable file is. It reads 4 MiB at most, wherever they stand, and leaves the position anywhere.

    No content makes it raise: what is broken has no measures, and without measures nothing is a picture. `OSError` is
    the file system's.
    """
    source, found = Source(file), Measures()
    type_ = sniff(source.upto(0, HEAD))
    if type_ in _READERS:
        with suppress(Broken):
            _READERS[type_](source, found)
    if found.looks is False:
        type_ = _SOUND_ALONE.get(type_, type_)
    media = Media(type_)
    if found.width and found.height and found.width > 0:
        media = Media(type_, found.width, found.height)
    elif type_.startswith("image/"):
        media = Media(UNKNOWN)  # who decodes it may find a picture larger than any limit
    if found.duration_ms is not None and 0.5 < found.duration_ms <= _MOST_MS:
        media = Media(type_, media.width, media.height, round(found.duration_ms))
    return media
