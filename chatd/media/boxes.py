"""Pictures and films in the boxes of ISO/IEC 14496-12: MP4, M4A, QuickTime, AVIF, HEIC."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from chatd.media.source import Broken, Measures, Source

_MOST_LIST = 64 * 1024
"""A list within a box (associations, samples) is read so far."""

_LAST_FRAGMENTS = 4
"""The tracks of a recording end in different fragments, but near each other."""


@dataclass(frozen=True, slots=True)
class Box:
    """Its name, where its content begins and where it ends, within what it is in."""

    name: bytes
    start: int
    end: int


def boxes(source: Source, start: int, end: int) -> Iterator[Box]:
    """The boxes that stand here one after the other (ISO/IEC 14496-12, section 4.2). Raises `Broken`."""
    at = start
    while at + 8 <= end:
        header = source.upto(at, 16)
        size, begins = int.from_bytes(header[:4], "big"), at + 8
        if size == 1:
            size, begins = int.from_bytes(header[8:16], "big"), at + 16
        elif size == 0:
            size = end - at
        if at + size < begins:
            return
        yield Box(header[4:8], begins, min(at + size, end))
        at += size


def within(source: Source, box: Box, *path: bytes) -> Box | None:
    """The first box by this path of names. Raises `Broken`."""
    found: Box | None = box
    for name in path:
        if found is None:
            return None
        found = next((inner for inner in boxes(source, found.start, found.end) if inner.name == name), None)
    return found


def _file(source: Source) -> Box:
    return Box(b"", 0, source.size)


# Pictures: HEIF, ISO/IEC 23008-12


def still(source: Source, found: Measures) -> None:
    """What `ispe` says of the primary item, turned by its `irot` (ISO/IEC 23008-12, sections 6.5.3 and 6.5.10)."""
    meta = within(source, _file(source), b"meta")
    if meta is None:
        raise Broken
    meta = Box(meta.name, meta.start + 4, meta.end)
    pitm, ipma = within(source, meta, b"pitm"), within(source, meta, b"iprp", b"ipma")
    ipco = within(source, meta, b"iprp", b"ipco")
    if pitm is None or ipma is None or ipco is None:
        raise Broken
    primary = source.big(pitm.start + 4, 2 if source.big(pitm.start, 1) == 0 else 4)
    wanted = _properties(source.upto(ipma.start, min(ipma.end - ipma.start, _MOST_LIST)), primary)
    sideways = False
    for number, box in enumerate(boxes(source, ipco.start, ipco.end), start=1):
        if number in wanted and box.name == b"ispe":
            found.width, found.height = source.big(box.start + 4, 4), source.big(box.start + 8, 4)
        elif number in wanted and box.name == b"irot":
            sideways = source.big(box.start, 1) & 1 == 1
    if sideways:
        found.turn()


def _properties(ipma: bytes, item: int) -> set[int]:
    """The numbers of the properties of an item (ISO/IEC 23008-12, section 9.3)."""
    head = int.from_bytes(ipma[:4], "big")
    id_bytes, wide, at = (4 if head >> 24 else 2), head & 1, 8
    while at + id_bytes < len(ipma):
        one, count = int.from_bytes(ipma[at : at + id_bytes], "big"), ipma[at + id_bytes]
        at += id_bytes + 1
        listed = ipma[at : at + count * (1 + wide)]
        if one == item and wide:
            return {int.from_bytes(listed[i : i + 2], "big") & 0x7FFF for i in range(0, len(listed), 2)}
        if one == item:
            return {index & 0x7F for index in listed}
        at += count * (1 + wide)
    return set()


# Films and sounds


@dataclass(slots=True)
class _Clock:
    """A track's ticks in a second, and how many of them a sample takes if nothing else is said."""

    timescale: int
    sample: int = 0


def film(source: Source, found: Measures) -> None:
    """`mvhd` (ISO/IEC 14496-12, section 8.2.2) or, in a recording that was written as it went, its last fragments.

    `tkhd` (section 8.3.2) says how large the film is shown, `hdlr` (section 8.4.3) what a track is.
    """
    moov = within(source, _file(source), b"moov")
    if moov is None:
        raise Broken
    kinds: set[bytes] = set()
    clocks: dict[int, _Clock] = {}
    fragmented: Box | None = None
    timescale = duration = 0
    for box in boxes(source, moov.start, moov.end):
        if box.name == b"mvhd":
            timescale, duration = _clocked(source, box)
        elif box.name == b"trak":
            kinds.add(_track(source, box, clocks, found))
        elif box.name == b"mvex":
            fragmented = box
    if kinds:
        found.looks = b"vide" in kinds
    if timescale and duration:
        found.duration_ms = 1000 * duration / timescale
    elif fragmented is not None:
        _fragments(source, fragmented, clocks, found, timescale=timescale)


