"""Tests of these tests: that they see what they are there to see."""

import pytest

from ends import Pair
from lab import Lab, LabError
from traffic import (Damaged, Injector, Tap, bound_udp, echo, exchange, exchange_patiently,
                     receive_all, transfer)


@pytest.fixture(scope="module")
def pair():
    with Lab() as made:
        yield Pair(made)


def flip(data, at):
    damaged = bytearray(data)
    damaged[at] ^= 1
    return bytes(damaged)


@pytest.mark.parametrize("size, at", [(1, 0), (64, 0), (64, 63), (1392, 700), (9001, 9000)])
def test_one_flipped_bit_of_a_datagram_is_seen(pair, size, at):
    with pytest.raises(Damaged):
        exchange(*pair.spaces(), pair.inner(1), [size], tamper=lambda data: flip(data, at))


def test_a_short_datagram_is_seen(pair):
    with pytest.raises(Damaged):
        exchange(*pair.spaces(), pair.inner(1), [64], tamper=lambda data: data[:-1])


def test_one_flipped_bit_in_a_million_bytes_is_seen(pair):
    hits = iter(range(100))
    with pytest.raises(Damaged):
        transfer(*pair.spaces(), pair.inner(1), 1_000_000,
                 tamper=lambda block: flip(block, 77) if next(hits) == 9 else block)


def test_a_missing_and_a_repeated_block_are_seen(pair):
    for change in (lambda block: block[:-1], lambda block: block + block):
        with pytest.raises(Damaged):
            transfer(*pair.spaces(), pair.inner(1), 100_000, tamper=change)


def test_two_swapped_blocks_are_seen(pair):
    held = []

    def swap(block):
        held.append(block)
        return {0: b"", 1: held[-1] + held[0]}.get(len(held) - 1, block)

    with pytest.raises(Damaged):
        transfer(*pair.spaces(), pair.inner(1), 300_000, tamper=swap)


def test_nobody_there_is_seen(pair):
    with pytest.raises((LabError, OSError)):
        echo(pair.left.namespace, "10.90.0.99", [8], timeout=0.3)


def test_a_second_delivery_is_seen(pair):
    """The replay tests count what arrives: twice is twice."""
    left, right = pair.wire.nodes
    with bound_udp(right, "10.82.0.2") as server, \
            Injector(left, ("10.82.0.1", 4242), server.getsockname()) as inject:
        inject.send(b"same")
        inject.send(b"same")
        assert receive_all(server, 2) == [b"same", b"same"]


def test_the_tap_sees_what_the_wire_carries(pair):
    exchange_patiently(*pair.spaces(), pair.inner(1), [64])
    with Tap(pair.left.namespace) as tap:
        exchange(*pair.spaces(), pair.inner(1), [64])
        found = [len(message) for message, _, _ in tap.wait_for(1, outgoing=True, kind=4)]
        # 64 bytes, 28 of headers, padded to 96, and 32 of WireGuard.
        assert 128 in found
        assert b"content" not in b"".join(packet for _, packet in tap.packets)
