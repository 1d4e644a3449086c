"""Handing a letter to an SMTP server (RFC 5321), by smtplib: in a thread.

TLS certificates are verified, and where STARTTLS (RFC 3207) is asked for and not offered, nothing is sent.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, make_msgid, parseaddr

from chatd.config import Mail
from chatd.mail import Letter, Unsendable


class Server:
    """The server that takes our letters."""

    def __init__(self, settings: Mail, *, password: str) -> None:
        self._settings = settings
        self._password = password
        self._tls = ssl.create_default_context()

    def send(self, letter: Letter) -> None:
        """Hand it over. Raises OSError where that may succeed later, else `Unsendable`."""
        try:
            self._send(letter)
        except smtplib.SMTPException as error:
            if _is_for_good(error):
                raise Unsendable(str(error)) from error
            raise

    def _send(self, letter: Letter) -> None:
        settings = self._settings
        where = (settings.host, settings.port)
        if settings.security == "tls":
            made: smtplib.SMTP = smtplib.SMTP_SSL(*where, timeout=settings.timeout, context=self._tls)
        else:
            made = smtplib.SMTP(*where, timeout=settings.timeout)
        with contextlib.closing(made) as server:
            if settings.security == "starttls":
                server.starttls(context=self._tls)
            if settings.username:
                server.login(settings.username, self._password)
            server.send_message(written(letter, sender=settings.sender), to_addrs=[letter.to])
            with contextlib.suppress(OSError):
                server.quit()  # it has the letter: whatever comes now must not have it sent again


def written(letter: Letter, *, sender: str) -> EmailMessage:
    """The letter with its headers (RFC 5322, section 3.6); RFC 3834, section 5, says that no person wrote it."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = Address(addr_spec=letter.to)
    message["Subject"] = letter.subject
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message


def _is_for_good(error: smtplib.SMTPException) -> bool:
    """Whether trying again would end in the same way: replies 5yz (RFC 5321, section 4.2.1), or what is not offered."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code >= 500
    return not isinstance(error, smtplib.SMTPServerDisconnected)  # but STARTTLS, or a way to log in
