"""The settings, and the file that lists them."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatd.config import Config, ConfigError, address, from_toml, load, shipped
from chatd.limits import Rate

CHATD_TOML = Path(__file__).parent.parent / "chatd.toml"


def _settings(table: object, path: str) -> Iterator[str]:
    """What stands in a section, and in the sections within it; a rate is a value."""
    fields = {one.name: getattr(table, one.name) for one in dataclasses.fields(table)}  # type: ignore[arg-type]
    for name, value in fields.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, Rate):
            yield from _settings(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def _listed(table: dict[str, Any], path: str) -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict) and value.keys() != {"per_second", "burst"}:
            yield from _listed(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


SETTINGS = list(_settings(Config(), ""))


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        from_toml(text)
    message = str(caught.value)
    assert "\n" not in message
    return message


# chatd.toml


def _explained(lines: list[str]) -> Iterator[str]:
    """The settings with a comment on the line above them, or above the group of lines they stand in."""
    section, explained = "", False
    for line in lines:
        if line.startswith("#"):
            explained = True
        elif line.startswith("["):
            section, explained = line.strip("[]"), False
        elif "=" in line:
            if explained:
                yield f"{section}.{line.partition('=')[0].strip()}"
        else:
            explained = False


def test_chatd_toml_is_the_defaults() -> None:
    assert from_toml(CHATD_TOML.read_text(encoding="utf-8")) == Config()


def test_chatd_toml_lists_every_setting() -> None:
    assert list(_listed(tomllib.loads(CHATD_TOML.read_text(encoding="utf-8")), "")) == SETTINGS


@pytest.mark.parametrize("setting", SETTINGS)
def test_chatd_toml_explains_every_setting(setting: str) -> None:
    assert setting in set(_explained(CHATD_TOML.read_text(encoding="utf-8").splitlines()))


def test_chatd_toml_is_found_beside_the_package() -> None:
    assert shipped("chatd.toml") == CHATD_TOML


def test_what_is_inside_the_package_is_found_there() -> None:
    assert shipped("config.py") == CHATD_TOML.parent / "chatd" / "config.py"


# What is taken


def test_no_settings_are_the_defaults() -> None:
    assert from_toml("") == Config()


def test_a_setting_is_taken_and_the_others_stay() -> None:
    config = from_toml('[server]\nlisten = "[::]:0"\norigins = ["https://chat.test"]\nauth_timeout = 3\n')
    assert config.server.listen == "[::]:0"
    assert config.server.origins == ("https://chat.test",)
    assert config.server.auth_timeout == 3.0
    assert config == dataclasses.replace(Config(), server=config.server)


def test_a_rate_is_a_table_of_its_own() -> None:
    config = from_toml("[rates]\nchat = { per_second = 0, burst = 7 }\n")
    assert config.rates.chat == Rate(per_second=0.0, burst=7)
    assert config.rates.ops == Config().rates.ops


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", "colour: there is no such setting; there are: server, database,"),
        ("[server]\ncolour = 1", "server.colour: there is no such setting; there are: listen,"),
        ("[rates.chat]\ncolour = 1", "rates.chat.colour: there is no such setting; there are: per_second, burst"),
        ("server = 1", "server: must be a table"),
        ("[rates]\nchat = 20", "rates.chat: must be a table"),
        ("[rates]\nchat = { burst = 7 }", "rates.chat.per_second: is required"),
        ("[server]\nlisten = 8080", "server.listen: must be text, not 8080"),
        ("[server]\norigins = 'a'", "server.origins: must be a list of: text, not 'a'"),
        ("[server]\ncompression = 1", "server.compression: must be true or false, not 1"),
        ("[server]\nin_flight = true", "server.in_flight: must be a whole number from 1 to 1000000, not True"),
        ("[server]\nin_flight = 0", "server.in_flight: must be a whole number from 1 to 1000000, not 0"),
        ("[server]\nauth_timeout = 0.01", "server.auth_timeout: must be a number from 0.1 to 86400.0, not 0.01"),
        ("[server]\nauth_timeout = nan", "server.auth_timeout: must be a number from 0.1 to 86400.0, not nan"),
        ("[accounts]\nbcrypt_cost = 17", "accounts.bcrypt_cost: must be a whole number from 4 to 16, not 17"),
        ("[accounts]\nsignup = 'maybe'", 'accounts.signup: must be one of "open", "invite", "closed", not \'maybe\''),
        ("[mail]\nsecurity = 'ssl'", 'mail.security: must be one of "starttls", "tls", "none", not \'ssl\''),
        ("[mail]\nport = 0", "mail.port: must be a whole number from 1 to 65535, not 0"),
        ("[files]\nkeep_unnamed = 0", "files.keep_unnamed: must be a whole number from 1 to 8760, not 0"),
        ("[files]\nkeep_uploads = 0", "files.keep_uploads: must be a whole number from 1 to 8760, not 0"),
        ("[rates]\nchat = { per_second = -1, burst = 7 }", "rates.chat.per_second: must be a number from 0.0"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_must_be(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "",
        "chat.test",
        "chat.test:443",
        "//chat.test",
        "https://",
        "https://chat.test/",
        "https://chat.test/chat",
        "https://chat.test?",
        "https://chat.test#",
        "https://*.chat.test",
        "https://Chat.test",
        "HTTPS://chat.test",
        "https://chat.test:443",
        "http://chat.test:80",
        "https://chat.test:",
        "https://chat.test:08080",
        "https://chat.test:x",
        "https://chat.test:65536",
        "https://ada@chat.test",
        "https://[::1",
        "https://[::G]",
        "https://::1",
        "https://聊天.test",
        " https://chat.test",
        "https://chat.test ",
        "https://a.test,https://b.test",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    said = refusal(f"[server]\norigins = ['https://good.test', '{origin}']")
    assert said == f"server.origins: must be as browsers write them, https://chat.example.org, not {origin!r}"


@pytest.mark.parametrize(
    "origin",
    [
        "https://chat.test",
        "http://localhost:5173",
        "https://chat.test:80",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "https://xn--rsv54j.test",
        "capacitor://localhost",
        "chrome-extension://kbmfpngjjgdllneeigpgjifpgocmfgmb",
        "moz-extension://6b0e0dd8-8c4f-4b8e-a1f1-0d3f4a1c2b5e",
        "null",
    ],
)
def test_an_origin_that_browsers_send_is_taken(origin: str) -> None:
    assert from_toml(f"[server]\norigins = ['{origin}']").server.origins == (origin,)


def test_a_file_may_be_as_large_as_all_files_of_a_user_and_no_larger() -> None:
    assert from_toml("[files]\nmax_bytes = 1000\nuser_bytes = 1000").files.max_bytes == 1000
    said = refusal("[files]\nmax_bytes = 1001\nuser_bytes = 1000")
    assert said == "files.max_bytes: must be at most files.user_bytes, 1000"
    assert refusal("[files]\nuser_bytes = 1000").startswith("files.max_bytes: ")


@pytest.mark.parametrize("text", ["[server", "listen = ", "[log]\nlevel = 'info'\nlevel = 'debug'"])
def test_what_is_not_toml_is_refused(text: str) -> None:
    assert refusal(text).startswith("not valid TOML: ")


@pytest.mark.parametrize("listen", ["", "8080", "localhost", "localhost:", "localhost:http", "h:65536", "h:-1", "h:٣"])
def test_an_address_to_listen_on_is_host_and_port(listen: str) -> None:
    message = f"server.listen: must be HOST:PORT with a port from 0 to 65535, not {listen!r}"
    assert refusal(f'[server]\nlisten = "{listen}"') == message


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:0", "::1", 0), ("chat.test:65535", "chat.test", 65535)],
)
def test_an_address_to_listen_on_is_taken_apart(listen: str, host: str, port: int) -> None:
    assert address(listen) == (host, port)


@pytest.mark.parametrize("sender", ["", "chatd", "chatd <chat>", "@example.org", "chat@example.org\\nBcc: eve@b"])
def test_who_writes_mail_has_an_address(sender: str) -> None:
    said = refusal(f'[mail]\nhost = "mail.test"\nsender = "{sender}"')
    assert said.startswith("mail.sender: must be an address such as chatd <chat@example.org>, not ")


@pytest.mark.parametrize("sender", ["chat@example.org", "chatd <chat@example.org>", "聊天 <chat@example.org>"])
def test_who_writes_mail_may_have_a_name(sender: str) -> None:
    assert from_toml(f'[mail]\nhost = "mail.test"\nsender = "{sender}"').mail.sender == sender


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ('username = "chat"', "mail.username: and a password are needed together"),
        ('password_file = "secret"', "mail.username: and a password are needed together"),
        ('username = "chat"\npassword = "a"\npassword_file = "b"', "mail.password_file: there is a password already"),
    ],
)
def test_who_logs_in_to_the_mail_server_has_one_password(login: str, said: str) -> None:
    assert refusal(f'[mail]\nhost = "mail.test"\nsender = "chat@example.org"\n{login}') == said


def test_a_password_is_not_shown() -> None:
    assert "hush" not in repr(from_toml('[mail]\npassword = "hush"'))
    assert "hush" not in repr(from_toml('[accounts.jwt]\nsecret = "hush"'))


# A file of them


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "chatd.toml"
    file.write_text("[database]\ndata = '数据'\n", encoding="utf-8")
    assert load(file).database.data == "数据"


def test_a_wrong_setting_in_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "chatd.toml"
    file.write_text("colour = 1", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^colour: there is no such setting"):
        load(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: .*No such file"):
        load(tmp_path / "none.toml")


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(b"[database]\ndata = '\xe9'\n")
    with pytest.raises(ConfigError, match=r"latin\.toml: .*utf-8"):
        load(file)


def test_a_proxy_is_an_address_or_a_network() -> None:
    with pytest.raises(ConfigError, match=r"server\.trusted_proxies: must be IP addresses or networks, not 'caddy'"):
        from_toml('[server]\ntrusted_proxies = ["10.0.0.0/8", "caddy"]')


@pytest.mark.parametrize("allow", ['["caddy"]', '["127.0.0.1/33"]', '["10.0.0.0/8", ""]'])
def test_who_may_read_the_metrics_is_an_address_or_a_network(allow: str) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.allow: must be IP addresses or networks, not '"):
        from_toml(f"[metrics]\nallow = {allow}")


@pytest.mark.parametrize("allow", [(), ("127.0.0.1", "10.1.2.3/8", "fd00::/8")])
def test_who_may_read_the_metrics_is_taken(allow: tuple[str, ...]) -> None:
    assert from_toml(f"[metrics]\nallow = {list(allow)}").metrics.allow == allow


@pytest.mark.parametrize(
    "token", ["0123456789abcde", "=" * 16, "0123456789 abcdef", "0123456789abcdeé", "0" * 16 + "\\n"]
)
def test_a_token_that_cannot_be_sent_or_can_be_guessed_is_refused_and_not_shown(token: str) -> None:
    message = refusal(f'[metrics]\ntoken = "{token}"')
    assert message.startswith("metrics.token: must be 16 or more")
    assert token[:8] not in message


@pytest.mark.parametrize("token", ["", "0123456789abcdef", "AZaz09-._~+/AZaz09=="])
def test_a_token_is_taken(token: str) -> None:
    config = from_toml(f'[metrics]\ntoken = "{token}"')
    assert config.metrics.token == token
    assert not token or token not in repr(config)
