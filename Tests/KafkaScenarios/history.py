"""What workers did, and whether a Kafka that loses nothing can have answered so.

A history is lines of JSON, one file a worker; `t` is the machine's monotonic clock in seconds:

    {"t", "kind": "invoke", "op": "send", "value", "partition", "once"}
    {"t", "kind": "ok", "op": "send", "value", "offset"}        acknowledged; offset -1 if not told
    {"t", "kind": "fail", "op": "send", "value", "error"}       certainly not in the log
    {"t", "kind": "unknown", "op": "send", "value", "error"}    may be in the log
    {"t", "kind": "assign", "worker", "group", "partitions"}    reads go on at a place of their own
    {"t", "kind": "ok", "op": "poll", "worker", "group", "records": [[partition, offset, value]]}
    {"t", "kind": "fault", "what", "majority"}                  what was done to the brokers, and
                                                                whether two run in touch then
    {"t", "kind": "note"}                                       for people only

A value is PRODUCER/NUMBER, numbers rising. With `once` the producer is idempotent: the value may be
in the log once, and in the producer's order. A damaged value reads as null.
"""

import bisect
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field

LEAST_RATE = 200


@dataclass
class Send:
    value: str
    partition: int
    invoked: float
    outcome: str = "open"
    ended: float = float("inf")
    offset: int = -1
    error: str = ""
    once: bool = True

    @property
    def producer(self):
        return self.value.rsplit("/", 1)[0]

    @property
    def number(self):
        return int(self.value.rsplit("/", 1)[1])


@dataclass
class Poll:
    at: float
    worker: str
    group: str | None
    records: list  # of (partition, offset, value)


@dataclass
class History:
    sends: dict = field(default_factory=dict)  # by value
    reads: list = field(default_factory=list)  # of Poll, and of (worker, group, partitions)
    faults: list = field(default_factory=list)  # of (t, what, whether a majority is left)
    wrong: list = field(default_factory=list)  # lines that do not belong together

    @classmethod
    def load(cls, paths):
        history = cls()
        for path in paths:
            with open(path) as lines:
                for line in lines:
                    history.add(json.loads(line))
        return history

    def add(self, line):
        kind, operation = line["kind"], line.get("op")
        if kind == "note":
            return
        if kind == "fault":
            self.faults.append((line["t"], line["what"], line["majority"]))
        elif kind == "assign":
            self.reads.append((line["worker"], line["group"], set(line["partitions"])))
        elif operation == "poll":
            self.reads.append(Poll(line["t"], line["worker"], line["group"],
                                   [tuple(one) for one in line["records"]]))
        elif kind == "invoke":
            if line["value"] in self.sends:
                self.wrong.append(f"{line['value']} was sent twice by the workload")
            self.sends[line["value"]] = Send(
                line["value"], line["partition"], line["t"], once=line["once"])
        else:
            send = self.sends.get(line["value"])
            if send is None or send.outcome != "open":
                self.wrong.append(f"{line['value']} ended without having been sent")
                return
            send.outcome, send.ended = kind, line["t"]
            send.offset, send.error = line.get("offset", -1), line.get("error", "")

    @property
    def polls(self):
        return [one for one in self.reads if isinstance(one, Poll)]

    def acknowledged(self):
        return [one for one in self.sends.values() if one.outcome == "ok"]


@dataclass(frozen=True)
class Anomaly:
    kind: str
    text: str
    places: tuple = ()  # of (partition, offset)

    def __str__(self):
        return f"{self.kind}: {self.text}"


def check(history):
    """Everything that a log which keeps its promises cannot have done."""
    found = [Anomaly("history", text) for text in history.wrong]
    places, seen = observations(history, found)
    found += failed_and_unsent(history, seen)
    found += lost(history, seen)
    found += orders(history, places)
    found += poll_orders(history)
    return found


