"""What is seen of the daemon in Prometheus' words, and their text; `metrics.py` says when this is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TypeVar

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from chatd.errors import TooFast
from chatd.tally import LATENCIES, Histogram, Seen

PORTION = 64
"""About how many lines are made in one go."""

T = TypeVar("T")
Families = Sequence[Metric]


class _Registry(Collector):
    """One family, by itself."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return [self._family]


def process() -> Families:
    """CPU, memory and open files of this process, as every Prometheus client shows them. Asks the kernel."""
    return list(ProcessCollector(registry=None).collect())


def pieces(seen: Seen, process: Families) -> Iterator[bytes]:
    """The text, in pieces none of which takes half a millisecond to make.

    Of families with the same name that follow one another only the first says what it is.
    """
    before = ""
    for families in (_families(seen), process):
        for family in families:
            text = generate_latest(_Registry(family))
            yield text if family.name != before else text.split(b"\n", 2)[2]
            before = family.name


def _families(seen: Seen) -> Iterator[Metric]:
    yield _gauges("chatd_build_info", "What runs: always 1.", list(seen.build), [(list(seen.build.values()), 1)])
    yield _gauges("chatd_connections", "Open connections.", ["kind", "state"], seen.connections.items())
    yield GaugeMetricFamily("chatd_users_online", "Users with a live connection.", seen.users)
    yield GaugeMetricFamily("chatd_outbox_bytes", "What WebSocket clients have not taken yet.", seen.outbox)
    yield GaugeMetricFamily(
        "chatd_outbox_largest_bytes", "The same, of the client that has taken least.", seen.largest_outbox
    )
    yield CounterMetricFamily(
        "chatd_slow_readers_total", "Connections closed because their clients read too slowly.", seen.too_slow
    )
    yield _counters(
        "chatd_refused_connections_total",
        "Connections and requests refused: too many in all, too many of an address, another host's page.",
        ["reason"],
        (([reason], count) for reason, count in seen.refused.items()),
    )
    limited = sum(count for (_, code), count in seen.failures.items() if code == TooFast.code)
    yield CounterMetricFamily("chatd_rate_limited_total", "Ops refused because they came too fast.", limited)
    yield CounterMetricFamily("chatd_events_delivered_total", "Events given to connections.", seen.delivered)
    yield from _ops(seen)
    commits = seen.commits
    yield _histograms("chatd_commit_batch_size", "Jobs that shared a commit.", [], [([], commits.sizes)])
    yield _histograms("chatd_commit_seconds", "What a commit alone took.", [], [([], commits.seconds)])
    yield GaugeMetricFamily("chatd_writer_waiting_jobs", "Jobs that wait for the writer.", seen.waiting)
    if seen.unindexed is not None:
        yield GaugeMetricFamily(
            "chatd_indexer_lag_entries", "Entries that the search index does not know yet.", seen.unindexed
        )
    yield GaugeMetricFamily("chatd_database_bytes", "Size of the database.", seen.database)
    yield GaugeMetricFamily("chatd_wal_bytes", "Size of its write-ahead log.", seen.log)
    yield GaugeMetricFamily("chatd_disk_free_bytes", "What is free where the database is.", seen.free)


def _ops(seen: Seen) -> Iterator[Metric]:
    """Outcomes and latencies of the ops that were asked for: the two agree, and none is a client's word."""
    outcomes: dict[tuple[str, str], float] = {(name, "ok"): histogram.count for name, histogram in seen.seconds.items()}
    for (name, code), count in seen.failures.items():
        outcomes[name, code] = count
        outcomes[name, "ok"] -= count
    for counts in _portions(list(outcomes.items()), PORTION):
        yield _counters("chatd_ops_total", "Ops answered, by their error code or ok.", ["op", "outcome"], counts)
    histograms = [([name], histogram) for name, histogram in seen.seconds.items()]
    for some in _portions(histograms, PORTION // len(LATENCIES)):
        yield _histograms("chatd_op_seconds", "From an op's being decoded to its reply's being queued.", ["op"], some)


def _portions(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    return (items[start : start + most] for start in range(0, len(items), most))


def _gauges(name: str, says: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = GaugeMetricFamily(name, says, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _counters(name: str, says: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = CounterMetricFamily(name, says, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _histograms(
    name: str, says: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], Histogram]]
) -> Metric:
    family = HistogramMetricFamily(name, says, labels=labels)
    for key, histogram in values:
        bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
        family.add_metric(key, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.total)
    return family
