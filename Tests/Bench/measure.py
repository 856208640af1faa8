"""The measurements of one contender in one round."""

import json
import math
import os
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from lab import LabError, iperf3, run
from machine import CONGESTION_CONTROL, OTHER_CONGESTION_CONTROL, may_choose
from stranger import NOBODY, Stranger, TCPStream

ALLOWED_LOSS = 0.001
IDLE_SECONDS = 2  # without a packet, for every contender alike
STEADY_RATE = 250_000_000  # bit/s: what the slowest contender carries with ease
STARTS = 0.7  # seconds in which a TCP stream is past its start-up
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Plan:
    """How long each measurement takes."""

    tcp_seconds: float
    trial_seconds: float
    steps: int
    flood_seconds: float
    pongs: int  # each with new processes, that the scheduler places anew
    rounds: int
    pong_seconds: float
    beside_seconds: float  # the same beside a TCP stream
    stranger_seconds: float  # TCP beside what a stranger sends


FULL = Plan(tcp_seconds=3, trial_seconds=0.4, steps=6, flood_seconds=1, pongs=12, rounds=5_100,
            pong_seconds=3, beside_seconds=2, stranger_seconds=3)
QUICK = Plan(tcp_seconds=1, trial_seconds=0.2, steps=5, flood_seconds=0.5, pongs=3,
             rounds=2_100, pong_seconds=1, beside_seconds=1, stranger_seconds=1)

