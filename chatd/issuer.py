"""Tokens of an external issuer: JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256 (RFC 7518, section 3.2).

PyJWT checks them; it comes with the extra `chatd[jwt]` and is asked for only where `[accounts.jwt]` is set.
"""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path
from typing import Any

from chatd import names
from chatd.config import ConfigError, Jwt
from chatd.errors import BadToken, Invalid, Phrase
from chatd.record import record
from chatd.wire import LONGEST_TOKEN

ALGORITHM = "HS256"
"""The only one: what a token's header asks for is not followed (RFC 8725, section 3.1)."""

SHORTEST_SECRET = 32
"""Bytes: as many as SHA-256 gives (RFC 7518, section 3.2)."""

LONGEST_SUBJECT = 255
"""Characters of `iss` and of `sub`."""

LATEST = 253_402_300_799
"""The last second of the year 9999, in seconds since the epoch: RFC 3339 can write no later one."""

_SUBJECT_EXPECTED = Phrase(
    f"must say whose it is: sub, and iss where there is one, as text of 1 to {LONGEST_SUBJECT} characters",
    f"必须说明所属用户：sub（以及 iss，如有）须为 1 到 {LONGEST_SUBJECT} 个字符的文本",
)


@record
class Vouched:
    """What a token says, once it is found to be right. `expires_at` is in milliseconds since the epoch.

    `issuer` and `subject` say who the user is, for ever; the rest is for making the user on first sight. `username` is
    None where the token holds none that would do. `token_hash` is what is kept of the token.
    """

    issuer: str
    subject: str
    username: str | None
    nickname: str | None
    email: str | None
    token_hash: bytes
    expires_at: int


class Issuer:
    """Whoever shares a secret with this daemon. Raises `ConfigError` where the settings make no sense."""

    def __init__(self, settings: Jwt) -> None:
        try:
            import jwt  # noqa: PLC0415  (who has no issuer need not have PyJWT)
        except ImportError:
            raise ConfigError("accounts.jwt: PyJWT is not installed; it comes with chatd[jwt]") from None
        self._error = jwt.PyJWTError
        self._jwt = jwt.PyJWT()
        self._settings = settings
        where, self._secret = _secret(settings)
        try:
            jwt.encode({}, self._secret, algorithm=ALGORITHM)
        except jwt.InvalidKeyError as error:
            raise ConfigError(f"{where}: {error}") from None

    def read(self, token: str) -> Vouched:
        """What a token says. Raises `BadToken`, or `Invalid` for a right one that does not say who the user is."""
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise BadToken(field="token")
        try:
            decoded = self._jwt.decode_complete(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=self._settings.audience or None,
                issuer=self._settings.issuer or None,
                leeway=self._settings.leeway,
                options={"require": ["exp"], "verify_sub": False},  # of `sub` we say better what is wrong with it
            )
        except (self._error, ArithmeticError, RecursionError, TypeError, ValueError):
            raise BadToken(field="token") from None
        claims = decoded["payload"]
        # What is critical must be understood (RFC 7515, section 4.1.11); `exp` is a number (RFC 7519, section 2).
        if "crit" in decoded["header"] or type(claims["exp"]) not in (int, float):
            raise BadToken(field="token")
        issuer, subject = claims.get("iss", ""), self._subject(claims)
        username = _username(claims.get(self._settings.username_claim))
        if subject is None and username is None:
            raise self.unnamed()
        if subject is None or not (issuer == "" or _is_name(issuer)):
            raise Invalid(field="token", expected=_SUBJECT_EXPECTED)
        return Vouched(
            issuer=issuer,
            subject=subject,
            username=username,
            nickname=_nickname(claims.get(self._settings.nickname_claim)),
            email=_email(claims.get(self._settings.email_claim)),
            # The signature, for the same token can be written in several ways: with padding, and without.
            token_hash=hashlib.sha256(decoded["signature"]).digest(),
            expires_at=min(int(claims["exp"]) + self._settings.leeway, LATEST) * 1000,
        )

    def _subject(self, claims: dict[str, Any]) -> str | None:
        """Who the token is about: its `sub`, or where it has none the username, behind a tab, as no `sub` begins."""
        if "sub" in claims:
            subject = claims["sub"]
            if type(subject) is int:  # text by RFC 7519, section 4.1.2; but many sites put their user's number there
                subject = str(subject)
            return subject if _is_name(subject) else None
        name = claims.get(self._settings.username_claim)
        return f"\t{name}" if _is_name(name) else None

    def unnamed(self) -> Invalid:
        """The error of a token that is right and holds no username."""
        claim = self._settings.username_claim
        return Invalid(
            field="token",
            expected=Phrase(
                f"must hold a username in its claim {claim}: 3 to 32 letters or digits of any script, or _ . -",
                f"的 {claim} 声明必须是用户名：3 到 32 个任意文字的字母或数字，或 _ . -",
            ),
        )


def issuer_of(settings: Jwt) -> Issuer | None:
    """The issuer that the settings name; None where they name none. Raises `ConfigError`."""
    return None if settings == Jwt() else Issuer(settings)


def _secret(settings: Jwt) -> tuple[str, bytes]:
    """The secret, and the setting it comes from. Raises `ConfigError`."""
    if bool(settings.secret) == bool(settings.secret_file):
        raise ConfigError("accounts.jwt.secret: is required, or accounts.jwt.secret_file, and not both")
    where, secret = "accounts.jwt.secret", settings.secret.encode()
    if settings.secret_file:
        where = "accounts.jwt.secret_file"
        try:
            secret = Path(settings.secret_file).read_bytes().rstrip(b"\r\n")
        except OSError as error:
            raise ConfigError(f"{where}: {settings.secret_file}: {error.strerror}") from None
    if len(secret) < SHORTEST_SECRET:
        raise ConfigError(f"{where}: must have at least {SHORTEST_SECRET} bytes, not {len(secret)}")
    return where, secret


def _is_name(claim: Any) -> bool:
    """Whether this can be an `iss` or a `sub` that the database can hold: no NUL, no half of a surrogate pair."""
    return isinstance(claim, str) and claim.isprintable() and 1 <= len(claim) <= LONGEST_SUBJECT


def _username(claim: Any) -> str | None:
    try:
        return names.username(claim) if isinstance(claim, str) else None
    except Invalid:
        return None


def _nickname(claim: Any) -> str | None:
    if not isinstance(claim, str):
        return None
    shown = "".join(char for char in claim if unicodedata.category(char) not in ("Cc", "Cs"))
    return shown.strip()[:50] or None


def _email(claim: Any) -> str | None:
    try:
        return names.email(claim) if isinstance(claim, str) and len(claim) <= 254 else None
    except Invalid:
        return None
