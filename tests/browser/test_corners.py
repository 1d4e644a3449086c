"""What a fresh mind broke: plain HTTP, hurried messages, slow lines, strange addresses, what is left behind."""

from __future__ import annotations

import contextlib
import re
import sqlite3

from playwright.async_api import Browser, expect

from tests.browser.people import friends, group, upload, write
from tests.browser.tab import Held, Tab, Tabs
from tests.browser.test_conversation import box, bubbles, choose, direct, message, open_menu, say
from tests.support import Person, Process

PASTE = """text => {
    const data = new DataTransfer()
    data.items.add(new File([text], 'notes.txt', {type: 'text/plain'}))
    const paste = {clipboardData: data, bubbles: true, cancelable: true}
    document.activeElement.dispatchEvent(new ClipboardEvent('paste', paste))
}"""


SOCKETS = """(() => {
    window.sockets = []
    window.WebSocket = class extends WebSocket {
        constructor(url) {
            super(url)
            sockets.push(this)
        }
    }
})()"""


class Elsewhere(Tabs):
    """The same daemon by a name for which browsers hold plain HTTP for unsafe."""

    @property
    def site(self) -> str:
        return f"http://chat.test:{self.daemon.port}"


async def unread(person: Person) -> int:
    total: int = (await person.data("unread_count"))["total"]
    return total


