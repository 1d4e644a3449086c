"""Every setting, its default and its limits: frozen dataclasses, filled from one TOML file.

`chatd.toml` beside the code lists them all with a comment each; a test holds the two together.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
import typing
from dataclasses import dataclass, field
from email.utils import parseaddr
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from chatd.limits import Rate
from chatd.wire import Text, Whole, expected

Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=86400.0)]
Moment = Annotated[float, msgspec.Meta(ge=0.01, le=3600.0)]
Count = Annotated[int, Whole(1, 1_000_000)]
Bytes = Annotated[int, Whole(1024, 1 << 30)]
Hours = Annotated[int, Whole(1, 24 * 365)]
Window = Annotated[int, Whole(0, 10 * 365 * 86400)]
"""So many seconds after it came something may still be done with a message."""


_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")
"""RFC 6750, section 2.1; no shorter, for it can be tried out as often as one likes."""


_DEFAULT_PORTS = {"http": 80, "https": 443}
"""Which browsers leave out."""


class ConfigError(Exception):
    """One line that names the setting and what was expected."""


@dataclass(frozen=True, slots=True)
class Server:
    listen: str = "127.0.0.1:8080"
    origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    compression: bool = False
    connections: Count = 20_000
    connections_per_address: Count = 1_000
    connections_per_user: Count = 50
    frame_bytes: Bytes = 64 * 1024
    outbox_bytes: Bytes = 1024 * 1024
    in_flight: Count = 64
    handshake_timeout: Seconds = 10.0
    auth_timeout: Seconds = 10.0
    close_timeout: Seconds = 5.0
    ping_interval: Seconds = 30.0
    ping_timeout: Seconds = 20.0
    shutdown_timeout: Seconds = 10.0


@dataclass(frozen=True, slots=True)
class Database:
    data: str = "data"
    readers: Annotated[int, Whole(1, 16)] = 2
    batch: Annotated[int, Whole(1, 10_000)] = 512
    waiting: Count = 100_000


@dataclass(frozen=True, slots=True)
class Jwt:
    """An external issuer of tokens; chatd/issuer.py says what makes sense. Without a secret there is none."""

    secret: str = field(default="", repr=False)
    secret_file: str = ""
    issuer: str = ""
    audience: str = ""
    username_claim: Annotated[str, Text(1, 64)] = "sub"
    nickname_claim: str = ""
    email_claim: str = ""
    leeway: Annotated[int, Whole(0, 3600)] = 0


@dataclass(frozen=True, slots=True)
class Accounts:
    signup: Literal["open", "invite", "closed"] = "open"
    invites: Literal["everybody", "nobody"] = "everybody"
    bcrypt_cost: Annotated[int, Whole(4, 16)] = 12
    hashing_threads: Annotated[int, Whole(1, 64)] = 1
    hashing_waiting: Count = 1_000
    idle_days: Annotated[int, Whole(1, 3650)] = 30
    sessions_per_user: Annotated[int, Whole(1, 1000)] = 100
    jwt: Jwt = field(default_factory=Jwt)


@dataclass(frozen=True, slots=True)
class Messages:
    direct: Literal["friends", "anyone"] = "friends"
    recall_window: Window = 120
    edit_window: Window = 15 * 60


@dataclass(frozen=True, slots=True)
class Groups:
    max_members: Annotated[int, Whole(2, 100_000)] = 2000
    per_user: Count = 500


@dataclass(frozen=True, slots=True)
class Presence:
    enabled: bool = True
    debounce: Moment = 0.5
    grace: Moment = 5.0
    largest_group: Annotated[int, Whole(0, 100_000)] = 100


@dataclass(frozen=True, slots=True)
class Search:
    index: bool = True


@dataclass(frozen=True, slots=True)
class Files:
    max_bytes: Annotated[int, Whole(1, 1 << 40)] = 10 * 1024 * 1024
    user_bytes: Annotated[int, Whole(1, 1 << 50)] = 1024 * 1024 * 1024
    reserve: Annotated[int, Whole(0, 1 << 50)] = 64 * 1024 * 1024
    uploads_per_user: Count = 20
    keep_uploads: Hours = 24
    pixels: Annotated[int, Whole(1, 1_000_000_000)] = 50_000_000
    thumbnail_edge: Annotated[int, Whole(0, 2000)] = 320
    keep_unnamed: Hours = 24
    link_lifetime: Annotated[int, Whole(60, 7 * 86400)] = 3600


@dataclass(frozen=True, slots=True)
class Moments:
    max_comments: Count = 1000


@dataclass(frozen=True, slots=True)
class Mail:
    host: str = ""
    port: Annotated[int, Whole(1, 65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    password_file: str = ""
    sender: str = ""
    timeout: Seconds = 10.0
    backoff: Moment = 2.0
    patience: Seconds = 300.0
    waiting: Count = 1_000


@dataclass(frozen=True, slots=True)
class Rates:
    ops: Rate = field(default=Rate(per_second=50.0, burst=200))
    chat: Rate = field(default=Rate(per_second=20.0, burst=100))
    social: Rate = field(default=Rate(per_second=1.0, burst=30))
    account: Rate = field(default=Rate(per_second=0.5, burst=20))
    upload: Rate = field(default=Rate(per_second=1.0, burst=60))


@dataclass(frozen=True, slots=True)
class Metrics:
    allow: tuple[str, ...] = ("127.0.0.1/32", "::1/128")
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Log:
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Config:
    """All settings. Made by `load`, or in tests by hand."""

    server: Server = field(default_factory=Server)
    database: Database = field(default_factory=Database)
    accounts: Accounts = field(default_factory=Accounts)
    messages: Messages = field(default_factory=Messages)
    groups: Groups = field(default_factory=Groups)
    presence: Presence = field(default_factory=Presence)
    search: Search = field(default_factory=Search)
    files: Files = field(default_factory=Files)
    moments: Moments = field(default_factory=Moments)
    mail: Mail = field(default_factory=Mail)
    rates: Rates = field(default_factory=Rates)
    metrics: Metrics = field(default_factory=Metrics)
    log: Log = field(default_factory=Log)


T = TypeVar("T")


def _fill(cls: type[T], table: dict[str, Any], path: str) -> T:
    hints = typing.get_type_hints(cls, include_extras=True)
    values: dict[str, Any] = {}
    for name, value in table.items():
        where = f"{path}.{name}" if path else name
        if name not in hints:
            raise ConfigError(f"{where}: there is no such setting; there are: {', '.join(hints)}")
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: must be a table")
            values[name] = _fill(typing.cast(type[Any], hint), value, where)
            continue
        try:
            values[name] = msgspec.convert(value, hint)
        except msgspec.ValidationError:
            raise ConfigError(f"{where}: must be {expected(hint).en}, not {value!r}") from None
    missing = [
        f.name
        for f in dataclasses.fields(cls)  # type: ignore[arg-type]  # every section is a dataclass
        if f.name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{path}.{missing[0]}: is required")
    return cls(**values)


def from_toml(text: str) -> Config:
    """The settings in a TOML text. Raises `ConfigError` naming the first setting that is wrong."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}") from None
    config = _fill(Config, table, "")
    if not config.database.data or "\0" in config.database.data:
        raise ConfigError(f"database.data: must be the path of a folder, not {config.database.data!r}")
    address(config.server.listen)
    for origin in config.server.origins:
        if not _is_origin(origin):
            raise ConfigError(
                f"server.origins: must be as browsers write them, https://chat.example.org, not {origin!r}"
            )
    if config.files.max_bytes > config.files.user_bytes:
        raise ConfigError(f"files.max_bytes: must be at most files.user_bytes, {config.files.user_bytes}")
    for setting, networks in (
        ("server.trusted_proxies", config.server.trusted_proxies),
        ("metrics.allow", config.metrics.allow),
    ):
        for network in networks:
            try:
                ip_network(network, strict=False)
            except ValueError:
                raise ConfigError(f"{setting}: must be IP addresses or networks, not {network!r}") from None
    if config.metrics.token and not _TOKEN.fullmatch(config.metrics.token):
        raise ConfigError("metrics.token: must be 16 or more ASCII letters, digits and -._~+/ with = at the end")
    _check_mail(config.mail)
    return config


