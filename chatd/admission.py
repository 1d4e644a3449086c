"""Who may connect: how many, from where, and from which web pages. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from chatd.config import Server

Refusal = tuple[HTTPStatus, str]

_TOLD = 16
"""How many connections past a limit get an answer that names it."""


class Admission:
    """Counts the connections of each address and says why one more is refused."""

    def __init__(self, limits: Server) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()
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
        if not self._is_proxy(address):
            return address
        hops = [hop.strip() for hop in ",".join(forwarded_for).split(",")]
        return next((hop for hop in reversed(hops) if hop and not self._is_proxy(hop)), address)

    def moved(self, address: str, forwarded_for: Sequence[str]) -> str:
        """The same, and the connection counts from now on as its client's: it is one client's alone."""
        client = self.behind(address, forwarded_for)
        self.went(address)
        self.came(client)
        return client

    def is_flooded(self, address: str) -> bool:
        """Whether there are so many connections that one more is not even told why it is refused."""
        if self._open.total() > self._limits.connections + _TOLD:
            return True
        most = self._limits.connections_per_address + _TOLD
        return self._open[address] > most and not self._is_proxy(address)

    def _is_proxy(self, address: str) -> bool:
        try:
            one = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(one in network for network in self._proxies)

    def refusal(self, address: str, *, origins: Sequence[str], hosts: Sequence[str]) -> Refusal | None:
        """Why this request is refused, or None."""
        if self._open.total() > self._limits.connections:
            return HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections. Try again later.\n"
        if self._open[address] > self._limits.connections_per_address:
            return HTTPStatus.TOO_MANY_REQUESTS, "Too many connections from your address.\n"
        if not all(self._allowed(origin, hosts) for origin in origins):
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
