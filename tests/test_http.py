"""What a browser or curl sees of the port."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from chatd.http import BAD_REQUEST, page


def get(
    path: str = "/", *, method: str = "GET", host: str = "chat.test", secure: bool = False
) -> tuple[HTTPStatus, str]:
    return page(method=method, path=path, host=host, secure=secure)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_front_page_says_where_the_websocket_is(method: str) -> None:
    status, text = get(method=method)
    assert status is HTTPStatus.OK
    assert "npx wscat -c ws://chat.test/ws\n" in text


def test_behind_tls_the_front_page_says_so() -> None:
    assert "npx wscat -c wss://chat.test/ws\n" in get(secure=True)[1]


def test_the_front_page_shows_frames_that_can_be_typed() -> None:
    assert '> {"type":"help"}\n' in get()[1]


def test_braces_in_a_host_stay_what_they_are() -> None:
    assert "ws://{scheme}/ws" in get(host="{scheme}")[1]


@pytest.mark.parametrize("path", ["/favicon.ico", "/api/send", "", "//"])
def test_there_is_nothing_else(path: str) -> None:
    assert get(path)[0] is HTTPStatus.NOT_FOUND


def test_the_front_page_can_only_be_read() -> None:
    assert get(method="POST")[0] is HTTPStatus.METHOD_NOT_ALLOWED


def test_the_answer_to_what_is_no_request_is_whole() -> None:
    head, _, body = BAD_REQUEST.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    assert status == b"HTTP/1.1 400 Bad Request"
    assert f"Content-Length: {len(body)}".encode() in headers
    assert b"Connection: close" in headers
    assert b"WebSocket at /ws" in body