def observations(history, found):
    """(partition, offset) -> value, and value -> the places where it was read."""
    places, seen = {}, defaultdict(set)
    acknowledged_at = {}

    def observe(partition, offset, value, by):
        known = places.setdefault((partition, offset), value)
        if known != value:
            found.append(Anomaly("two values", f"partition {partition} offset {offset} has {known}"
                                 f", and by {by} {value}",
                                 ((partition, offset),)))
    for send in history.acknowledged():
        if send.offset >= 0:
            observe(send.partition, send.offset, send.value, "its acknowledgement")
            acknowledged_at[send.value] = (send.partition, send.offset)
    for poll in history.polls:
        for partition, offset, value in poll.records:
            if value is None:
                found.append(Anomaly("damaged", f"{poll.worker} read at partition {partition} "
                                     f"offset {offset} what nobody sent"))
                continue
            observe(partition, offset, value, f"{poll.worker}'s poll")
            seen[value].add((partition, offset))
            sent = history.sends.get(value)
            if sent is not None and poll.at < sent.invoked:
                found.append(Anomaly("foresight", f"{value} was read before it was sent"))
    for value, where in sorted(seen.items()):
        every = where | {acknowledged_at[value]} if value in acknowledged_at else where
        if len(every) > 1 and (value not in history.sends or history.sends[value].once):
            found.append(Anomaly("duplicate", f"{value} is at {sorted(every)}",
                                 tuple(sorted(every))))
    return places, seen


def failed_and_unsent(history, seen):
    for value in sorted(seen):
        sent = history.sends.get(value)
        if sent is None:
            yield Anomaly("never sent", f"{value} was read")
        elif sent.outcome == "fail":
            yield Anomaly("failed", f"{value} was read, and its send had failed: {sent.error}")
        elif any(partition != sent.partition for partition, _ in seen[value]):
            yield Anomaly("astray", f"{value} was sent to partition {sent.partition}")


def lost(history, seen):
    """Acknowledged and never read: by anybody, and by each group."""
    acknowledged = sorted(history.acknowledged(), key=lambda one: one.invoked)
    for send in acknowledged:
        if send.value not in seen:
            yield Anomaly("lost", f"{send.value}, acknowledged at partition {send.partition} "
                          f"offset {send.offset}, was read by nobody",
                          ((send.partition, send.offset),))
    groups = defaultdict(set)
    for poll in history.polls:
        if poll.group is not None:
            groups[poll.group] |= {value for _, _, value in poll.records}
    for group, values in sorted(groups.items()):
        for send in acknowledged:
            if send.value not in values and send.value in seen:
                yield Anomaly("skipped by a group", f"{send.value} was not read by {group}")


def orders(history, places):
    """An idempotent producer's records stand in the order in which they were sent; and what was
    sent after another was acknowledged stands behind it."""
    logs = defaultdict(list)
    for (partition, offset), value in places.items():
        logs[partition].append((offset, value))
    for partition, log in sorted(logs.items()):
        last = {}
        for offset, value in sorted(log):
            sent = history.sends.get(value)
            if sent is None or not sent.once:
                continue
            before = last.get(sent.producer)
            if before is not None and before.number > sent.number:
                yield Anomaly("reordered", f"in partition {partition} {before.value} stands before "
                              f"{value} at offset {offset}")
            last[sent.producer] = sent
    acknowledged = defaultdict(list)
    for send in history.acknowledged():
        if send.offset >= 0:
            acknowledged[send.partition].append(send)
    for partition, sends in sorted(acknowledged.items()):
        sends.sort(key=lambda one: one.ended)
        ends, highest = [one.ended for one in sends], []
        for send in sends:
            top = highest[-1] if highest else send
            highest.append(send if send.offset > top.offset else top)
        for send in sends:
            earlier = bisect.bisect_left(ends, send.invoked)
            if earlier and highest[earlier - 1].offset > send.offset:
                before = highest[earlier - 1]
                yield Anomaly("behind time", f"{send.value} got offset {send.offset} of partition "
                              f"{partition}, sent after {before.value} was acknowledged at "
                              f"{before.offset}")


def poll_orders(history):
    """A reader sees every offset of a partition, one after the other."""
    next_offsets = {}
    for one in history.reads:
        if not isinstance(one, Poll):
            worker, _, partitions = one
            for partition in partitions:
                next_offsets.pop((worker, partition), None)
            continue
        for partition, offset, value in one.records:
            expected = next_offsets.get((one.worker, partition), offset)
            if offset < expected:
                yield Anomaly("poll went back", f"{one.worker} read offset {offset} of partition "
                              f"{partition} after {expected - 1}")
            elif offset > expected:
                yield Anomaly("poll left out", f"{one.worker} read offset {offset} of partition "
                              f"{partition} after {expected - 1}")
            next_offsets[one.worker, partition] = offset + 1


