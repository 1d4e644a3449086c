"""Films and sounds in the elements of Matroska and WebM (RFC 9559) over EBML (RFC 8794)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from chatd.media.source import Broken, Measures, Source

_SEGMENT, _INFO, _TRACKS, _CLUSTER = 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675
_SCALE, _DURATION = 0x2AD7B1, 0x4489
_TRACK, _KIND, _VIDEO, _WIDTH, _HEIGHT = 0xAE, 0x83, 0xE0, 0xB0, 0xBA
_TIMESTAMP, _SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK = 0xE7, 0xA3, 0xA0, 0xA1

_TAIL = 3 * 1024 * 1024
"""The last cluster is looked for from the end on, so far: browsers begin one at least every 32 s and at key frames."""


@dataclass(frozen=True, slots=True)
class Element:
    """Its number, where its content begins and where it ends, within what it is in."""

    id: int
    start: int
    end: int


def elements(source: Source, start: int, end: int) -> Iterator[Element]:
    """The elements that stand here one after the other (RFC 8794, sections 4 to 6). Raises `Broken`.

    One of unknown size, as recorders write them, reaches to the end of what it is in.
    """
    at = start
    while at < end:
        header = source.upto(at, 12)
        id_bytes = 9 - header[0].bit_length()
        if id_bytes > 4 or len(header) <= id_bytes:
            return
        size_bytes = 9 - header[id_bytes].bit_length()
        content = at + id_bytes + size_bytes
        if size_bytes > 8 or content > end:
            return
        most = (1 << 7 * size_bytes) - 1
        size = int.from_bytes(header[id_bytes : id_bytes + size_bytes], "big") & most
        reach = end if size == most else content + size
        yield Element(int.from_bytes(header[:id_bytes], "big"), content, min(reach, end))
        at = reach


def film(source: Source, found: Measures) -> None:
    """Duration by TimestampScale (RFC 9559, section 5.1.2); a recording without ends with its last block."""
    segment = next((one for one in elements(source, 0, source.size) if one.id == _SEGMENT), None)
    if segment is None:
        raise Broken
    scale, duration = 1_000_000, 0.0
    for one in elements(source, segment.start, segment.end):
        if one.id == _INFO:
            for told in elements(source, one.start, one.end):
                if told.id == _SCALE:
                    scale = _number(source, told)
                elif told.id == _DURATION:
                    duration = _float(source, told)
        elif one.id == _TRACKS:
            _tracks(source, one, found)
        elif one.id == _CLUSTER:
            break
    if duration > 0:
        found.duration_ms = duration * scale / 1e6
    else:
        found.duration_ms = _last_block(source, after=segment.start) * scale / 1e6


def _number(source: Source, element: Element) -> int:
    return source.big(element.start, min(element.end - element.start, 8))


def _float(source: Source, element: Element) -> float:
    size = element.end - element.start
    if size not in (4, 8):
        return 0
    number: float = struct.unpack(">f" if size == 4 else ">d", source.read(element.start, size))[0]
    return number


def _tracks(source: Source, tracks: Element, found: Measures) -> None:
    """Section 5.1.4: a track of type 1 is video."""
    for track in elements(source, tracks.start, tracks.end):
        if track.id != _TRACK:
            continue
        found.looks = bool(found.looks)
        for told in elements(source, track.start, track.end):
            if told.id == _KIND and _number(source, told) == 1:
                found.looks = True
            elif told.id == _VIDEO and found.width is None:
                sizes = {one.id: _number(source, one) for one in elements(source, told.start, told.end)}
                found.width, found.height = sizes.get(_WIDTH), sizes.get(_HEIGHT)


def _last_block(source: Source, *, after: int) -> int:
    """The timestamp of the block that begins last in the last cluster, in ticks; 0 if there is none in reach."""
    start = max(after, source.size - _TAIL)
    tail = source.upto(start, _TAIL)
    memory = Source.of(tail)
    at = len(tail)
    while (at := tail.rfind(_CLUSTER.to_bytes(4, "big"), 0, at)) >= 0:
        cluster = next(elements(memory, at, len(tail)), None)
        last = None if cluster is None else _ends(memory, cluster)
        if last is not None:
            return last
    return 0


def _ends(source: Source, cluster: Element) -> int | None:
    """Section 5.1.3: a cluster's timestamp and that of its latest block relative to it; None if it is no cluster."""
    began: int | None = None
    latest = 0
    with suppress(Broken):  # cut off in a block
        for one in elements(source, cluster.start, cluster.end):
            if one.id == _TIMESTAMP:
                began = _number(source, one)
            elif one.id == _SIMPLE_BLOCK:
                latest = max(latest, _relative(source, one))
            elif one.id == _BLOCK_GROUP:
                blocks = (block for block in elements(source, one.start, one.end) if block.id == _BLOCK)
                latest = max([latest, *(_relative(source, block) for block in blocks)])
            elif began is None and one.id not in _MAY_COME_FIRST:
                return None
    return None if began is None else began + latest


_MAY_COME_FIRST = {0xBF, 0xEC}
"""CRC-32 and Void."""


def _relative(source: Source, block: Element) -> int:
    """Section 10.1: after the number of its track, an EBML variable-size integer."""
    number_bytes = 9 - source.big(block.start, 1).bit_length()
    return int.from_bytes(source.read(block.start + number_bytes, 2), "big", signed=True)
