"""The books: what producers were told was written, and what was read. They are held against each
other record by record."""

import collections
import dataclasses


@dataclasses.dataclass(frozen=True)
class Acknowledged:
    producer: str
    number: int
    partition: int
    offset: int
    sent: float
    at: float

    @property
    def milliseconds(self):
        return (self.at - self.sent) * 1000


@dataclasses.dataclass(frozen=True)
class Read:
    producer: str
    number: int
    partition: int
    offset: int
    is_whole: bool = True


def acknowledged_by(producer, path):
    return [Acknowledged(producer, int(number), int(partition), int(offset), float(sent), float(at))
            for number, partition, offset, sent, at in rows(path)]


def read_by(path):
    return [Read(producer, int(number), int(partition), int(offset), whole == "1")
            for producer, number, partition, offset, _, whole in rows(path)]


def rows(path):
    if not path.exists():
        return
    with open(path) as file:
        for line in file:
            if line.endswith("\n"):  # a worker that was killed may have left half a line
                yield line.split()


class Verdict:
    """`reads` are those of all readers of one kind, each in the order in which it read."""

    def __init__(self, acknowledged, reads):
        self.acknowledged = len(acknowledged)
        where = collections.defaultdict(set)
        what, times = {}, collections.Counter()
        self.damaged, self.changed = [], []
        for reader in reads:
            for one in reader:
                place = one.partition, one.offset
                times[place] += 1
                if not one.is_whole:
                    self.damaged.append(place)
                elif what.setdefault(place, (one.producer, one.number)) != (
                        one.producer, one.number):
                    # Two readers, or one reader twice, found different records in one place.
                    self.changed.append(place)
                where[one.producer, one.number].add(place)
        self.read = len(what)
        # A group promises every record at least once: a member that takes over begins where the
        # last commit was. That is not a record written twice.
        self.read_again = sum(count - 1 for count in times.values())
        self.lost = [one for one in acknowledged
                     if (one.producer, one.number) not in where]
        self.elsewhere = [one for one in acknowledged
                          if (one.producer, one.number) in where
                          and (one.partition, one.offset) not in where[one.producer, one.number]]
        self.twice = sorted(record for record, places in where.items() if len(places) > 1)
        self.disorder = []
        last = {}
        for (partition, offset), (producer, number) in sorted(what.items()):
            if last.get((partition, producer), -1) >= number:
                self.disorder.append((partition, offset))
            last[partition, producer] = number
        known = {(one.producer, one.number) for one in acknowledged}
        self.unknown = sum(record not in known for record in where)
        self.places = what

    @property
    def is_good(self):
        return self.acknowledged > 0 and not (
            self.lost or self.elsewhere or self.twice or self.disorder or self.damaged
            or self.changed)


def percentile(sorted_values, share):
    if not sorted_values:
        return None
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


class Phase:
    """What the clients saw of a stretch of time, by when they were told of an acknowledgement."""

    def __init__(self, acknowledged, start, end, without=()):
        done = [one for one in acknowledged
                if start <= one.at < end and one.producer not in without]
        times = sorted(one.milliseconds for one in done)
        self.seconds = end - start
        self.rate = len(done) / self.seconds if self.seconds > 0 else 0
        self.median, self.p99 = percentile(times, 0.5), percentile(times, 0.99)
        self.slowest = times[-1] if times else None
        self.gap, self.partition = longest_gap(done, start, end)

    @property
    def facts(self):
        return {"seconds": rounded(self.seconds), "records_per_second": rounded(self.rate, 1),
                "p50_ms": rounded(self.median, 1), "p99_ms": rounded(self.p99, 1),
                "slowest_ms": rounded(self.slowest, 1), "longest_gap_seconds": rounded(self.gap),
                "longest_gap_partition": self.partition}


def rounded(value, digits=3):
    return None if value is None else round(value, digits)


def longest_gap(done, start, end):
    """(seconds, partition): the longest time in which no record of a partition was acknowledged."""
    longest, where = 0.0, None
    times = collections.defaultdict(list)
    for one in done:
        times[one.partition].append(one.at)
    for partition, these in sorted(times.items()):
        these = [start, *sorted(these), end]
        gap = max(b - a for a, b in zip(these, these[1:]))
        if gap > longest:
            longest, where = gap, partition
    return longest, where
