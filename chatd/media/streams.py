"""How long a sound lasts, and a film in Ogg or AVI: from what is told and from how many bytes there really are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chatd.media.kinds import HEAD, OGG_FILM, adts_frame, first_packets, id3_size, mp3_frame
from chatd.media.source import Broken, Measures, Source

_WALKED = 256 * 1024
"""Of a format that is nothing but frames so many bytes are walked; longer ones go on as they began."""


def wav(source: Source, found: Measures) -> None:
    """Microsoft, Multimedia Programming Interface 1.0, "WAVE"; what recorders leave unsaid ends with the file."""
    rate = 0
    for name, at, length in source.riff(12):
        if name == b"fmt ":
            rate = source.little(at + 8, 4)
        elif name == b"data" and rate:
            there = source.size - at
            found.duration_ms = 1000 * (min(length, there) or there) / rate
            return


def flac(source: Source, found: Measures) -> None:
    """RFC 9639, section 8.2 (STREAMINFO)."""
    at = id3_size(source.upto(0, 10))
    if source.read(at, 5)[4] & 0x7F:
        raise Broken
    info = source.big(at + 18, 8)
    _last(found, samples=info & 0xF_FFFF_FFFF, rate=info >> 44)


def _last(found: Measures, *, samples: int, rate: int) -> None:
    if samples > 0 and rate > 0:
        found.duration_ms = 1000 * samples / rate


def mp3(source: Source, found: Measures) -> None:
    """The number of frames in a Xing, Info or VBRI header, else bytes by bitrate (ISO/IEC 11172-3, section 2.4).

    Xing and VBRI: "MPEG Audio Frame Header" (Konrad Windszus), sections 2.3.1 and 2.3.2.
    """
    at = id3_size(source.upto(0, 10))
    first = _from_first_frame(source.upto(at, HEAD))
    frame = mp3_frame(first[:4])
    if frame is None:
        raise Broken
    _, samples, rate, bits = frame
    mono, newest = first[3] >> 6 == 3, first[1] >> 3 & 3 == 3
    xing = 4 + ((17 if mono else 32) if newest else (9 if mono else 17))
    frames = 0
    if first[xing : xing + 4] in (b"Xing", b"Info") and int.from_bytes(first[xing + 4 : xing + 8], "big") & 1:
        frames = int.from_bytes(first[xing + 8 : xing + 12], "big")
    elif first[36:40] == b"VBRI":
        frames = int.from_bytes(first[50:54], "big")
    if frames:
        _last(found, samples=frames * samples, rate=rate)
        return
    tag = 128 if source.size >= 128 and source.read(source.size - 128, 3) == b"TAG" else 0  # ID3v1
    found.duration_ms = 8000 * (source.size - tag - at) / bits


def _from_first_frame(around: bytes) -> bytes:
    """What begins with an MP3 frame that a second one follows: tags end in padding that they do not count."""
    for at in range(len(around) - 3):
        frame = mp3_frame(around[at : at + 4])
        if frame is not None:
            after = around[at + frame[0] :][:4]
            if len(after) < 4 or mp3_frame(after):
                return around[at:]
    return b""


def _walk(source: Source, at: int, step: Callable[[bytes, int], tuple[int, float] | None]) -> float:
    """The milliseconds of frames that begin here; `step` says of one its bytes and its milliseconds."""
    window = source.upto(at, _WALKED)
    place, total = 0, 0.0
    while place < len(window) and (frame := step(window, place)) is not None:
        place += frame[0]
        total += frame[1]
    if place and place >= len(window) and at + len(window) < source.size:
        total *= (source.size - at) / place
    return total


def aac(source: Source, found: Measures) -> None:
    """ISO/IEC 13818-7, section 6.2: ADTS frames."""
    found.duration_ms = _walk(source, id3_size(source.upto(0, 10)), _adts_step)


def _adts_step(window: bytes, place: int) -> tuple[int, float] | None:
    frame = adts_frame(window[place : place + 7])
    return frame and (frame[0], 1000 * frame[1] / frame[2])


_NARROW = (13, 14, 16, 18, 20, 21, 27, 32, 6, 1, 1, 1, 1, 1, 1, 1)
_WIDE = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1, 1, 1, 1, 1)
"""Bytes of a frame by its type (RFC 4867, section 5.3; 3GPP TS 26.101 and 26.201, annex A)."""


def amr(source: Source, found: Measures) -> None:
    """RFC 4867, section 5: every frame is 20 ms."""
    wide = source.read(0, 8) == b"#!AMR-WB"
    sizes = _WIDE if wide else _NARROW
    found.duration_ms = _walk(source, 9 if wide else 6, lambda window, at: (sizes[window[at] >> 3 & 15], 20))


_TAIL = 128 * 1024
"""Two of the largest pages of Ogg (65,307 bytes), so that one is whole."""


def ogg(source: Source, found: Measures) -> None:
    """RFC 3533, section 6: the last granule position of each stream, and what it is in its codec; the longest."""
    clocks: dict[int, Callable[[int], float]] = {}
    for serial, packet in first_packets(source.upto(0, HEAD)):
        if packet.startswith(OGG_FILM) and len(packet) >= 42:
            found.width = int.from_bytes(packet[14:17], "big")
            found.height = int.from_bytes(packet[17:20], "big")
        clock = _clock(packet)
        if clock is not None:
            clocks[serial] = clock
    start = max(0, source.size - _TAIL)
    found.duration_ms = max(_ends(source.upto(start, _TAIL), clocks).values(), default=None)


def _ends(tail: bytes, clocks: Mapping[int, Callable[[int], float]]) -> dict[int, float]:
    ends = {}
    at = tail.find(b"OggS\0")
    while at >= 0 and at + 27 <= len(tail):
        granule = int.from_bytes(tail[at + 6 : at + 14], "little", signed=True)
        serial = int.from_bytes(tail[at + 14 : at + 18], "little")
        if granule >= 0 and serial in clocks:
            ends[serial] = clocks[serial](granule)
        at = tail.find(b"OggS\0", at + 27)
    return ends


def _clock(packet: bytes) -> Callable[[int], float] | None:
    """From granule positions to milliseconds, by the first packet of a stream; None for what cannot be told."""
    if packet.startswith(b"OpusHead") and len(packet) >= 19:  # RFC 7845, sections 4 and 5.1
        skip = int.from_bytes(packet[10:12], "little")
        return lambda granule: (granule - skip) / 48
    if packet.startswith(b"\x01vorbis") and len(packet) >= 16:  # Vorbis I, section 4.2.2
        return _by_rate(int.from_bytes(packet[12:16], "little"))
    if packet.startswith(b"\x7fFLAC") and len(packet) >= 30:  # RFC 9639, section 10.1
        return _by_rate(int.from_bytes(packet[27:30], "big") >> 4)
    if packet.startswith(b"Speex   ") and len(packet) >= 40:  # The Speex Codec Manual, "Ogg file format"
        return _by_rate(int.from_bytes(packet[36:40], "little"))
    if packet.startswith(OGG_FILM) and len(packet) >= 42:  # Theora, sections 6.2 and A.2.3
        frames, seconds = int.from_bytes(packet[22:26], "big"), int.from_bytes(packet[26:30], "big")
        shift = int.from_bytes(packet[40:42], "big") >> 5 & 31
        return lambda granule: 1000 * ((granule >> shift) + (granule & (1 << shift) - 1)) * seconds / (frames or 1)
    return None


def _by_rate(rate: int) -> Callable[[int], float] | None:
    return None if rate == 0 else lambda granule: 1000 * granule / rate


def avi(source: Source, found: Measures) -> None:
    """The main header, which comes first (Microsoft, "AVI RIFF File Reference", AVIMAINHEADER)."""
    if source.read(20, 8) != b"hdrlavih":
        raise Broken
    found.width, found.height = source.little(64, 4), source.little(68, 4)
    found.duration_ms = source.little(32, 4) * source.little(48, 4) / 1000
