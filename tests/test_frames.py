"""Whole text frames, held against those that websockets makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from chatd.frames import PONG, TEXT, measure, text_frame, unmask

LENGTHS = (0, 1, 125, 126, 65535, 65536, 70000)
HEADERS = {0: 2, 1: 2, 125: 2, 126: 4, 65535: 4, 65536: 10, 70000: 10}
"""How many bytes tell each of the lengths."""
MASK = 4


def written(length: int) -> bytes:
    """A payload of so many bytes, which differs wherever it is cut."""
    return (bytes(range(251)) * (length // 251 + 1))[:length]


def masked(payload: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    return Frame(opcode, payload).serialize(mask=True)


def cut(data: bytes) -> list[bytes]:
    """The payloads of the masked frames that follow one another, to the end of the data."""
    at, payloads = 0, []
    while at < len(data):
        header, length = measure(data, at)
        payloads.append(unmask(data, at + header, at + header + length))
        at += header + length
    assert at == len(data)
    return payloads


# What a client sends


@pytest.mark.parametrize("length", LENGTHS)
def test_a_masked_frame_is_measured_and_unmasked(length: int) -> None:
    payload = written(length)
    frame = masked(payload)
    assert measure(frame, 0) == (HEADERS[length] + MASK, length)
    assert unmask(frame, len(frame) - length, len(frame)) == payload


@pytest.mark.parametrize("length", LENGTHS)
def test_a_frame_is_measured_where_it_begins(length: int) -> None:
    before, after = masked(written(200)), masked(b"after")
    data = before + masked(written(length)) + after
    assert measure(data, len(before)) == (HEADERS[length] + MASK, length)
    assert cut(data) == [written(200), written(length), b"after"]


@pytest.mark.parametrize("before", [b"", masked(b"before")])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_header_that_is_cut_tells_nothing_before_it_tells_the_length(length: int, before: bytes) -> None:
    frame = before + masked(written(length))
    told = len(before) + HEADERS[length]
    for end in range(len(before), told):
        assert measure(frame[:end], len(before)) == (0, 0)
    for end in range(told, told + MASK + 1):
        assert measure(frame[:end], len(before)) == (HEADERS[length] + MASK, length)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_frame_without_a_mask_is_told_by_its_second_byte(length: int) -> None:
    frame = Frame(Opcode.TEXT, written(length)).serialize(mask=False)
    assert measure(frame[:1], 0) == (0, 0)
    for end in range(2, 12):
        assert measure(frame[:end], 0) == (-1, 0)


@pytest.mark.parametrize("length", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_length_may_be_as_large_as_its_eight_bytes_say(length: int) -> None:
    assert measure(b"\x81\xff" + length.to_bytes(8, "big"), 0) == (14, length)


def test_a_length_may_be_written_longer_than_it_has_to_be() -> None:
    assert cut(b"\x81\xfe\x00\x01\0\0\0\0x" + b"\x81\xff" + bytes(7) + b"\x01\0\0\0\0y") == [b"x", b"y"]


def test_a_frame_that_is_whole_is_told_by_its_first_byte() -> None:
    assert masked(b"{}")[0] == TEXT
    assert masked(b"", Opcode.PONG)[0] == PONG
    assert Frame(Opcode.TEXT, b"{}", fin=False).serialize(mask=True)[0] != TEXT


@given(st.lists(st.one_of(st.binary(max_size=8), st.sampled_from(LENGTHS[:5]).map(written)), max_size=6))
def test_frames_that_follow_one_another_are_cut_apart(payloads: list[bytes]) -> None:
    assert cut(b"".join(masked(payload) for payload in payloads)) == payloads


@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4))
def test_any_mask_is_taken_off(payload: bytes, key: bytes) -> None:
    hidden = bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))
    assert unmask(b"before" + key + hidden + b"after", 10, 10 + len(payload)) == payload


@given(st.binary(max_size=16), st.integers(0, 20))
def test_whatever_comes_is_measured_without_an_error(data: bytes, at: int) -> None:
    header, length = measure(data, at)
    assert header in (-1, 0, 6, 8, 14)
    assert length == 0 or header > 0


# What a server sends


@pytest.mark.parametrize("length", LENGTHS)
def test_a_text_frame_is_the_one_that_websockets_makes(length: int) -> None:
    assert text_frame(written(length)) == Frame(Opcode.TEXT, written(length)).serialize(mask=False)


@given(st.text())
def test_a_text_frame_holds_any_text(text: str) -> None:
    assert text_frame(text.encode()) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
