"""Who may connect."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import pytest

from chatd.admission import Admission, Refusal
from chatd.config import Server

HERE, PROXY, CLIENT = "192.0.2.1", "10.0.0.1", "203.0.113.7"


def refusal(
    admission: Admission, *, address: str = HERE, origins: Sequence[str] = (), hosts: Sequence[str] = ("chat.test",)
) -> Refusal | None:
    return admission.refusal(address, origins=origins, hosts=hosts)


def with_connections(limits: Server, *addresses: str) -> Admission:
    admission = Admission(limits)
    for address in addresses:
        admission.came(address)
    return admission


# How many


def test_connections_are_refused_past_the_most_in_all() -> None:
    admission = with_connections(Server(connections=2), "a", "b")
    assert refusal(admission, address="b") is None
    admission.came("c")
    assert refusal(admission, address="c") == (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many connections. Try again later.\n",
    )


def test_connections_are_refused_past_the_most_of_one_address() -> None:
    admission = with_connections(Server(connections_per_address=2), "a", "a", "a", "b")
    refused = refusal(admission, address="a")
    assert refused is not None
    assert refused[0] is HTTPStatus.TOO_MANY_REQUESTS
    assert refusal(admission, address="b") is None


def test_a_connection_that_is_gone_makes_room() -> None:
    admission = with_connections(Server(connections=2, connections_per_address=1), "a", "a")
    admission.went("a")
    assert refusal(admission, address="a") is None
    admission.went("a")
    for address in ("b", "c"):
        admission.came(address)
    assert refusal(admission, address="c") is None


def test_a_connection_that_is_gone_makes_room_for_one() -> None:
    admission = with_connections(Server(connections_per_address=1), "a", "a", "a")
    admission.went("a")
    assert refusal(admission, address="a") is not None


# From where


@pytest.fixture
def proxied() -> Admission:
    return with_connections(Server(trusted_proxies=(PROXY, "10.0.0.2"), connections_per_address=1), PROXY)


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ([CLIENT], CLIENT),
        ([f"{CLIENT}, 10.0.0.2"], CLIENT),
        ([f"6.6.6.6, {CLIENT}"], CLIENT),
        (["6.6.6.6", f" {CLIENT} , 10.0.0.2 "], CLIENT),
        ([], PROXY),
        ([""], PROXY),
        ([" , 10.0.0.2"], PROXY),
    ],
)
def test_behind_a_trusted_proxy_the_last_hop_it_does_not_trust_is_the_client(
    proxied: Admission, forwarded_for: Sequence[str], client: str
) -> None:
    assert proxied.behind(PROXY, forwarded_for) == client


def test_nobody_else_is_believed(proxied: Admission) -> None:
    assert proxied.behind(HERE, [CLIENT]) == HERE


def test_a_connection_through_a_proxy_counts_for_its_client(proxied: Admission) -> None:
    proxied.moved(PROXY, [CLIENT])
    proxied.came(CLIENT)
    assert refusal(proxied, address=CLIENT) is not None
    proxied.came(PROXY)
    assert refusal(proxied, address=PROXY) is None


def test_a_proxys_own_connection_counts_for_the_proxy(proxied: Admission) -> None:
    proxied.moved(PROXY, [])
    proxied.came(PROXY)
    assert refusal(proxied, address=PROXY) is not None


# From which web pages


@pytest.mark.parametrize(
    "origins",
    [
        [],
        ["https://chat.test"],
        ["https://CHAT.test"],
        ["https://friend.test"],
        ["https://friend.test", "http://chat.test"],
    ],
)
def test_the_servers_own_page_and_those_that_are_listed_may_connect(origins: list[str]) -> None:
    admission = Admission(Server(origins=("https://friend.test",)))
    assert refusal(admission, origins=origins, hosts=["Chat.test"]) is None


@pytest.mark.parametrize(
    "origins",
    [
        ["https://evil.test"],
        ["https://chat.test:8443"],
        ["http://friend.test"],
        ["https://chat.test.evil.test"],
        ["https://chat.test", "https://evil.test"],
        ["null"],
        [""],
    ],
)
def test_no_other_page_may_connect(origins: list[str]) -> None:
    admission = Admission(Server(origins=("https://friend.test",)))
    refused = refusal(admission, origins=origins)
    assert refused is not None
    assert refused[0] is HTTPStatus.FORBIDDEN


def test_without_a_host_no_page_is_the_servers_own() -> None:
    assert refusal(Admission(Server()), origins=["https://chat.test"], hosts=[]) is not None


@pytest.mark.parametrize(("origin", "host"), [("http://[", "h"), ("null", "")])
def test_an_origin_that_names_no_host_is_refused(origin: str, host: str) -> None:
    refusal = Admission(Server()).refusal("192.0.2.1", origins=[origin], hosts=[host])
    assert refusal is not None
    assert refusal[0] == 403


def test_a_network_of_proxies_is_trusted_whole() -> None:
    admission = Admission(Server(trusted_proxies=("10.0.0.0/8", "fd00::/8")))
    for proxy in ("10.1.2.3", "fd00::1"):
        admission.came(proxy)
        assert admission.behind(proxy, ["192.0.2.1, 10.9.9.9"]) == "192.0.2.1"
    for stranger in ("11.0.0.1", "", "no address"):
        assert admission.behind(stranger, ["192.0.2.1"]) == stranger


def test_proxies_are_not_counted_as_a_flood() -> None:
    admission = Admission(Server(trusted_proxies=("10.0.0.1",), connections_per_address=1))
    for address in ("10.0.0.1", "192.0.2.1"):
        for _ in range(18):
            admission.came(address)
    assert [admission.is_flooded(address) for address in ("10.0.0.1", "192.0.2.1")] == [False, True]


def test_what_is_refused_is_counted_by_its_reason() -> None:
    admission = with_connections(Server(connections=20, connections_per_address=2), "a", "a")
    assert not admission.is_flooded("a")
    assert refusal(admission, address="a") is None
    assert refusal(admission, address="a", origins=["https://evil.test"]) is not None
    assert admission.refused == {"origin": 1}
    for _ in range(17):
        admission.came("a")
    assert refusal(admission, address="a") is not None
    assert admission.is_flooded("a")
    assert not admission.is_flooded("b")
    assert admission.refused == {"origin": 1, "address": 2}
    for number in range(18):
        admission.came(str(number))
    assert refusal(admission, address="b") is not None
    assert admission.is_flooded("b")
    assert admission.refused == {"origin": 1, "address": 2, "connections": 2}
