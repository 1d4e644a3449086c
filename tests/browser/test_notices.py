"""What has come while one looks elsewhere is told: by the title, and by the browser, where one wants that."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.people import friends, write
from tests.browser.tab import Tabs
from tests.support import Process

SHOWN = """async () => {
    const worker = await navigator.serviceWorker.ready
    for (;;) {  // nothing tells when one is shown
        const shown = await worker.getNotifications()
        if (shown.length > 0) return shown.map(({title, body}) => [title, body])
        await new Promise(requestAnimationFrame)
    }
}"""


async def test_a_message_is_told_while_one_looks_elsewhere(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = (await ada.data("friends"))["friends"][0]["conversation_id"]
    tab = await tabs.blank("ada", permissions=["notifications"])
    await tab.context.add_init_script("document.hasFocus = () => false")
    await tab.go()
    await tab.page.evaluate("localStorage.setItem('chatd.notify', '{\"notifications\": true}')")
    await tab.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    await write(bob, conversation, "Look here")
    await expect(tab.page).to_have_title("(1) chatd")
    await expect(tab.page.locator(".row-text")).to_have_text("Look here")
    assert await tab.page.evaluate(SHOWN) == [["bob", "Look here"]]

    await ada.data("conversation_set", conversation_id=conversation, silent=True)
    await expect(tab.page.locator(".icon-silent")).to_be_visible()
    await expect(tab.page).to_have_title("chatd")
    await write(bob, conversation, "Quietly")
    await expect(tab.page.locator(".row-text")).to_have_text("Quietly")
    assert await tab.page.evaluate(SHOWN) == [["bob", "Look here"]]
