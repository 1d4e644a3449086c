"""What the page offers is what the server allows."""

from __future__ import annotations

import signal

from playwright.async_api import expect

from tests.browser.people import friends, group, people, write
from tests.browser.tab import Tab, Tabs
from tests.browser.test_conversation import bubbles, direct, open_menu
from tests.smtp import Postbox
from tests.support import PASSWORD, Person, Process


async def changed(daemon: Process, section: str, *settings: str) -> None:
    """Start it again with these settings in this section of its file."""
    await daemon.kill(signal.SIGTERM)
    head, found, rest = daemon.settings.partition(f"[{section}]\n")
    daemon.settings = "\n".join([head, f"[{section}]", *settings, rest if found else ""])
    await daemon.start()


async def offered(tab: Tab, text: str) -> list[str]:
    """What the menu of a message has."""
    await open_menu(tab, text)
    names = await tab.page.get_by_role("menuitem").all_inner_texts()
    await tab.page.keyboard.press("Escape")
    return [name.strip() for name in names]


async def test_who_has_an_invite_signs_up(tabs: Tabs, daemon: Process) -> None:
    (ada,) = await people(daemon.url, "ada")
    invite = (await ada.data("invite_create"))["token"]
    guest = await tabs.open()
    await expect(guest.page.get_by_role("tab")).to_have_text(["Log in", "Sign up"])  # there is no mail
    await guest.page.get_by_role("tab", name="Sign up").click()
    await expect(guest.page.get_by_label("Invite")).to_be_hidden()

    await changed(daemon, "accounts", 'signup = "invite"')
    guest = await tabs.open()
    await guest.page.get_by_role("tab", name="Sign up").click()
    await expect(guest.page.get_by_label("Invite")).to_be_visible()
    await guest.axe()
    await guest.page.get_by_label("Username").fill("bob")
    await guest.page.get_by_label("Password").fill(PASSWORD)
    await guest.page.get_by_label("Invite").fill(invite)
    await guest.page.get_by_role("button", name="Sign up").click()
    await expect(guest.page.get_by_role("heading", name="Chats")).to_be_visible()


async def test_nobody_signs_up_where_it_is_closed(tabs: Tabs, daemon: Process) -> None:
    await people(daemon.url, "ada")
    await changed(daemon, "accounts", 'signup = "closed"')
    guest = await tabs.open()
    await expect(guest.page.get_by_role("tab")).to_have_count(0)  # there is one way in
    await guest.axe()
    await guest.page.get_by_label("Username or email").fill("ada")
    await guest.page.get_by_label("Password").fill(PASSWORD)
    await guest.page.get_by_role("button", name="Log in").click()
    await expect(guest.page.get_by_role("heading", name="Chats")).to_be_visible()
    await guest.go("#/settings/account")
    await expect(guest.page.get_by_role("heading", name="Your data")).to_be_visible()
    await expect(guest.page.get_by_role("heading", name="Invites")).to_have_count(0)


async def test_the_way_in_by_mail(tabs: Tabs, daemon: Process) -> None:
    (ada,) = await people(daemon.url, "ada")
    invite = (await ada.data("invite_create"))["token"]
    async with Postbox.open() as postbox:
        await changed(daemon, "accounts", 'signup = "invite"')
        sender = 'sender = "chat@example.org"'
        await changed(daemon, "mail", 'host = "localhost"', f"port = {postbox.port}", 'security = "none"', sender)
        guest = await tabs.open()
        page = guest.page
        await page.get_by_role("tab", name="By mail").click()
        await page.get_by_label("Email").fill("bob@example.org")
        await page.get_by_label("What for").select_option("Sign up")
        await page.get_by_role("button", name="Send a code").click()
        await page.get_by_label("Code").fill(await postbox.code("bob@example.org"))
        await page.get_by_label("Invite").fill(invite)
        await page.get_by_label("Username").fill("bob")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign up").click()
        await expect(page.get_by_role("heading", name="Chats")).to_be_visible()

        again = await tabs.open()
        page = again.page
        await page.get_by_role("tab", name="By mail").click()
        await page.get_by_label("Email").fill("bob@example.org")
        await page.get_by_role("button", name="Send a code").click()
        await page.get_by_label("Code").fill(await postbox.code("bob@example.org"))
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("heading", name="Chats")).to_be_visible()


async def test_one_writes_to_whom_one_does_not_know(tabs: Tabs, daemon: Process) -> None:
    _, bob = await people(daemon.url, "ada", "bob")
    route = f"#/u/{(await bob.data('profile'))['user_id']}"
    tab = await tabs.open("ada", route)
    await expect(tab.page.get_by_role("button", name="Add friend")).to_be_visible()
    await expect(tab.page.get_by_role("button", name="Message")).to_have_count(0)

    with tab.cut_off():
        await changed(daemon, "messages", 'direct = "anyone"')
        await tab.page.get_by_role("button", name="Message").click()
    await tab.page.get_by_label("Write a message").fill("You do not know me.")
    await tab.axe()
    await tab.page.get_by_role("button", name="Send").click()
    await expect(bubbles(tab)).to_have_text(["You do not know me."])
    await expect(tab.page.get_by_text("are not friends")).to_have_count(0)
    bob = await Person.again(daemon.url, bob.token)
    assert (await bob.data("history", user="ada"))["messages"][0]["content"] == "You do not know me."
    await tab.go(route)
    await expect(tab.page.get_by_role("link", name="Message")).to_be_visible()


async def test_what_is_too_old_is_not_offered(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation, among_many = await direct(ada), await group(ada, "Climbing", "bob")
    for one in (conversation, among_many):
        await write(ada, one, "to Sunday")
    tab = await tabs.open("ada", f"#/c/{conversation}")
    assert {"Edit", "Take back"} <= set(await offered(tab, "to Sunday"))

    with tab.cut_off():
        await changed(daemon, "messages", "edit_window = 0", "recall_window = 0")
        bob = await Person.again(daemon.url, bob.token)
        await tab.page.reload()
        await expect(tab.page.locator(".stage-head")).to_contain_text("online")  # which is asked after the rules
    assert not {"Edit", "Take back"} & set(await offered(tab, "to Sunday"))
    await tab.go(f"#/c/{among_many}")
    assert {"Edit", "Take back"} & set(await offered(tab, "to Sunday")) == {"Take back"}  # ada owns the group
