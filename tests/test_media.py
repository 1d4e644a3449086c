"""What files are: samples of every kind, what is cut off or changed in them, and what lies about itself."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tarfile
import wave
import zipfile
from collections.abc import Iterable
from gzip import compress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from chatd.media import HEAD, TYPES, UNKNOWN, Media, inspect, sniff, thumbnail
from chatd.media.kinds import mp3_frame
from chatd.media.source import MOST_BYTES


def seen(data: bytes) -> Media:
    return inspect(io.BytesIO(data))


# Samples: pictures


def picture(format_: str, size: tuple[int, int] = (32, 20), *, orientation: int | None = None, **how: Any) -> bytes:
    out = io.BytesIO()
    if orientation is not None:
        exif = Image.Exif()
        exif[274] = orientation
        how["exif"] = exif
    Image.new("RGB", size, "teal").save(out, format_, **how)
    return out.getvalue()


def gif_of(*frames: tuple[int, int], screen: tuple[int, int], first: bytes = b"") -> bytes:
    """A GIF with frames of these sizes and nothing in them, the first behind other blocks."""
    images = b"".join(b"," + struct.pack("<HHHHB", 0, 0, *size, 0) + b"\2\2D\1\0" for size in frames)
    return b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + b"\xff\xff\xff\0\0\0" + first + images + b";"


def box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), name) + body


def full(name: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(name, struct.pack(">I", version << 24 | flags), *content)


def heic(*, turned: int = 0, wide: bool = False) -> bytes:
    """A picture of 40 × 30 with a small one beside it, which is not the primary item."""
    properties = [full(b"ispe", struct.pack(">II", 8, 6)), box(b"irot", bytes([turned]))]
    properties.append(full(b"ispe", struct.pack(">II", 40, 30)))
    if wide:
        numbers = struct.pack(">IIBHIBHH", 2, 1, 1, 0x8001, 2, 2, 0x8002, 3)
        named, listed = full(b"pitm", struct.pack(">I", 2), version=1), full(b"ipma", numbers, version=1, flags=1)
    else:
        numbers = struct.pack(">IHBBHBBB", 2, 1, 1, 0x81, 2, 2, 0x82, 3)
        named, listed = full(b"pitm", struct.pack(">H", 2)), full(b"ipma", numbers)
    meta = full(b"meta", full(b"hdlr", b"\0\0\0\0pict"), named, box(b"iprp", box(b"ipco", *properties), listed))
    return box(b"ftyp", b"mif1\0\0\0\0mif1heic") + meta + box(b"mdat", bytes(50))


PICTURES = {
    "png": (picture("PNG"), Media("image/png", 32, 20)),
    "png on its side": (picture("PNG", orientation=6), Media("image/png", 20, 32)),
    "jpeg": (picture("JPEG"), Media("image/jpeg", 32, 20)),
    "jpeg, progressive": (picture("JPEG", progressive=True), Media("image/jpeg", 32, 20)),
    "jpeg with markers and fill bytes": (
        b"\xff\xd8\xff\xd0\xff\xff\xfe\0\4hi\xff\xff\xff\xc2\0\x11\x08" + struct.pack(">HH", 20, 32) + bytes(12),
        Media("image/jpeg", 32, 20),
    ),
    "jpeg upside down": (picture("JPEG", orientation=3), Media("image/jpeg", 32, 20)),
    "jpeg on its side": (picture("JPEG", orientation=8), Media("image/jpeg", 20, 32)),
    "gif": (picture("GIF"), Media("image/gif", 32, 20)),
    "webp": (picture("WEBP"), Media("image/webp", 32, 20)),
    "webp, lossless": (picture("WEBP", lossless=True), Media("image/webp", 32, 20)),
    "webp on its side": (picture("WEBP", orientation=6), Media("image/webp", 20, 32)),
    "avif": (picture("AVIF"), Media("image/avif", 32, 20)),
    "heic": (heic(), Media("image/heic", 40, 30)),
    "heic upside down": (heic(turned=2, wide=True), Media("image/heic", 40, 30)),
    "heic on its side": (heic(turned=3), Media("image/heic", 30, 40)),
    "bmp": (picture("BMP"), Media("image/bmp", 32, 20)),
    "bmp from the top": (
        b"BM" + bytes(12) + struct.pack("<Iii", 40, 32, -20) + bytes(28),
        Media("image/bmp", 32, 20),
    ),
    "bmp of OS/2": (b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 32, 20, 1, 24), Media("image/bmp", 32, 20)),
    "tiff": (picture("TIFF"), Media("image/tiff", 32, 20)),
    "tiff on its side": (picture("TIFF", orientation=5), Media("image/tiff", 20, 32)),
    "tiff, big-endian": (
        b"MM\0*\0\0\0\x08\0\2" + struct.pack(">HHIHHHHII", 256, 3, 1, 32, 0, 257, 4, 1, 20) + bytes(4),
        Media("image/tiff", 32, 20),
    ),
    "ico": (
        struct.pack("<HHH", 0, 1, 2) + struct.pack("<BB14x", 16, 16) + struct.pack("<BB14x", 0, 0),
        Media("image/vnd.microsoft.icon", 256, 256),
    ),
}


# Samples: sounds


def wav(*, claims: int | None = None) -> bytes:
    """Half a second."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(8000))
    data = out.getvalue()
    return (
        data if claims is None else data.replace(b"data" + struct.pack("<I", 8000), b"data" + struct.pack("<I", claims))
    )


