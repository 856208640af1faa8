"""What is measured over distances, with and without the slice, and what the rounds say together."""

import math
from dataclasses import dataclass

from figures import Figure, Results, Spread

BARE, SLICE = "without the slice", "through the slice"
PATHS = BARE, SLICE
RATE = 1_000_000_000  # bit/s of IP packets, each way
LOSS = 0.001
MTU = 1500
# Of a whole packet on the wire: TCP with timestamps in IPv4; and that in a packet of 1,420 bytes,
# the slice's MTU, behind IPv4, UDP, and WireGuard's header and tag.
TCP_IP_HEADERS = 20 + 32
SLICE_MTU, SLICE_HEADERS = 1420, 20 + 8 + 16 + 16
GOAL = 1.05  # of a record's latency: at most this many times that of the bare path


def segment(path):
    """What one whole packet carries for TCP, in bytes, and what the wire sees of it."""
    if path == BARE:
        return MTU - TCP_IP_HEADERS, MTU
    return SLICE_MTU - TCP_IP_HEADERS, SLICE_MTU + SLICE_HEADERS


def most(path):
    """bit/s that the headers leave to TCP's payload on a wire that is always full."""
    payload, whole = segment(path)
    return RATE * payload / whole


@dataclass(frozen=True)
class Stream:
    """One TCP stream over one distance. Times are in seconds, the round trip's too."""

    key: str
    round_trip: float
    loss: float
    warm_up: int  # past slow start and what it overshoots by; not counted
    seconds: int

    @property
    def title(self):
        lost = f", {self.loss:.1%} lost" if self.loss else ""
        return f"TCP, {self.round_trip * 1e3:.0f} ms{lost}"

    @property
    def queue(self):
        """Bytes that may wait for the wire: what the path holds in one round trip."""
        return int(RATE / 8 * self.round_trip)

    def expected(self, path):
        """bit/s under loss: what M. Mathis et al. ("The macroscopic behavior of the TCP congestion
        avoidance algorithm", 1997) give Reno, with every packet acknowledged."""
        return segment(path)[0] * 8 / self.round_trip * math.sqrt(1.5 / self.loss)

    @property
    def conditions(self):
        """For the relay, each way."""
        words = f"delay {self.round_trip * 5e5:.0f}us rate {RATE}bit queue {self.queue}B"
        return f"{words} loss {self.loss:.4%}"


@dataclass(frozen=True)
class Distance:
    """Between any two of Kafka's places, there and back."""

    key: str
    round_trip: float

    @property
    def title(self):
        if self.round_trip == 0:
            return "no distance"
        return f"{self.round_trip * 1e3:.0f} ms"

    @property
    def conditions(self):
        return f"delay {self.round_trip * 5e5:.0f}us"


STREAMS = [
    Stream("tcp10", 0.010, 0, warm_up=4, seconds=6),
    Stream("tcp100", 0.100, 0, warm_up=25, seconds=8),
    Stream("loss10", 0.010, LOSS, warm_up=4, seconds=12),
    # A loss comes every two seconds there, and each ends a stretch of growth.
    Stream("loss100", 0.100, LOSS, warm_up=15, seconds=30),
]
DISTANCES = [Distance("0", 0), Distance("10", 0.010), Distance("20", 0.020)]
QUICK_STREAMS = [Stream("tcp10", 0.010, 0, warm_up=1, seconds=1)]
QUICK_DISTANCES = [Distance("0", 0), Distance("10", 0.010)]
GROUPS = ["tcp", "kafka"]


def _figures():
    for stream in STREAMS:
        yield Figure(stream.key, stream.title, "Mbit/s", 1e-6, True, "tcp")
        if not stream.loss:
            yield Figure(f"{stream.key}_filled", f"{stream.title}: of the path filled", "%", 100,
                         True, "tcp")
            yield Figure(f"{stream.key}_busy", f"{stream.title}: of the machine busy", "%", 100,
                         False, "tcp")
    for distance in DISTANCES:
        for percentile, name in ((50, "median"), (99, "99th percentile")):
            yield Figure(f"p{percentile}_{distance.key}",
                         f"Kafka record, {distance.title}, {name}", "ms", 1e3, False, "kafka")


FIGURES = list(_figures())
FIGURE = {figure.key: figure for figure in FIGURES}


class DistanceResults(Results):
    """rounds[n][path][key]; what is in one round was measured one right after the other."""

    def add(self, path, values):
        self.rounds[-1].setdefault(path, {}).update(values)

    def ratio(self, key):
        """Through the slice to without, within each round, so that a machine that drifts moves
        both."""
        ratios = []
        for one in self.rounds:
            bare, mine = (one.get(path, {}).get(key) for path in PATHS)
            if mine is not None and bare:
                ratios.append(mine / bare)
        return Spread.of(ratios)

    def measured(self):
        return [figure for figure in FIGURES
                if any(self.spread(path, figure.key) for path in PATHS)]


def digits(ratio):
    """As many as tell 1.05 from what is a little more."""
    return f"{ratio:,.3f}" if math.isfinite(ratio) and abs(ratio) < 10 else f"{ratio:,.1f}"