class Session:
    """Measures one contender that is up."""

    def __init__(self, contender, udpbench, plan, say):
        self.contender = contender
        self.udpbench = udpbench
        self.plan = plan
        self.say = say
        self.values = {}
        self.details = {}

    def probe(self, role, *words, timeout=60):
        one = self.contender
        done = run(self.udpbench, role, one.left.path, one.right.path, one.address, *words,
                   timeout=timeout)
        return json.loads(done.stdout)

    def note(self, key, value):
        self.values[key] = value
        self.say(key, value)

    # One function for each word of --only.

    def start(self):
        if self.contender.pids:
            self.note("start", self.contender.start_seconds)

    def memory_idle(self):
        if self.contender.pids:
            time.sleep(IDLE_SECONDS)  # the measurement itself: this long without a packet
            self.note("idle", self._memory("VmRSS"))
            for pid in self.contender.pids:
                Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the start's VmHWM

    def memory_peak(self):
        """The most that either end had since it was idle, with a flood at the end."""
        if self.contender.pids:
            self.probe("flow", 64, 0, self.plan.flood_seconds)
            self.note("peak", self._memory("VmHWM"))

    def tcp(self):
        self.contender.warm_up()
        before = self._cpu_seconds()
        for key, streams in (("tcp1", 1), ("tcp4", 4)):
            received = self._transfer(streams, self.plan.tcp_seconds)
            self.note(key, received["bits_per_second"])
            if key == "tcp1" and self.contender.pids:
                used = self._cpu_seconds() - before
                self.note("cpu", used / (received["bytes"] / 1e9))
        if may_choose(OTHER_CONGESTION_CONTROL):
            received = self._transfer(1, self.plan.tcp_seconds, control=OTHER_CONGESTION_CONTROL)
            self.note("bbr1", received["bits_per_second"])

    def udp64(self):
        self._datagrams(64, "pps64", "flood64")

    def udp1200(self):
        self._datagrams(1200, "pps1200", None)

    def rtt(self):
        answers = [self.probe("pong", 64, self.plan.rounds, self.plan.pong_seconds)
                   for _ in range(self.plan.pongs)]
        self.details["rtt"] = answers
        self.note("rtt50", statistics.median(answer["p50"] for answer in answers))
        self.note("rtt99", statistics.median(answer["p99"] for answer in answers))

    def busy(self):
        """Beside a TCP stream in the same direction that takes all it can get."""
        self._beside("busy")
        if may_choose(OTHER_CONGESTION_CONTROL):
            self._beside("bbr", control=OTHER_CONGESTION_CONTROL)

    def steady(self):
        """Beside a TCP stream that is the same for all."""
        self._beside("steady", "--fq-rate", STEADY_RATE)

    def elsewhere(self):
        """Beside a TCP stream that takes all it can get in another tunnel of the same two ends, as
        another slice has it."""
        address = self.contender.another()
        if address:
            self._beside("elsewhere", address=address)

    def initiations(self):
        """One TCP stream while a stranger sends what looks like the start of a handshake, beside
        the same while it sends as much to nobody: the cores that it needs itself are shared too.
        Undisturbed both before and after, so that a machine that drifts moves both."""
        one, plan = self.contender, self.plan
        kinds = one.bogus()
        if not kinds:
            return
        stranger = Stranger(one)
        before, beside = self._stream(), {}
        for kind, datagrams in {"nobody": one.bogus()["right"], **kinds}.items():
            port = NOBODY if kind == "nobody" else one.port
            with TCPStream(one) as stream:
                stream.rate(STARTS)
                with stranger.sending(datagrams, port) as load:
                    beside[kind] = stream.rate(plan.stranger_seconds)
            self.details[f"stranger, {kind}"] = load
            self.note(f"sent_{kind}", load["sent"] / load["seconds"])
            self.note(f"used_{kind}", load["cpu"] / load["seconds"])
        self.details["undisturbed"] = before, self._stream()
        self.note("undisturbed", statistics.mean(self.details["undisturbed"]))
        for kind, value in beside.items():
            self.note(f"kept_{kind}", value / self.values["undisturbed"])
            if kind != "nobody":
                self.note(f"fair_{kind}", value / beside["nobody"])

    # Parts

    def _transfer(self, streams, seconds, *options, address=None, control=CONGESTION_CONTROL):
        one = self.contender
        one.warm_up()
        result = iperf3(one.left, one.right, address or one.address, "-C", control, *options,
                        streams=streams, seconds=math.ceil(seconds))
        if result["end"].get("sender_tcp_congestion") != control:
            raise LabError(f"iperf3 did not send with {control}")
        return result["end"]["sum_received"]

    def _stream(self):
        with TCPStream(self.contender) as stream:
            stream.rate(STARTS)
            return stream.rate(self.plan.stranger_seconds)

    def _beside(self, key, *options, address=None, control=CONGESTION_CONTROL):
        outcome = []

        def transfer():
            try:
                outcome.append(self._transfer(1, self.plan.beside_seconds + 1, *options,
                                              address=address, control=control))
            except (LabError, OSError, ValueError, KeyError) as error:
                outcome.append(error)

        stream = threading.Thread(target=transfer)
        stream.start()
        try:
            time.sleep(STARTS)
            answer = self.probe("pong", 64, 20_100, self.plan.beside_seconds)
        finally:
            stream.join()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        self.details[key] = answer
        self.values[f"{key}_stream"] = outcome[0]["bits_per_second"]
        self.note(f"{key}50", answer["p50"])
        self.note(f"{key}99", answer["p99"])

    def _datagrams(self, size, key, flood_key, role="flow"):
        flood = self.probe(role, size, 0, self.plan.flood_seconds)
        received = flood["received"] / flood["seconds"]
        self.details[f"flood of {key}"] = flood
        if flood_key:
            self.note(flood_key, received)
        if flood["received"] >= flood["sent"] * (1 - ALLOWED_LOSS):
            self.note(key, received)  # the sender is slower than the path
            return
        self.note(key, self._loss_free(key, role, size, received, flood["sent"] / flood["seconds"]))

    def _loss_free(self, key, role, size, received, offered):
        """The highest rate without loss, by bisection of its logarithm. One of two trials must
        pass: the loss that another process causes on a shared core is not the path's."""
        best, tried = 0.0, []

        def passes(rate):
            nonlocal best
            for _ in range(2):
                trial = self.probe(role, size, f"{rate:.0f}", self.plan.trial_seconds)
                tried.append({"rate": rate, **trial})
                own_fault = trial["overflowed"]  # the receiver's socket: not the tunnel's loss
                if trial["sent"] - trial["received"] - own_fault <= trial["sent"] * ALLOWED_LOSS:
                    best = max(best, trial["received"] / trial["seconds"])
                    return True
            return False

        high = max(min(offered, received * 2), 2000)
        low = max(received / 10, 1000)
        while not passes(low):
            high, low = low, low / 4
            if low < 100:
                raise LabError(f"loses packets of {size} bytes even at {low:.0f} a second")
        for _ in range(self.plan.steps):
            middle = math.sqrt(low * high)
            if passes(middle):
                low = middle
            else:
                high = middle
        self.details[f"trials of {key}"] = tried
        return best

    def _cpu_seconds(self):
        """User and system time of all threads, those that have ended too (proc(5))."""
        total = 0
        for pid in self.contender.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def _memory(self, field):
        """Of the end that has more."""
        most = 0
        for pid in self.contender.pids:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(field + ":"):
                    most = max(most, int(line.split()[1]) * 1024)
        return most