def _is_origin(text: str) -> bool:
    """Whether a browser may send this: the ASCII serialization of an origin (RFC 6454, section 6.2)."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or not re.fullmatch(r"[a-z0-9._~-]+|[0-9a-f:]+", host):
        return text == "null"
    shown = f"[{host}]" if ":" in host else host
    tail = "" if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{port}"
    return text == f"{parts.scheme}://{shown}{tail}"


def _check_mail(mail: Mail) -> None:
    if not mail.host:
        return
    local, _, domain = parseaddr(mail.sender)[1].rpartition("@")
    if not (local and domain and mail.sender.isprintable()):
        raise ConfigError(f"mail.sender: must be an address such as chatd <chat@example.org>, not {mail.sender!r}")
    if mail.password and mail.password_file:
        raise ConfigError("mail.password_file: there is a password already")
    if bool(mail.username) != bool(mail.password or mail.password_file):
        raise ConfigError("mail.username: and a password are needed together")


def load(path: Path) -> Config:
    """The settings in a file. Raises `ConfigError`."""
    try:
        return from_toml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def address(listen: str) -> tuple[str, int]:
    """The host and port of "HOST:PORT" or "[IPv6]:PORT". Raises `ConfigError`."""
    host, colon, port = listen.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536):
        raise ConfigError(f"server.listen: must be HOST:PORT with a port from 0 to 65535, not {listen!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def shipped(name: str) -> Path:
    """A file that travels with chatd: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.exists() else package.parent / name
