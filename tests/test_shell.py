"""The web page's files: who gets them, in which form, under which rules; and they go wherever chatd goes."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest

from chatd import shell
from tests.support import PATIENCE, ROOT, Answered, Web

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
FOLDER = ROOT / "chatd" / "web"


@pytest.fixture
async def web(url: str) -> Web:
    return await Web.at(url)


async def listed(web: Web) -> Any:
    return (await web.get("/web/shell.json")).json


def name_of(path: str) -> str:
    """Where in the folder the file is that is at this path."""
    return "index.html" if path == "/" else path.removeprefix("/web/").removeprefix("/")


# The front page


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "TEXT/HTML", "image/*, text/html; level=1 ;q=0.001"])
async def test_a_browser_gets_the_page(web: Web, accept: str) -> None:
    for target in ("/", "/?x"):
        answered = await web.get(target, accept=accept)
        assert (answered.status, answered.headers["content-type"]) == (200, ["text/html; charset=utf-8"])
        assert answered.body == (FOLDER / "index.html").read_bytes()
        assert answered.headers["vary"] == ["Accept, Accept-Encoding"]


@pytest.mark.parametrize(
    "accept", [None, "*/*", "", "text/*", "application/json", "text/html;q=0", "text/html; q=0.00"]
)
async def test_everybody_else_gets_a_text(web: Web, accept: str | None) -> None:
    answered = await web.get("/", **({} if accept is None else {"accept": accept}))
    assert (answered.status, answered.headers["content-type"]) == (200, ["text/plain; charset=utf-8"])
    assert (
        "WebSocket at ws://chat.test/ws\nand shows a page to browsers at http://chat.test/\n" in answered.body.decode()
    )
    assert answered.headers["vary"] == ["Accept, Accept-Encoding"]
    secure = await web.get("/", x_forwarded_proto="https")
    assert "at https://chat.test/\n" in secure.body.decode()


async def test_the_page_names_only_what_there_is(web: Web) -> None:
    page = (await web.get("/", accept=BROWSER)).body.decode()
    named = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert {"/web/app/main.js", "/manifest.webmanifest", "/web/icon.svg"} <= set(named)
    assert any(re.fullmatch(r"/web/styles/.*\.css", path) for path in named)
    for path in named:
        assert (await web.get(path)).status == 200, path


# The files


async def test_every_file_is_there_and_in_the_list(web: Web) -> None:
    told = await listed(web)
    assert {"/", "/manifest.webmanifest", "/web/app/main.js", "/web/icon.svg"} <= set(told["files"])
    in_folder = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert {name_of(path) for path in told["files"]} | {"worker.js"} == in_folder
    for path in [*told["files"], "/worker.js"]:
        answered = await web.get(path, accept="text/html")
        assert (answered.status, answered.body) == (200, (FOLDER / name_of(path)).read_bytes())
        assert answered.headers["content-type"] == [shell.TYPES[Path(name_of(path)).suffix]]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/manifest.webmanifest", "application/manifest+json"),
        ("/worker.js", "text/javascript; charset=utf-8"),
        ("/web/app/main.js", "text/javascript; charset=utf-8"),
        ("/favicon.ico", "image/svg+xml"),
        ("/web/icon.svg", "image/svg+xml"),
        ("/web/shell.json", "application/json"),
    ],
)
async def test_a_file_says_what_it_is(web: Web, path: str, kind: str) -> None:
    assert (await web.get(path)).headers["content-type"] == [kind]


@pytest.mark.parametrize(
    "path",
    [
        "/web", "/web/", "/web/app", "/web/app/", "/web//app/main.js", "/web/./app/main.js", "/web/app/../app/main.js",
        "/web/%61pp/main.js", "/web/app%2fmain.js", "/web/../shell.py", "/web/..%2fshell.py", "/web/\\..\\shell.py",
        "/web/app/main.js%00", "/web/index.html", "/web/worker.js", "/web/manifest.webmanifest", "/WEB/app/main.js",
        "/web/app/main.js/", "/web//etc/passwd", "/web/C:/x",
    ],
)  # fmt: skip
async def test_nothing_else_is(web: Web, path: str) -> None:
    assert (await web.get(path, accept=BROWSER)).status == 404


@pytest.mark.parametrize("path", ["/", "/worker.js", "/web/app/main.js", "/web/shell.json", "/favicon.ico"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"])
async def test_files_can_only_be_read(web: Web, method: str, path: str) -> None:
    answered = await web.get(path, method, accept=BROWSER)
    assert (answered.status, answered.headers["allow"]) == (405, ["GET, HEAD"])


def test_what_is_no_part_of_a_page_is_not_served(tmp_path: Path) -> None:
    for name in (
        "index.html",
        "app/main.js",
        "app/.main.js.swp",
        ".hidden.js",
        "_x/y.js",
        "notes.md",
        "app/a.py",
        "js",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert set(shell.table(tmp_path)) == {"/", "/web/app/main.js", "/web/shell.json"}


def test_the_version_is_that_of_everything(tmp_path: Path) -> None:
    def version() -> bytes:
        return shell.table(tmp_path)["/web/shell.json"].plain

    seen = []
    for name, content in (
        ("index.html", "a"),
        ("index.html", "b"),
        ("worker.js", "b"),
        ("worker.js", "c"),
        ("a.js", "b"),
    ):
        (tmp_path / name).write_text(content)
        assert version() == version()
        seen.append(version())
    assert len(set(seen)) == len(seen)


# How they are sent


async def test_every_answer_has_the_rules(web: Web) -> None:
    paths = [*(await listed(web))["files"], "/worker.js", "/web/shell.json", "/favicon.ico"]
    for path in paths:
        for method in ("GET", "HEAD"):
            answered = await web.get(path, method, accept=BROWSER)
            again = await web.get(path, method, accept=BROWSER, if_none_match=answered.headers["etag"][0])
            assert (answered.status, again.status) == (200, 304)
            for one in (answered, again):
                assert one.headers["x-content-type-options"] == ["nosniff"]
                if path in ("/", "/worker.js"):
                    holds_the_rules(one)
                else:  # what these two load is under their rules
                    assert "content-security-policy" not in one.headers


def holds_the_rules(answered: Answered) -> None:
    told = answered.headers
    (policy,) = told["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert (rules["require-trusted-types-for"], rules["trusted-types"]) == ("'script'", "chatd")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert told["x-content-type-options"] == ["nosniff"]
    assert told["referrer-policy"] == ["no-referrer"]
    assert told["permissions-policy"] == ["microphone=(self), camera=(self), geolocation=(self)"]
    assert told["cache-control"] == ["no-cache"]


async def test_who_takes_gzip_gets_less(web: Web) -> None:
    smaller = 0
    for path in [*(await listed(web))["files"], "/worker.js"]:
        plain = await web.get(path, accept=BROWSER)
        assert "content-encoding" not in plain.headers
        zipped = await web.get(path, accept=BROWSER, accept_encoding="br, GZIP;q=0.5")
        assert "Accept-Encoding" in zipped.headers["vary"][0]
        if "content-encoding" in zipped.headers:
            smaller += 1
            assert zipped.headers["content-encoding"] == ["gzip"]
            assert len(zipped.body) < len(plain.body)
            assert gzip.decompress(zipped.body) == plain.body
            assert zipped.headers["etag"] != plain.headers["etag"]
        else:
            assert (zipped.body, zipped.headers["etag"]) == (plain.body, plain.headers["etag"])
        head = await web.get(path, "HEAD", accept=BROWSER, accept_encoding="gzip")
        assert head.headers["content-length"] == [str(len(zipped.body))]
    assert smaller >= 3
    for refusing in ("", "br", "gzip;q=0", "identity, gzip; q=0.000", "xgzip"):
        assert "content-encoding" not in (await web.get("/", accept=BROWSER, accept_encoding=refusing)).headers


def test_what_gzip_makes_longer_is_sent_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "short.js").write_text("1")
    assert shell.table(tmp_path)["/web/short.js"].zipped is None


async def test_what_a_browser_has_it_does_not_get_again(web: Web) -> None:
    for encoding in ("", "gzip"):
        answered = await web.get("/", accept=BROWSER, accept_encoding=encoding)
        (tag,) = answered.headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await web.get("/", accept=BROWSER, accept_encoding=encoding, if_none_match=known)
            assert (again.status, again.body, again.headers["etag"]) == (304, b"", [tag])
            assert again.headers["vary"] == answered.headers["vary"]
        for other in ('"other"', tag.strip('"'), ""):
            assert (await web.get("/", accept=BROWSER, accept_encoding=encoding, if_none_match=other)).status == 200
    assert (await web.get("/", accept=BROWSER, if_none_match=tag)).status == 200  # that is the zipped one's


# Wherever chatd goes


def test_the_page_comes_along(tmp_path: Path) -> None:
    """In the wheel, in the sdist, and where Python reads chatd out of a ZIP."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    (sdist,) = tmp_path.glob("*.tar.gz")
    files = {str(path.relative_to(ROOT)) for path in FOLDER.rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as opened:
        assert files <= set(opened.namelist())
    with tarfile.open(sdist) as archive:
        assert files <= {name.partition("/")[2] for name in archive.getnames()}
    here = {path: asset.plain_tag for path, asset in shell.table(FOLDER).items()}
    program = (
        "import sys; from chatd import shell; print(shell.__file__); [print(tag_of(path)) for path in sys.argv[1:]]"
    )
    program = f"import asyncio\ndef tag_of(path): return asyncio.run(shell.find(path)).plain_tag\n{program}"
    environment = {**os.environ, "PYTHONPATH": str(wheel)}
    read = subprocess.check_output(
        [sys.executable, "-P", "-c", program, *here], cwd=tmp_path, env=environment, text=True
    )
    assert read.splitlines() == [f"{wheel}/chatd/shell.py", *here.values()]


async def test_a_daemon_says_at_its_start_where_the_page_is(tmp_path: Path) -> None:
    starting = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatd", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data")),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert starting.stdout is not None
    async with asyncio.timeout(PATIENCE):
        ready, browser, wscat, signup = [(await starting.stdout.readline()).decode() for _ in range(4)]
        starting.terminate()
        assert await starting.wait() == 0
    site = ready.split()[3]
    assert browser.split() == ["in", "a", "browser:", f"{site}/"]
    assert wscat.split()[-4:] == ["npx", "wscat", "-c", f"{site.replace('http', 'ws')}/ws"]
    assert orjson.loads(signup)["type"] == "signup"