def flac(samples: int = 66150) -> bytes:
    info = struct.pack(">HH6xQ", 4096, 4096, 44100 << 44 | 1 << 41 | 15 << 36 | samples) + bytes(16)
    return b"fLaC\x80\0\0\x22" + info + b"\xff\xf8" + bytes(60)


def page(serial: int, granule: int, *packets: bytes, first: bool = False) -> bytes:
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, 2 if first else 0, granule, serial, 0, 0, len(lacing))
    return head + lacing + b"".join(packets)


OPUS = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 312, 48000, 0, 0)
VORBIS = b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, 1, 44100, 0, 64000, 0, 0xB8, 1)
SPEEX = b"Speex   " + bytes(28) + struct.pack("<I", 16000) + bytes(40)
OGG_FLAC = b"\x7fFLAC\x01\0\0\x01" + flac()[:42]
THEORA = (
    b"\x80theora\3\2\1"
    + struct.pack(">HH", 20, 12)
    + (320).to_bytes(3, "big")
    + (180).to_bytes(3, "big")
    + struct.pack(">BBII", 0, 0, 25, 1)
    + bytes(10)
    + struct.pack(">H", 6 << 5)
)


def ogg(*streams: tuple[bytes, int]) -> bytes:
    """Streams of a first packet and a last granule position each; the page before has none of its own."""
    firsts = [page(serial, 0, packet, first=True) for serial, (packet, _) in enumerate(streams)]
    middle = [page(serial, -1, b"x" * 600) for serial in range(len(streams))]
    lasts = [page(serial, granule, b"x" * 300) for serial, (_, granule) in enumerate(streams)]
    return b"".join(firsts + middle + lasts)


def mp3(*, frames: int = 40, inside: bytes = b"", at: int = 4) -> bytes:
    """Frames of 1152 samples at 44.1 kHz and 128 kbit/s: 417 bytes, 26.1 ms."""
    first = bytearray(b"\xff\xfb\x90\xc0" + bytes(413))
    first[at : at + len(inside)] = inside
    return bytes(first) + (b"\xff\xfb\x90\xc0" + b"x" * 413) * (frames - 1)


ID3 = b"ID3\4\0\0" + bytes([0, 0, 1, 0]) + b"x" * 128
"""A tag of 128 bytes, whose size is written seven bits to a byte."""


def aac(frames: int, *, size: int = 200, blocks: int = 1) -> bytes:
    """Frames of so many times 1024 samples at 48 kHz: 21.33 ms."""
    header = bytes([0xFF, 0xF1, 3 << 2, size >> 11, size >> 3 & 0xFF, (size & 7) << 5, blocks - 1])
    return (header + b"x" * (size - 7)) * frames


def amr(*sizes: int, wide: bool = False) -> bytes:
    """A frame of each type, by the bytes after its first one; what fills them would be frames of one byte."""
    frames = [bytes([kind << 3 | 4]) + b"\x7c" * size for kind, size in enumerate(sizes)]
    return (b"#!AMR-WB\n" if wide else b"#!AMR\n") + b"".join(frames)


SOUNDS = {
    "wav": (wav(), Media("audio/wav", duration_ms=500)),
    "wav that was not closed": (wav(claims=0), Media("audio/wav", duration_ms=500)),
    "wav that claims more": (wav(claims=0xFFFFFFFF), Media("audio/wav", duration_ms=500)),
    "flac": (flac(), Media("audio/flac", duration_ms=1500)),
    "flac behind ID3": (ID3 + flac(), Media("audio/flac", duration_ms=1500)),
    "flac of unknown length": (flac(0), Media("audio/flac")),
    "opus": (ogg((OPUS, 312 + 96000)), Media("audio/ogg", duration_ms=2000)),
    "vorbis": (ogg((VORBIS, 66150)), Media("audio/ogg", duration_ms=1500)),
    "speex": (ogg((SPEEX, 24000)), Media("audio/ogg", duration_ms=1500)),
    "flac in ogg": (ogg((OGG_FLAC, 44100)), Media("audio/ogg", duration_ms=1000)),
    "opus without an end": (page(0, 0, OPUS, first=True), Media("audio/ogg")),
    "mp3": (mp3(), Media("audio/mpeg", duration_ms=1042)),
    "mp3 between tags": (ID3 + bytes(9) + mp3() + b"TAG" + bytes(125), Media("audio/mpeg", duration_ms=1043)),
    "mp3 behind a tag with a footer": (
        ID3[:5] + b"\x10" + ID3[6:] + b"3DI" + ID3[3:10] + mp3() + mp3(),
        Media("audio/mpeg", duration_ms=2085),
    ),
    "mp3 with Xing": (
        mp3(inside=b"Xing\0\0\0\1" + struct.pack(">I", 100), at=21),
        Media("audio/mpeg", duration_ms=2612),
    ),
    "mp3 with Info": (
        mp3(inside=b"Info\0\0\0\3" + struct.pack(">I", 50), at=21),
        Media("audio/mpeg", duration_ms=1306),
    ),
    "mp3 with VBRI": (
        mp3(inside=b"VBRI" + bytes(10) + struct.pack(">I", 100), at=36),
        Media("audio/mpeg", duration_ms=2612),
    ),
    "aac": (aac(30), Media("audio/aac", duration_ms=640)),
    "aac in large frames": (aac(10, size=2100, blocks=3), Media("audio/aac", duration_ms=640)),
    "aac, long": (aac(3000), Media("audio/aac", duration_ms=64000)),
    "amr": (b"#!AMR\n" + (b"\x3c" + bytes(31)) * 50, Media("audio/amr", duration_ms=1000)),
    "amr with silence": (
        b"#!AMR\n" + (b"\x3c" + bytes(31) + b"\x44" + bytes(5)) * 50,
        Media("audio/amr", duration_ms=2000),
    ),
    "amr of every bitrate": (amr(12, 13, 15, 17, 19, 20, 26, 31, 5), Media("audio/amr", duration_ms=180)),
    "amr, wide, of every bitrate": (
        amr(17, 23, 32, 36, 40, 46, 50, 58, 60, 5, wide=True),
        Media("audio/amr-wb", duration_ms=200),
    ),
    "amr, long": (b"#!AMR\n" + (b"\x3c" + bytes(31)) * 30000, Media("audio/amr", duration_ms=600000)),
    "amr, wide": (b"#!AMR-WB\n" + (b"\x44" + bytes(60)) * 50, Media("audio/amr-wb", duration_ms=1000)),
}


