"""Members of consumer groups, each in a thread of its own: what they own, what they have read."""

import asyncio
import threading

import aiokafka
import confluent_kafka
import kafka
from aiokafka.coordinator.assignors import range as aiokafka_range
from kafka.coordinator.assignors.range import RangePartitionAssignor

from lab import wait_until

from admin import quiet

PATIENCE = 20


class Member:
    """A consumer that polls until it is stopped. `owned` is told by its rebalance callbacks."""

    def __init__(self, cluster, group, topics, **conf):
        self.cluster, self.group, self.topics, self.conf = cluster, group, list(topics), conf
        self.owned, self.rows, self.errors = set(), [], []
        self.assignments, self.revocations, self.losses = [], [], []
        self._stop = threading.Event()
        self._leave = True
        self.thread = threading.Thread(target=self._body, daemon=True)
        self.thread.start()

    def _body(self):
        try:
            self.run()
        except Exception as error:  # told by `stop`, in the thread of the test
            self.errors.append(error)

    def stop(self, leave=True):
        """Closes the consumer; without `leave` it is gone without a word, where that can be."""
        self._leave = leave
        self._stop.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "a consumer that does not end"
        assert not self.errors, self.errors

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.thread.is_alive():
            if kind is None:
                self.stop()
            else:
                self._stop.set()

    @property
    def is_stopping(self):
        return self._stop.is_set()

    def assigned(self, partitions):
        partitions = set(partitions)
        self.assignments.append(partitions)
        self.owned = self.owned | partitions

    def revoked(self, partitions):
        partitions = set(partitions)
        self.revocations.append(partitions)
        self.owned = self.owned - partitions


class ConfluentMember(Member):
    def run(self):
        consumer = confluent_kafka.Consumer(quiet(self.cluster, **{
            "group.id": self.group, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50,
            "session.timeout.ms": 6000, "heartbeat.interval.ms": 100,
            "topic.metadata.refresh.interval.ms": 1000, **self.conf}))

        def places(partitions):
            return [(p.topic, p.partition) for p in partitions]

        def lost(_, partitions):
            self.losses.append(set(places(partitions)))
            self.owned = self.owned - set(places(partitions))

        consumer.subscribe(
            self.topics, on_assign=lambda _, p: self.assigned(places(p)),
            on_revoke=lambda _, p: self.revoked(places(p)), on_lost=lost)
        while not self.is_stopping:
            message = consumer.poll(0.05)
            if message is None:
                continue
            if message.error():
                if message.error().code() == confluent_kafka.KafkaError._FATAL:
                    self.errors.append(message.error())
                    break
                continue
            self.rows.append((message.partition(), message.offset(), message.value()))
        consumer.close()


class KafkaPythonMember(Member):
    def run(self):
        member = self

        class Listener(kafka.ConsumerRebalanceListener):
            def on_partitions_assigned(self, assigned):
                member.assigned((p.topic, p.partition) for p in assigned)

            def on_partitions_revoked(self, revoked):
                member.revoked((p.topic, p.partition) for p in revoked)

        consumer = kafka.KafkaConsumer(
            bootstrap_servers=self.cluster.bootstrap.split(","), group_id=self.group,
            fetch_max_wait_ms=50, **{
                "auto_offset_reset": "earliest", "session_timeout_ms": 6000,
                "heartbeat_interval_ms": 100, "metadata_max_age_ms": 1000, **self.conf})
        consumer.subscribe(self.topics, listener=Listener())
        # A leader assigns by what it knew at its last update of metadata, which is nothing before
        # the first, and joins again when it knows more. If `poll` runs out of time while it does,
        # and the assignment has been made, it forgets the join that is under way (3.0.12: its
        # `need_rejoin` is false from then on) and hangs: no heartbeat, no partitions, for ever.
        wait_until(lambda: consumer.topics() >= set(self.topics), PATIENCE, "the topics")
        while not self.is_stopping:
            for rows in consumer.poll(200).values():
                self.rows += [(row.partition, row.offset, row.value) for row in rows]
        consumer.close()


class AiokafkaMember(Member):
    def run(self):
        asyncio.run(self.go())

    async def go(self):
        member = self

        class Listener(aiokafka.ConsumerRebalanceListener):
            def on_partitions_assigned(self, assigned):
                member.assigned((p.topic, p.partition) for p in assigned)

            def on_partitions_revoked(self, revoked):
                member.revoked((p.topic, p.partition) for p in revoked)

        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self.cluster.bootstrap, group_id=self.group, fetch_max_wait_ms=50,
            **{"auto_offset_reset": "earliest", "session_timeout_ms": 6000,
               "heartbeat_interval_ms": 100, "metadata_max_age_ms": 1000, **self.conf})
        consumer.subscribe(self.topics, listener=Listener())
        await consumer.start()
        while not self.is_stopping:
            for rows in (await consumer.getmany(timeout_ms=50)).values():
                self.rows += [(row.partition, row.offset, row.value) for row in rows]
        await consumer.stop()


KINDS = {"confluent": ConfluentMember, "kafka_python": KafkaPythonMember,
         "aiokafka": AiokafkaMember}
# The same assignor for all.
RANGE = {
    "confluent": {"partition.assignment.strategy": "range"},
    "kafka_python": {"partition_assignment_strategy": [RangePartitionAssignor]},
    "aiokafka": {"partition_assignment_strategy": [aiokafka_range.RangePartitionAssignor]},
}


def shared_out(members, topic, partitions):
    """Whether the members own all partitions, each once, and each member has its share."""
    owned = [place for member in members for place in member.owned]
    return (sorted(owned) == [(topic, n) for n in range(partitions)]
            and max(len(m.owned) for m in members) - min(len(m.owned) for m in members) <= 1)


def wait_shared_out(members, topic, partitions, seconds=PATIENCE):
    def there():
        for member in members:
            assert not member.errors, member.errors
        return shared_out(members, topic, partitions)
    wait_until(there, seconds, "the partitions to be shared out")
