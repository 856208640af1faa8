"""A producer or a consumer as any application has it, inside an attached namespace: librdkafka by
way of confluent-kafka. What it did, record by record, goes to a file; how it goes, every quarter of
a second, to standard output as a line of JSON. SIGTERM ends it in good order."""

import argparse
import functools
import hashlib
import json
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

TICK = 0.25
ACCOUNTS = 48


def value(mark, producer, number, size):
    """Tells whose it is and which one, and proves that it arrived whole."""
    head = f"{mark} {producer} {number} "
    filler = hashlib.sha256(head.encode()).hexdigest()
    return (head + filler * (size // len(filler) + 1))[:size].encode()


class Worker:
    def __init__(self, args):
        self.args, self.is_ending = args, False
        self.next_tick = time.monotonic()
        self.ledger = open(args.ledger, "w", buffering=1 << 16) if args.ledger else None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.end)

    def end(self, number, frame):
        self.is_ending = True

    def settings(self, **more):
        settings = {"bootstrap.servers": self.args.bootstrap, "client.id": self.args.name,
                    "error_cb": self.went_wrong, "log_level": "0", **more}
        for one in self.args.set:
            key, _, setting = one.partition("=")
            settings[key] = setting
        return settings

    def went_wrong(self, error):
        if error.fatal():
            self.say(fatal=str(error))

    def say(self, **words):
        print(json.dumps({"at": time.monotonic(), **words}), flush=True)

    def tick(self):
        """Whether it is time to say how it goes."""
        now = time.monotonic()
        if now < self.next_tick:
            return False
        self.next_tick = now + TICK
        return True


class Produce(Worker):
    def run(self):
        self.sent = self.acknowledged = self.failed = 0
        self.latencies, self.ends, self.error = [], {}, None
        self.producer = Producer(self.settings(**{"enable.idempotence": "true", "acks": "all"}))
        started = time.monotonic()
        while not self.is_ending:
            due = int((time.monotonic() - started) * self.args.rate)
            while self.sent < due:
                self.send(self.sent)
                self.sent += 1
            self.producer.poll(0.002)
            if self.tick():
                self.report()
        deadline = time.monotonic() + self.args.seconds
        while len(self.producer) and time.monotonic() < deadline:
            self.producer.poll(0.05)
            if self.tick():
                self.report()
        self.ledger.close()
        self.report()
        self.say(ended=True, waiting=len(self.producer))

    def send(self, number):
        args = self.args
        data = value(args.mark, args.name, number, args.size)
        if args.fault == "forget" and number == 1000:
            # Says that it was acknowledged, and never sends it.
            self.ledger.write(f"{number} 0 -1 {time.monotonic():.6f} {time.monotonic():.6f}\n")
            return
        if args.fault == "swap" and number in (1000, 1000 + ACCOUNTS):
            # Changes places with the next one of the same account.
            number = 2000 + ACCOUNTS - number
            data = value(args.mark, args.name, number, args.size)
        for _ in range(2 if args.fault == "twice" and number == 1000 else 1):
            self.producer.produce(
                args.topic, data, key=f"account-{number % ACCOUNTS}".encode(),
                on_delivery=functools.partial(self.delivered, number, time.monotonic()))

    def delivered(self, number, sent, error, message):
        now = time.monotonic()
        if error is not None:
            self.failed += 1
            self.error = str(error)
            return
        partition, offset = message.partition(), message.offset()
        self.acknowledged += 1
        self.latencies.append(round((now - sent) * 1000, 2))
        self.ends[partition] = max(self.ends.get(partition, 0), offset + 1)
        self.ledger.write(f"{number} {partition} {offset} {sent:.6f} {now:.6f}\n")

    def report(self):
        self.say(sent=self.sent, acknowledged=self.acknowledged, failed=self.failed,
                 error=self.error, latencies=self.latencies, ends=self.ends)
        self.latencies = []


class Consume(Worker):
    def run(self):
        self.consumed, self.ends, self.mine = 0, {}, set()
        self.consumer = Consumer(self.settings(**{
            "group.id": self.args.group, "auto.offset.reset": "earliest",
            "client.rack": self.args.rack}))
        self.consumer.subscribe([self.args.topic], on_assign=self.assigned,
                                on_revoke=self.revoked, on_lost=self.revoked)
        while not self.is_ending:
            for message in self.consumer.consume(500, 0.05):
                if message.error() is None:
                    self.take(message)
            if self.tick():
                self.ledger.flush()
                self.report()
        self.ledger.close()
        self.report()
        self.consumer.close()
        self.say(ended=True)

    def take(self, message):
        data, partition, offset = message.value(), message.partition(), message.offset()
        try:
            mark, producer, number, _ = data.decode().split(" ", 3)
            is_whole = data == value(mark, producer, int(number), len(data))
        except ValueError:
            producer, number, is_whole = "-", -1, False
        self.consumed += 1
        self.ends[partition] = max(self.ends.get(partition, 0), offset + 1)
        self.ledger.write(f"{producer} {number} {partition} {offset} {time.monotonic():.6f} "
                          f"{int(is_whole)}\n")

    def assigned(self, consumer, partitions):
        self.mine |= {one.partition for one in partitions}

    def revoked(self, consumer, partitions):
        self.mine -= {one.partition for one in partitions}

    def report(self):
        self.say(consumed=self.consumed, ends=self.ends, assigned=sorted(self.mine))


class Create(Worker):
    """Makes the topic."""

    def run(self):
        admin = AdminClient(self.settings())
        topic = NewTopic(self.args.topic, self.args.partitions, self.args.replicas,
                         config={"min.insync.replicas": str(self.args.in_sync)})
        try:
            admin.create_topics([topic], request_timeout=10)[self.args.topic].result(15)
            self.say(created=self.args.topic)
        except KafkaException as error:
            self.say(error=str(error))
            return 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["produce", "consume", "create"])
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("--name", default="demo")
    parser.add_argument("--set", action="append", default=[], metavar="PROPERTY=VALUE",
                        help="a property of librdkafka")
    parser.add_argument("--ledger")
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--mark", default="demo")
    parser.add_argument("--seconds", type=float, default=20, help="for what is on its way")
    parser.add_argument("--fault", choices=["forget", "swap", "twice"])
    parser.add_argument("--group", default="demo")
    parser.add_argument("--rack", default="")
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--in-sync", type=int, default=2)
    args = parser.parse_args()
    return {"produce": Produce, "consume": Consume, "create": Create}[args.role](args).run()


if __name__ == "__main__":
    sys.exit(main())