# Samples: films


def mvhd(timescale: int, duration: int, *, version: int = 0) -> bytes:
    times = struct.pack(">8xII" if version == 0 else ">16xIQ", timescale, duration)
    return full(b"mvhd", times, bytes(80), version=version)


def trak(number: int, kind: bytes, *, timescale: int = 1000, turned: bool = False, version: int = 0) -> bytes:
    """A track; a film is shown as 320 × 180."""
    times = struct.pack(">8xI8x" if version == 0 else ">16xI12x", number)
    matrix = (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30) if turned else (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    size = (320 << 16, 180 << 16) if kind == b"vide" else (0, 0)
    tkhd = full(b"tkhd", times, bytes(16), struct.pack(">9i", *matrix), struct.pack(">II", *size), version=version)
    mdhd = full(b"mdhd", struct.pack(">8xII", timescale, 0), bytes(4))
    return box(b"trak", tkhd, box(b"mdia", mdhd, full(b"hdlr", bytes(4), kind, bytes(12))))


def mp4(*boxes: bytes, brand: bytes = b"isom") -> bytes:
    return box(b"ftyp", brand, bytes(4), b"isom") + b"".join(boxes)


def moof(number: int, start: int, *runs: bytes, default: int | None = None, version: int = 0) -> bytes:
    if default is None:
        tfhd = full(b"tfhd", struct.pack(">I", number))
    else:
        tfhd = full(b"tfhd", struct.pack(">IQII", number, 0, 0, default), flags=0xB)
    tfdt = full(b"tfdt", struct.pack(">Q" if version else ">I", start), version=version)
    return box(b"moof", full(b"mfhd", bytes(4)), box(b"traf", tfhd, tfdt, *runs)) + box(b"mdat", bytes(30))


def mvex(number: int, default: int, *more: bytes) -> bytes:
    return box(b"mvex", full(b"trex", struct.pack(">5I", number, 1, default, 0, 0)), *more)


LISTED = full(b"trun", struct.pack(">IIIII", 2, 500, 7, 250, 7), flags=0x300)
COUNTED = full(b"trun", struct.pack(">II", 3, 0), flags=0x1)
FILM, VOICE = trak(1, b"vide"), trak(2, b"soun")
LARGE_MDAT = struct.pack(">I4sQ", 1, b"mdat", 116) + bytes(100)


def element(id_: int, *content: bytes, unknown: bool = False) -> bytes:
    body = b"".join(content)
    head = id_.to_bytes((id_.bit_length() + 7) // 8, "big")
    return head + (b"\x01" + b"\xff" * 7 if unknown else (1 << 56 | len(body)).to_bytes(8, "big")) + body


def whole(id_: int, number: int) -> bytes:
    return element(id_, number.to_bytes(4, "big"))


def track(kind: int) -> bytes:
    size = element(0xE0, whole(0xB0, 320), whole(0xBA, 180)) if kind == 1 else b""
    return element(0xAE, whole(0xD7, kind), whole(0x83, kind), size)


def cluster(timestamp: int, *blocks: int, unknown: bool = False, grouped: bool = False) -> bytes:
    made = [b"\x81" + struct.pack(">hB", block, 0x80) + b"x" * 50 for block in blocks]
    listed = [element(0xA0, element(0xA1, block)) if grouped else element(0xA3, block) for block in made]
    checksum = element(0xBF, bytes(4)) if grouped else b""
    return element(0x1F43B675, checksum, whole(0xE7, timestamp), *listed, unknown=unknown)


def webm(*content: bytes, doctype: bytes = b"webm", unknown: bool = False) -> bytes:
    header = element(0x1A45DFA3, whole(0x4286, 1), b"\x42\x82" + bytes([0x80 | len(doctype)]) + doctype)
    return header + element(0x18538067, *content, unknown=unknown)


def info(duration: bytes = b"", scale: int = 1_000_000) -> bytes:
    return element(0x1549A966, whole(0x2AD7B1, scale), element(0x4489, duration) if duration else b"")


BOTH = element(0x1654AE6B, element(0xEC, bytes(9)), track(1), track(2))
SOUND = element(0x1654AE6B, track(2))

FILMS = {
    "mp4": (
        mp4(box(b"moov", mvhd(600, 1500), FILM, VOICE), box(b"mdat", bytes(99))),
        Media("video/mp4", 320, 180, 2500),
    ),
    "mp4 with moov at the end": (
        mp4(box(b"free"), LARGE_MDAT, box(b"moov", mvhd(600, 1500, version=1), trak(1, b"vide", version=1))),
        Media("video/mp4", 320, 180, 2500),
    ),
    "mp4 on its side": (
        mp4(box(b"moov", mvhd(1, 3), trak(1, b"vide", turned=True))),
        Media("video/mp4", 180, 320, 3000),
    ),
    "mp4 of sound": (mp4(box(b"moov", mvhd(600, 1500), VOICE)), Media("audio/mp4", duration_ms=2500)),
    "m4a": (mp4(box(b"moov", mvhd(600, 1500), VOICE), brand=b"M4A "), Media("audio/mp4", duration_ms=2500)),
    "3gp": (mp4(box(b"moov", mvhd(600, 600), FILM), brand=b"3gp4"), Media("video/mp4", 320, 180, 1000)),
    "mp4 whose last box reaches to the end": (
        mp4(struct.pack(">I4s", 0, b"moov") + mvhd(600, 1500) + FILM),
        Media("video/mp4", 320, 180, 2500),
    ),
    "mp4 of unknown length": (mp4(box(b"moov", mvhd(600, 0xFFFFFFFF), FILM)), Media("video/mp4", 320, 180)),
    "mp4 in fragments": (
        mp4(
            box(b"moov", mvhd(1000, 0), FILM, trak(2, b"soun", timescale=48000), mvex(1, 40)),
            moof(1, 0, COUNTED),
            moof(1, 4000, LISTED, LISTED),
            moof(2, 48000, COUNTED, default=1024),
        ),
        Media("video/mp4", 320, 180, 5500),
    ),
    "mp4 in fragments of unsaid length": (
        mp4(box(b"moov", mvhd(1000, 0), VOICE, mvex(2, 100)), moof(2, 0, COUNTED), moof(2, 300, COUNTED, version=1)),
        Media("audio/mp4", duration_ms=600),
    ),
    "mp4 in fragments of said length": (
        mp4(box(b"moov", mvhd(1000, 0), VOICE, mvex(2, 1, full(b"mehd", struct.pack(">I", 7000))))),
        Media("audio/mp4", duration_ms=7000),
    ),
    "quicktime": (mp4(box(b"moov", mvhd(600, 1500), FILM), brand=b"qt  "), Media("video/quicktime", 320, 180, 2500)),
    "quicktime without ftyp": (
        box(b"wide") + box(b"mdat", bytes(9)) + box(b"moov", mvhd(600, 1500), FILM),
        Media("video/quicktime", 320, 180, 2500),
    ),
    "webm": (webm(info(struct.pack(">d", 2500)), BOTH, cluster(0, 0, 20)), Media("video/webm", 320, 180, 2500)),
    "webm with another scale": (webm(info(struct.pack(">f", 2500), 100_000), BOTH), Media("video/webm", 320, 180, 250)),
    "webm of sound": (webm(info(struct.pack(">d", 2500)), SOUND), Media("audio/webm", duration_ms=2500)),
    "webm as recorded": (
        webm(info(), SOUND, cluster(0, 0, 60), cluster(4000, 0, 60, 120, unknown=True), unknown=True),
        Media("audio/webm", duration_ms=4120),
    ),
    "webm as recorded, grouped, with what looks like a cluster": (
        webm(
            info(),
            BOTH,
            cluster(4000, 0, 90, 60, grouped=True),
            element(0xEC, b"\x1fC\xb6u\x83\x88\x81x"),
            unknown=True,
        ),
        Media("video/webm", 320, 180, 4090),
    ),
    "webm as recorded, cut off": (
        webm(info(), SOUND, cluster(4000, 0, 60, 120))[:-100],
        Media("audio/webm", duration_ms=4060),
    ),
    "matroska": (
        webm(info(struct.pack(">d", 2500)), BOTH, doctype=b"matroska"),
        Media("video/matroska", 320, 180, 2500),
    ),
    "matroska of sound": (
        webm(info(struct.pack(">d", 2500)), SOUND, doctype=b"matroska"),
        Media("audio/matroska", duration_ms=2500),
    ),
    "theora": (ogg((THEORA, 1 << 6 | 49), (VORBIS, 44100)), Media("video/ogg", 320, 180, 2000)),
    "theora with longer sound": (ogg((VORBIS, 132300), (THEORA, 50)), Media("video/ogg", 320, 180, 3000)),
    "avi": (
        b"RIFF\0\0\0\0AVI LIST\0\0\0\0hdrlavih"
        + struct.pack("<IIIIIIIIIII", 56, 40000, 0, 0, 0, 50, 0, 1, 0, 320, 180)
        + bytes(50),
        Media("video/vnd.avi", 320, 180, 2000),
    ),
}


# Samples: others


def zipped(*entries: tuple[str, bytes], streamed: bool = False) -> bytes:
    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return not streamed

        def seek(self, offset: int, whence: int = 0, /) -> int:
            if streamed:
                raise io.UnsupportedOperation
            return super().seek(offset, whence)

    out = Stream()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            stored = zipfile.ZIP_STORED if name == "mimetype" else None
            archive.writestr(name, content, compress_type=stored)
    return out.getvalue()


def office(folder: str, *, streamed: bool = False) -> bytes:
    beginning = [("[Content_Types].xml", b"<Types/>" * 50), ("_rels/.rels", b"<x/>"), ("docProps/app.xml", b"<x/>")]
    return zipped(*beginning, (f"{folder}/document.xml", b"<x/>"), streamed=streamed)


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("<html>"), io.BytesIO())
    return out.getvalue()


OPEN_XML = "application/vnd.openxmlformats-officedocument"
OPEN_DOCUMENT = "application/vnd.oasis.opendocument"

OTHERS = {
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
    "zip": (zipped(("a.txt", b"a")), "application/zip"),
    "zip of nothing": (zipped(), "application/zip"),
    "zip that only says mimetype": (zipped(("mimetype", b"text/html")), "application/zip"),
    "docx": (office("word"), f"{OPEN_XML}.wordprocessingml.document"),
    "docx, streamed": (office("word", streamed=True), f"{OPEN_XML}.wordprocessingml.document"),
    "xlsx": (office("xl"), f"{OPEN_XML}.spreadsheetml.sheet"),
    "pptx": (office("ppt"), f"{OPEN_XML}.presentationml.presentation"),
    "other office": (office("visio"), "application/zip"),
    "odt": (zipped(("mimetype", f"{OPEN_DOCUMENT}.text".encode()), ("a", b"")), f"{OPEN_DOCUMENT}.text"),
    "ods": (zipped(("mimetype", f"{OPEN_DOCUMENT}.spreadsheet".encode())), f"{OPEN_DOCUMENT}.spreadsheet"),
    "odp": (zipped(("mimetype", f"{OPEN_DOCUMENT}.presentation".encode())), f"{OPEN_DOCUMENT}.presentation"),
    "epub": (zipped(("mimetype", b"application/epub+zip"), ("a", b"")), "application/epub+zip"),
    "gzip": (compress(b"a"), "application/gzip"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(24), "application/x-7z-compressed"),
    "tar": (tarred(), "application/x-tar"),
    "text": ("Grüße, 会议 👍🏽\r\n\t\x1b[1m\f".encode(), "text/plain"),
    "text with a mark": (b"\xef\xbb\xbfhi", "text/plain"),
    "nothing": (b"", "text/plain"),
    "bytes": (bytes(range(256)), UNKNOWN),
}

SAMPLES = {
    **PICTURES,
    **SOUNDS,
    **FILMS,
    **{name: (data, Media(type_)) for name, (data, type_) in OTHERS.items()},
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_is_known_by_its_content(name: str) -> None:
    data, expected = SAMPLES[name]
    assert seen(data) == expected


def test_there_is_a_sample_of_every_type() -> None:
    assert {media.type for _, media in SAMPLES.values()} == TYPES


@pytest.mark.parametrize("name", SAMPLES)
def test_its_beginning_tells_the_type(name: str) -> None:
    data, expected = SAMPLES[name]
    kind = sniff(data)
    sound_alone = expected.type.startswith("audio/") and kind == expected.type.replace("audio", "video")
    assert kind == expected.type or sound_alone
    assert sniff(data[:HEAD]) == kind


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html><script>alert(1)</script>",
        "  <HTML><body onload=alert(1)>",
        "\ufeff<html>",
        '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        '<?xml version="1.0"?><?xml-stylesheet href="a.xsl"?>',
        "#!/bin/sh\nrm -rf /",
        "%!PS-Adobe-3.0",
        "export const a = 1",
        "BMs are what these are, and ID3 is a tag",
        "ID3 is a tag; OggS a page; PK is Phil Katz; RIFF a chunk",
    ],
)
def test_markup_and_scripts_are_plain_text(text: str) -> None:
    assert sniff(text.encode()) == "text/plain"


