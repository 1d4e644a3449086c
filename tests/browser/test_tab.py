"""The page loads under its policy and nobody complains; and whoever had to complain would be heard."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Error as PlaywrightError

from chatd.shell import POLICY
from tests.browser.people import friends, group, people, upload, write
from tests.browser.tab import DESKTOP, PHONE, Tabs
from tests.files import png
from tests.support import PATIENCE, Process

SHUTTING_OUT = """() => {
    const picture = document.createElement("img");
    picture.src = "/web/icon.svg";
    document.body.append(picture, document.createElement("button"));
}"""


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
@pytest.mark.parametrize("username", [None, "ada"])
async def test_the_page_opens(tabs: Tabs, daemon: Process, username: str | None, viewport: object) -> None:
    if username is not None:
        await people(daemon.url, username)
    tab = await tabs.open(username, viewport=viewport)
    assert await tab.page.title()
    assert tab.device.hosts == {f"127.0.0.1:{daemon.port}"}  # by HTTP and by WebSocket
    assert await tab.page.evaluate("localStorage.getItem('chatd.session') !== null") == (username is not None)
    await tab.axe()


async def test_the_page_keeps_itself(tabs: Tabs, daemon: Process) -> None:
    """Its worker may be registered under its policy, has the scope of all, and opens the page without a network."""
    tab = await tabs.open()
    ready = "navigator.serviceWorker.ready.then(({scope}) => scope)"
    assert await tab.page.evaluate(ready) == f"{tabs.site}/"
    with tab.cut_off():
        await daemon.kill()
        await tab.page.goto(f"{tabs.site}/")
        assert await tab.page.locator("script[type=module]").count()
        await daemon.start()
        await tab.go()


async def test_the_same_person_at_two_devices_and_in_two_tabs(tabs: Tabs, daemon: Process) -> None:
    (ada, _) = await friends(daemon.url, "ada", "bob")
    desk, phone = await tabs.open("ada"), await tabs.open("ada", viewport=PHONE)
    second = await desk.beside()
    tokens = [await tab.page.evaluate("localStorage.getItem('chatd.session')") for tab in (desk, phone, second)]
    assert tokens[0] == tokens[2] != tokens[1]
    assert len((await ada.data("sessions"))["sessions"]) == 3  # hers at the wire, too


async def test_what_people_need_is_quickly_made(daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation_id = await group(ada, "Climbing", "bob")
    (message_id,) = await write(bob, conversation_id, "On Sunday?")
    file_id = await upload(daemon.url, bob, png(8, 8), "rock.png")
    await bob.data("send", conversation_id=conversation_id, kind="image", file_id=file_id, reply_to=message_id)
    messages = (await ada.data("history", conversation_id=conversation_id))["messages"]
    assert [one["content"] for one in messages] == ["On Sunday?", ""]


# The policy


async def test_the_policy_is_that_of_the_browser(tabs: Tabs) -> None:
    """Text becomes no markup and no program, nothing is asked of others, and only one policy may be made."""
    tab = await tabs.open()
    answer = await tab.page.goto(f"{tabs.site}/")
    assert answer is not None
    assert answer.headers["content-security-policy"] == POLICY
    for evil in (
        "document.body.innerHTML = '<b>x</b>'",
        "document.createElement('script').text = 'alert(1)'",
        "trustedTypes.createPolicy('other', {createHTML: text => text})",
        "fetch('http://localhost:9/')",
    ):
        with pytest.raises(PlaywrightError):
            await tab.page.evaluate(evil)
    assert any("Content Security Policy" in wrong for wrong in tab.device.wrongs())
    tab.forgive("Trusted|Content Security Policy|violates")


async def test_the_page_may_ask_its_own_daemon_in_every_way(tabs: Tabs) -> None:
    """By WebSocket, which `connect-src 'self'` covers; and by fetch, whose Origin no-referrer leaves as it is."""
    tab = await tabs.open()
    opened = "new Promise((done, no) => Object.assign(new WebSocket('/ws'), {onopen: () => done(true), onerror: no}))"
    assert await tab.page.evaluate(opened) is True
    asked = "fetch('/api/heartbeat', {method: 'POST', body: '{}'}).then(answer => answer.status)"
    assert await tab.page.evaluate(asked) == 200


# Complaints


@pytest.mark.parametrize(
    ("doing", "told"),
    [
        ("console.error('no good')", "no good"),
        ("setTimeout(() => { throw new Error('thrown late') })", "thrown late"),
        ("Promise.reject(new Error('nobody listens'))&&null", "nobody listens"),
        ("fetch('/nowhere').then(() => null)", "404"),
        ("document.body.style.color || document.body.setAttribute('style', 'color: red')", "style"),
        ("void (new Image().src = 'http://localhost:9/x.png')", "localhost:9"),
        ("void new WebSocket('ws://localhost:9/')", "localhost:9"),
    ],
)
async def test_a_complaint_is_heard(tabs: Tabs, doing: str, told: str) -> None:
    tab = await tabs.open()
    assert tabs.wrongs() == []
    async with asyncio.timeout(PATIENCE):
        await tab.page.evaluate(doing)
        while not any(told in wrong for wrong in tabs.wrongs()):
            await tab.page.evaluate("new Promise(done => setTimeout(done, 10))")
    tabs.devices.clear()  # this one was meant


async def test_another_host_is_heard_of(tabs: Tabs) -> None:
    tab = await tabs.open()
    tab.device.hosts.add("elsewhere.example")
    assert tabs.wrongs() == ["a guest: asked another host: elsewhere.example"]
    tab.device.hosts.remove("elsewhere.example")


async def test_only_a_network_that_was_cut_is_forgiven(tabs: Tabs, daemon: Process) -> None:
    asking = "fetch('/healthz').then(() => 'there', () => 'away')"
    tab = await tabs.open()
    with tab.cut_off():
        await daemon.kill()
        assert await tab.page.evaluate(asking) == "away"
        await tab.page.evaluate("console.error('something else')")
    assert [wrong.partition(" (")[0] for wrong in tabs.wrongs()] == ["a guest: something else"]
    tab.forgive("something else")
    assert tabs.wrongs() == []
    assert await tab.page.evaluate(asking) == "away"
    assert any("net::ERR_CONNECTION_REFUSED" in wrong for wrong in tabs.wrongs())
    tab.forgive("")


async def test_axe_finds_what_shuts_people_out(tabs: Tabs) -> None:
    tab = await tabs.open()
    await tab.axe()
    await tab.page.evaluate(SHUTTING_OUT)
    with pytest.raises(AssertionError, match=r"(?s)button-name.*image-alt"):
        await tab.axe()


async def test_a_page_that_is_never_ready_says_why(tabs: Tabs) -> None:
    tab = await tabs.open()
    tab.page.set_default_timeout(200)
    await tab.page.evaluate("delete document.documentElement.dataset.ready; console.error('it broke')")
    with pytest.raises(AssertionError, match="it broke"):
        await tab.ready()
    tab.forgive("it broke")
