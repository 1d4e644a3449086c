"""Two people talk on the page, through cuts, in several tabs, about everything."""

from __future__ import annotations

import asyncio
import re
import signal

from playwright.async_api import Locator, expect

from tests.browser.people import friends, group, write
from tests.browser.tab import PHONE, Held, Tab, Tabs
from tests.support import PATIENCE, Person, Process

SCRIPT = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


async def direct(person: Person) -> int:
    """The first direct conversation of somebody."""
    conversations = (await person.data("conversations"))["conversations"]
    (found, *_) = [one["conversation_id"] for one in conversations if one["kind"] == "direct"]
    conversation_id: int = found
    return conversation_id


def box(tab: Tab) -> Locator:
    return tab.page.get_by_role("textbox", name="Write a message")


def bubbles(tab: Tab) -> Locator:
    """The texts of messages, oldest first."""
    return tab.page.locator(".message .text")


def message(tab: Tab, text: str) -> Locator:
    return tab.page.locator(".message").filter(has=tab.page.locator(".text", has_text=text))


async def say(tab: Tab, *texts: str) -> None:
    for text in texts:
        await box(tab).fill(text)
        await box(tab).press("Enter")


async def open_menu(tab: Tab, text: str) -> None:
    await message(tab, text).hover()
    await message(tab, text).get_by_role("button", name="What to do with this message").click()


async def choose(tab: Tab, text: str, action: str) -> None:
    """Take an action from a message's menu."""
    await open_menu(tab, text)
    await tab.page.get_by_role("menuitem", name=action, exact=True).click()