def _clocked(source: Source, box: Box) -> tuple[int, int]:
    """Timescale and duration of `mvhd` or `mdhd`; 0 for a duration that is not known."""
    wide = source.big(box.start, 1) == 1
    timescale = source.big(box.start + (20 if wide else 12), 4)
    duration = source.big(box.start + (24 if wide else 16), 8 if wide else 4)
    return timescale, 0 if duration == (1 << (64 if wide else 32)) - 1 else duration


def _track(source: Source, trak: Box, clocks: dict[int, _Clock], found: Measures) -> bytes:
    """What a track is (`vide`, `soun`, …)."""
    tkhd, mdhd = within(source, trak, b"tkhd"), within(source, trak, b"mdia", b"mdhd")
    hdlr = within(source, trak, b"mdia", b"hdlr")
    if tkhd is None or mdhd is None or hdlr is None:
        return b""
    wide = source.big(tkhd.start, 1) == 1
    clocks[source.big(tkhd.start + (20 if wide else 12), 4)] = _Clock(_clocked(source, mdhd)[0])
    kind = source.read(hdlr.start + 8, 4)
    if kind == b"vide" and found.width is None:
        matrix = tkhd.start + (52 if wide else 40)
        found.width, found.height = source.big(matrix + 36, 2), source.big(matrix + 40, 2)  # 16.16, the whole part
        if source.big(matrix, 4) == 0 and source.big(matrix + 4, 4) != 0:
            found.turn()
    return kind


def _fragments(source: Source, mvex: Box, clocks: dict[int, _Clock], found: Measures, *, timescale: int) -> None:
    """`mehd` (section 8.8.2), else where the samples of the last `moof` end (sections 8.8.4 to 8.8.12)."""
    for box in boxes(source, mvex.start, mvex.end):
        if box.name == b"mehd" and timescale:
            found.duration_ms = 1000 * source.big(box.start + 4, 8 if source.big(box.start, 1) else 4) / timescale
            return
        if box.name == b"trex" and (clock := clocks.get(source.big(box.start + 4, 4))):
            clock.sample = source.big(box.start + 12, 4)
    moofs = (box for box in boxes(source, 0, source.size) if box.name == b"moof")
    last = deque(moofs, maxlen=_LAST_FRAGMENTS)
    ends = (_fragment(source, traf, clocks) for moof in last for traf in boxes(source, moof.start, moof.end))
    found.duration_ms = max(ends, default=None)


def _fragment(source: Source, traf: Box, clocks: dict[int, _Clock]) -> float:
    """When a fragment of a track ends, in milliseconds; 0 if it does not tell."""
    tfhd, tfdt = within(source, traf, b"tfhd"), within(source, traf, b"tfdt")
    if tfhd is None or tfdt is None:
        return 0
    clock = clocks.get(source.big(tfhd.start + 4, 4))
    if clock is None or clock.timescale == 0:
        return 0
    flags, sample = source.big(tfhd.start + 1, 3), clock.sample
    if flags & 0x8:
        sample = source.big(tfhd.start + 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0), 4)
    ticks = source.big(tfdt.start + 4, 8 if source.big(tfdt.start, 1) else 4)
    for trun in boxes(source, traf.start, traf.end):
        if trun.name == b"trun":
            ticks += _run(source, trun, sample)
    return 1000 * ticks / clock.timescale


def _run(source: Source, trun: Box, sample: int) -> int:
    """The ticks of a run of samples."""
    flags, count = source.big(trun.start + 1, 3), source.big(trun.start + 4, 4)
    if not flags & 0x100:
        return count * sample
    start = trun.start + 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
    step = 4 * (flags >> 8 & 0xF).bit_count()
    listed = source.upto(start, min(count * step, max(0, trun.end - start), _MOST_LIST))
    return sum(int.from_bytes(listed[at : at + 4], "big") for at in range(0, len(listed), step))