async def test_plain_http_from_another_machine(browser: Browser, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    tabs = Elsewhere(browser, daemon)
    tab = await tabs.open("ada", f"#/c/{await direct(ada)}")
    assert not await tab.page.evaluate("isSecureContext")
    await say(tab, "by plain HTTP")
    await expect(tab.page.locator(".tick-sent")).to_have_count(1)
    await write(bob, await direct(bob), "and back")
    await expect(bubbles(tab)).to_have_text(["by plain HTTP", "and back"])
    await choose(tab, "and back", "Copy text")
    await expect(tab.page.get_by_text("Copied.")).to_be_visible()
    assert not tabs.wrongs()
    await tabs.close()


async def test_nothing_is_said_of_what_nobody_knows_yet(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.blank("ada")
    await tab.page.route_web_socket("**/ws", lambda server: None)  # which never says a word
    await tab.go()
    await expect(tab.page.get_by_text("Nobody here yet")).to_be_hidden()
    await tab.page.evaluate(f"location.hash = '#/c/{conversation}'")
    await expect(tab.page.locator(".stage .empty")).to_be_attached()
    await expect(tab.page.locator(".stage")).to_have_text("")
    await tab.page.get_by_role("link", name="Friends").click()
    await expect(tab.page.get_by_role("searchbox", name="Find people and groups")).to_be_visible()
    await expect(tab.page.get_by_text("Nobody here yet")).to_be_hidden()


async def test_what_comes_in_a_hurry_is_read_when_one_looks(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.open("ada", f"#/c/{conversation}")
    other = await tabs.open("bob", f"#/c/{conversation}")
    for number in range(4):
        await write(bob, conversation, f"number {number}")
        await expect(bubbles(tab)).to_have_count(number + 1)
    await expect(other.page.locator(".tick-read")).to_have_count(4)
    assert await unread(ada) == 0
    await expect(tab.page.locator(".row .badge")).to_have_count(0)
    await tab.go("#/moments")
    await write(bob, conversation, "Nobody looks at this")
    await expect(tab.page.get_by_role("navigation").get_by_text("1 unread message")).to_be_attached()
    await expect(other.page.locator(".tick-delivered")).to_have_count(1)
    assert await unread(ada) == 1


async def test_what_is_unread_stays_so_until_one_has_seen_it(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    await write(bob, conversation, *(f"number {number}." for number in range(70)))
    tab = await tabs.open("ada", f"#/c/{conversation}")
    await expect(tab.page.locator(".unread-line")).to_be_in_viewport()
    await expect(message(tab, "number 0.")).to_be_in_viewport()
    await choose(tab, "number 0.", "Pin")
    await expect(tab.page.locator(".pinned")).to_contain_text("number 0.")
    assert await unread(ada) == 70
    await tab.page.get_by_role("button", name="To the newest message").click()
    await expect(message(tab, "number 69.")).to_be_in_viewport()
    await expect(tab.page.locator(".row .badge")).to_have_count(0)


async def test_editing_takes_nothing_else_along(tabs: Tabs, daemon: Process) -> None:
    ada, _bob = await friends(daemon.url, "ada", "bob")
    tab = await tabs.open("ada", f"#/c/{await direct(ada)}")
    await say(tab, "the first")
    await expect(tab.page.locator(".tick-sent")).to_have_count(1)
    await box(tab).fill("a draft")
    await choose(tab, "the first", "Edit")
    await expect(box(tab)).to_have_value("the first")
    await tab.page.keyboard.press("Escape")
    await expect(box(tab)).to_have_value("a draft")
    await choose(tab, "the first", "Edit")
    await box(tab).focus()
    await tab.page.evaluate(PASTE, "content")
    await expect(tab.page.get_by_title("notes.txt")).to_be_visible()
    await say(tab, "something new")
    await expect(message(tab, "something new")).to_have_count(1)
    await expect(message(tab, "the first")).to_have_count(1)


async def test_nothing_is_left_for_the_next(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    (known,) = await write(bob, conversation, "a secret")
    await bob.data("edit", message_id=known, content="no secret")
    tab = await tabs.open("ada", f"#/c/{conversation}")
    await box(tab).fill("a draft of ada's")
    await choose(tab, "no secret", "Earlier texts")
    await expect(tab.page.get_by_role("dialog")).to_contain_text("a secret")
    await write(bob, conversation, "read aloud")
    await expect(tab.page.locator("#live")).to_have_text("bob: read aloud")
    session = next(one for one in (await ada.data("sessions"))["sessions"] if one["device"] == "browser")
    await ada.data("session_revoke", session_id=session["session_id"])
    await expect(tab.page.get_by_role("tab", name="Log in")).to_be_visible()
    await expect(tab.page.get_by_role("dialog")).to_have_count(0)
    await expect(tab.page.locator("#live")).to_be_empty()
    await expect(tab.page).to_have_title("chatd")
    assert await tab.page.evaluate("[sessionStorage.length, Object.keys(localStorage).join()]") == [0, ""]


async def test_what_is_said_while_the_connection_closes_arrives_once(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.blank("ada")
    await tab.context.add_init_script(SOCKETS)
    await tab.go(f"#/c/{conversation}")
    await write(bob, conversation, "Are you there?")
    await expect(bubbles(tab)).to_have_text(["Are you there?"])
    await box(tab).fill("I am here")
    button = await tab.page.get_by_role("button", name="Send").element_handle()
    assert await tab.page.evaluate("(send) => (sockets[0].close(), send.click(), sockets[0].readyState)", button) == 2
    await expect(tab.page.locator(".tick-sent")).to_have_count(1)
    await expect(bubbles(tab)).to_have_text(["Are you there?", "I am here"])
    assert await tab.page.evaluate("sockets.length") == 2


async def test_the_last_message_deleted_for_me_is_gone_from_the_list(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    await write(bob, conversation, "stays", "goes")
    tab = await tabs.open("ada", f"#/c/{conversation}")
    await choose(tab, "goes", "Delete for me")
    await tab.page.get_by_role("dialog").get_by_role("button", name="Delete for me").click()
    await expect(tab.page.locator(".row-text")).to_have_text("stays")


async def test_strange_addresses_lead_to_the_chats(tabs: Tabs, daemon: Process) -> None:
    await friends(daemon.url, "ada", "bob")
    for route in ("#/c/%", "#/join/%E0%A4%A", "#/nowhere/at/all", "#/c/12345"):
        tab: Tab = await tabs.open("ada", route)
        await expect(tab.page.get_by_role("heading", name="Chats")).to_be_visible()


async def test_a_link_leads_there_again(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    await write(bob, conversation, "look for this", *(f"filler {number}\n\n\n" for number in range(60)))
    tab = await tabs.open("ada", "#/search?q=look")
    hit = tab.page.get_by_role("link", name="look for this")
    for _ in range(2):
        await hit.click()
        await expect(message(tab, "look for this")).to_be_in_viewport()
        await tab.page.get_by_role("button", name="To the newest message").click()
        await expect(message(tab, "filler 59")).to_be_in_viewport()
    await open_menu(tab, "filler 59")


async def test_a_database_is_put_back_from_a_copy(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    await write(bob, conversation, "before the copy")
    tab = await tabs.open("ada", f"#/c/{conversation}")
    await expect(bubbles(tab)).to_have_text(["before the copy"])
    file, copy = daemon.data / "chatd.db", daemon.data / "copy.db"
    with contextlib.closing(sqlite3.connect(file)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("UPDATE meta SET value = hex(randomblob(8)) WHERE name = 'epoch'")
        target.commit()
    await write(bob, conversation, "after the copy")
    await group(ada, "Made after the copy", "bob")
    await expect(bubbles(tab)).to_have_text(["before the copy", "after the copy"])
    await expect(tab.page.get_by_role("link", name="Made after the copy")).to_be_visible()
    with tab.cut_off():
        await daemon.kill()
        for one in daemon.data.glob("chatd.db-*"):
            one.unlink()
        copy.replace(file)
        await daemon.start()
        await expect(bubbles(tab)).to_have_text(["before the copy"])
    await expect(tab.page.get_by_role("link", name="Made after the copy")).to_have_count(0)
    await expect(tab.page.locator(".row-text")).to_have_text("before the copy")
    await tab.page.close()
    await write(await Person.again(daemon.url, bob.token), conversation, "once more")
    again = Tab(tab.device, await tab.context.new_page())
    await again.go("#/")
    await expect(again.page.locator(".row .badge")).to_have_count(1)  # however far one had looked in what is gone


async def test_what_there_is_more_of_comes_page_by_page(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await group(ada, "Climbing", "bob")
    file_id = await upload(daemon.url, bob, b"1. rope\n", "rope.txt")
    for _ in range(51):
        await bob.data("send", conversation_id=conversation, kind="file", file_id=file_id)
    ids = await write(ada, conversation, "Sunday", "At eight")
    for message_id in ids:
        await ada.data("pin", message_id=message_id, conversation_id=conversation)
    await ada.data("edit", message_id=ids[1], content="At seven")
    for one in (ada, bob):
        await one.data("read", conversation_id=conversation)
    tab = await tabs.open("ada", f"#/c/{conversation}")
    dialog = tab.page.get_by_role("dialog")

    await tab.page.get_by_role("button", name="More about this conversation").click()
    await tab.page.get_by_role("menuitem", name="Files").click()
    await expect(dialog.get_by_role("listitem")).to_have_count(50)
    await dialog.get_by_role("button", name="Show more").click()
    await expect(dialog.get_by_role("listitem")).to_have_count(51)
    await expect(dialog.get_by_role("button", name="Show more")).to_be_hidden()
    await expect(dialog.get_by_role("link").last).to_be_focused()
    await tab.axe()
    await dialog.press("Escape")

    await choose(tab, "At seven", "Earlier texts")
    await expect(dialog.get_by_role("listitem").locator(".text")).to_have_text(["At eight", "At seven"])
    await dialog.press("Escape")
    await choose(tab, "At seven", "Who has read it")
    await expect(dialog.get_by_role("listitem")).to_have_text(re.compile("bob.*read", re.DOTALL))
    await dialog.press("Escape")

    await expect(tab.page.locator(".pinned-text")).to_contain_text("At seven")
    await tab.page.locator(".pinned").get_by_role("button", name="All").click()
    await dialog.get_by_role("button", name="Sunday").click()
    await expect(dialog).to_be_hidden()
    await expect(message(tab, "Sunday")).to_be_focused()


async def test_the_focus_stays_where_it_was_while_things_move(tabs: Tabs, daemon: Process) -> None:
    ada, bob, carl = await friends(daemon.url, "ada", "bob", "carl")
    with_bob, with_carl = await group(ada, "Climbing", "bob"), await group(ada, "Books", "carl")
    tab = await tabs.open("ada")
    rows = tab.page.locator(".row-title")
    climbing = tab.page.get_by_role("link", name="Climbing")
    await climbing.focus()
    await write(bob, with_bob, "one")
    await expect(rows.first).to_have_text("Climbing")
    await write(carl, with_carl, "two")
    await expect(rows.first).to_have_text("Books")
    await expect(climbing).to_be_focused()
    await write(bob, with_bob, "three")
    await expect(rows.first).to_have_text("Climbing")
    await expect(climbing).to_be_focused()

    (friend, _) = (await ada.data("friends"))["friends"]
    await tab.page.evaluate(f"location.hash = '#/c/{friend['conversation_id']}'")
    await box(tab).press_sequentially("Hel")
    await bob.data("friend_remove", user="ada")
    await expect(tab.page.get_by_text("You and bob are not friends.")).to_be_visible()
    await tab.page.keyboard.type("lo")
    await expect(box(tab)).to_have_value("Hello")


async def test_who_logs_out_is_told_what_is_lost(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    tab = await tabs.open("ada", "#/settings")
    dialog = tab.page.get_by_role("dialog")
    await tab.page.evaluate(f"location.hash = '#/c/{await direct(ada)}'")
    await box(tab).focus()
    with tab.cut_off():
        await tab.context.set_offline(True)
        await say(tab, "one", "two")
        await expect(tab.page.locator(".tick-sending")).to_have_count(2)
        await tab.page.go_back()
        await tab.page.get_by_role("button", name="Log out").click()
        await expect(dialog).to_contain_text("2 messages that were not sent yet are lost.")
        await dialog.get_by_role("button", name="Cancel").click()
        await tab.page.go_forward()
        await tab.context.set_offline(False)
        await expect(tab.page.locator(".tick-sent")).to_have_count(2)
    await tab.page.go_back()
    await tab.page.get_by_role("button", name="Log out").click()
    await expect(dialog).not_to_contain_text("lost")


async def test_a_view_that_cannot_be_fetched_is_fetched_when_it_can(tabs: Tabs, daemon: Process) -> None:
    await friends(daemon.url, "ada", "bob")
    tab = await tabs.open("ada", service_workers="block")  # which would have it already
    with tab.cut_off():
        await tab.context.set_offline(True)
        await tab.page.get_by_role("link", name="Settings").click()
        await expect(tab.page.get_by_text("The server cannot be reached.")).to_be_visible()
        await tab.context.set_offline(False)
        await expect(tab.page.get_by_role("heading", name="Settings")).to_be_visible()


async def test_a_second_click_on_send_is_none_on_what_comes_in_its_place(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    tab = await tabs.open("ada", f"#/c/{await direct(ada)}")
    await box(tab).fill("hello")
    await tab.page.get_by_role("button", name="Send", exact=True).dblclick()
    await expect(bubbles(tab)).to_have_text(["hello"])
    await expect(tab.page.get_by_role("button", name="Discard recording")).to_have_count(0)
    await expect(box(tab)).to_be_focused()


async def test_a_jump_is_off_when_something_else_is_wanted(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    await write(bob, conversation, *(f"number {number}." for number in range(150)))
    await ada.data("read", conversation_id=conversation)
    first = (await ada.data("history", conversation_id=conversation, after_seq=0, limit=1))["messages"][0]["seq"]
    tab = await tabs.blank("ada")
    held = await Held.on(tab, "history")
    held.release()
    await tab.go(f"#/c/{conversation}")
    await expect(message(tab, "number 149.")).to_be_in_viewport()
    held.is_shut = True
    await tab.page.evaluate(f"location.hash = '#/c/{conversation}/{first}'")
    timeline = tab.page.get_by_role("region", name="Messages")
    await expect(timeline).to_have_attribute("aria-busy", "true")
    await say(tab, "where I am")
    await expect(tab.page.locator(".tick-sent")).to_have_count(1)
    assert held.waiting
    held.release()
    await expect(timeline).not_to_have_attribute("aria-busy", "true")
    await expect(message(tab, "where I am")).to_be_in_viewport()


async def test_answering_instead_of_editing_gives_the_draft_back(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.open("ada", f"#/c/{conversation}")
    await say(tab, "what I said")
    await expect(tab.page.locator(".tick-sent")).to_have_count(1)
    await write(bob, conversation, "what bob said")
    await expect(bubbles(tab)).to_have_count(2)
    await box(tab).fill("a draft")
    await choose(tab, "what I said", "Edit")
    await choose(tab, "what bob said", "Reply")
    await expect(box(tab)).to_have_value("a draft")
    await tab.page.keyboard.press("Escape")
    await expect(box(tab)).to_have_value("a draft")

    with tab.cut_off():
        await tab.context.set_offline(True)
        await expect(tab.page.locator(".weather")).to_be_visible()
        await choose(tab, "what I said", "Edit")
        await box(tab).fill("what I meant")
        await box(tab).press("Enter")
        await tab.page.keyboard.press("Escape")
        await expect(box(tab)).to_be_editable()
        await expect(box(tab)).to_have_value("a draft")
        await tab.context.set_offline(False)
        await expect(bubbles(tab)).to_have_text(["what I meant", "what bob said"])


async def test_what_is_taken_back_is_not_answered(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    first, second = await write(bob, conversation, "a slip", "another")
    tab = await tabs.open("ada", f"#/c/{conversation}")
    await choose(tab, "a slip", "Reply")
    await expect(tab.page.locator(".composer-context")).to_contain_text("a slip")
    await bob.data("recall", message_id=first)
    await expect(tab.page.locator(".composer-context")).to_be_hidden()
    await open_menu(tab, "another")
    await expect(tab.page.get_by_role("menuitem", name="Reply")).to_be_visible()
    await bob.data("recall", message_id=second)
    await expect(tab.page.get_by_role("menuitem", name="Reply")).to_be_hidden()


async def test_what_is_pinned_out_of_sight_is_shown(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    (first, *_) = await write(bob, conversation, *(f"number {number}." for number in range(150)))
    await ada.data("read", conversation_id=conversation)
    tab = await tabs.open("ada", f"#/c/{conversation}")
    await expect(message(tab, "number 149.")).to_be_in_viewport()
    await bob.data("pin", message_id=first)
    await expect(tab.page.locator(".pinned")).to_contain_text("number 0.")
    await bob.data("recall", message_id=first)
    await expect(tab.page.locator(".pinned")).to_be_hidden()


async def test_a_spoken_answer_is_one(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    await write(bob, conversation, "What do you say?")
    tab = await tabs.open("ada", f"#/c/{conversation}", permissions=["microphone"])
    await choose(tab, "What do you say?", "Reply")
    await tab.page.get_by_role("button", name="Record a voice message").click()
    await expect(tab.page.get_by_role("timer")).to_have_text("0:01")
    await tab.page.get_by_role("button", name="Send voice message").click()
    await expect(tab.page.locator(".tick-sent")).to_have_count(1)
    await say(tab, "That is all")
    await expect(tab.page.locator(".tick-sent")).to_have_count(2)
    said = (await ada.data("history", conversation_id=conversation))["messages"]
    assert [one["reply_to"] is not None for one in said] == [False, True, False]
