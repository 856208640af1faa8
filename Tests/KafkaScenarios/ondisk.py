"""What stands in a broker's directory, read by its format alone: Kafka's documentation and message
definitions, and no code of the broker. Everything that has a checksum is checked against it."""

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

HEADER = struct.Struct(">qiibIhiqqqhii")
CONTROL, COMPRESSION, APPEND_TIME = 0x20, 0x07, 0x08

# Keys of control records.
LEADER_CHANGE, SNAPSHOT_HEADER, SNAPSHOT_FOOTER = 2, 3, 4

METADATA = {0: "RegisterBroker", 1: "UnregisterBroker", 2: "Topic", 3: "Partition", 4: "Config",
            5: "PartitionChange", 7: "FenceBroker", 8: "UnfenceBroker", 9: "RemoveTopic",
            12: "FeatureLevel", 15: "ProducerIds", 17: "BrokerRegistrationChange", 20: "NoOp",
            27: "RegisterController", 28: "ClearElr"}


def _table():
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        yield n


CASTAGNOLI = list(_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CASTAGNOLI[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


# The answer that the checksum's definition (RFC 3720) gives.
assert crc32c(b"123456789") == 0xE3069283


@dataclass(frozen=True)
class Batch:
    position: int
    size: int
    base: int
    last: int
    epoch: int
    attributes: int
    base_timestamp: int
    max_timestamp: int
    producer: int
    producer_epoch: int
    base_sequence: int
    count: int
    body: bytes

    @property
    def is_control(self):
        return bool(self.attributes & CONTROL)

    def records(self):
        """(offset, timestamp, key, value) of each."""
        codec = self.attributes & COMPRESSION
        assert codec in (0, 1), f"codec {codec} is not read here"
        reader = Reader(gzip.decompress(self.body) if codec else self.body)
        found = []
        for _ in range(self.count):
            length = reader.varint()
            end = reader.at + length
            assert reader.take(1) == b"\0", "attributes of a record"
            when, delta = self.base_timestamp + reader.varint(), reader.varint()
            key, value = reader.sized(), reader.sized()
            for _ in range(reader.varint()):
                reader.sized(), reader.sized()
            assert reader.at == end, "a record's length"
            found.append((self.base + delta, when, key, value))
        assert reader.at == len(reader.data), "bytes behind the last record"
        assert [one[0] for one in found] == sorted({one[0] for one in found})
        return found


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert 0 <= count <= len(self.data) - self.at, "it ends too early"
        self.at += count
        return self.data[self.at - count:self.at]

    def unsigned(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def varint(self):
        value = self.unsigned()
        return value >> 1 ^ -(value & 1)

    def sized(self):
        length = self.varint()
        return None if length < 0 else self.take(length)


def batches(path):
    """Every batch of a segment, or of a snapshot of metadata: they have the same form."""
    data, at, found = Path(path).read_bytes(), 0, []
    while at < len(data):
        assert len(data) - at >= HEADER.size, f"{path}: a torn header at {at}"
        (base, length, epoch, magic, crc, attributes, delta, first, most, producer,
         producer_epoch, sequence, count) = HEADER.unpack_from(data, at)
        end = at + 12 + length
        assert magic == 2 and end <= len(data), f"{path}: a torn batch at {at}"
        # The checksum covers all behind itself; offset and epoch are the broker's to set.
        assert crc == crc32c(data[at + 21:end]), f"{path}: the checksum of the batch at {at}"
        found.append(Batch(at, end - at, base, base + delta, epoch, attributes, first, most,
                           producer, producer_epoch, sequence, count,
                           data[at + HEADER.size:end]))
        at = end
    for one, other in zip(found, found[1:]):
        assert one.last < other.base and one.epoch <= other.epoch, f"{path}: {one}, {other}"
    return found


def segments(folder):
    """Base offset -> path without its suffix, in order."""
    return {int(path.stem): path.with_suffix("") for path in sorted(Path(folder).glob("*.log"))}


def entries(path, form):
    form = struct.Struct(form)
    data = Path(path).read_bytes()
    assert len(data) % form.size == 0, f"{path}: {len(data)} bytes"
    return list(form.iter_unpack(data))


def offset_index(path):
    """(relative offset, position)"""
    return entries(path, ">ii")


def time_index(path):
    """(timestamp, relative offset)"""
    return entries(path, ">qi")


@dataclass(frozen=True)
class Producer:
    id: int
    epoch: int
    last_sequence: int
    last_offset: int
    offset_delta: int
    timestamp: int
    coordinator_epoch: int
    transaction_first_offset: int


def producers(path):
    data = Path(path).read_bytes()
    version, crc, count = struct.unpack_from(">hIi", data)
    assert version == 1 and crc == crc32c(data[6:]), f"{path}: version or checksum"
    form = struct.Struct(">qhiqiqiq")
    assert len(data) == 10 + count * form.size, f"{path}: {len(data)} bytes, {count} producers"
    return [Producer(*one) for one in form.iter_unpack(data[10:])]


def checkpoint(path):
    """The words of each entry."""
    version, count, *lines = Path(path).read_text().splitlines()
    assert version == "0" and int(count) == len(lines), f"{path}: {version}, {count}"
    return [line.split(" ") for line in lines]


def offsets(path):
    """(topic, partition) -> offset"""
    return {(topic, int(n)): int(offset) for topic, n, offset in checkpoint(path)}


def properties(path):
    lines = [one for one in Path(path).read_text().splitlines() if not one.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def metadata(batch):
    """(offset, type, body) of the records of a batch of the metadata log; the type of a control
    record is its key's number."""
    for offset, _, key, value in batch.records():
        if batch.is_control:
            version, kind = struct.unpack(">hh", key)
            assert version == 0
            yield offset, kind, value
            continue
        assert key is None
        reader = Reader(value)
        # Of the frame, then of the message; none of our records is of a later one.
        assert reader.unsigned() == 1, "the version of a record's frame"
        kind = reader.unsigned()
        assert reader.unsigned() <= 4, "the version of a record"
        assert kind in METADATA, f"a record of type {kind}"
        yield offset, METADATA[kind], value[reader.at:]


def metadata_log(folder):
    """The same, of all segments of a node's metadata log."""
    for stem in segments(Path(folder) / "__cluster_metadata-0").values():
        for batch in batches(stem.with_suffix(".log")):
            yield from metadata(batch)


def snapshots(folder):
    """(end offset, epoch) -> path, of the snapshots beside a metadata log."""
    found = {}
    for path in sorted((Path(folder) / "__cluster_metadata-0").glob("*.checkpoint")):
        offset, epoch = path.stem.split("-")
        assert (len(offset), len(epoch)) == (20, 10), path
        found[int(offset), int(epoch)] = path
    return found
