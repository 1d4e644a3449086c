"""What a client is told when something goes wrong."""

from __future__ import annotations

import re
from string import Formatter
from typing import get_args

import pytest

from chatd import errors
from chatd.errors import BY_CODE, ChatError, Invalid, Lang, NotFound, Phrase, TooFast, UnknownOp

every_error = pytest.mark.parametrize("error", BY_CODE.values(), ids=BY_CODE)
every_language = pytest.mark.parametrize("lang", get_args(Lang))


def _blanks(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def test_every_error_has_a_code_of_its_own() -> None:
    classes = [
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, ChatError) and thing is not ChatError
    ]
    assert [BY_CODE[error.code] for error in classes] == classes


@every_error
def test_a_code_is_snake_case(error: type[ChatError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)


@every_error
def test_an_error_is_documented(error: type[ChatError]) -> None:
    assert error.__doc__
    assert error.__doc__ != ChatError.__doc__


@every_error
def test_an_error_speaks_english_and_chinese(error: type[ChatError]) -> None:
    english, chinese = error.says
    assert english.isascii()
    assert not chinese.isascii()


@every_error
def test_both_languages_tell_the_same_details(error: type[ChatError]) -> None:
    assert _blanks(error.says.en) == _blanks(error.says.zh)


@every_error
@every_language
def test_a_message_tells_every_detail(error: type[ChatError], lang: Lang) -> None:
    details = {name: f"<{name}>" for name in _blanks(error.says.en)}
    message = error(**details).message(lang)  # type: ignore[arg-type]  # every detail is text, and so is `field`
    assert all(detail in message for detail in details.values())


def test_a_message_is_in_the_readers_language() -> None:
    assert NotFound().message("en") == "Not found."
    assert NotFound().message("zh") == "未找到。"


def test_a_detail_is_in_the_readers_language_too() -> None:
    error = Invalid(field="age", expected=Phrase("must be a number", "必须是数字"))
    assert error.message("en") == "age must be a number."
    assert error.message("zh") == "age 必须是数字。"


def test_braces_in_a_detail_stay_what_they_are() -> None:
    assert 'no op "{0}".' in UnknownOp(name="{0}").message("en")


def test_an_error_reads_as_its_english_message() -> None:
    assert str(NotFound()) == "Not found."


def test_what_a_daemon_said_is_repeated_word_for_word() -> None:
    error = UnknownOp()
    error.told = "没有这个操作 {name}"
    assert error.message("en") == error.message("zh") == "没有这个操作 {name}"


def test_an_error_names_the_field_and_when_to_try_again() -> None:
    error = TooFast(field="content", retry_after_ms=250)
    assert (error.field, error.retry_after_ms) == ("content", 250)


def test_what_asks_to_try_again_says_that_it_is_temporary() -> None:
    temporary = {code for code, error in BY_CODE.items() if error.temporary}
    assert temporary == {"rate_limited", "too_many_connections", "busy", "unavailable", "muted"}


@every_error
def test_an_error_has_a_status_over_http(error: type[ChatError]) -> None:
    assert error.status in (400, 401, 403, 404, 409, 413, 429, 500)


def test_a_status_says_whose_turn_it_is() -> None:
    """400 is for what was asked in a wrong way; 429 asks to come back, and of the others only these are temporary."""
    by_status: dict[int, set[str]] = {}
    for code, error in BY_CODE.items():
        by_status.setdefault(error.status, set()).add(code)
    assert by_status[400] == {"invalid_json", "invalid_frame", "invalid", "needs_socket"}
    assert by_status[401] == {"unauthenticated", "bad_credentials", "bad_token", "bad_code"}
    assert by_status[404] == {"unknown_op", "not_found"}
    assert by_status[429] == {"rate_limited", "too_many_connections", "busy"}
    assert by_status[500] == {"unavailable", "internal"}
    temporary = {code for code, error in BY_CODE.items() if error.temporary}
    assert temporary - by_status[429] == {"unavailable", "muted"}
