"""Files and emoji: on their way up, in a conversation, large, spoken, chosen.

The page's modules are tried by themselves, with a list of messages in the page's place; the daemon is a real one.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import math
import re
import struct
import wave
from typing import Any, Literal

import pytest
from PIL import Image
from playwright.async_api import FilePayload, Request, expect

from tests.browser.people import friends, upload
from tests.browser.tab import PHONE, Tab, Tabs
from tests.browser.test_conversation import box, direct
from tests.support import PATIENCE, Person, Process

EVIL = "<img src=x onerror=alert(1)>"
CONTENT = bytes(range(256)) * 12_000
"""3 MB, every 256 bytes alike, but a piece in the wrong place would change their number."""

UPLOAD = """async ({size, text, name, bad}) => {
    const {upload} = await import('/web/app/uploads.js')
    const {current} = await import('/web/app/session.js')
    const pattern = Uint8Array.from({length: 256}, (_, n) => n)
    const blob = text === undefined ? new Blob(Array(size / 256).fill(pattern)) : new Blob([text])
    window.giveUp = new AbortController()
    const progress = []
    try {
        const file = await upload(blob, {
            name, token: bad ?? current().token, signal: window.giveUp.signal,
            onProgress: done => { progress.push(done); window.progressed?.(done) },
        })
        return {file, progress}
    } catch (problem) {
        return {code: problem.name === 'Error' ? problem.code : problem.name, message: problem.message, progress}
    }
}"""

PASTE = """({size, name}) => {
    const data = new DataTransfer()
    const pattern = Uint8Array.from({length: 256}, (_, n) => n)
    data.items.add(new File(Array(size / 256).fill(pattern), name))
    const paste = {clipboardData: data, bubbles: true, cancelable: true}
    document.activeElement.dispatchEvent(new ClipboardEvent('paste', paste))
}"""

SEND = """async ({kind, name, text}) => {
    const {post} = await import('/web/app/api.js')
    const {Outbox} = await import('/web/app/outbox.js')
    const {current} = await import('/web/app/session.js')
    const {token} = current()
    const {conversations} = await post('conversations', {}, token)
    const id = conversations.find(({kind}) => kind === 'direct').conversation_id
    const thread = {pending: [], setPending: pending => { thread.pending = pending }}
    return new Promise((done, refused) => {
        const model = {
            me: current(), people: new Map(), conversations: new Map([[id, {id, peer: null}]]),
            cache: {put() {}, remove() {}},
            thread: () => thread, emit() {}, hear: ({data}) => { done(data); return true },
        }
        const connection = {change: (op, fields) => post(op, fields, token)}
        const outbox = new Outbox({model, connection, token, onProblem: refused})
        outbox.send(id, {kind, content: ''}, {blob: new Blob([text], {type: 'image/png'}), name})
    })
}"""

LIST = """async (change) => {
    const {post} = await import('/web/app/api.js')
    const {attachment} = await import('/web/app/attachments.js')
    const {h} = await import('/web/app/dom.js')
    const {current} = await import('/web/app/session.js')
    const {token} = current()
    const {conversations} = await post('conversations', {}, token)
    const id = conversations.find(({kind}) => kind === 'direct').conversation_id
    const {messages} = await post('history', {conversation_id: id}, token)
    if (change === 'stale') for (const {file} of messages) {
        file.url = file.url.replace(/until=\\d+/, 'until=1')
        file.thumbnail_url &&= file.thumbnail_url.replace(/until=\\d+/, 'until=1')
    }
    window.app = {
        connection: {state: 'ready', ask: (op, fields) => post(op, fields, token)},
        model: {nameOf: (id, name) => name, thread: () => ({messages})},
    }
    document.querySelector('#page').replaceChildren(h('main', {class: 'scroll'},
        h('div', {class: 'column'}, h('h1', {}, 'Files'), messages.map((one) => attachment(window.app, one)))))
    document.querySelector('main').style.height = '100dvh'
}"""

PENDING = """async ({kind, name}) => {
    const {pendingAttachment, progress} = await import('/web/app/attachments.js')
    const {h} = await import('/web/app/dom.js')
    const canvas = h('canvas', {width: 64, height: 48})
    canvas.getContext('2d').fillRect(0, 0, 64, 48)
    const blob = await new Promise(done => canvas.toBlob(done))
    const preview = {width: 64, height: 48}
    const entry = {client_id: kind, fields: {kind}, blob, name, preview, progress: 0, state: 'sending'}
    const element = pendingAttachment(entry, {cancel: () => element.remove()})
    window.advance = done => progress(element, {...entry, progress: done})
    document.querySelector('#page').replaceChildren(h('main', {}, h('h1', {}, 'Files'), element))
}"""

RECORD = """async () => {
    const {record} = await import('/web/app/recorder.js')
    const {h} = await import('/web/app/dom.js')
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
    navigator.mediaDevices.getUserMedia = async what => (window.microphone = await ask(what))
    const bar = record({
        onDone: (blob, name, milliseconds) => {
            window.recorded = {blob, name, milliseconds}
            document.querySelector('output').textContent = `recorded ${name}`
        },
        onCancel: () => { document.querySelector('output').textContent = 'cancelled' },
    })
    document.querySelector('#page').replaceChildren(h('main', {}, h('h1', {}, 'Recording'), bar, h('output', {})))
}"""

SEND_RECORDED = """async () => {
    const {upload} = await import('/web/app/uploads.js')
    const {current} = await import('/web/app/session.js')
    const {blob, name, milliseconds} = window.recorded
    return {milliseconds, file: await upload(blob, {name, token: current().token})}
}"""

PICK = """async (fields) => {
    const {emojiPicker} = await import('/web/app/emoji.js')
    const {h} = await import('/web/app/dom.js')
    const button = h('button', {type: 'button'}, 'Emoji')
    const output = h('output', {})
    button.addEventListener('click', () => emojiPicker(button, one => { output.textContent += one }, fields))
    document.querySelector('#page').replaceChildren(h('main', {}, h('h1', {}, 'Emoji'), button, output))
}"""

FILM = """async () => {
    const canvas = document.createElement('canvas')
    Object.assign(canvas, {width: 64, height: 48})
    const drawing = canvas.getContext('2d')
    const recorder = new MediaRecorder(canvas.captureStream(25), {mimeType: 'video/webm;codecs=vp8'})
    const pieces = []
    recorder.addEventListener('dataavailable', ({data}) => pieces.push(data))
    recorder.start()
    for (let frame = 0; frame < 20; frame++) {
        drawing.fillRect(frame, 0, 1, 48)
        await new Promise(requestAnimationFrame)
    }
    recorder.stop()
    await new Promise(done => recorder.addEventListener('stop', done))
    const bytes = new Uint8Array(await new Blob(pieces).arrayBuffer())
    return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''))
}"""


def picture(width: int, height: int, colour: str = "teal") -> bytes:
    """A PNG."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def tone(seconds: float) -> bytes:
    """A WAV."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        samples = (round(8000 * math.sin(at / 4)) for at in range(round(8000 * seconds)))
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


async def give(url: str, person: Person, kind: str, content: bytes, name: str, *, words: str = "") -> None:
    """Send Ada a file."""
    file_id = await upload(url, person, content, name)
    await person.data("send", to_user="ada", kind=kind, file_id=file_id, content=words)


async def slow(tab: Tab, rate: int) -> None:
    """Let the browser send so many bytes a second; -1 is as many as it can."""
    cdp = await tab.context.new_cdp_session(tab.page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": rate}
    await cdp.send("Network.enable")
    await cdp.send("Network.emulateNetworkConditions", limits)


async def under_way(tab: Tab, part: float) -> asyncio.Event:
    """Set when an upload has come so far."""
    reached = asyncio.Event()
    await tab.page.expose_function("progressed", lambda done: reached.set() if done >= part else None)
    return reached


def offsets_of(tab: Tab) -> list[int]:
    """Where uploads begin or go on, as the browser asks for it."""
    offsets: list[int] = []

    def heard(request: Request) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    tab.page.on("request", heard)
    return offsets


# Uploads


async def test_a_file_goes_up_and_says_how_far_it_is(tabs: Tabs, daemon: Process) -> None:
    (ada,) = await friends(daemon.url, "ada")
    tab = await tabs.open("ada")
    sent = await tab.page.evaluate(UPLOAD, {"size": len(CONTENT), "name": f"中文 {EVIL}.bin"})
    assert sent["file"] == await ada.data("file_get", file_id=sent["file"]["file_id"])
    assert (sent["file"]["name"], sent["file"]["size"]) == (f"中文 {EVIL}.bin", len(CONTENT))
    assert sent["progress"] == sorted(sent["progress"])
    assert sent["progress"][-1] == 1
    stored = daemon.data / "files"
    assert hashlib.sha256(CONTENT).hexdigest() in {path.name for path in stored.rglob("*")}


async def test_an_empty_file_is_a_file(tabs: Tabs, daemon: Process) -> None:
    await friends(daemon.url, "ada")
    tab = await tabs.open("ada")
    sent = await tab.page.evaluate(UPLOAD, {"text": "", "name": "nothing.txt"})
    assert (sent["file"]["name"], sent["file"]["size"], sent["progress"]) == ("nothing.txt", 0, [1])


async def test_an_upload_is_given_up(tabs: Tabs, daemon: Process) -> None:
    await friends(daemon.url, "ada")
    tab = await tabs.open("ada")
    reached = await under_way(tab, 0.05)
    await slow(tab, 1_000_000)
    sending = asyncio.create_task(tab.page.evaluate(UPLOAD, {"size": len(CONTENT), "name": "much.bin"}))
    await asyncio.wait_for(reached.wait(), PATIENCE)
    async with tab.page.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
        await tab.page.evaluate("window.giveUp.abort()")
    assert (await deleted.value).status == 204
    assert (await sending)["code"] == "AbortError"


async def test_an_upload_goes_on_where_it_was_after_the_server_died(tabs: Tabs, daemon: Process) -> None:
    await friends(daemon.url, "ada")
    tab = await tabs.open("ada")
    offsets = offsets_of(tab)
    reached = await under_way(tab, 0.3)
    await slow(tab, 1_000_000)
    sending = asyncio.create_task(tab.page.evaluate(UPLOAD, {"size": len(CONTENT), "name": "much.bin"}))
    await asyncio.wait_for(reached.wait(), PATIENCE)
    with tab.cut_off():
        await daemon.crash()
        await slow(tab, -1)
        sent = await asyncio.wait_for(sending, PATIENCE)
        await tab.page.locator(".weather").wait_for(state="hidden")
    assert offsets[0] == 0 < offsets[-1] < len(CONTENT)
    assert sent["file"]["size"] == len(CONTENT)
    assert hashlib.sha256(CONTENT).hexdigest() in {path.name for path in (daemon.data / "files").rglob("*")}


async def test_an_upload_goes_on_where_it_was_after_a_reload(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    tab = await tabs.open("ada", f"#/c/{await direct(ada)}")
    tab.forgive("status of 409")  # bytes of the request before the reload may still come: it asks again how far it is
    offsets = offsets_of(tab)
    await slow(tab, 1_000_000)
    await box(tab).focus()
    await tab.page.evaluate(PASTE, {"size": len(CONTENT), "name": "much.bin"})
    meter = tab.page.get_by_role("progressbar", name="Sending much.bin")
    await expect(meter).to_have_attribute("aria-valuenow", re.compile(r"^[3-9]\d$"))
    await tab.page.reload()
    await slow(tab, -1)
    await expect(tab.page.locator(".tick-sent")).to_have_count(1)
    assert offsets[0] == 0 < offsets[-1] < len(CONTENT)
    assert hashlib.sha256(CONTENT).hexdigest() in {path.name for path in (daemon.data / "files").rglob("*")}


async def test_what_the_server_does_not_want_it_says_why(tabs: Tabs, daemon: Process) -> None:
    await friends(daemon.url, "ada")
    tab = await tabs.open("ada")
    tab.forgive("status of 413")
    tab.forgive("status of 401")
    refused = await tab.page.evaluate(UPLOAD, {"size": 11 * 1024 * 1024, "name": "huge.bin"})
    assert (refused["code"], refused["progress"]) == ("too_large", [])
    assert "10" in refused["message"]
    refused = await tab.page.evaluate(UPLOAD, {"text": "hello", "name": "mine.txt", "bad": "no token"})
    assert refused["code"] == "bad_token"


async def test_what_is_no_picture_is_sent_as_a_file(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    tab = await tabs.open("ada")
    sent = await tab.page.evaluate(SEND, {"kind": "image", "name": "sea.png", "text": "not a picture"})
    assert (sent["kind"], sent["file"]["name"]) == ("file", "sea.png")
    history = await ada.data("history", user="bob")
    assert history["messages"][0]["file"]["type"] == "text/plain"


@pytest.mark.parametrize("kind", ["image", "file"])
async def test_what_is_on_its_way_is_seen_and_can_be_cancelled(tabs: Tabs, kind: str) -> None:
    tab = await tabs.open()
    await tab.page.evaluate(PENDING, {"kind": kind, "name": f"{EVIL}.png"})
    meter = tab.page.get_by_role("progressbar", name=f"Sending {EVIL}.png")
    await expect(meter).to_have_attribute("aria-valuenow", "0")
    await tab.page.evaluate("window.advance(0.42)")
    await expect(meter).to_have_attribute("aria-valuenow", "42")
    await expect(tab.page.get_by_text("42 %")).to_be_visible()
    await tab.axe()
    await tab.page.get_by_role("button", name="Cancel sending").focus()
    await tab.page.keyboard.press("Enter")
    await expect(meter).to_have_count(0)


# What was sent


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_ada_looks_at_what_bob_sent(tabs: Tabs, daemon: Process, scheme: Literal["light", "dark"]) -> None:
    _, bob = await friends(daemon.url, "ada", "bob")
    tab = await tabs.open("ada", scheme=scheme)
    film = base64.b64decode(await tab.page.evaluate(FILM))
    await give(daemon.url, bob, "image", picture(800, 600), "sea.png", words=f"Look! {EVIL}")
    await give(daemon.url, bob, "image", picture(30, 20), "dot.png")
    await give(daemon.url, bob, "voice", tone(3), "hello.wav")
    await give(daemon.url, bob, "video", film, "film.webm")
    await give(daemon.url, bob, "file", b"%PDF-1.4" + bytes(1_234_560), f"{EVIL}\u202egpj.exe")
    await tab.page.evaluate(LIST)
    sea = tab.page.get_by_role("button", name="Picture from bob, open: Look!")
    await expect(sea.locator("img")).to_have_js_property("naturalWidth", 320)
    assert await sea.bounding_box() == pytest.approx({**(await sea.bounding_box() or {}), "width": 320, "height": 240})
    card = tab.page.get_by_role("link", name="1.2 MB")
    await expect(card).to_contain_text(f"{EVIL}gpj.exe")
    await expect(tab.page.get_by_label("Video: film.webm")).to_have_js_property("videoWidth", 64)
    await tab.axe()
    async with tab.page.expect_download() as saving:
        await card.click()
    assert (await saving.value).suggested_filename.endswith(".exe")

    await sea.focus()
    await tab.page.keyboard.press("Enter")
    viewer = tab.page.get_by_role("dialog", name="Picture")
    await expect(viewer.locator(".viewer-picture")).to_have_js_property("naturalWidth", 800)
    await expect(viewer).to_contain_text(f"Look! {EVIL}")
    await expect(viewer).to_contain_text("1 of 2")
    await tab.axe()
    await tab.page.keyboard.press("ArrowRight")
    await expect(viewer).to_contain_text("2 of 2")
    await tab.page.keyboard.press("ArrowRight")
    await expect(viewer).to_contain_text("2 of 2")
    await viewer.get_by_role("button", name="Previous picture").click()
    await expect(viewer).to_contain_text("1 of 2")
    await viewer.get_by_role("button", name="Zoom").click()
    await expect(viewer.get_by_role("button", name="Zoom")).to_have_attribute("aria-pressed", "true")
    await tab.page.keyboard.press("-")
    await tab.page.keyboard.press("-")
    await tab.page.keyboard.press("-")
    await expect(viewer.get_by_role("button", name="Zoom")).to_have_attribute("aria-pressed", "false")
    await tab.page.keyboard.press("Escape")
    await expect(viewer).to_have_count(0)
    await expect(sea).to_be_focused()


async def test_on_a_phone_pictures_are_turned_by_a_finger(tabs: Tabs, daemon: Process) -> None:
    _, bob = await friends(daemon.url, "ada", "bob")
    for colour in ("red", "green"):
        await give(daemon.url, bob, "image", picture(800, 600, colour), f"{colour}.png")
    tab = await tabs.open("ada", viewport=PHONE)
    await tab.page.evaluate(LIST)
    await tab.page.get_by_role("button", name="Picture from bob").first.click()
    viewer = tab.page.get_by_role("dialog", name="Picture")
    await expect(viewer).to_contain_text("1 of 2")
    mouse = tab.page.mouse
    await mouse.move(300, 370)
    await mouse.down()
    await mouse.move(150, 372)
    await mouse.up()
    await expect(viewer).to_contain_text("2 of 2")
    await mouse.click(180, 350)
    await expect(viewer.get_by_role("button", name="Zoom")).to_have_attribute("aria-pressed", "true")
    await viewer.get_by_role("button", name="Zoom").click()
    await mouse.click(180, 100)
    await expect(viewer).to_have_count(0)


async def test_links_that_are_too_old_are_renewed(tabs: Tabs, daemon: Process) -> None:
    _, bob = await friends(daemon.url, "ada", "bob")
    await give(daemon.url, bob, "image", picture(800, 600), "sea.png")
    await give(daemon.url, bob, "voice", tone(1), "hello.wav")
    await give(daemon.url, bob, "file", b"1234", "notes.txt")
    tab = await tabs.open("ada")
    await tab.page.evaluate(LIST, "stale")
    await expect(tab.page.locator(".picture img")).to_have_js_property("naturalWidth", 320)
    await tab.page.get_by_role("button", name="Play").click()
    await expect(tab.page.get_by_role("button", name="Pause")).to_be_visible()
    async with tab.page.expect_download() as saving:
        await tab.page.get_by_role("link", name="notes.txt").click()
    assert (await saving.value).suggested_filename == "notes.txt"


async def test_one_voice_at_a_time(tabs: Tabs, daemon: Process) -> None:
    _, bob = await friends(daemon.url, "ada", "bob")
    await give(daemon.url, bob, "voice", tone(60), "long.wav")
    await give(daemon.url, bob, "voice", tone(30), "short.wav")
    tab = await tabs.open("ada")
    await tab.page.evaluate(LIST)
    first, second = (tab.page.get_by_role("group", name="Voice message").nth(at) for at in (0, 1))
    await expect(first).to_contain_text("1:00")
    slider = first.get_by_role("slider", name="Position")
    await slider.focus()
    for _ in range(4):
        await tab.page.keyboard.press("PageUp")
    await expect(slider).to_have_attribute("aria-valuetext", "0:20 of 1:00")
    await first.get_by_role("button", name="Play").click()
    await expect(first.get_by_role("button", name="Pause")).to_be_visible()
    await second.get_by_role("button", name="Play").press("Enter")
    await expect(second.get_by_role("button", name="Pause")).to_be_visible()
    await expect(first.get_by_role("button", name="Play")).to_be_visible()
    await expect(first).to_contain_text("0:2")
    await second.get_by_role("slider").press("End")
    await expect(second.get_by_role("button", name="Play")).to_be_visible()


# Recording


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_voice_is_recorded_and_the_server_knows_how_long(
    tabs: Tabs, daemon: Process, scheme: Literal["light", "dark"]
) -> None:
    await friends(daemon.url, "ada")
    tab = await tabs.open("ada", scheme=scheme)
    await tab.page.evaluate(RECORD)
    bar = tab.page.get_by_role("group", name="Recording a voice message")
    await expect(bar.get_by_role("timer")).to_have_text("0:01")
    await tab.axe()
    await bar.get_by_role("button", name="Send voice message").click()
    await expect(tab.page.locator("output")).to_contain_text("recorded voice 20")
    sent: dict[str, Any] = await tab.page.evaluate(SEND_RECORDED)
    assert sent["file"]["type"] == "audio/webm"
    assert abs(sent["file"]["duration_ms"] - sent["milliseconds"]) < 500
    assert await tab.page.evaluate("window.microphone.getTracks().map(track => track.readyState)") == ["ended"]


@pytest.mark.parametrize("how", ["button", "Escape", "gone"])
async def test_a_recording_is_thrown_away_and_the_microphone_let_go(tabs: Tabs, how: str) -> None:
    tab = await tabs.open()
    await tab.page.evaluate(RECORD)
    bar = tab.page.get_by_role("group", name="Recording a voice message")
    await expect(bar.get_by_role("button", name="Send voice message")).to_be_enabled()
    if how == "button":
        await bar.get_by_role("button", name="Discard recording").click()
    elif how == "Escape":
        await bar.get_by_role("button", name="Discard recording").press("Escape")
    else:
        await bar.evaluate("bar => { setTimeout(() => bar.remove(), 250) }")
    await expect(tab.page.locator("output")).to_have_text("cancelled")
    assert await tab.page.evaluate("window.microphone.getTracks().map(track => track.readyState)") == ["ended"]


async def test_a_microphone_that_is_not_allowed_is_explained(tabs: Tabs) -> None:
    tab = await tabs.open()
    await tab.page.evaluate(
        "() => { const no = new DOMException('', 'NotAllowedError');"
        " navigator.mediaDevices.getUserMedia = () => Promise.reject(no) }"
    )
    await tab.page.evaluate(RECORD)
    await expect(tab.page.get_by_role("alert")).to_contain_text("The microphone is not allowed here.")
    await tab.axe()
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.locator("output")).to_have_text("cancelled")


# Emoji


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_an_emoji_is_found_by_the_keyboard(tabs: Tabs, scheme: Literal["light", "dark"]) -> None:
    tab = await tabs.open(scheme=scheme)
    await tab.page.evaluate(PICK, {})
    button, output = tab.page.get_by_role("button", name="Emoji", exact=True), tab.page.locator("output")
    await button.press("Enter")
    search = tab.page.get_by_role("searchbox", name="Find an emoji")
    await expect(search).to_be_focused()
    await expect(tab.page.get_by_role("group", name="Recently used")).to_have_count(0)
    await tab.axe()
    await tab.page.keyboard.type("熊猫")
    await tab.page.keyboard.press("Enter")
    await expect(output).to_have_text("🐼")
    await expect(tab.page.get_by_role("dialog", name="Emoji")).to_have_count(0)
    await expect(button).to_be_focused()
    await button.press("Enter")
    await expect(tab.page.get_by_role("group", name="Recently used").get_by_role("button")).to_have_count(1)
    await tab.page.keyboard.press("ArrowDown")
    await expect(tab.page.get_by_role("group", name="Recently used").get_by_role("button")).to_be_focused()
    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight"):
        await tab.page.keyboard.press(key)
    await expect(tab.page.get_by_role("button", name="smiling")).to_be_focused()
    await tab.page.keyboard.press("Enter")
    await expect(output).to_have_text("🐼😃")
    await button.press("Enter")
    await tab.page.keyboard.type("nothing is called that")
    await expect(tab.page.get_by_text("No emoji is called that.")).to_be_visible()
    await tab.page.keyboard.press("Escape")
    await tab.page.keyboard.press("Escape")
    await expect(search).to_have_count(0)
    await expect(button).to_be_focused()
    await expect(output).to_have_text("🐼😃")


async def test_emoji_go_on_to_be_picked_in_chinese_on_a_phone(tabs: Tabs) -> None:
    tab = await tabs.open(locale="zh-CN", viewport=PHONE)
    await tab.page.evaluate(PICK, {"stay": True})
    await tab.page.get_by_role("button", name="Emoji").click()
    picker = tab.page.get_by_role("dialog", name="表情")
    await picker.get_by_role("button", name="食物").click()
    await picker.get_by_role("button", name="饺子").click()
    await picker.get_by_role("button", name="火锅").click()
    await expect(tab.page.locator("output")).to_have_text("🥟🍲")
    await tab.axe()
    await tab.page.mouse.click(180, 700)
    await expect(picker).to_have_count(0)


# Choosing files


async def test_files_are_chosen(tabs: Tabs) -> None:
    tab = await tabs.open()
    async with tab.page.expect_file_chooser() as choosing:
        chosen = asyncio.create_task(
            tab.page.evaluate(
                """async () => {
                    const {pickFiles, kindOf, measured} = await import('/web/app/picking.js')
                    const files = await pickFiles()
                    return Promise.all(files.map(async one => [one.name, kindOf(one), await measured(one)]))
                }"""
            )
        )
    names = {"sea.png": "image/png", "a.svg": "image/svg+xml", "hello.wav": "audio/wav", "notes": ""}
    content = {"sea.png": picture(80, 60), "hello.wav": tone(1)}
    files = [FilePayload(name=name, mimeType=kind, buffer=content.get(name, b"x")) for name, kind in names.items()]
    await (await choosing.value).set_files(files)
    assert await chosen == [
        ["sea.png", "image", {"width": 80, "height": 60}],
        ["a.svg", "file", None],
        ["hello.wav", "voice", None],
        ["notes", "file", None],
    ]


async def test_files_are_dropped_and_pasted(tabs: Tabs) -> None:
    tab = await tabs.open()
    names = await tab.page.evaluate(
        """async () => {
            const {filesOf, carriesFiles} = await import('/web/app/picking.js')
            const files = new DataTransfer()
            files.items.add(new File(['x'], 'notes.txt', {type: 'text/plain'}))
            files.items.add(new File(['x'], 'image.png', {type: 'image/png'}))
            const names = event => [carriesFiles(event), ...filesOf(event).map(({name}) => name)]
            const dropped = names(new DragEvent('drop', {dataTransfer: files}))
            const pasted = names(new ClipboardEvent('paste', {clipboardData: files}))
            files.items.add('Words', 'text/plain')
            files.items.add('<b>Words</b>', 'text/html')
            return [dropped, pasted, names(new ClipboardEvent('paste', {clipboardData: files}))]
        }"""
    )
    assert names[0] == [True, "notes.txt", "image.png"]
    assert names[1][:2] == [False, "notes.txt"]
    assert names[1][2].startswith("picture 20")
    assert names[2] == [False]


# In a conversation


async def test_ada_and_bob_show_each_other_things(tabs: Tabs, daemon: Process) -> None:
    ada, _ = await friends(daemon.url, "ada", "bob")
    conversation_id = (await ada.data("conversations"))["conversations"][0]["conversation_id"]
    here, there = [await tabs.open(name, f"#/c/{conversation_id}") for name in ("ada", "bob")]
    await here.page.get_by_role("button", name="Add something").click()
    async with here.page.expect_file_chooser() as choosing:
        await here.page.get_by_role("menuitem", name="File").click()
    files = [
        FilePayload(name="sea.png", mimeType="image/png", buffer=picture(800, 600)),
        FilePayload(name=f"{EVIL}.pdf", mimeType="application/pdf", buffer=b"%PDF-1.4"),
    ]
    await (await choosing.value).set_files(files)
    await expect(there.page.get_by_role("link", name=f"{EVIL}.pdf 8 bytes")).to_be_visible()
    await there.page.get_by_role("button", name="Picture from ada, open").click()
    viewer = there.page.get_by_role("dialog", name="Picture")
    await expect(viewer.locator(".viewer-picture")).to_have_js_property("naturalWidth", 800)
    await there.page.keyboard.press("Escape")

    await there.page.get_by_role("button", name="Record a voice message").click()
    await expect(there.page.get_by_role("timer")).to_have_text("0:01")
    await there.page.get_by_role("button", name="Send voice message").press("Enter")
    await here.page.get_by_role("group", name="Voice message").get_by_role("button", name="Play").click()
    await expect(here.page.get_by_role("button", name="Pause")).to_be_visible()

    await slow(here, 100_000)
    await here.page.get_by_role("textbox", name="Write a message").evaluate(
        """element => {
            const files = new DataTransfer()
            files.items.add(new File([new Uint8Array(2e6)], 'much.bin'))
            element.dispatchEvent(new ClipboardEvent('paste', {clipboardData: files, bubbles: true, cancelable: true}))
        }"""
    )
    meter = here.page.get_by_role("progressbar", name="Sending much.bin")
    await expect(meter).to_have_attribute("aria-valuenow", re.compile("[1-9]"))
    async with here.page.expect_response(lambda answer: answer.request.method == "DELETE"):
        await here.page.get_by_role("button", name="Cancel sending").click()
    await expect(meter).to_have_count(0)
    await here.axe()
    kinds = [message["kind"] for message in (await ada.data("history", user="bob"))["messages"]]
    assert kinds == ["image", "file", "voice"]
