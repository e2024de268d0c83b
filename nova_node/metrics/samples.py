"""One second of a node, as numbers; and which of them are watched for anomalies."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from nova_node.core.model import Status
from nova_node.metrics.anomaly import Anomaly, Detector, Rule
from nova_node.metrics.history import Projection
from nova_node.metrics.pools import Pool
from nova_node.metrics.tables import POOLS, RATES, SAMPLES, Line, micros

CAPABILITIES_WATCHED_MAX = 32
RECENT_MAX = 120

LATENCY = Rule(above_only=True, share=0.5, least=0.005)
RATE = Rule(share=0.5, least=10.0, from_zero=False)
ERRORS = Rule(above_only=True, least=1.0)
LAG = Rule(above_only=True, least=100.0)


@dataclass(frozen=True, slots=True)
class Gauges:
    """What is read off at one moment; the columns of `samples` say what each means."""

    cpu: float = 0.0
    cpu_node: float = 0.0
    memory_bytes: int = 0
    memory_free_bytes: int = 0
    load: float = 0.0
    queued: int = 0
    unended: int = 0
    slots: int = 0
    slots_free: int = 0
    lag_ms: float = 0.0
    peers: int = 0


class Rate(NamedTuple):
    """Tasks of one capability that ended in one interval."""

    capability: str
    done: int
    failed: int
    elapsed_s: float
    elapsed_max_s: float
    total_s: float


class Sample(NamedTuple):
    at: float
    #: since the sample before
    interval_s: float
    gauges: Gauges
    done: int
    failed: int
    retried: int
    rates: tuple[Rate, ...]
    pools: tuple[Pool, ...] = ()

    def lines(self) -> list[tuple[str, Line]]:
        at = micros(self.at)
        counts = {"done": self.done, "failed": self.failed, "retried": self.retried}
        one: dict[str, list[object]] = {"time": [at]}
        for name, value in {**asdict(self.gauges), **counts}.items():
            one[name] = [value]
        lines: list[tuple[str, Line]] = [(SAMPLES.name, one)]
        for table, fields, rows in (
            (RATES, Rate._fields, self.rates),
            (POOLS, Pool._fields, self.pools),
        ):
            if rows:
                many: dict[str, list[object]] = {"time": [at] * len(rows)}
                many |= {name: [row[n] for row in rows] for n, name in enumerate(fields)}
                lines.append((table.name, many))
        return lines


def sample_of(
    at: float,
    interval_s: float,
    gauges: Gauges,
    seen: Iterable[Projection],
    pools: tuple[Pool, ...] = (),
) -> Sample:
    """`seen` is what was projected since the sample before."""
    sums: dict[str, list[int]] = {}
    done = failed = retried = 0
    for projection in seen:
        done += projection.ended[Status.DONE]
        failed += projection.ended[Status.FAILED]
        retried += projection.retried
        for name, tally in projection.tallies().items():
            have = sums.setdefault(name, [0, 0, 0, 0, 0])
            have[0] += tally.count
            have[1] += tally.done
            have[2] += tally.elapsed_us
            have[3] = max(have[3], tally.elapsed_max_us)
            have[4] += tally.total_us
    rates = tuple(
        Rate(name, good, count - good, us / 1e6 / count, max_us / 1e6, total_us / 1e6 / count)
        for name, (count, good, us, max_us, total_us) in sorted(sums.items())
    )
    return Sample(at, interval_s, gauges, done, failed, retried, rates, pools)


class Recent:
    """The last minutes of a node in memory, what is out of the ordinary in them, and sums since it
    started."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=RECENT_MAX)
        self.done = 0
        self.failed = 0
        self.retried = 0
        self.anomalies_begun = 0
        #: by capability: ended well, else, seconds that last attempts ran
        self.sums: dict[str, tuple[int, int, float]] = {}
        #: of containers by image: claims, those that found none warm, those that did not start
        self.pools: dict[str, tuple[int, int, int]] = {}
        self._detectors: dict[str, Detector] = {
            "rate": Detector("rate", RATE),
            "errors": Detector("errors", ERRORS),
            "lag_ms": Detector("lag_ms", LAG),
        }

    def add(self, sample: Sample) -> list[Anomaly]:
        """Anomalies that begin or end with it."""
        self.samples.append(sample)
        self.done += sample.done
        self.failed += sample.failed
        self.retried += sample.retried
        for rate in sample.rates:
            done, failed, elapsed_s = self.sums.get(rate.capability, (0, 0, 0.0))
            ran_s = rate.elapsed_s * (rate.done + rate.failed)
            if rate.capability in self.sums or len(self.sums) < 10 * CAPABILITIES_WATCHED_MAX:
                self.sums[rate.capability] = (
                    done + rate.done,
                    failed + rate.failed,
                    elapsed_s + ran_s,
                )
        for pool in sample.pools:
            claims, exhausted, unstarted = self.pools.get(pool.image, (0, 0, 0))
            self.pools[pool.image] = (
                claims + pool.claims,
                exhausted + pool.exhausted,
                unstarted + pool.failed,
            )
        found = [
            self._detector(name).feed(sample.at, value) for name, value in self._watched(sample)
        ]
        changes = [anomaly for anomaly in found if anomaly is not None]
        self.anomalies_begun += sum(not anomaly.ended for anomaly in changes)
        return changes

    @property
    def anomalies(self) -> Sequence[Anomaly]:
        """Those that go on."""
        return [d.current for d in self._detectors.values() if d.current is not None]

    def _watched(self, sample: Sample) -> Iterable[tuple[str, float]]:
        interval_s = max(sample.interval_s, 0.001)
        yield "rate", (sample.done + sample.failed) / interval_s
        yield "errors", (sample.failed + sample.retried) / interval_s
        yield "lag_ms", sample.gauges.lag_ms
        for rate in sample.rates:
            name = f"latency:{rate.capability}"
            if name in self._detectors or len(self._detectors) < 3 + CAPABILITIES_WATCHED_MAX:
                yield name, rate.elapsed_s

    def _detector(self, name: str) -> Detector:
        found = self._detectors.get(name)
        if found is None:
            found = self._detectors[name] = Detector(name, LATENCY)
        return found


def anomaly_detail(anomaly: Anomaly) -> Mapping[str, object]:
    """As the event's detail has it."""
    return {
        "series": anomaly.series,
        "value": round(anomaly.value, 6),
        "median": round(anomaly.median, 6),
        "z": round(anomaly.z, 2),
        "ended": anomaly.ended,
    }
