"""Letters, by a real SMTP server on loopback: sent, refused, tried again, given up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import trustme

from chatd.config import Config, ConfigError, Mail
from chatd.mail import GRACE, Letter, Mailer, mailable
from tests.smtp import Postbox, mailing
from tests.support import PATIENCE

LETTER = Letter(to="ada@example.org", subject="验证码：123456", text="您好：\n\n.\n123456\n")


def settings(port: int, **others: Any) -> Mail:
    return mailing(Config(), port, **{"backoff": 0.01, "patience": PATIENCE, **others}).mail


@contextlib.asynccontextmanager
async def mailer(port: int, **others: Any) -> AsyncIterator[Mailer]:
    made = Mailer(settings(port, **others))
    try:
        yield made
    finally:
        await made.close()


async def settled(made: Mailer) -> None:
    await asyncio.wait_for(made.settle(), PATIENCE)


@pytest.fixture
def ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that this machine trusts."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port at which nobody listens."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
async def silent() -> AsyncIterator[int]:
    """The port of a server that takes connections and never says a word."""
    visitors: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: visitors.append(writer), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in visitors:
        writer.transport.abort()
    await asyncio.sleep(0)


# Sending


async def test_a_letter_is_sent_with_its_headers() -> None:
    async with Postbox.open() as box, mailer(box.port) as made:
        made.post(LETTER)
        letter = await box.letter()
        await settled(made)
    assert box.recipients == [["ada@example.org"]]
    assert box.encrypted == [False]
    assert (letter["Subject"], letter.get_content().replace("\r", "")) == (LETTER.subject, LETTER.text)
    assert (letter["From"], letter["To"]) == ("chatd <chat@example.org>", "ada@example.org")
    assert abs(letter["Date"].datetime.timestamp() - time.time()) < 60
    assert letter["Message-ID"].endswith("@example.org>")
    assert letter["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_letter_is_sent_encrypted(ca: trustme.CA, security: Literal["starttls", "tls"]) -> None:
    async with Postbox.open(security=security, ca=ca) as box, mailer(box.port, security=security) as made:
        made.post(LETTER)
        await settled(made)
    assert box.encrypted == [True]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    security: Literal["starttls", "tls"], caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        Postbox.open(security=security) as box,
        mailer(box.port, security=security, backoff=0.2, patience=0.1) as made,
    ):
        made.post(LETTER)
        await settled(made)
    assert box.seen == 0
    assert "certificate verify failed" in caplog.text


async def test_a_certificate_for_another_host_is_not_trusted(ca: trustme.CA, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        Postbox.open(security="tls", ca=ca) as box,
        mailer(box.port, security="tls", host="127.0.0.1", backoff=0.2, patience=0.1) as made,
    ):
        made.post(LETTER)
        await settled(made)
    assert box.seen == 0
    assert "IP address mismatch" in caplog.text


async def test_nothing_is_sent_in_the_clear_where_starttls_is_not_offered(caplog: pytest.LogCaptureFixture) -> None:
    async with Postbox.open() as box, mailer(box.port, security="starttls") as made:
        made.post(LETTER)
        await settled(made)
    assert box.seen == 0
    assert "STARTTLS extension not supported" in caplog.text


async def test_who_must_log_in_does(ca: trustme.CA, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("correct horse\n")
    for password in ({"password": "correct horse"}, {"password_file": str(tmp_path / "secret")}):
        async with (
            Postbox.open(security="starttls", ca=ca, password="correct horse") as box,
            mailer(box.port, security="starttls", username="chat", **password) as made,
        ):
            made.post(LETTER)
            await settled(made)
        assert box.logins == [(b"chat", b"correct horse")]
        assert box.recipients == [["ada@example.org"]]


async def test_a_wrong_password_is_not_tried_again(ca: trustme.CA, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        Postbox.open(security="starttls", ca=ca, password="correct horse") as box,
        mailer(box.port, security="starttls", username="chat", password="wrong horse") as made,
    ):
        made.post(LETTER)
        await settled(made)
    assert set(box.logins) == {(b"chat", b"wrong horse")}
    assert box.seen == 0
    assert "535" in caplog.text
    assert "wrong horse" not in caplog.text


def test_a_password_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^mail\.password_file: .*No such file"):
        Mailer(settings(25, username="chat", password_file=str(tmp_path / "none")))


# Trying again


async def test_what_is_refused_for_now_is_tried_again_after_twice_as_long(caplog: pytest.LogCaptureFixture) -> None:
    async with Postbox.open() as box, mailer(box.port, backoff=0.05) as made:
        box.refusals.extend(["451 later", "421 later", "450 later"])
        started = time.monotonic()
        made.post(LETTER)
        await box.letter()
        assert time.monotonic() - started > 0.05 + 0.1 + 0.2
        await settled(made)
    assert box.seen == 4
    assert box.letters.empty()
    assert caplog.text.count("a letter to ada@example.org waits: ") == 3
    assert "123456" not in caplog.text


async def test_what_is_refused_for_good_is_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async with Postbox.open() as box, mailer(box.port) as made:
        box.refusals.append("550 never")
        made.post(LETTER)
        await settled(made)
    assert box.seen == 1
    assert "a letter to ada@example.org cannot be sent: (550, b'never'" in caplog.text


async def test_one_that_is_refused_does_not_hold_up_the_others() -> None:
    async with Postbox.open() as box, mailer(box.port, backoff=PATIENCE) as made:
        box.refusals.append("451 later")
        made.post(LETTER)
        await asyncio.wait_for(box.refused.wait(), PATIENCE)
        made.post(Letter(to="bob@example.org", subject="", text=""))
        assert (await box.letter())["To"] == "bob@example.org"


async def test_a_server_that_is_down_is_waited_for(nobody: int, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = asyncio.Event()
    monkeypatch.setattr(logging.getLogger("chatd.mail"), "warning", lambda *_, **__: failed.set())
    async with mailer(nobody) as made:
        made.post(LETTER)
        await asyncio.wait_for(failed.wait(), PATIENCE)
        async with Postbox.open(port=nobody) as box:
            await box.letter()
            await settled(made)


async def test_no_more_wait_than_may(nobody: int, caplog: pytest.LogCaptureFixture) -> None:
    async with mailer(nobody, waiting=3, backoff=PATIENCE) as made:
        for number in range(5):
            assert made.full == (number >= 3)
            made.post(LETTER)
        assert caplog.text.count("as many wait as may") == 2
    assert not made.full


async def test_what_cannot_be_sent_in_time_is_given_up(nobody: int, caplog: pytest.LogCaptureFixture) -> None:
    async with mailer(nobody, patience=0.1) as made:
        made.post(LETTER)
        await settled(made)
    assert "a letter to ada@example.org is given up" in caplog.text


async def test_a_server_that_hangs_is_left(silent: int, caplog: pytest.LogCaptureFixture) -> None:
    async with mailer(silent, timeout=0.1, patience=1.0) as made:
        made.post(LETTER)
        turns = 0
        waiting = asyncio.create_task(made.settle())
        while not waiting.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 1000  # the loop was not held up: it would have made a few for each attempt
    assert caplog.text.count("timed out") >= 2
    assert "is given up" in caplog.text


# The end


async def test_what_is_under_way_at_the_end_is_sent() -> None:
    async with Postbox.open() as box:
        async with mailer(box.port) as made:
            made.post(LETTER)
        assert not box.letters.empty()


async def test_a_server_that_hangs_does_not_keep_the_daemon(silent: int, caplog: pytest.LogCaptureFixture) -> None:
    made = Mailer(settings(silent, timeout=2 * GRACE))
    made.post(LETTER)
    started = time.monotonic()
    await made.close()
    assert time.monotonic() - started < 2 * GRACE
    assert "was not sent before the end" in caplog.text


# Addresses


@pytest.mark.parametrize("address", ["ada@example.org", "a.b+c@ex-ample.org", "o'hara@a.b.c", "1@localhost"])
def test_a_letter_can_be_addressed(address: str) -> None:
    assert mailable(address)


@pytest.mark.parametrize(
    "address",
    [
        "", "a", "@", "a@", "a@b,c@d", "a@b;", "<a@b>", "a@b>", "a..b@c", "(c)a@b", "a@b.", "a@-b", "a@b-", ".a@b",
        '"a b"@c', "a@[127.0.0.1]", "a@b\n", "a@b\r\nBcc: c@d", "ada@例子.中国", "陈@example.org",
    ],
)  # fmt: skip
def test_what_is_not_one_address_is_not_taken(address: str) -> None:
    assert not mailable(address)