def test_no_type_is_one_that_a_browser_runs() -> None:
    assert not [type_ for type_ in TYPES if any(word in type_ for word in ("html", "svg", "script", "xslt", "flash"))]
    assert not [type_ for type_ in TYPES if type_.endswith(("xml", "json"))]


@pytest.mark.parametrize(
    ("data", "type_"),
    [
        ("é".encode() * 5000, "text/plain"),
        (b"x" + "é".encode() * 5000, "text/plain"),
        (b"caf\xe9 au lait", UNKNOWN),
        ("hi".encode("utf-16"), UNKNOWN),
        (b"a\0b", UNKNOWN),
        (b"BM" + bytes(30), UNKNOWN),
        (b"\xff\xfb\x90\xc0" + bytes(500), UNKNOWN),
        (b"\xff\xf1\x0c\0\x19\0\0" + bytes(500), UNKNOWN),
        (b"\xff\xf1\x3c\0\x19\0\0", UNKNOWN),
        (b"\xff\xeb\x90\0", UNKNOWN),
        (b"\xff\xfb\xf0\0", UNKNOWN),
        (b"\0\0\1\0\0\0" + bytes(30), UNKNOWN),
        (page(0, 0, b"something else", first=True), UNKNOWN),
        (page(0, 0, OPUS), UNKNOWN),
        (box(b"ftyp", b"mif1\0\0\0\0mif1abcd"), UNKNOWN),
        (box(b"ftyp", b"abcd\0\0\0\0mif1abcd"), UNKNOWN),
        (webm(doctype=b"something"), UNKNOWN),
        (b"RIFF\0\0\0\0CDXA", UNKNOWN),
        (b"MZ" + bytes(60), UNKNOWN),
        (tarred()[:512], "application/x-tar"),
        (tarred()[:511], UNKNOWN),
        (tarred().replace(b"<html>", b"<htmm>", 1), UNKNOWN),
    ],
)
def test_what_only_looks_like_something(data: bytes, type_: str) -> None:
    assert sniff(data) == type_


