"""What the brokers have on disk, read without them: the headers of record batches."""

import dataclasses
import struct

HEADER = struct.Struct(">qiibIhiqqqhii")  # Kafka's documentation, "Record Batch"


@dataclasses.dataclass(frozen=True)
class Batch:
    base_offset: int
    length: int
    leader_epoch: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    count: int
    body: bytes

    @property
    def codec(self):
        return self.attributes & 7


def directory(broker, topic, partition):
    """Where a broker keeps a partition."""
    return broker.data / f"{topic}-{partition}"


def batches_of(broker, topic, partition):
    found = []
    for path in sorted(directory(broker, topic, partition).glob("*.log")):
        data, at = path.read_bytes(), 0
        while at + HEADER.size <= len(data):
            (base, length, epoch, magic, crc, attributes, last, first, most, producer,
             producer_epoch, sequence, count) = HEADER.unpack_from(data, at)
            assert magic == 2
            assert at + 12 + length <= len(data), "a torn batch"
            found.append(Batch(base, length, epoch, crc, attributes, last, first, most, producer,
                               producer_epoch, sequence, count,
                               data[at + HEADER.size:at + 12 + length]))
            at += 12 + length
        assert at == len(data), "a torn batch"
    return found


def batches(cluster, topic, partition=0):
    """The batches of a partition as its leader has them."""
    from admin import leader_of
    return batches_of(leader_of(cluster, topic, partition), topic, partition)
