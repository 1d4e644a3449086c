"""How much of everything: what the issue asks for, what fits into a minute, and what fits into a test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """One size for each scenario. `name` is shown with the figures."""

    name: str
    runs: int
    """How often each measurement is repeated: daemon and yardstick take turns."""
    pairs: int
    pairs_messages: int
    light_seconds: float
    group_members: int
    fanout_online: tuple[int, ...]
    """How many members of the group are, the one who writes among them."""
    fanout_deliveries: int
    idle_connections: int
    idle_seconds: float
    """Also the daemon's ping_interval: in so long every connection is pinged once."""
    auth_connections: int
    logins: int
    logins_cost: int
    history_messages: int
    history_requests: int
    conversations: int
    mixed_messages: int
    growth_stored: tuple[int, ...]
    growth_messages: int
    search_messages: int
    search_conversations: int
    """Those of the people who are in the most of them; others are in a tenth of it."""
    search_rounds: int
    moments: int
    moments_friends: int
    """Of who reads, an even number of at least twelve."""
    moments_requests: int
    cold_starts: int
    presence_users: int
    presence_friends: int
    """Of each, an even number."""
    presence_seconds: float
    """In so long all of them come back."""
    presence_grace: float
    """The daemon's; its debounce is a tenth of it. 5 is the default."""


FULL = Sizes(
    name="full",
    runs=3,
    pairs=50,
    pairs_messages=60_000,
    light_seconds=10.0,
    group_members=2_000,
    fanout_online=(200, 1_000),
    fanout_deliveries=100_000,
    idle_connections=5_000,
    idle_seconds=30.0,
    auth_connections=5_000,
    logins=200,
    logins_cost=12,
    history_messages=200_000,
    history_requests=300,
    conversations=500,
    mixed_messages=20_000,
    growth_stored=(10_000, 100_000, 1_000_000),
    growth_messages=20_000,
    search_messages=1_000_000,
    search_conversations=2_000,
    search_rounds=15,
    moments=100_000,
    moments_friends=1_000,
    moments_requests=300,
    cold_starts=5,
    presence_users=5_000,
    presence_friends=50,
    presence_seconds=30.0,
    presence_grace=5.0,
)

QUICK = Sizes(
    name="quick",
    runs=1,
    pairs=50,
    pairs_messages=10_000,
    light_seconds=2.0,
    group_members=2_000,
    fanout_online=(200,),
    fanout_deliveries=20_000,
    idle_connections=2_000,
    idle_seconds=12.0,
    auth_connections=1_000,
    logins=8,
    logins_cost=12,
    history_messages=50_000,
    history_requests=50,
    conversations=500,
    mixed_messages=3_000,
    growth_stored=(1_000, 100_000),
    growth_messages=5_000,
    search_messages=100_000,
    search_conversations=500,
    search_rounds=5,
    moments=20_000,
    moments_friends=1_000,
    moments_requests=50,
    cold_starts=3,
    presence_users=1_000,
    presence_friends=20,
    presence_seconds=10.0,
    presence_grace=5.0,
)

TINY = Sizes(
    name="tiny",
    runs=1,
    pairs=2,
    pairs_messages=80,
    light_seconds=0.2,
    group_members=10,
    fanout_online=(5,),
    fanout_deliveries=50,
    idle_connections=10,
    idle_seconds=0.5,
    auth_connections=10,
    logins=2,
    logins_cost=4,
    history_messages=1_200,
    history_requests=3,
    conversations=20,
    mixed_messages=80,
    growth_stored=(40, 200),
    growth_messages=80,
    search_messages=300,
    search_conversations=20,
    search_rounds=1,
    moments=300,
    moments_friends=12,
    moments_requests=2,
    cold_starts=1,
    presence_users=10,
    presence_friends=4,
    presence_seconds=0.5,
    presence_grace=0.1,
)
