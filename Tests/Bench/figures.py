"""What is measured, and what the numbers of several rounds say together."""

import math
import statistics
from dataclasses import dataclass

OURS, WIREGUARD_GO, OPENVPN, NOTHING = "slice-gateway", "wireguard-go", "openvpn", "no tunnel"
OURS_AES = "slice-gateway, AES"
# The same program with a library in IPsec-MB's place that copies: the limit of its packet path.
LIMIT = "without a cipher"
OPENVPN_CBC, NEBULA = "openvpn, CBC", "nebula"
PEERS = WIREGUARD_GO, OPENVPN
MORE_PEERS = OPENVPN_CBC, NEBULA  # measured if asked for
CONTENDERS = OURS, OURS_AES, LIMIT, *PEERS, NOTHING
ALL = OURS, OURS_AES, LIMIT, *PEERS, *MORE_PEERS, NOTHING


@dataclass(frozen=True)
class Figure:
    """One row of the report. `scale` turns the measured number (SI units) into `unit`."""

    key: str
    title: str
    unit: str
    scale: float
    more_is_better: bool
    group: str  # the measurement that yields it: a word for --only
    is_contest: bool = True  # whether it says anything to be better than another

    def show(self, value):
        if value is None:
            return "-"
        value *= self.scale
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
        return f"{value:,.{digits}f}"


MAIN = [
    Figure("tcp1", "TCP, 1 stream", "Gbit/s", 1e-9, True, "tcp"),
    Figure("bbr1", "TCP, 1 stream, with BBR", "Gbit/s", 1e-9, True, "tcp"),
    Figure("tcp4", "TCP, 4 streams", "Gbit/s", 1e-9, True, "tcp"),
    Figure("pps64", "UDP of 64 bytes without loss", "kpps", 1e-3, True, "udp64"),
    Figure("pps1200", "UDP of 1,200 bytes without loss", "kpps", 1e-3, True, "udp1200"),
    Figure("flood64", "UDP of 64 bytes received in a flood", "kpps", 1e-3, True, "udp64"),
    Figure("rtt50", "Round-trip time, median", "µs", 1e6, False, "rtt"),
    Figure("rtt99", "Round-trip time, 99th percentile", "µs", 1e6, False, "rtt"),
    Figure("busy50", "The same beside unlimited TCP, median", "µs", 1e6, False, "busy"),
    Figure("busy99", "The same beside unlimited TCP, 99th percentile", "µs", 1e6, False, "busy"),
    Figure("bbr50", "The same beside unlimited TCP with BBR, median", "µs", 1e6, False, "busy"),
    Figure("bbr99", "The same beside unlimited TCP with BBR, 99th percentile", "µs", 1e6, False,
           "busy"),
    Figure("steady50", "The same beside TCP of 250 Mbit/s, median", "µs", 1e6, False, "steady"),
    Figure("steady99", "The same beside TCP of 250 Mbit/s, 99th percentile", "µs", 1e6, False,
           "steady"),
    Figure("elsewhere50", "The same beside unlimited TCP of another tunnel, median", "µs", 1e6,
           False, "elsewhere"),
    Figure("elsewhere99", "The same beside unlimited TCP of another tunnel, 99th percentile", "µs",
           1e6, False, "elsewhere"),
    Figure("cpu", "CPU time of both ends per GB of TCP", "s", 1, False, "tcp"),
    Figure("idle", "Resident memory of one end, idle", "MiB", 2**-20, False, "memory"),
    Figure("peak", "Resident memory of one end, peak", "MiB", 2**-20, False, "memory"),
    Figure("start", "Start of both ends to the first answer", "ms", 1e3, False, "start"),
]
# TCP while a stranger sends what looks like the start of a handshake.
STRANGERS = {"right": "MAC1 right", "wrong": "MAC1 wrong", "nobody": "to nobody"}
STRANGER = [
    Figure("undisturbed", "TCP, 1 stream, undisturbed", "Gbit/s", 1e-9, True, "initiations", False),
    Figure("kept_right", "TCP under initiations, MAC1 right", "% of undisturbed", 100, True,
           "initiations"),
    Figure("kept_wrong", "TCP under initiations, MAC1 wrong", "% of undisturbed", 100, True,
           "initiations"),
    Figure("kept_nobody", "TCP beside as many to nobody", "% of undisturbed", 100, True,
           "initiations", False),
    Figure("fair_right", "TCP under initiations, MAC1 right", "% of beside nobody's", 100, True,
           "initiations"),
    Figure("fair_wrong", "TCP under initiations, MAC1 wrong", "% of beside nobody's", 100, True,
           "initiations"),
    *[Figure(f"sent_{kind}", f"Really sent, {title}", "kpps", 1e-3, True, "initiations", False)
      for kind, title in STRANGERS.items()],
    *[Figure(f"used_{kind}", f"CPU of the sender, {title}", "% of a core", 100, False,
             "initiations", False) for kind, title in STRANGERS.items()],
]
FIGURES = MAIN + STRANGER
GROUPS = list(dict.fromkeys(figure.group for figure in FIGURES))
# What is also measured where every packet crosses alone: how much of the rest does so by itself.
WIRE_GROUPS = "tcp", "udp64"


@dataclass(frozen=True)
class Spread:
    median: float
    least: float
    most: float
    count: int

    @staticmethod
    def of(values):
        values = [value for value in values if value is not None]
        if not values:
            return None
        return Spread(statistics.median(values), min(values), max(values), len(values))


class Results:
    """rounds[n][contender][key]: a number, or None where it could not be measured."""

    def __init__(self, contenders=CONTENDERS):
        """`contenders` have a column each, in this order."""
        self.contenders = contenders
        self.peers = [name for name in contenders if name in (*PEERS, *MORE_PEERS)]
        self.rounds = []
        self.failures = []

    def new_round(self):
        self.rounds.append({})

    def add(self, contender, values):
        self.rounds[-1][contender] = values

    def spread(self, contender, key):
        return Spread.of([one.get(contender, {}).get(key) for one in self.rounds])

    def advantage(self, figure, peer, one_of_ours=OURS):
        """How many times better ours is: per round, so that a machine that drifts moves both."""
        if not figure.is_contest:
            return None
        ratios = []
        for one in self.rounds:
            ours, theirs = (one.get(name, {}).get(figure.key) for name in (one_of_ours, peer))
            if ours is None or theirs is None:
                continue
            more, less = (ours, theirs) if figure.more_is_better else (theirs, ours)
            if figure.more_is_better and max(more, less) > 0:
                ratios.append(more / less if less else math.inf)  # one may carry nothing at all
            elif more > 0 and less > 0:
                ratios.append(more / less)
        return Spread.of(ratios)

    def measured(self, figures=FIGURES):
        return [figure for figure in figures
                if any(self.spread(name, figure.key) for name in self.contenders)]

    def behind(self, figures=FIGURES):
        """Figures in which ours is not ahead of a peer: (figure, peer, advantage)."""
        found = []
        for figure in figures:
            for peer in self.peers:
                advantage = self.advantage(figure, peer)
                if advantage is not None and advantage.median <= 1:
                    found.append((figure, peer, advantage))
        return found

    def missing(self):
        """What should have been measured in some round and was not."""
        return [f"round {n}, {name}: {what}" for n, name, what in self.failures]