async def test_two_people_sign_up_and_chat(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await tabs.open(), await tabs.open()
    for tab, name in ((ada, "ada"), (bob, "bob")):
        await tab.page.get_by_role("tab", name="Sign up").click()
        await tab.page.get_by_label("Username").fill(name)
        await tab.page.get_by_label("Password").fill("correct horse")
        await tab.page.get_by_role("button", name="Sign up").click()
        await expect(tab.page.get_by_role("heading", name="Nobody here yet")).to_be_visible()
    wire = await Person.at(daemon.url)
    await wire.ask("login", username="bob", password="correct horse")
    await wire.ask("friend_request", to_user="ada")
    other = await Person.at(daemon.url)
    await other.ask("login", username="ada", password="correct horse")
    (request,) = (await other.data("friend_requests"))["requests"]
    await other.ask("friend_respond", request_id=request["request_id"], accept=True)
    for tab, name in ((ada, "bob"), (bob, "ada")):
        await tab.page.get_by_role("link", name=name).click()
        await expect(tab.page.get_by_role("heading", name=name)).to_be_visible()

    await say(ada, "Hello bob", "See https://example.org/a_(b), and tell me.")
    await expect(bubbles(bob)).to_have_text(["Hello bob", "See https://example.org/a_(b), and tell me."])
    await expect(bob.page.get_by_role("link", name="https://example.org/a_(b)", exact=True)).to_have_attribute(
        "href", "https://example.org/a_(b)"
    )
    await expect(message(ada, "Hello bob").locator(".tick")).to_have_attribute("title", "read")
    await box(bob).press_sequentially("I a")
    await expect(ada.page.locator(".head-sub")).to_have_text("typing…")
    await box(bob).fill("")
    await expect(ada.page.locator(".head-sub")).to_have_text("online")

    await choose(bob, "Hello bob", "Reply")
    await say(bob, "Hello ada!")
    await expect(message(ada, "Hello ada!").locator(".quote")).to_contain_text("Hello bob")
    await open_menu(bob, "Hello bob")
    await bob.page.get_by_role("group", name="React").get_by_role("button", name="👍").click()
    reaction = message(ada, "Hello bob").locator(".reaction")
    await expect(reaction).to_have_text("👍1")
    await reaction.click()
    await expect(message(bob, "Hello bob").locator(".reaction")).to_have_text("👍2")
    await message(ada, "Hello bob").locator(".reaction").click()
    await expect(message(bob, "Hello bob").locator(".reaction")).to_have_text("👍1")

    await choose(bob, "Hello ada!", "Edit")
    await say(bob, "Good morning ada!")
    await expect(message(ada, "Good morning ada!").locator(".meta")).to_contain_text("edited")
    await choose(ada, "Good morning ada!", "Earlier texts")
    await expect(ada.page.get_by_role("dialog").locator(".text")).to_have_text(["Hello ada!", "Good morning ada!"])
    await ada.page.keyboard.press("Escape")
    await choose(ada, "Good morning ada!", "Pin")
    await expect(bob.page.locator(".pinned")).to_contain_text("Good morning ada!")
    await choose(bob, "Good morning ada!", "Take back")
    await bob.page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    await expect(bubbles(ada).last).to_have_text("This message was taken back.")
    await expect(bob.page.locator(".pinned")).to_be_hidden()
    await choose(bob, "See https", "Delete for me")
    await bob.page.get_by_role("dialog").get_by_role("button", name="Delete for me").click()
    await expect(bubbles(bob)).to_have_count(2)
    await expect(bubbles(ada)).to_have_count(3)


async def test_what_is_written_while_the_daemon_is_gone_arrives_once(tabs: Tabs, daemon: Process) -> None:
    ada, _bob = await friends(daemon.url, "ada", "bob")
    route = f"#/c/{await direct(ada)}"
    one, other = await tabs.open("ada", route), await tabs.open("bob", route)
    await say(one, "before")
    await expect(bubbles(other)).to_have_text(["before"])
    with one.cut_off(), other.cut_off():
        await daemon.kill()
        texts = [f"meanwhile {number}" for number in range(5)]
        await say(one, *texts)
        await expect(one.page.locator(".tick-sending")).to_have_count(5)
        await expect(one.page.locator(".weather")).to_be_visible()
        await daemon.start()
        await expect(one.page.locator(".tick-sending")).to_have_count(0)
        await expect(one.page.locator(".weather")).to_be_hidden()
        await expect(bubbles(other)).to_have_text(["before", *texts])
    await expect(bubbles(one)).to_have_text(["before", *texts])
    wire = await Person.again(daemon.url, ada.token)
    held = (await wire.data("history", conversation_id=await direct(wire)))["messages"]
    assert [message["content"] for message in held] == ["before", *texts]


async def test_a_tab_that_is_closed_leaves_its_words_to_the_next(tabs: Tabs, daemon: Process) -> None:
    ada, _bob = await friends(daemon.url, "ada", "bob")
    route = f"#/c/{await direct(ada)}"
    tab = await tabs.open("ada", route)
    with tab.cut_off():
        await daemon.kill()
        await say(tab, "I am going")
        await expect(tab.page.locator(".tick-sending")).to_have_count(1)
        await tab.page.close()
        await daemon.start()
        again = Tab(tab.device, await tab.context.new_page())
        await again.go(route)
        await expect(bubbles(again)).to_have_text(["I am going"])
        await expect(again.page.locator(".tick-sent")).to_have_count(1)


async def test_offline_and_back(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    tab = await tabs.open("ada", f"#/c/{conversation}")
    with tab.cut_off():
        await tab.context.set_offline(True)
        await expect(tab.page.locator(".weather")).to_be_visible()
        await write(bob, conversation, "Are you there?")
        await say(tab, "I am here")
        await tab.context.set_offline(False)
        await expect(bubbles(tab)).to_have_text(["Are you there?", "I am here"])
        await expect(tab.page.locator(".weather")).to_be_hidden()


async def test_words_keep_their_order_where_the_server_asks_to_wait(tabs: Tabs, daemon: Process) -> None:
    ada, _bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    await daemon.kill(signal.SIGTERM)
    daemon.settings = daemon.settings.replace("chat = {{ per_second = 0, ", "chat = {{ per_second = 20, ")
    await daemon.start()
    tab = await tabs.open("ada", f"#/c/{conversation}")
    with tab.cut_off():
        await tab.context.set_offline(True)
        await expect(tab.page.locator(".weather")).to_be_visible()
        texts = [f"number {number}" for number in range(20)]
        await say(tab, *texts)
        await expect(tab.page.locator(".tick-sending")).to_have_count(20)
        await tab.context.set_offline(False)
        await expect(tab.page.locator(".tick-sent")).to_have_count(20)
    wire = await Person.again(daemon.url, ada.token)
    held = (await wire.data("history", conversation_id=conversation))["messages"]
    assert [message["content"] for message in held] == texts


async def test_what_has_come_is_shown_without_a_connection(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    await write(bob, conversation, *(f"old {number}" for number in range(10)))
    await ada.data("read", conversation_id=conversation)
    climbing = await group(ada, "Climbing", "bob")
    tab = await tabs.open("ada", f"#/c/{climbing}")
    await expect(tab.page.get_by_role("heading", name="Climbing")).to_be_visible()
    await write(bob, conversation, "new", "newer")
    await expect(tab.page.locator(".row .badge")).to_have_count(1)
    with tab.cut_off():
        await tab.context.set_offline(True)
        await expect(tab.page.locator(".weather")).to_be_visible()
        await tab.page.get_by_role("link", name="bob").first.click()
        await expect(bubbles(tab)).to_have_text(["new", "newer"])
        await tab.context.set_offline(False)
        await expect(bubbles(tab)).to_have_count(12)


async def test_a_second_visit_shows_what_was_there_without_the_server(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    await write(bob, conversation, "Remember me")
    tab = await tabs.open("ada", f"#/c/{conversation}")
    await expect(bubbles(tab)).to_have_text(["Remember me"])
    await tab.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    await expect(tab.page.locator(".tick")).to_have_count(0)
    with tab.cut_off():
        await daemon.kill()
        await tab.page.reload()
        await expect(bubbles(tab)).to_have_text(["Remember me"])
        await expect(tab.page.get_by_role("link", name="bob").first).to_be_visible()
        await daemon.start()
        bob = await Person.again(daemon.url, bob.token)
        await write(bob, conversation, "and this")
        await expect(bubbles(tab)).to_have_text(["Remember me", "and this"])


async def test_two_tabs_agree(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    one = await tabs.open("ada", f"#/c/{conversation}")
    two = await one.beside("#/")
    await one.page.bring_to_front()
    await say(one, "from the first")
    await expect(two.page.locator(".row-text")).to_have_text("from the first")
    await two.page.bring_to_front()
    await write(bob, conversation, "to both")
    await two.page.goto(f"{tabs.site}/#/c/{conversation}")
    for tab in (one, two):
        await expect(bubbles(tab)).to_have_text(["from the first", "to both"])
        await expect(tab.page.locator(".row .badge")).to_have_count(0)
    await say(two, "from the second")
    await expect(bubbles(one)).to_have_text(["from the first", "to both", "from the second"])
    await choose(two, "from the second", "Take back")
    await two.page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    await expect(bubbles(one).last).to_have_text("This message was taken back.")


async def numbers_of(tab: Tab) -> list[int]:
    """Those of the messages in the document: not all that there are, no hole, nothing twice."""
    numbers = [int(text.split()[1]) for text in await bubbles(tab).all_inner_texts()]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert len(numbers) <= 200
    return numbers


async def test_ten_thousand_messages(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    for start in range(0, 10_000, 500):
        bob.say_at_once(
            {
                "type": "send",
                "conversation_id": conversation,
                "content": f"number {start + number} "
                + "word " * (800 if 3000 <= start + number < 3100 else number % 30),
            }
            for number in range(500)
        )
        for _ in range(500):
            assert (await bob.reply())["success"]
        await ada.events()
    await ada.data("read", conversation_id=conversation)
    tab = await tabs.open("ada", f"#/c/{conversation}")
    await expect(message(tab, "number 9999 ")).to_be_in_viewport()
    timeline = tab.page.get_by_role("region", name="Messages")
    await timeline.hover()
    seen: set[int] = set()
    async with asyncio.timeout(PATIENCE):
        while len(seen) < 600:
            await tab.page.mouse.wheel(0, -4000)
            numbers = await numbers_of(tab)
            seen.update(numbers)
    middle = numbers[len(numbers) // 2]
    await message(tab, f"number {middle} ").scroll_into_view_if_needed()
    before = await message(tab, f"number {middle} ").bounding_box()
    await write(bob, conversation, "and one more")
    await expect(tab.page.get_by_role("button", name="1 new message")).to_be_visible()
    after = await message(tab, f"number {middle} ").bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 2  # what one looks at stays where it is
    await tab.page.get_by_role("button", name="1 new message").click()
    await expect(message(tab, "and one more")).to_be_in_viewport()
    first = (await ada.data("history", conversation_id=conversation, after_seq=0, limit=1))["messages"][0]["seq"]
    for number in (7000, 0, 2900, 2960, 3020, 3080, 3140, 9000):
        await tab.go(f"#/c/{conversation}/{first + number}")
        await expect(message(tab, f"number {number} ")).to_be_in_viewport()
        assert number in await numbers_of(tab)


async def test_what_people_write_is_text(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    await bob.data("profile_set", nickname=SCRIPT[:50], bio=SCRIPT)
    await bob.data("presence_set", status="away", text=SCRIPT[:100])
    conversation = await direct(ada)
    await write(bob, conversation, SCRIPT, f"https://example.org/{SCRIPT}", "javascript:alert(1)")
    title = SCRIPT[:100]
    there = await group(ada, title, "bob")
    await write(bob, there, SCRIPT)
    tab = await tabs.open("ada", f"#/c/{conversation}")
    await expect(bubbles(tab).first).to_have_text(SCRIPT)
    assert await tab.page.locator("a[href^=javascript]").count() == 0
    await tab.page.goto(f"{tabs.site}/#/c/{there}")
    await expect(tab.page.get_by_role("heading", name=title)).to_be_visible()
    await expect(bubbles(tab)).to_have_text([SCRIPT])
    assert "owned" not in await tab.page.title()
    assert await tab.page.locator("img[src=x]").count() == 0


async def test_by_keyboard_alone(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    await write(bob, await direct(ada), "Press keys")
    tab = await tabs.open("ada")
    keys = tab.page.keyboard
    await expect(tab.page.locator(".row")).to_have_count(1)
    await tab.page.get_by_label("Find a conversation").focus()
    await keys.press("ArrowDown")
    await keys.press("Enter")
    await expect(box(tab)).to_be_focused()
    await keys.type("Like this?")
    await keys.press("Enter")
    await expect(bubbles(tab)).to_have_text(["Press keys", "Like this?"])
    await expect(tab.page.locator(".tick-sending")).to_have_count(0)
    await keys.press("ArrowUp")  # in an empty field: my last message again
    await expect(box(tab)).to_have_value("Like this?")
    await keys.type(" Yes.")
    await keys.press("Enter")
    await expect(bubbles(tab).last).to_have_text("Like this? Yes.")
    await keys.press("Shift+Tab")
    for _ in range(12):
        if await tab.page.evaluate("document.activeElement.classList.contains('timeline')"):
            break
        await keys.press("Shift+Tab")
    await keys.press("ArrowUp")
    await keys.press("ArrowUp")
    await keys.press("Enter")
    await expect(tab.page.get_by_role("menuitem", name="Reply")).to_be_focused()
    await keys.press("Enter")
    await expect(tab.page.locator(".composer-context")).to_contain_text("Press keys")
    await keys.press("Escape")
    await expect(tab.page.locator(".composer-context")).to_be_hidden()


async def test_nobody_is_shut_out(tabs: Tabs, daemon: Process) -> None:
    ada, bob = await friends(daemon.url, "ada", "bob")
    conversation = await direct(ada)
    (first,) = await write(bob, conversation, "Hello https://example.org")
    await bob.data("send", conversation_id=conversation, content="👍")
    await ada.data("send", conversation_id=conversation, content="Yes", reply_to=first)
    await ada.data("react", message_id=first, emoji="👍")
    await ada.data("pin", message_id=first, conversation_id=conversation)
    for options in ({}, {"scheme": "dark"}, {"viewport": PHONE}, {"locale": "zh"}):
        tab = await tabs.open("ada", f"#/c/{conversation}", **options)
        await expect(bubbles(tab)).to_have_count(3)
        await tab.axe()
    await tab.page.locator(".message").first.hover()
    await tab.page.locator(".message").first.locator(".actions-more button").click()
    await tab.axe()
    assert re.fullmatch("zh.*", str(await tab.page.locator("html").get_attribute("lang")))


async def test_who_is_mentioned_before_it_is_known_who_is_there(tabs: Tabs, daemon: Process) -> None:
    ada, bob, _ = await friends(daemon.url, "ada", "bob", "bob.smith")
    conversation = await group(ada, "Climbing", "bob", "bob.smith")
    tab = await tabs.blank("ada")
    held = await Held.on(tab, "group_members")
    await tab.go(f"#/c/{conversation}")
    texts = ["Is @bob there? And mail@bob.example?", "no one", "@bob.smith. Or @all?", "@bobby"]
    await say(tab, *texts)
    await expect(bubbles(tab)).to_have_text(texts)
    await expect(tab.page.locator(".tick-sending")).to_have_count(4)
    held.release()
    await expect(tab.page.locator(".tick-sending")).to_have_count(0)
    await expect(tab.page.locator(".mention")).to_have_text(["@bob", "@bob.smith", "@all"])
    messages = (await bob.data("history", conversation_id=conversation))["messages"]
    assert [message["content"] for message in messages] == texts
    meant = [{one["username"] for one in message["mentions"]} for message in messages]
    assert meant == [{"bob"}, set(), {"bob.smith"}, set()]
    assert [message["mentions_all"] for message in messages] == [False, False, True, False]


async def test_other_tabs_log_out_too(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    tab = await tabs.open("ada")
    other = await tab.beside()
    sessions = (await ada.data("sessions"))["sessions"]
    (there,) = [one["session_id"] for one in sessions if one["device"] == "browser"]
    await ada.data("session_revoke", session_id=there)
    for one in (tab, other):
        await expect(one.page.get_by_role("button", name="Log in")).to_be_visible()
    assert await tab.page.evaluate("indexedDB.databases().then((all) => all.length)") == 0
