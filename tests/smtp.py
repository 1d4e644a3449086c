"""An SMTP server on loopback, in the test's own loop: what chatd sends is put into a box."""

from __future__ import annotations

import asyncio
import contextlib
import email.policy
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any, Literal

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from chatd.config import Config, Mail
from tests.support import PATIENCE


@dataclass
class Postbox:
    """A mail server. The next transactions are answered with `refusals`; `seen` counts them all."""

    port: int = 0
    refusals: deque[str] = field(default_factory=deque)
    seen: int = 0
    refused: asyncio.Event = field(default_factory=asyncio.Event)
    letters: asyncio.Queue[EmailMessage] = field(default_factory=asyncio.Queue)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        *,
        port: int = 0,
        security: Literal["none", "starttls", "tls"] = "none",
        ca: trustme.CA | None = None,
        password: str = "",
    ) -> AsyncIterator[Postbox]:
        """Serve on a port of 127.0.0.1, a free one for 0, with a certificate of `ca` where the security needs one.

        With `password` (and STARTTLS), who does not log in with it, under any name, may send nothing.
        """
        box = cls()
        tls = None
        if security != "none":
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            (ca or trustme.CA()).issue_cert("localhost").configure_cert(tls)

        def authenticate(
            server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
        ) -> AuthResult:
            box.logins.append((data.login, data.password))
            return AuthResult(success=data.password == password.encode(), handled=False)

        def protocol() -> SMTP:
            return SMTP(
                box,
                hostname="mail.test",
                tls_context=tls if security == "starttls" else None,
                require_starttls=security == "starttls",
                auth_required=bool(password),  # after STARTTLS alone: aiosmtpd does not see TLS from the beginning
                authenticator=authenticate,
            )

        loop = asyncio.get_running_loop()
        listener = await loop.create_server(protocol, "127.0.0.1", port, ssl=tls if security == "tls" else None)
        box.port = listener.sockets[0].getsockname()[1]
        try:
            yield box
        finally:
            listener.close()

    # What aiosmtpd calls; https://aiosmtpd.aio-libs.org/en/stable/handlers.html

    async def handle_MAIL(  # noqa: N802  (aiosmtpd's names)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.seen += 1
        if self.refusals:
            self.refused.set()
            return self.refusals.popleft()
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.recipients.append(envelope.rcpt_tos)
        self.encrypted.append(server.transport is not None and bool(server.transport.get_extra_info("sslcontext")))
        letter: Any = BytesParser(policy=email.policy.default).parsebytes(envelope.content)
        self.letters.put_nowait(letter)
        return "250 OK"

    # What tests ask

    async def letter(self) -> EmailMessage:
        """The next letter that was sent."""
        return await asyncio.wait_for(self.letters.get(), PATIENCE)

    async def code(self, to: str) -> str:
        """The code in the next letter, which is for this address."""
        letter = await self.letter()
        assert letter["To"] == to
        match = re.search(r"\b\d{6}\b", letter.get_content())
        assert match is not None, letter.get_content()
        return match.group(0)


def mailing(config: Config, port: int, **settings: Any) -> Config:
    """The settings with a mail server at this port; `settings` overrides what stands in [mail]."""
    sender = "chatd <chat@example.org>"
    return replace(config, mail=replace(Mail(host="localhost", port=port, security="none", sender=sender), **settings))
