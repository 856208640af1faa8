"""A steady load of numbered records from an idempotent producer, and the reckoning afterwards."""

import threading
import time

import confluent_kafka

from lab import wait_until

from admin import quiet
from clients import read_confluent


class Load:
    """Sends to every partition of a topic, in a thread, until it is stopped."""

    def __init__(self, cluster, topic, partitions, per_second=1000, **conf):
        self.cluster, self.topic, self.partitions = cluster, topic, partitions
        self.per_second = per_second
        self.sent = [0] * partitions
        self.acknowledged = [[] for _ in range(partitions)]
        self.failed, self.slowest = [], 0.0
        self.producer = confluent_kafka.Producer(quiet(cluster, **{
            "enable.idempotence": True, "acks": "all", "linger.ms": 5,
            "message.timeout.ms": 60_000, "reconnect.backoff.max.ms": 500,
            "topic.metadata.refresh.fast.interval.ms": 50, "retry.backoff.ms": 50,
            "retry.backoff.max.ms": 200, **conf}))
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        start, count = time.monotonic(), 0
        while not self._stop.is_set():
            due = int((time.monotonic() - start) * self.per_second)
            while count < due:
                self._send(count % self.partitions)
                count += 1
            self.producer.poll(0.005)

    def _send(self, partition):
        number, sent_at = self.sent[partition], time.monotonic()

        def delivered(error, message):
            if error is not None:
                self.failed.append((partition, number, error.str()))
                return
            self.acknowledged[partition].append((number, message.offset()))
            self.slowest = max(self.slowest, time.monotonic() - sent_at)

        self.producer.produce(self.topic, b"%d" % number, partition=partition,
                              on_delivery=delivered)
        self.sent[partition] += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        self.thread.join()

    @property
    def count(self):
        return sum(map(len, self.acknowledged))

    def goes_on(self, records=300, seconds=40):
        """Until every partition has had news acknowledged."""
        before = [len(one) for one in self.acknowledged]
        each = records // self.partitions
        wait_until(lambda: all(len(now) >= then + each for now, then
                               in zip(self.acknowledged, before)),
                   seconds, f"{each} more records of each partition to be acknowledged")

    def finish(self, seconds=40):
        """Everything sent is acknowledged, in order; and it is there, once, in order."""
        self.__exit__()
        assert self.producer.flush(seconds) == 0
        assert not self.failed, self.failed[:5]
        found = read_confluent(self.cluster, self.topic, sum(self.sent), self.partitions)
        for partition in range(self.partitions):
            rows = found[partition]
            assert [int(row.value) for row in rows] == list(range(self.sent[partition]))
            told = dict(self.acknowledged[partition])
            assert told == {int(row.value): row.offset for row in rows}
