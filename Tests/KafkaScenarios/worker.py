"""What runs in an attached namespace: senders and readers that write down what they do (see
history.py), and questions to the cluster. How it goes is told in lines of JSON on standard output;
SIGTERM ends a sender or a reader in good order."""

import argparse
import functools
import hashlib
import json
import os
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TICK = 0.25
TOO_LARGE, TOO_EARLY = 40, 70  # every so manieth send of the plain sender must fail
LARGEST = 65_536  # max.message.bytes of the topic
SHORT, LONG = 20, 900  # seconds that a send may take

# Answers that say: this record can never be in the log.
REFUSED = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_TIMESTAMP, KafkaError.INVALID_RECORD,
           KafkaError.INVALID_MSG, KafkaError._INVALID_DIFFERENT_RECORD}


def payload(value, size=120):
    """Begins with the value, and proves that it arrived whole."""
    head = f"{value} "
    digest = hashlib.sha256(head.encode()).hexdigest()
    return (head + digest * (size // len(digest) + 1))[:size].encode()


def value_of(data):
    """The value of a payload, or None of something else."""
    if data is None:
        return None
    head = data.split(b" ", 1)[0].decode(errors="replace")
    return head if data == payload(head, len(data)) else None


class Worker:
    def __init__(self, args):
        self.args, self.is_ending = args, False
        self.next_tick = 0.0
        self.history = open(args.history, "w", buffering=1 << 16) if args.history else None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.end)

    def end(self, number, frame):
        self.is_ending = True

    def settings(self, **more):
        # As Docs/Faults.md says for a slice: librdkafka waits a minute for an answer, and up to ten
        # seconds before it connects again.
        return {"bootstrap.servers": self.args.bootstrap, "client.id": self.args.name,
                "socket.timeout.ms": 3000, "socket.connection.setup.timeout.ms": 2000,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 0, "error_cb": self.went_wrong, **more}

    def went_wrong(self, error):
        if error.fatal():
            self.say(fatal=str(error))
        elif self.history:
            self.write(kind="note", at=time.time(), error=error.str())

    def write(self, **line):
        self.history.write(json.dumps({"t": time.monotonic(), **line}) + "\n")

    def say(self, **words):
        print(json.dumps(words), flush=True)

    def is_time(self):
        now = time.monotonic()
        if now < self.next_tick:
            return False
        self.next_tick = now + TICK
        return True


class Send(Worker):
    """Idempotent, or `plain`. The idempotent one is given the time that every fault takes: when a
    message runs out of time, librdkafka begins a new epoch of the producer and sends what else was
    under way again in it, and no broker can tell that from something new. The plain one also sends
    what must be refused, at whatever attempt: of that it knows that it failed. What was in a batch
    with it may be in the log all the same: an attempt before may have put it there."""

    def run(self):
        self.sent = self.ended = self.acknowledged = 0
        settings = {"acks": "all", "message.send.max.retries": 2, "linger.ms": 1,
                    "message.timeout.ms": SHORT * 1000}
        if not self.args.plain:
            settings = {"enable.idempotence": True, "message.timeout.ms": LONG * 1000}
        self.producer = Producer(self.settings(**settings, **{
            # A leader that falls silent breaks no connection: nothing else tells of the next one.
            "request.timeout.ms": 3000, "topic.metadata.refresh.interval.ms": 1000,
            # No batch is refused for its size but by a record's.
            "batch.size": LARGEST // 2}))
        self.refusable = set()
        started = time.monotonic()
        while not self.is_ending:
            due = int((time.monotonic() - started) * self.args.rate)
            while self.sent < due and len(self.producer) < 20_000:
                self.send(self.sent)
                self.sent += 1
            self.producer.poll(0.003)
            if self.is_time():
                self.report()
        deadline = time.monotonic() + SHORT + 20
        while len(self.producer) and time.monotonic() < deadline:
            self.producer.poll(0.05)
        self.history.close()
        self.report(is_done=True, waiting=len(self.producer))

    def send(self, number):
        args = self.args
        value, partition = f"{args.name}/{number}", number % args.partitions
        size, when = 120, int(time.time() * 1000)
        if args.plain and number % TOO_LARGE == TOO_LARGE - 1:
            size = LARGEST + 1000
        elif args.plain and number % TOO_EARLY == TOO_EARLY - 1:
            when += 7_200_000
        if size != 120 or when > time.time() * 1000 + 3_700_000:
            self.refusable.add(value)
        self.write(kind="invoke", op="send", value=value, partition=partition, once=not args.plain)
        try:
            self.producer.produce(args.topic, payload(value, size), partition=partition,
                                  timestamp=when, on_delivery=functools.partial(self.end_of, value))
        except (BufferError, KafkaException) as error:
            self.ended += 1
            self.write(kind="fail", op="send", value=value, error=str(error))

    def end_of(self, value, error, message):
        self.ended += 1
        if error is None:
            self.acknowledged += 1
            offset = message.offset()
            self.write(kind="ok", op="send", value=value, offset=-1 if offset is None else offset)
            return
        refused = value in self.refusable and error.code() in REFUSED
        self.write(kind="fail" if refused else "unknown", op="send", value=value,
                   error=error.name())

    def report(self, **more):
        self.say(sent=self.sent, ended=self.ended, acknowledged=self.acknowledged, **more)


class Read(Worker):
    """A member of a group, or by itself: then it reads every partition from the beginning, and
    that an offset is not there is an error."""

    def run(self):
        args = self.args
        self.ends = {}
        settings = {"group.id": args.group or f"alone-{args.name}", "client.rack": args.rack,
                    "auto.offset.reset": "earliest" if args.group else "error",
                    "enable.auto.commit": bool(args.group), "auto.commit.interval.ms": 500,
                    "fetch.wait.max.ms": 100, "session.timeout.ms": 6000,
                    # A JoinGroup may wait so long, also on a connection that has fallen silent.
                    "max.poll.interval.ms": 10_000}
        consumer = Consumer(self.settings(**settings))
        if args.group:
            consumer.subscribe([args.topic], on_assign=self.assigned)
        else:
            mine = [TopicPartition(args.topic, n, 0) for n in range(args.partitions)]
            consumer.assign(mine)
            self.assigned(consumer, mine)
        while not self.is_ending:
            records = []
            for message in consumer.consume(500, 0.05):
                if message.error() is None:
                    partition, offset = message.partition(), message.offset()
                    records.append((partition, offset, value_of(message.value())))
                    self.ends[partition] = offset + 1
                elif message.error().code() == KafkaError._AUTO_OFFSET_RESET:
                    self.say(fatal=str(message.error()))
            if records:
                self.write(kind="ok", op="poll", worker=args.name, group=args.group,
                           records=records)
            if self.is_time():
                self.say(ends=self.ends)
        self.history.close()
        self.say(ends=self.ends, is_done=True)
        os._exit(0)  # without taking leave of the group: it has to bear that

    def assigned(self, consumer, partitions):
        self.write(kind="assign", worker=self.args.name, group=self.args.group,
                   partitions=[one.partition for one in partitions])


class Create(Worker):
    def run(self):
        admin = AdminClient(self.settings())
        topic = NewTopic(self.args.topic, self.args.partitions, 3, config={
            "min.insync.replicas": "2", "max.message.bytes": str(LARGEST)})
        admin.create_topics([topic], operation_timeout=10)[self.args.topic].result(15)


class Leaders(Worker):
    """Partition -> leader, and the in-sync replicas, as one broker tells them."""

    def run(self):
        found = AdminClient(self.settings()).list_topics(self.args.topic, timeout=5)
        partitions = found.topics[self.args.topic].partitions
        self.say(leaders={n: one.leader for n, one in sorted(partitions.items())},
                 in_sync={n: sorted(one.isrs) for n, one in sorted(partitions.items())})


class Ends(Worker):
    """Partition -> the offset behind its last record."""

    def run(self):
        consumer = Consumer(self.settings(**{"group.id": "ends"}))
        ends = {n: consumer.get_watermark_offsets(TopicPartition(self.args.topic, n), 10)[1]
                for n in range(self.args.partitions)}
        consumer.close()
        self.say(ends=ends)


def main():
    roles = {one.__name__.lower(): one for one in (Send, Read, Create, Leaders, Ends)}
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=roles)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("--name", default="worker")
    parser.add_argument("--history")
    parser.add_argument("--partitions", type=int, default=3)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--group")
    parser.add_argument("--rack", default="")
    args = parser.parse_args()
    return roles[args.role](args).run()


if __name__ == "__main__":
    sys.exit(main())
