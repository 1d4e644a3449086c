"""The files of which the web page is made (`chatd/web`), made ready once and kept, and what a browser may do with them.

Nothing is looked for in the file system when somebody asks: what is not in the table is not there.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import blake2b
from http import HTTPStatus
from importlib import resources
from importlib.resources.abc import Traversable

import orjson

from chatd.exchange import Headers, Request, Response, only
from chatd.ranges import is_known
from chatd.record import record

LIST = "/web/shell.json"
"""Where a service worker finds what to keep: `{"version": text, "files": [path, …]}`."""

PLACES = {
    "index.html": ("/",),
    "worker.js": ("/worker.js",),  # a service worker's scope is the folder that it lies in
    "manifest.webmanifest": ("/manifest.webmanifest",),
    "icon.svg": ("/web/icon.svg", "/favicon.ico"),
}
"""Where files are that are not under /web by their own name."""

NOT_KEPT = ("/worker.js", "/favicon.ico")
"""What the list leaves out: the browser looks after its worker itself, and the icon is there by another name."""

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
"""What may be in the folder to be served, by the end of its name."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types chatd",  # one policy, for the address of the service worker
    )
)
"""Content Security Policy Level 3: nothing from elsewhere, nothing inline, and no text that becomes markup."""

GUARDS: Headers = (
    ("Content-Security-Policy", POLICY),
    ("Permissions-Policy", "microphone=(self), camera=(self), geolocation=(self)"),
    ("Referrer-Policy", "no-referrer"),
)
"""What rules a page, or a worker, comes with it; the files that it loads need none of it said again."""

GUARDED = ("/", "/worker.js")

FRONT_VARY = "Accept, Accept-Encoding"
"""At / there are two things: this page, and a text for who is no browser."""

_ROOTS = frozenset(path for paths in PLACES.values() for path in paths if not path.startswith("/web/"))
_WEIGHTLESS = re.compile(r"q=0(\.0{0,3})?")


@record
class Asset:
    """A file as it is sent. `zipped` where gzip makes it smaller; entity tags in their quotes (RFC 9110, 8.8.3)."""

    type: str
    plain: bytes
    plain_tag: str
    zipped: bytes | None
    zipped_tag: str
    vary: str


async def find(path: str) -> Asset | None:
    """The file at a path; None where there is none."""
    if path not in _ROOTS and not path.startswith("/web/"):
        return None
    return (await asyncio.to_thread(_table)).get(path)  # the first time it takes a while


def wants_html(request: Request) -> bool:
    """Whether this is a browser: who accepts text/html, and says so. curl accepts everything."""
    return _names(request.headers.get("accept", ""), "text/html")


def serve(request: Request, asset: Asset) -> Response:
    """A file, zipped for whoever takes that; nothing to whoever has it. Raises `Refused`."""
    only(request, "GET", "HEAD")
    zipped = asset.zipped if _names(request.headers.get("accept-encoding", ""), "gzip") else None
    tag = asset.plain_tag if zipped is None else asset.zipped_tag
    headers = [("ETag", tag), ("Cache-Control", "no-cache"), ("Vary", asset.vary)]
    if request.path in GUARDED:
        headers += GUARDS
    if is_known(request.headers, tag):
        return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
    if zipped is None:
        return Response(HTTPStatus.OK, asset.plain, asset.type, headers)
    return Response(HTTPStatus.OK, zipped, asset.type, [*headers, ("Content-Encoding", "gzip")])


def _names(header: str, wanted: str) -> bool:
    """Whether a list of preferences has this in it, with a weight above nothing (RFC 9110, section 12.4.2)."""
    for one in header.lower().split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        if name == wanted:
            return not any(_WEIGHTLESS.fullmatch(parameter) for parameter in parameters)
    return False


# The table


@cache
def _table() -> Mapping[str, Asset]:
    return table(resources.files("chatd") / "web")


def table(folder: Traversable) -> dict[str, Asset]:
    """A folder's files and their list, by their paths."""
    made: dict[str, Asset] = {}
    for name, file in sorted(_files(folder), key=lambda one: one[0]):
        paths = PLACES.get(name, (f"/web/{name}",))
        asset = _asset(file.read_bytes(), TYPES[_suffix(name)], vary=FRONT_VARY if "/" in paths else "Accept-Encoding")
        made |= dict.fromkeys(paths, asset)
    digest = _digest(b"".join(f"{path} {asset.plain_tag}\n".encode() for path, asset in sorted(made.items())))
    listed = {"version": digest, "files": sorted(path for path in made if path not in NOT_KEPT)}
    return {**made, LIST: _asset(orjson.dumps(listed), TYPES[".json"])}


def _files(folder: Traversable, above: str = "") -> Iterator[tuple[str, Traversable]]:
    """Everything in a folder that may be served, by its path from there."""
    for one in folder.iterdir():
        if one.name.startswith((".", "_")):
            continue
        if one.is_dir():
            yield from _files(one, f"{above}{one.name}/")
        elif _suffix(one.name) in TYPES:
            yield above + one.name, one


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _asset(plain: bytes, media_type: str, *, vary: str = "Accept-Encoding") -> Asset:
    digest = _digest(plain)
    zipped = gzip.compress(plain, mtime=0)
    return Asset(
        type=media_type,
        plain=plain,
        plain_tag=f'"{digest}"',
        zipped=zipped if len(zipped) < len(plain) else None,
        zipped_tag=f'"{digest}-gzip"',
        vary=vary,
    )


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=12).hexdigest()
