"""Small pictures of large ones, by Pillow where it is installed (`chatd[images]`)."""

from __future__ import annotations

import contextlib
import ctypes
import io
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from chatd.media.inspector import inspect

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
}
"""Which of Pillow's decoders may see a file: those of what browsers show (TIFF is a dozen codecs by itself)."""

LARGE = 1_000_000
"""Pixels from which on it is worth a few milliseconds to give the memory back at once."""


def thumbnail(path: Path, *, edge: int, most_pixels: int) -> bytes | None:
    """A picture within `edge` × `edge` pixels, upright and with no metadata: JPEG, or WebP if it has transparency.

    Of an animation it shows the first frame; a picture that is small already is not enlarged. None if there is none: no
    picture that Pillow can read, a broken one, one of more than `most_pixels`, or no Pillow. It decodes, with up to
    16 bytes of memory for a pixel: call it always in the same thread, for each may keep as much. Raises `OSError` if
    the file cannot be opened.
    """
    try:
        from PIL import Image, ImageOps  # noqa: PLC0415  (an extra)
    except ImportError:
        return None
    with path.open("rb") as file:
        media = inspect(file)
        size = (media.width or 0) * (media.height or 0)
        if media.type not in _FORMATS or not 0 < size <= most_pixels:
            return None
        Image.MAX_IMAGE_PIXELS = most_pixels  # for what a decoder finds only later; nobody else here uses Pillow
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # else it has only from twice as many on
        file.seek(0)
        try:
            with Image.open(file, formats=[_FORMATS[media.type]]) as image:
                if image.width * image.height > most_pixels:
                    return None
                small = _plain(image)
                small.thumbnail((edge, edge))  # by its draft, a JPEG is decoded no larger than needed
                ImageOps.exif_transpose(small, in_place=True)
                return _encoded(small)
        except Exception:  # Pillow promises no class for what is broken
            return None
        finally:
            if size >= LARGE:
                _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    """malloc_trim(3): glibc keeps what was freed, hundreds of megabytes after one picture, until it is asked."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        trim = ctypes.CDLL(None).malloc_trim
        trim.argtypes = [ctypes.c_size_t]
        return trim
    return lambda _: None


def _plain(image: Image) -> Image:
    """In a mode that can be scaled: palettes cannot, and 16 bits of grey would be cut off at 255."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _encoded(image: Image) -> bytes:
    image.info.clear()  # a comment would be written
    out = io.BytesIO()
    if image.mode == "RGBA":
        image.save(out, "WEBP", quality=80)
    else:
        image.convert("RGB").save(out, "JPEG", quality=80)
    return out.getvalue()