@pytest.mark.parametrize(
    ("header", "frame"),
    [
        ("fffb9000", (417, 1152, 44100, 128_000)),
        ("fffb9200", (418, 1152, 44100, 128_000)),
        ("fffae400", (960, 1152, 48000, 320_000)),
        ("fffb1800", (144, 1152, 32000, 32_000)),
        ("fff38000", (208, 576, 22050, 64_000)),
        ("fff2e400", (480, 576, 24000, 160_000)),
        ("ffe31000", (52, 576, 11025, 8_000)),
        ("ffe32800", (144, 576, 8000, 16_000)),
        ("fffb9c00", None),
        ("fffd9000", None),
        ("fffb90", None),
    ],
)
def test_a_frame_of_mp3_tells_its_length(header: str, frame: tuple[int, ...] | None) -> None:
    assert mp3_frame(bytes.fromhex(header)) == frame


# What is broken


def tame(data: bytes) -> None:
    """Whatever the bytes are, there is an answer, and it is one that the caller can store."""
    media = seen(data)
    assert media.type in TYPES
    assert (media.width is None) == (media.height is None)
    for size in (media.width, media.height):
        assert size is None or 0 < size < 1 << 32
    assert media.duration_ms is None or 0 < media.duration_ms <= 366 * 86_400_000


