"""Who may connect: how many, from where, and from which web pages. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal
from urllib.parse import urlsplit

from chatd.config import Server

Refusal = tuple[HTTPStatus, str]

Reason = Literal["connections", "address", "origin"]
"""Why a connection is refused: too many in all, too many of its address, another host's page."""

_TOLD = 16
"""How many connections past a limit get an answer that names it."""


class Admission:
    """Counts the connections of each address and says why one more is refused."""

    def __init__(self, limits: Server) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()
        self.refused: Counter[Reason] = Counter()
        """How many connections and requests were refused, and why."""
        self._proxies = [ip_network(proxy, strict=False) for proxy in limits.trusted_proxies]

    def came(self, address: str) -> None:
        """A connection from this address was accepted."""
        self._open[address] += 1

    def went(self, address: str) -> None:
        """A connection from this address is gone."""
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def behind(self, address: str, forwarded_for: Sequence[str]) -> str:
        """The client's address: the last hop of X-Forwarded-For that is no trusted proxy, where a trusted one asks."""
        return self._last_hop(forwarded_for) or address if self._is_proxy(address) else address

    def vouches(self, peer: str, forwarded_for: Sequence[str], *, for_: str) -> bool:
        """Whether what a peer has forwarded is this address's own: a trusted one says so, or every hop is that one."""
        if self._is_proxy(peer):
            return self._last_hop(forwarded_for) == for_
        return set(_hops(forwarded_for)) == {for_}

    def _last_hop(self, forwarded_for: Sequence[str]) -> str | None:
        """The last hop of X-Forwarded-For that is no trusted proxy."""
        return next((hop for hop in reversed(_hops(forwarded_for)) if hop and not self._is_proxy(hop)), None)

    def moved(self, address: str, forwarded_for: Sequence[str]) -> str:
        """The same, and the connection counts from now on as its client's: it is one client's alone."""
        client = self.behind(address, forwarded_for)
        self.went(address)
        self.came(client)
        return client

    def is_flooded(self, address: str) -> bool:
        """Whether there are so many connections that one more is not even told why. It is counted then."""
        most = self._limits.connections_per_address + _TOLD
        if self._open.total() > self._limits.connections + _TOLD:
            self.refused["connections"] += 1
        elif self._open[address] > most and not self._is_proxy(address):
            self.refused["address"] += 1
        else:
            return False
        return True

    def _is_proxy(self, address: str) -> bool:
        return is_among(address, self._proxies)

    def refusal(self, address: str, *, origins: Sequence[str], hosts: Sequence[str]) -> Refusal | None:
        """Why this request is refused, and counted as such; or None."""
        if self._open.total() > self._limits.connections:
            self.refused["connections"] += 1
            return HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections. Try again later.\n"
        if self._open[address] > self._limits.connections_per_address:
            self.refused["address"] += 1
            return HTTPStatus.TOO_MANY_REQUESTS, "Too many connections from your address.\n"
        if not all(self._allowed(origin, hosts) for origin in origins):
            self.refused["origin"] += 1
            return HTTPStatus.FORBIDDEN, "This page may not connect here: see [server] origins.\n"
        return None

    def _allowed(self, origin: str, hosts: Sequence[str]) -> bool:
        """RFC 6455, section 10.2. A request without an Origin is no web page's."""
        if origin in self._limits.origins:
            return True
        try:
            host = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        return host != "" and host in [one.lower() for one in hosts]


def _hops(forwarded_for: Sequence[str]) -> list[str]:
    return [hop.strip() for hop in ",".join(forwarded_for).split(",")]


def is_among(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether an address is in one of these networks."""
    try:
        one = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(one in network for network in networks)
