"""What comes while one looks elsewhere is told: by the title, and by the browser, where one wants that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import expect

from tests.browser.people import friends, write
from tests.browser.tab import Tab, Tabs
from tests.browser.test_conversation import bubbles, direct, say
from tests.support import PATIENCE, Process

ELSEWHERE = """() => {
    document.hasFocus = () => false
    if (!isSecureContext) return  // about:blank
    const show = ServiceWorkerRegistration.prototype.showNotification
    ServiceWorkerRegistration.prototype.showNotification = async function (...given) {
        await show.apply(this, given)
        told((await this.getNotifications()).map(({title, body}) => `${title}: ${body}`))
    }
}"""

CLICK = """async () => {
    const [notification] = await registration.getNotifications()
    dispatchEvent(new NotificationEvent('notificationclick', {notification}))
}"""


class Notifications:
    """What the browser shows, each time something is added to it."""

    def __init__(self) -> None:
        self._shown: asyncio.Queue[list[str]] = asyncio.Queue()

    async def next(self) -> list[str]:
        return await asyncio.wait_for(self._shown.get(), PATIENCE)

    @classmethod
    @asynccontextmanager
    async def of(cls, tab: Tab) -> AsyncIterator[Notifications]:
        """Of a tab that has opened nothing yet and wants to be told; it looks elsewhere from now on."""
        notifications = cls()
        await tab.context.expose_function("told", notifications._shown.put_nowait)
        await tab.context.add_init_script(f"({ELSEWHERE})()")
        await tab.go()
        await tab.page.evaluate("localStorage.setItem('chatd.notify', '{\"notifications\": true}')")
        await tab.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        await expect(tab.page.locator(".row")).to_have_count(1)  # it has heard of what was before
        yield notifications
        assert notifications._shown.empty()


async def test_a_message_is_told_while_one_looks_elsewhere(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.blank("ada", permissions=["notifications"])
    async with Notifications.of(tab) as notifications:
        await write(bob, conversation, "Look here")
        assert await notifications.next() == ["bob: Look here"]
        await expect(tab.page).to_have_title("(1) chatd")

        await ada.data("conversation_set", conversation_id=conversation, silent=True)
        await expect(tab.page.locator(".icon-silent")).to_be_visible()
        await expect(tab.page).to_have_title("chatd")
        await write(bob, conversation, "Quietly")
        await expect(tab.page.locator(".row-text")).to_have_text("Quietly")
        await ada.data("conversation_set", conversation_id=conversation, silent=False)
        await expect(tab.page.locator(".icon-silent")).to_be_hidden()
        await write(bob, conversation, "Aloud")
        assert await notifications.next() == ["bob: Aloud"]


async def test_a_notification_leads_to_what_it_tells_of(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.blank("ada", permissions=["notifications"])
    tab.forgive("Not allowed to focus a window")  # for this click was nobody's
    async with Notifications.of(tab) as notifications:
        await write(bob, conversation, "Look here")
        await notifications.next()
        await tab.context.service_workers[0].evaluate(CLICK)
        await expect(bubbles(tab)).to_have_text(["Look here"])
        assert await tab.context.service_workers[0].evaluate("registration.getNotifications()") == []


async def test_what_came_while_cut_off_is_told_once(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.blank("ada", permissions=["notifications"])
    async with Notifications.of(tab) as notifications:
        with tab.cut_off():
            await tab.context.set_offline(True)
            await expect(tab.page.locator(".weather")).to_be_visible()
            await write(bob, conversation, "Are you", "there?")
            await tab.context.set_offline(False)
            assert await notifications.next() == ["bob: there?"]
        await tab.page.reload()  # what was there before one came is no news
        await tab.ready()
        await expect(tab.page).to_have_title("(2) chatd")
        await write(bob, conversation, "Hello")
        assert await notifications.next() == ["bob: Hello"]


async def test_what_is_looked_at_in_another_tab_is_not_told(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.blank("ada", permissions=["notifications"])
    async with Notifications.of(tab) as notifications:
        other = await tab.beside(f"#/c/{conversation}")
        await other.page.evaluate("document.hasFocus = () => true")
        await say(other, "I am here")
        await write(bob, conversation, "So am I")
        await expect(bubbles(other)).to_have_text(["I am here", "So am I"])
        await expect(tab.page.locator(".row-text")).to_have_text("So am I")
        await other.page.close()
        await write(bob, conversation, "Where are you?")
        assert await notifications.next() == ["bob: Where are you?"]
