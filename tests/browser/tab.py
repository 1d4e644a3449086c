"""Somebody in front of the web page, and all that the browser had to complain about meanwhile.

A `Device` is a browser of its own (a context: cookies, storage, service worker), a `Tab` one page in it.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    StorageState,
    ViewportSize,
    WebError,
    WebSocket,
    WebSocketRoute,
)
from playwright.async_api import Error as PlaywrightError

from tests.support import PASSWORD, PATIENCE, Process, Web

DESKTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=360, height=740)
SESSION = "chatd.session"
"""The page's key in localStorage: JSON with `token`, `user_id` and `username`."""

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice")
"""The tags of axe-core's rules that hold: WCAG 2.2, levels A and AA, and what else is good practice."""

READY = 'html[data-ready="true"]'

_RUN = """rules => axe.run(document, {runOnly: {type: "tag", values: rules}, resultTypes: ["violations"]}).then(
    ({violations}) => violations.map(({id, impact, help, helpUrl, nodes}) => ({
        id, impact, help, helpUrl, nodes: nodes.map(({target, failureSummary}) => ({target, failureSummary}))
    })))"""

_NETWORK = re.compile(
    "net::ERR_|WebSocket connection to .* failed|status of 50[234]|network error response|fetching the script"
)
"""What Chromium writes on its console where a server cannot be reached."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """`at` in milliseconds since the epoch."""

    at: float
    text: str


@dataclass(eq=False)
class Device:
    """A browser of somebody's own, which writes down what its console and its network see."""

    context: BrowserContext
    site: str
    username: str | None
    complaints: list[Complaint] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    cuts: list[tuple[float, float]] = field(default_factory=list)
    forgiven: list[re.Pattern[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.on("console", self._said)
        self.context.on("weberror", self._thrown)
        self.context.on("request", self._asked)
        self.context.on("page", lambda page: page.on("websocket", self._connected))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert"):
            where = message.location.get("url", "")
            self.complaints.append(Complaint(message.timestamp, f"{message.text} ({where})"))

    def _thrown(self, error: WebError) -> None:
        self.complaints.append(Complaint(_now(), f"uncaught: {error.error.stack or error.error.message}"))

    def _asked(self, request: Request) -> None:
        self._met(request.url)

    def _connected(self, socket: WebSocket) -> None:
        self._met(socket.url)

    def _met(self, url: str) -> None:
        if (host := urlsplit(url).netloc) and urlsplit(url).scheme not in ("blob", "data"):
            self.hosts.add(host)

    def wrongs(self) -> list[str]:
        """Everything that should not have happened on this device."""
        told = [one.text for one in self.complaints if not self._is_forgiven(one)]
        return told + [f"asked another host: {host}" for host in sorted(self.hosts - {urlsplit(self.site).netloc})]

    def _is_forgiven(self, complaint: Complaint) -> bool:
        if _NETWORK.search(complaint.text) and any(begin <= complaint.at <= end for begin, end in self.cuts):
            return True
        return any(pattern.search(complaint.text) for pattern in self.forgiven)


class Tab:
    """One page. What it has not got a name for here is asked of `page`, Playwright's own."""

    def __init__(self, device: Device, page: Page) -> None:
        self.device = device
        self.page = page
        page.set_default_timeout(PATIENCE * 1000)

    @property
    def context(self) -> BrowserContext:
        """The device's, for `set_offline`, `grant_permissions` and the like."""
        return self.device.context

    async def go(self, route: str = "") -> None:
        """Go to a route (`#/friends`), opening the page where it is not yet, and wait until it has drawn."""
        await self.page.goto(f"{self.device.site}/{route}")
        await self.ready()

    async def ready(self) -> None:
        """Wait until the view has drawn: the page says so by `data-ready` on its root."""
        try:
            await self.page.wait_for_selector(READY, state="attached")
        except PlaywrightError as error:
            raise AssertionError(f"{self.page.url} is not ready: {self.device.wrongs()}") from error

    async def beside(self, route: str = "") -> Tab:
        """A second tab of the same browser."""
        tab = Tab(self.device, await self.device.context.new_page())
        await tab.go(route)
        return tab

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[None]:
        """While it lasts the browser may complain that it cannot reach the server.

        It takes nothing away itself: kill the daemon in it, or `await tab.context.set_offline(True)`; and wait in it
        until the page has come back.
        """
        begin = _now()
        try:
            yield
        finally:
            self.device.cuts.append((begin, _now()))

    def forgive(self, pattern: str) -> None:
        """Complaints with this in them are what the test is about, as where a password is wrong on purpose."""
        self.device.forgiven.append(re.compile(pattern))

    async def axe(self) -> None:
        """Assert that axe-core finds nothing that shuts people out."""
        await self.page.evaluate(_axe())  # by the debugger's way, which no policy of the page stops
        found: list[dict[str, Any]] = await self.page.evaluate(_RUN, list(RULES))
        assert not found, "\n" + "\n".join(_told(one) for one in found)

    async def screenshot(self, path: Path) -> None:
        """A picture of what is to be seen, its fonts there."""
        await self.page.evaluate("document.fonts.ready.then(() => null)")
        await self.page.screenshot(path=path)


class Held:
    """What a page asks of one op, which waits here as long as `is_shut`."""

    def __init__(self, op: str) -> None:
        self._op = f'"{op}"'
        self.is_shut = True
        self.waiting: list[Callable[[], None]] = []

    @classmethod
    async def on(cls, tab: Tab, op: str) -> Held:
        """Of a tab that has opened nothing yet."""
        held = cls(op)
        await tab.page.route_web_socket("**/ws", held._between)
        return held

    def _between(self, page: WebSocketRoute) -> None:
        server = page.connect_to_server()

        def passed_on(frame: str | bytes) -> None:
            if self.is_shut and self._op in str(frame):
                self.waiting.append(partial(server.send, frame))
            else:
                server.send(frame)

        page.on_message(passed_on)

    def release(self) -> None:
        """Let it go on, and what is asked from now on."""
        self.is_shut = False
        while self.waiting:
            self.waiting.pop(0)()


class Tabs:
    """Opens the page of a daemon for people, and knows at the end what went wrong."""

    def __init__(self, browser: Browser, daemon: Process) -> None:
        self._browser = browser
        self.daemon = daemon
        self.devices: list[Device] = []

    @property
    def site(self) -> str:
        """The page's address, without a slash at its end."""
        return f"http://127.0.0.1:{self.daemon.port}"

    async def blank(
        self,
        username: str | None = None,
        *,
        viewport: ViewportSize = DESKTOP,
        scheme: Literal["light", "dark"] = "light",
        locale: str = "en",
        **options: Any,
    ) -> Tab:
        """A tab of a new browser, in which somebody is logged in by PASSWORD, that has opened nothing yet.

        `options` are Playwright's for a new context.
        """
        state = None if username is None else await self._logged_in(username)
        context = await self._browser.new_context(
            viewport=viewport,
            color_scheme=scheme,
            locale=locale,
            timezone_id="UTC",
            reduced_motion="reduce",
            storage_state=state,
            **options,
        )
        device = Device(context, self.site, username)
        self.devices.append(device)
        return Tab(device, await context.new_page())

    async def open(self, username: str | None = None, route: str = "", **options: Any) -> Tab:
        """The page in a new browser of somebody's, drawn; of nobody, that of who has no account yet. As `blank`."""
        tab = await self.blank(username, **options)
        await tab.go(route)
        return tab

    async def _logged_in(self, username: str) -> StorageState:
        web = await Web.at(self.daemon.url)
        data = await web.data("login", username=username, password=PASSWORD, device="browser")
        await web.close()
        session = {name: data[name] for name in ("token", "user_id", "username")}
        value = orjson.dumps(session).decode()
        return {
            "cookies": [],
            "origins": [{"origin": self.site, "localStorage": [{"name": SESSION, "value": value}]}],
        }

    def wrongs(self) -> list[str]:
        """Everything that should not have happened, on any device."""
        return [f"{device.username or 'a guest'}: {wrong}" for device in self.devices for wrong in device.wrongs()]

    async def close(self) -> None:
        """Close every browser."""
        for device in self.devices:
            await device.context.close()


def _now() -> float:
    return time.time() * 1000


@cache
def _axe() -> str:
    return Path(os.environ["CHATD_AXE"]).read_text(encoding="utf-8")


def _told(violation: dict[str, Any]) -> str:
    nodes = "".join(f"\n    {node['target']}: {node['failureSummary']}" for node in violation["nodes"])
    return f"{violation['id']} ({violation['impact']}): {violation['help']} {violation['helpUrl']}{nodes}"
