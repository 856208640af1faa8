"""Whatever one client writes, each client reads: every byte, in order, at its offset."""

import dataclasses

import pytest

from clients import CLIENTS, CODECS, by_partition, read, rows, write
from segments import batches

KAFKA_CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def without(rows, **what):
    return [dataclasses.replace(row, **what) for row in rows]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("writer", CLIENTS)
def test_every_client_reads_what_one_wrote(three, topic_in, writer, codec):
    written_and_read(three, topic_in, writer, codec)


@pytest.mark.parametrize("writer", CLIENTS)
def test_on_one_broker(one, topic_in, writer):
    written_and_read(one, topic_in, writer, "zstd")


def written_and_read(cluster, topic_in, writer, codec):
    partitions = 3
    topic = topic_in(cluster, partitions)
    written = rows(300, partitions, writer=writer)
    places = write(writer, cluster, topic, written, codec)
    expected = by_partition(written)
    if places is not None:
        assert sorted(places) == sorted(
            (row.partition, row.offset) for part in expected.values() for row in part)
    for reader in CLIENTS:
        found = read(reader, cluster, topic, len(written), partitions)
        for number in range(partitions):
            mine, theirs = expected[number], found[number]
            if writer == "kcat":  # timestamps are the writer's clock
                mine, theirs = without(mine, timestamp=0), without(theirs, timestamp=0)
            if reader == "kcat":
                mine, theirs = without(mine, headers=()), without(theirs, headers=())
            assert theirs == mine, reader
    used = {batch.codec for number in range(partitions)
            for batch in batches(cluster, topic, number)}
    assert KAFKA_CODECS[codec] in used
    # A writer may leave a batch that does not get smaller as it is.
    assert used <= {0, KAFKA_CODECS[codec]}
