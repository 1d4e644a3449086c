"""Links to files that need no token: signed, and worth nothing after a while. Pure: the clock is passed in.

So an `<img>` works, and no lasting token stands in a URL. Whoever has the link may fetch that one thing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Links:
    """Signs with HMAC-SHA256 (RFC 2104). A link holds for one to two times `lifetime` seconds.

    All links to one thing that are made within a lifetime are the same, so that browsers can keep what they fetched.
    """

    key: bytes
    lifetime: int

    def to(self, path: str, now: int) -> str:
        """A link to what stands at this path of the site, at `now` (milliseconds since the epoch)."""
        until = (now // 1000 // self.lifetime + 2) * self.lifetime
        return f"{path}?until={until}&key={self._signature(path, until)}"

    def allows(self, path: str, *, until: str, key: str, now: int) -> bool:
        """Whether this is a link to the path, and still good."""
        if not (until.isascii() and until.isdigit() and len(until) <= 12 and int(until) * 1000 > now):
            return False
        return hmac.compare_digest(self._signature(path, int(until)).encode(), key.encode())

    def _signature(self, path: str, until: int) -> str:
        digest = hmac.digest(self.key, f"{path}?until={until}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:18]).decode()


NO_LINKS = Links(key=b"", lifetime=1)
"""Where no client is: nothing that is signed with it leaves the process."""
