"""Files, known by what is in them: `sniff` and `inspect` say what one is, `thumbnail` shows a picture small."""

from chatd.media.inspector import Media, inspect
from chatd.media.kinds import HEAD, TYPES, UNKNOWN, sniff
from chatd.media.thumbnails import thumbnail

__all__ = ["HEAD", "TYPES", "UNKNOWN", "Media", "inspect", "sniff", "thumbnail"]
