"""How large a picture is shown: from the headers of its container, turned as its Exif orientation says."""

from __future__ import annotations

from typing import Literal

from chatd.media.source import Broken, Measures, Source

_SIDEWAYS = {5, 6, 7, 8}
"""The orientations that swap width and height (Exif 2.32, tag 274)."""

_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274


def png(source: Source, found: Measures) -> None:
    """PNG (W3C, third edition), IHDR and, if it comes before the pixels, eXIf."""
    if source.read(12, 4) != b"IHDR":
        raise Broken
    found.width, found.height = source.big(16, 4), source.big(20, 4)
    at = 8
    while (header := source.read(at, 8))[4:] not in (b"IDAT", b"IEND"):
        if header[4:] == b"eXIf":
            _turn(source, found, at + 8)
            return
        at += 12 + int.from_bytes(header[:4], "big")


def gif(source: Source, found: Measures) -> None:
    """GIF89a, sections 18 and 20: the logical screen, or more where a frame goes beyond it, as decoders take it.

    Nothing before the first frame is found.
    """
    width, height = source.little(6, 2), source.little(8, 2)
    at = 13 + _table(source.read(10, 1)[0])
    while (block := source.read(at, 1)) != b"\x3b":
        if block == b"\x21":
            at = _after_blocks(source, at + 2)
        elif block == b"\x2c":
            frame = source.read(at + 1, 9)
            left, top, wide, high = (int.from_bytes(frame[n : n + 2], "little") for n in (0, 2, 4, 6))
            found.width = width = max(width, left + wide)
            found.height = height = max(height, top + high)
            at = _after_blocks(source, at + 11 + _table(frame[8]))
        else:
            raise Broken


def _table(flags: int) -> int:
    """The bytes that a color table takes (sections 18 and 20)."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(source: Source, at: int) -> int:
    """Where a row of sub-blocks ends (section 15)."""
    while length := source.read(at, 1)[0]:
        at += 1 + length
    return at + 1


_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOFn (ITU-T T.81, table B.1)."""

_BARE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a segment."""


def jpeg(source: Source, found: Measures) -> None:
    """ITU-T T.81, sections B.1 and B.2.2; Exif 2.32, section 4.7.2: the orientation is in APP1, before the frame."""
    at, sideways = 2, False
    while True:
        marker = source.read(at, 10)
        if marker[0] != 0xFF or marker[1] in (0x00, 0xD9, 0xDA):
            return
        if marker[1] == 0xFF:
            at += 1  # fill byte
            continue
        if marker[1] in _BARE:
            at += 2
            continue
        if marker[1] in _FRAMES:
            found.height, found.width = int.from_bytes(marker[5:7], "big"), source.big(at + 7, 2)
            if sideways:
                found.turn()
            return
        if marker[1] == 0xE1 and marker[4:10] == b"Exif\0\0":
            sideways = _tags(source, at + 10).get(_ORIENTATION) in _SIDEWAYS
        at += 2 + int.from_bytes(marker[2:4], "big")


def webp(source: Source, found: Measures) -> None:
    """RFC 9649, sections 2.5 to 2.7; VP8: RFC 6386, section 9.1."""
    head = source.read(12, 18)
    kind = head[:4]
    if kind == b"VP8X":
        found.width = 1 + int.from_bytes(head[12:15], "little")
        found.height = 1 + int.from_bytes(head[15:18], "little")
        if head[8] & 0x08:
            _turn_webp(source, found)
    elif kind == b"VP8L" and head[8] == 0x2F:
        bits = int.from_bytes(head[9:13], "little")
        found.width, found.height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 " and head[11:14] == b"\x9d\x01\x2a":
        found.width = int.from_bytes(head[14:16], "little") & 0x3FFF
        found.height = int.from_bytes(head[16:18], "little") & 0x3FFF


def _turn_webp(source: Source, found: Measures) -> None:
    for name, at, _ in source.riff(12):
        if name == b"EXIF":
            exif = source.upto(at, 6) == b"Exif\0\0"  # some writers take the prefix of JPEG along
            _turn(source, found, at + 6 * exif)


def bmp(source: Source, found: Measures) -> None:
    """BITMAPCOREHEADER and BITMAPINFOHEADER (Microsoft, Windows GDI); a negative height means rows from the top."""
    if source.little(14, 4) == 12:
        found.width, found.height = source.little(18, 2), source.little(20, 2)
    else:
        header = source.read(18, 8)
        found.width = int.from_bytes(header[:4], "little", signed=True)
        found.height = abs(int.from_bytes(header[4:], "little", signed=True))


def ico(source: Source, found: Measures) -> None:
    """The largest icon; 0 stands for 256 (Microsoft, ICONDIRENTRY)."""
    entries = source.upto(6, 16 * source.little(4, 2))
    whole = [entries[at : at + 2] for at in range(0, len(entries) - 15, 16)]
    found.width, found.height = max(((size[0] or 256, size[1] or 256) for size in whole), default=(0, 0))


def tiff(source: Source, found: Measures) -> None:
    """TIFF 6.0, section 8: of the first picture."""
    tags = _tags(source, 0)
    found.width, found.height = tags.get(_WIDTH), tags.get(_HEIGHT)
    if tags.get(_ORIENTATION) in _SIDEWAYS:
        found.turn()


def _turn(source: Source, found: Measures, exif: int) -> None:
    if _tags(source, exif).get(_ORIENTATION) in _SIDEWAYS:
        found.turn()


_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_BYTES = {3: 2, 4: 4}
"""What SHORT and LONG take."""


def _tags(source: Source, start: int) -> dict[int, int]:
    """The tags with one SHORT or LONG in the first directory of what begins here (TIFF 6.0, section 2).

    Nothing if none begins here, so that a bad orientation does not cost the dimensions.
    """
    try:
        order = _ORDERS[source.upto(start, 4)]
        directory = start + int.from_bytes(source.read(start + 4, 4), order)
        entries = source.upto(directory + 2, 12 * int.from_bytes(source.read(directory, 2), order))
    except (KeyError, Broken):
        return {}
    tags = {}
    for at in range(0, len(entries) - 11, 12):
        tag, kind, count = (int.from_bytes(entries[at + a : at + b], order) for a, b in ((0, 2), (2, 4), (4, 8)))
        if count == 1 and kind in _BYTES:
            tags[tag] = int.from_bytes(entries[at + 8 : at + 8 + _BYTES[kind]], order)
    return tags