# --- figures -----------------------------------------------------------------------------------


@dataclass
class Figures:
    seconds: float
    acknowledged: int
    failed: int
    unknown: int
    polls: int
    records_read: int
    worst: float  # the longest that no record of a partition was acknowledged
    steady: float  # the longest of it while a majority was left and nothing new happened
    windows: list  # of (fault, seconds since the start, partition, seconds without, of it steady)
    latencies: tuple  # p50 and p99 of acknowledged sends, in ms

    @property
    def rate(self):
        """Sends that were acknowledged and polls that brought records, a second."""
        return (self.acknowledged + self.polls) / self.seconds if self.seconds else 0.0

    def text(self):
        p50, p99 = self.latencies
        lines = [f"{self.seconds:.0f} s, {self.rate:.0f} operations a second: {self.acknowledged} "
                 f"sends acknowledged, {self.failed} failed, {self.unknown} unknown; "
                 f"{self.polls} polls brought {self.records_read} records",
                 f"acknowledged after p50 {p50:.0f} ms, p99 {p99:.0f} ms; "
                 f"the longest a partition took nothing: {self.worst:.1f} s; {self.steady:.1f} s "
                 f"between two faults while two brokers ran in touch"]
        for what, at, partition, seconds, steady in self.windows:
            where = "no partition waited" if partition is None else f"partition {partition} waited"
            lines.append(f"  {at:6.1f} s  {seconds:5.1f} s without ({steady:4.1f} s steady), "
                         f"{where}: {what}")
        return "\n".join(lines)


def figures(history, noticeable=0.5):
    """How much was done, and how long partitions took nothing, by fault."""
    sends = history.sends.values()
    count = Counter(one.outcome for one in sends)
    polls = [one for one in history.polls if one.records]
    acknowledged = history.acknowledged()
    started = min((one.invoked for one in sends), default=0.0)
    ended = max((one.invoked for one in sends), default=0.0)
    gaps = []  # of (from, seconds, partition)
    times = defaultdict(list)
    for send in acknowledged:
        times[send.partition].append(send.ended)
    for partition, ends in times.items():
        ends = [started, *sorted(ends)]
        gaps += [(a, b - a, partition) for a, b in zip(ends, ends[1:]) if b - a > noticeable]
    faults = sorted(history.faults)
    windows = []
    for n, (at, what, _) in enumerate(faults):
        until = faults[n + 1][0] if n + 1 < len(faults) else float("inf")
        # What began shortly before is the time between two acknowledgements.
        mine = [gap for gap in gaps if at - noticeable <= gap[0] < until - noticeable]
        since, seconds, partition = max(mine, key=lambda gap: gap[1], default=(0, 0.0, None))
        windows.append((what, at - started, partition, seconds,
                        undisturbed(faults, since, seconds)))
    waits = sorted((one.ended - one.invoked) * 1000 for one in acknowledged) or [0.0]
    return Figures(
        ended - started, count["ok"], count["fail"], count["unknown"] + count["open"], len(polls),
        sum(len(one.records) for one in polls), max((gap[1] for gap in gaps), default=0.0),
        max((undisturbed(faults, since, seconds) for since, seconds, _ in gaps), default=0.0),
        windows, (waits[len(waits) // 2], waits[len(waits) * 99 // 100]))


def undisturbed(faults, since, seconds):
    """Of so many seconds the longest stretch in which a majority ran in touch, and nothing was done
    to it: what brokers and clients took to get over the last thing that was."""
    longest, begun, until = 0.0, since, since + seconds
    for at, _, majority in [*faults, (until, "the end", False)]:
        if at > until:
            continue
        if at > since and begun is not None:
            longest = max(longest, at - begun)
        begun = max(at, since) if majority else None
    return longest


def verdict(history):
    """None, or in words why this run does not hold or does not count."""
    found = check(history)
    if found:
        kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(
            one.kind for one in found).most_common())
        shown, listed = Counter(), []
        for one in found:
            shown[one.kind] += 1
            if shown[one.kind] <= 5:
                listed.append(str(one))
        return "\n".join([f"the history does not hold ({kinds}):", *listed])
    seen = figures(history)
    if seen.rate < LEAST_RATE:
        return (f"the run does not count: {seen.rate:.0f} operations a second, and fewer than "
                f"{LEAST_RATE} prove little")
    return None