@given(st.binary(max_size=300))
def test_any_bytes_are_something(data: bytes) -> None:
    assert sniff(data) in TYPES
    tame(data)


@given(st.sampled_from(sorted(SAMPLES)), st.binary(max_size=200))
def test_any_bytes_after_a_beginning_are_something(name: str, data: bytes) -> None:
    start = SAMPLES[name][0]
    for kept in (8, 12, 24, 40, 64):
        tame(start[:kept] + data)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_may_end_anywhere(name: str) -> None:
    data, _ = SAMPLES[name]
    for end in {*range(min(len(data), 700)), *range(0, len(data), 997), *range(max(0, len(data) - 100), len(data))}:
        tame(data[:end])


places = st.integers(0, 80) | st.integers(0, 4096)
odd = st.sampled_from([b"", b"\0", b"\xff", b"\x7f", b"\x80", b"\0" * 4, b"\xff" * 4, b"\xff" * 8]) | st.binary(
    max_size=4
)
changes = st.lists(st.tuples(places, odd, st.integers(0, 8)), min_size=1, max_size=6)


@settings(max_examples=1000)
@given(st.sampled_from(sorted(SAMPLES)), changes)
def test_a_file_may_be_changed_anywhere(name: str, changes: list[tuple[int, bytes, int]]) -> None:
    data = SAMPLES[name][0][:8192]
    for at, put, instead_of in changes:
        data = data[:at] + put + data[at + instead_of :]
    tame(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (webm(info(struct.pack(">d", float("nan"))), SOUND), Media("audio/webm")),
        (webm(info(struct.pack(">d", float("inf"))), SOUND), Media("audio/webm")),
        (webm(info(struct.pack(">d", -5)), SOUND), Media("audio/webm")),
        (mp4(box(b"moov", mvhd(0, 1500), FILM)), Media("video/mp4", 320, 180)),
        (mp4(box(b"moov", mvhd(1, 1 << 40, version=1), FILM)), Media("video/mp4", 320, 180)),
        (ogg((OPUS, 1 << 60)), Media("audio/ogg")),
        (ogg((VORBIS.replace(struct.pack("<I", 44100), bytes(4)), 66150)), Media("audio/ogg")),
        (mp3(inside=b"Xing\0\0\0\1\xff\xff\xff\xff", at=21), Media("audio/mpeg")),
        (b"fLaC\4\0\0\x22" + flac()[8:], Media("audio/flac")),
        (b"RIFF\0\0\0\0AVI LIST\0\0\0\0odmlavih" + bytes(60), Media("video/vnd.avi")),
        (webm(element(0x1549A966, element(0x4489, b"\1\2")), SOUND), Media("audio/webm")),
        (mp4(box(b"moov", mvhd(1000, 0), trak(2, b"soun", timescale=0), mvex(2, 1)), moof(2, 9)), Media("audio/mp4")),
        (mp4(box(b"moov", mvhd(1000, 0), VOICE, mvex(2, 1)), moof(3, 9)), Media("audio/mp4")),
        (picture("PNG").replace(struct.pack(">I", 32), bytes(4), 1), Media(UNKNOWN)),
        (b"BM" + bytes(12) + struct.pack("<Iii", 40, -32, 20) + bytes(28), Media(UNKNOWN)),
        (b"\xff\xd8\xff\xc0\0\x11\x08\0\0\0\x20" + bytes(12), Media(UNKNOWN)),  # its height would come later
        (gif_of((12000, 12000), screen=(1, 1)), Media("image/gif", 12000, 12000)),
        (gif_of((5, 5), (9000, 7), screen=(1, 1)), Media("image/gif", 9000, 7)),
        (gif_of((5, 5), screen=(40, 30)), Media("image/gif", 40, 30)),
        (gif_of(screen=(40, 30)), Media(UNKNOWN)),
        (gif_of((12000, 12000), screen=(1, 1), first=b"!\xfe" + b"\x01x" * 5000 + b"\0"), Media(UNKNOWN)),
        (b"\xff\xd8" + b"\xff\xfe\0\2" * 5000 + picture("JPEG")[2:], Media(UNKNOWN)),
        (mp4(struct.pack(">I4s", 1 << 31, b"moov") + mvhd(600, 1500) + FILM), Media("video/mp4", 320, 180, 2500)),
        (mp4(struct.pack(">I4s", 4, b"free"), box(b"moov", mvhd(600, 1500), FILM)), Media("video/mp4")),
    ],
)
def test_no_number_is_believed(data: bytes, expected: Media) -> None:
    assert seen(data) == expected


