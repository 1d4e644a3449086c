"""What a file is, from how it begins. Pure.

The name of a file and the type that a client claims for it say nothing here. The types are a closed list, and none in
it is one that a browser runs: markup and scripts are plain text. Their names are those of IANA's registry, but for
audio/wav, which is what players know, and for what is not registered (AAC as it is sent, 7z, tar).

Sources: the MIME Sniffing standard (WHATWG), sections 6 and 7, and, where it is silent, what defines each format.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator

HEAD = 8192
"""How many bytes of a file `sniff` wants to see: two frames of any MP3 or AAC, and the beginning of an office file."""

UNKNOWN = "application/octet-stream"

TYPES = frozenset(
    {
        *("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/heic"),
        *("image/bmp", "image/tiff", "image/vnd.microsoft.icon"),
        *("audio/mpeg", "audio/aac", "audio/ogg", "audio/flac", "audio/wav", "audio/amr", "audio/amr-wb"),
        *("audio/mp4", "audio/webm", "audio/matroska"),
        *("video/mp4", "video/quicktime", "video/webm", "video/matroska", "video/ogg", "video/vnd.avi"),
        *("application/pdf", "application/zip", "application/gzip", "application/x-7z-compressed", "application/x-tar"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.presentation",
        "application/epub+zip",
        *("text/plain", UNKNOWN),
    }
)
"""Every type that there is."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),  # PNG (W3C), section 5.2
    (b"\xff\xd8\xff", "image/jpeg"),  # ITU-T T.81, section B.1.1
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),  # TIFF 6.0, section 2
    (b"MM\0*", "image/tiff"),
    (b"fLaC", "audio/flac"),  # RFC 9639, section 6
    (b"#!AMR\n", "audio/amr"),  # RFC 4867, section 5.1
    (b"#!AMR-WB\n", "audio/amr-wb"),
    (b"%PDF-", "application/pdf"),
    (b"\x1f\x8b\x08", "application/gzip"),  # RFC 1952, section 2.3.1
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
)


def sniff(head: bytes) -> str:
    """The media type of a file that begins with these bytes (`HEAD` of them, or all): one of `TYPES`.

    A container that may hold sound alone or pictures too (WebM, Matroska, MP4) is taken for video here; `inspect`,
    which sees the whole file, says audio where there is nothing to look at.
    """
    head = head[:HEAD]
    for magic, type_ in _MAGIC:
        if head.startswith(magic):
            return type_
    found = (told for look in _LOOKS if (told := look(head)) is not None)
    return next(found, UNKNOWN)


def _riff(head: bytes) -> str | None:
    """RIFF (Microsoft, Multimedia Programming Interface 1.0); WebP: RFC 9649, section 2.4."""
    if not head.startswith(b"RIFF"):
        return None
    if head[8:15] == b"WEBPVP8":
        return "image/webp"
    return {b"WAVE": "audio/wav", b"AVI ": "video/vnd.avi"}.get(head[8:12])


_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "image/heic"),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P "), "audio/mp4"),
    b"qt  ": "video/quicktime",
    **dict.fromkeys((b"avc1", b"hvc1", b"dash", b"cmfc", b"hlsf", b"mmp4", b"F4V ", b"f4v ", b"MSNV"), "video/mp4"),
    **dict.fromkeys((b"iso", b"mp4", b"M4V", b"3gp", b"3g2"), "video/mp4"),  # and any fourth letter
}
_ANY_IMAGE = {b"mif1", b"msf1", b"miaf", b"mif2"}
"""Brands of pictures whose codec is among the compatible brands."""


def _boxes(head: bytes) -> str | None:
    """ISO/IEC 14496-12, section 4.3; HEIF: ISO/IEC 23008-12, annex B; AVIF: AV1 Image File Format, "Brands".

    A file of QuickTime before 2004 has no `ftyp` and begins with another atom.
    """
    if head[4:8] in (b"moov", b"mdat", b"wide") and head[0] < 9:  # nine and above could be text
        return "video/quicktime"
    if head[4:8] != b"ftyp":
        return None
    major, listed = head[8:12], head[16 : min(int.from_bytes(head[:4], "big"), 256)]
    if major in _ANY_IMAGE:
        types = {_BRANDS.get(listed[at : at + 4], "") for at in range(0, len(listed), 4)}
        return next((type_ for type_ in ("image/avif", "image/heic") if type_ in types), None)
    return _BRANDS.get(major) or _BRANDS.get(major[:3])


def _ebml(head: bytes) -> str | None:
    """RFC 8794, section 11.2 (DocType, which says what of RFC 9559 it is)."""
    if not head.startswith(b"\x1aE\xdf\xa3"):
        return None
    doctype = re.search(rb"\x42\x82[\x84\x88](webm|matroska)", head[:128])
    return None if doctype is None else {b"webm": "video/webm"}.get(doctype[1], "video/matroska")


def first_packets(head: bytes) -> Iterator[tuple[int, bytes]]:
    """The serial number of each stream of an Ogg file and how its first packet begins.

    RFC 3533, section 4: the first pages of all streams stand before every other page. Section 6 is the page.
    """
    at = 0
    while head[at : at + 5] == b"OggS\0" and len(head) >= at + 27 and head[at + 5] & 2:
        body = at + 27 + head[at + 26]
        end = body + sum(head[at + 27 : body])
        yield int.from_bytes(head[at + 14 : at + 18], "little"), head[body:end]
        at = end


_OGG_SOUND = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ")
OGG_FILM = b"\x80theora"


def _ogg(head: bytes) -> str | None:
    """RFC 5334, section 4; RFC 7845, section 5.1; Vorbis I, section 4.2; Theora, section 6.2."""
    packets = [packet for _, packet in first_packets(head)]
    if any(packet.startswith(OGG_FILM) for packet in packets):
        return "video/ogg"
    return "audio/ogg" if any(packet.startswith(_OGG_SOUND) for packet in packets) else None


_MP3_KBPS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def mp3_frame(header: bytes) -> tuple[int, int, int, int] | None:
    """Of the four bytes that begin an MP3 frame: its bytes, its samples, the rate in Hz, the bits a second.

    None if they begin none (ISO/IEC 11172-3, section 2.4.2.3; 13818-3; MPEG 2.5).
    """
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, kbps, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or kbps in (0, 15) or rate == 3:
        return None
    samples = 1152 if version == 3 else 576
    bits, hertz = _MP3_KBPS[3 if version == 3 else 2][kbps] * 1000, _MP3_RATES[version][rate]
    return samples // 8 * bits // hertz + (header[2] >> 1 & 1), samples, hertz, bits


ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


def adts_frame(header: bytes) -> tuple[int, int, int] | None:
    """Of the seven bytes that begin an AAC frame: its bytes, its samples, the rate in Hz.

    None if they begin none (ISO/IEC 13818-7, section 6.2).
    """
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    rate = header[2] >> 2 & 15
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    if rate >= len(ADTS_RATES) or size < 7:
        return None
    return size, 1024 * ((header[6] & 3) + 1), ADTS_RATES[rate]


def id3_size(head: bytes) -> int:
    """The bytes that an ID3v2 tag at the beginning takes; 0 if there is none (ID3v2.4, section 3.1)."""
    if head[:3] != b"ID3" or len(head) < 10 or head[3] not in (2, 3, 4) or any(byte & 0x80 for byte in head[6:10]):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _sound_frames(head: bytes) -> str | None:
    """MP3 and AAC have no magic: a frame must be followed by a second one (MIME Sniffing, section 6.2)."""
    tag = id3_size(head)
    if head[tag : tag + 4] == b"fLaC":
        return "audio/flac"
    for type_, frame in _FRAMES:
        first = frame(head[tag : tag + 7])
        after = head[tag + first[0] :][:7] if first else b""
        if first and (len(after) < 7 or frame(after)):
            return type_
    return "audio/mpeg" if tag else None


_FRAMES: tuple[tuple[str, Callable[[bytes], tuple[int, ...] | None]], ...] = (
    ("audio/mpeg", mp3_frame),
    ("audio/aac", adts_frame),
)


_DIB = {12, 16, 40, 52, 56, 64, 108, 124}
"""The sizes that a bitmap's second header can have (Windows and OS/2)."""


def _small_magic(head: bytes) -> str | None:
    """Formats whose magic is too short to be believed alone."""
    if head.startswith(b"BM") and len(head) >= 26 and int.from_bytes(head[14:18], "little") in _DIB:
        return "image/bmp"
    if head.startswith(b"\0\0\1\0") and len(head) >= 22 and head[4] >= 1 and head[5] == head[9] == 0:
        return "image/vnd.microsoft.icon"
    return None


_STARTS = re.compile(rb"PK\x03\x04.{22}(..)..", re.DOTALL)
"""A local file header; APPNOTE.TXT (PKWARE), section 4.3.7."""

_INSIDE = {
    b"word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    b"xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_OFFICE = (b"[Content_Types].xml", b"_rels/", b"docProps/", *_INSIDE)
_SAYS = [type_ for type_ in sorted(TYPES) if "oasis" in type_ or "epub" in type_]


def _zip(head: bytes) -> str | None:
    """ZIP and what is in it.

    OpenDocument (1.3, part 2, section 3.3) and EPUB (3.3, "OCF ZIP container") say in an uncompressed first entry what
    they are; Office Open XML (ECMA-376, part 2) begins with its lists, and the first folder among what follows tells.
    """
    if head.startswith(b"PK\5\6") and len(head) >= 22:  # an empty archive is its end record
        return "application/zip"
    if not head.startswith(b"PK\3\4"):
        return None
    names = [head[entry.end() :][: int.from_bytes(entry[1], "little")] for entry in _STARTS.finditer(head)]
    if names and names[0] == b"mimetype":
        return next((says for says in _SAYS if head[38:].startswith(says.encode() + b"PK")), "application/zip")
    if names and names[0].startswith(_OFFICE):
        folders = (name.partition(b"/")[0] + b"/" for name in names)
        return next((_INSIDE[folder] for folder in folders if folder in _INSIDE), "application/zip")
    return "application/zip"


def _tar(head: bytes) -> str | None:
    """POSIX.1-2017, pax, "ustar Interchange Format": the checksum counts its own field as spaces."""
    if head[257:262] != b"ustar" or len(head) < 512:
        return None
    checksum = sum(head[:148]) + sum(b" " * 8) + sum(head[156:512])
    return "application/x-tar" if head[148:156].strip(b" \0").lstrip(b"0") == b"%o" % checksum else None


_NOT_TEXT = re.compile(rb"[\0-\x08\x0b\x0e-\x1a\x1c-\x1f]")
"""The binary data bytes of MIME Sniffing, section 3."""


def _text(head: bytes) -> str | None:
    """UTF-8 (RFC 3629) without control characters; a character that the end of `head` cuts in two is let pass."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return None
    return None if _NOT_TEXT.search(head) else "text/plain"


_LOOKS = (_riff, _boxes, _ebml, _ogg, _zip, _sound_frames, _tar, _small_magic, _text)