class Counted(io.BytesIO):
    """A file that knows what was read of it."""

    reads = 0
    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.reads += 1
        self.count += len(found)
        return found


MANY = 1_500_000


@pytest.mark.parametrize(
    "data",
    [
        mp4(box(b"free") * MANY),
        mp4(box(b"moov", mvhd(1000, 0), FILM, mvex(1, 40)), box(b"free") * MANY),
        mp4(box(b"moov", box(b"trak") * MANY)),
        mp4(box(b"moov", mvhd(1000, 0), FILM, mvex(1, 40)), box(b"moof", box(b"traf") * MANY)),
        b"\xff\xd8" + b"\xff\xe0\0\2" * MANY,
        b"\xff\xd8" + b"\xff" * MANY,
        b"\xff\xd8" + b"\xff\xe0\0\0" * MANY,
        picture("PNG")[:33] + bytes(12) * MANY,
        b"RIFF\0\0\0\0WAVE" + bytes(8) * MANY,
        b"RIFF\0\0\0\0WEBPVP8X" + struct.pack("<IB9x", 10, 8) + bytes(8) * MANY,
        webm(b"\xec\x80" * MANY),
        webm(b"\x1fC\xb6u\x81x" * MANY),
        webm(cluster(0, unknown=True), (b"\x1fC\xb6u\xff" + whole(0xE7, 1)) * 300_000),
        webm(cluster(0, unknown=True), b"\xa3\x84\x81\0\0\0" * MANY),
        ogg((OPUS, 1)) + b"OggS\0" * MANY,
        b"#!AMR\n" + b"\x7c" * MANY,
        ID3 + bytes(MANY),
        heic()[:24] + full(b"meta", box(b"free") * MANY),
        b"II*\0\x08\0\0\0\xff\xff" + bytes(12) * 65536,
        gif_of(screen=(1, 1), first=b"!\xfe" + b"\x01x" * MANY + b"\0"),
        gif_of(*[(1, 1)] * 100_000, screen=(1, 1)),
    ],
)
def test_the_work_is_bounded(data: bytes) -> None:
    file = Counted(data)
    inspect(file)
    assert file.count <= MOST_BYTES
    assert file.reads <= 4096


def test_the_end_of_a_long_recording_is_found() -> None:
    long = [cluster(30_000 * minute, *range(0, 30_000, 60)) for minute in range(200)]
    file = Counted(webm(info(), SOUND, *long, unknown=True))
    assert inspect(file) == Media("audio/webm", duration_ms=199 * 30_000 + 29_940)
    assert len(file.getvalue()) > MOST_BYTES >= file.count


def test_a_file_that_becomes_shorter_is_broken() -> None:
    class Shrinks(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            self.truncate(30)
            return found

    assert inspect(Shrinks(FILMS["mp4 with moov at the end"][0])) == Media("video/mp4")


# Thumbnails


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "file"


def made(path: Path, data: bytes, *, edge: int = 16, most_pixels: int = 1_000_000) -> bytes:
    path.write_bytes(data)
    small = thumbnail(path, edge=edge, most_pixels=most_pixels)
    assert small is not None
    return small


def small(path: Path, data: bytes, *, most_pixels: int = 1_000_000) -> Image.Image:
    image = Image.open(io.BytesIO(made(path, data, most_pixels=most_pixels)))
    image.load()
    return image


def saved(image: Image.Image, format_: str, **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format_, **how)
    return out.getvalue()


def near(pixel: Any, color: Iterable[int]) -> bool:
    return all(abs(one - other) < 40 for one, other in zip(pixel, color, strict=True))


RED, BLUE = (255, 0, 0), (0, 0, 255)


def halves(size: tuple[int, int] = (64, 32)) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", size, BLUE)
    image.paste(RED, (0, 0, size[0] // 2, size[1]))
    return image


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP"])
def test_a_picture_becomes_small(kept: Path, format_: str) -> None:
    image = small(kept, saved(halves(), format_))
    assert (image.format, image.size) == ("JPEG", (16, 8))
    assert near(image.getpixel((2, 4)), RED)
    assert near(image.getpixel((13, 4)), BLUE)


def test_a_small_picture_stays_as_large_as_it_is(kept: Path) -> None:
    assert small(kept, saved(halves((8, 4)), "PNG")).size == (8, 4)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("orientation", "top"), [(6, RED), (8, BLUE)])
def test_a_picture_is_turned_upright(kept: Path, format_: str, orientation: int, top: tuple[int, ...]) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    data = saved(halves(), format_, exif=exif)
    image = small(kept, data)
    assert image.size == (8, 16)
    assert near(image.getpixel((4, 2)), top)
    assert (seen(data).width, seen(data).height) == (32, 64)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_metadata_are_dropped(kept: Path, mode: str) -> None:
    exif = Image.Exif()
    exif[270], exif[315] = "at home", "ada lovelace"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    how: dict[str, Any] = {"exif": exif, "xmp": b"<x>at home</x>", "icc_profile": profile}
    if mode != "RGBA":
        how["comment"] = b"at home"
    data = saved(halves().convert(mode), "WEBP" if mode == "RGBA" else "JPEG", **how)
    assert all(told in data for told in (b"at home", b"lovelace", b"acsp"))
    result = made(kept, data)
    assert not any(told in result for told in (b"home", b"lovelace", b"acsp", b"Exif", b"EXIF", b"XMP"))


@pytest.mark.parametrize(
    ("format_", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("PNG", "LA"), ("PNG", "RGB"), ("GIF", "P"), ("WEBP", "RGBA")]
)
def test_transparency_stays(kept: Path, format_: str, mode: str) -> None:
    if mode == "RGB":
        data = saved(halves(), format_, transparency=RED)
    elif mode == "P":
        image = Image.new("P", (64, 32), 0)
        image.putpalette([0, 255, 0, *RED, *BLUE])
        image.paste(1, (32, 0, 64, 32))
        data = saved(image, format_, transparency=0)
    else:
        image = Image.new("RGBA", (64, 32), (0, 0, 0, 0))
        image.paste((*RED, 255), (32, 0, 64, 32))
        data = saved(image.convert(mode), format_)
    result = small(kept, data)
    assert (result.format, result.mode) == ("WEBP", "RGBA")
    alpha = result.getchannel("A")
    assert near([alpha.getpixel((2, 4)), alpha.getpixel((13, 4))], [0, 255])


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_stands_for_an_animation(kept: Path, format_: str) -> None:
    frames = [Image.new("RGB", (64, 32), color) for color in (RED, BLUE)]
    data = saved(frames[0], format_, save_all=True, append_images=frames[1:], duration=100)
    assert near(small(kept, data).convert("RGB").getpixel((8, 4)), RED)


def test_sixteen_bits_of_grey_are_not_cut_off(kept: Path) -> None:
    image = small(kept, saved(Image.new("I;16", (64, 32), 0x8000), "PNG"))
    assert near(image.getpixel((8, 4)), (128, 128, 128))


def test_a_picture_for_print_is_shown(kept: Path) -> None:
    assert near(small(kept, saved(halves().convert("CMYK"), "JPEG")).getpixel((2, 4)), RED)


def test_a_large_jpeg_is_decoded_small(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    load = JpegImageFile.load

    def spy(self: JpegImageFile) -> Any:
        sizes.append(self.size)
        return load(self)

    monkeypatch.setattr(JpegImageFile, "load", spy)
    assert small(kept, saved(halves((1600, 800)), "JPEG"), most_pixels=1600 * 800).size == (16, 8)
    assert (1600, 800) not in sizes


def test_a_picture_with_too_many_pixels_is_refused_before_decoding(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []

    kept.write_bytes(saved(halves(), "PNG"))
    assert thumbnail(kept, edge=16, most_pixels=64 * 32) is not None
    monkeypatch.setattr(Image, "open", lambda file, **_how: opened.append(file))
    assert thumbnail(kept, edge=16, most_pixels=64 * 32 - 1) is None
    kept.write_bytes(saved(halves(), "PNG").replace(struct.pack(">II", 64, 32), struct.pack(">II", 1 << 30, 1 << 30)))
    assert thumbnail(kept, edge=16, most_pixels=1_000_000) is None
    assert opened == []


def test_a_frame_larger_than_its_header_says_is_refused(kept: Path) -> None:
    data = saved(halves((400, 200)), "GIF")
    kept.write_bytes(data[:6] + struct.pack("<HH", 4, 2) + data[10:])
    assert seen(kept.read_bytes()) == Media("image/gif", 400, 200)
    assert thumbnail(kept, edge=16, most_pixels=20_000) is None
    assert thumbnail(kept, edge=16, most_pixels=60_000) is None
    assert thumbnail(kept, edge=16, most_pixels=80_000) is not None


@pytest.mark.parametrize("name", [name for name, (_, media) in SAMPLES.items() if media.type not in {"image/png"}])
def test_what_is_no_picture_or_broken_has_no_thumbnail(kept: Path, name: str) -> None:
    data, media = SAMPLES[name]
    kept.write_bytes(data[:-1] if media.type == "image/bmp" else data[: len(data) * 2 // 3])
    assert thumbnail(kept, edge=16, most_pixels=1_000_000) is None


@given(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP"]), changes)
def test_a_changed_picture_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, format_: str, changes: list[tuple[int, bytes, int]]
) -> None:
    data = saved(halves(), format_)
    for at, put, instead_of in changes:
        data = data[:at] + put + data[at + instead_of :]
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(data)
    result = thumbnail(path, edge=16, most_pixels=100_000)
    assert result is None or max(Image.open(io.BytesIO(result)).size) <= 16


def test_a_missing_file_is_an_error(kept: Path) -> None:
    with pytest.raises(FileNotFoundError):
        thumbnail(kept, edge=16, most_pixels=1000)


def test_without_pillow_there_are_no_thumbnails_and_all_else(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.write_bytes(saved(halves(), "PNG"))
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert thumbnail(kept, edge=16, most_pixels=1_000_000) is None
    assert seen(kept.read_bytes()) == Media("image/png", 64, 32)


def test_pillow_is_loaded_only_for_thumbnails() -> None:
    program = "import sys, io, chatd.media; chatd.media.inspect(io.BytesIO(b'GIF89a')); sys.exit('PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
