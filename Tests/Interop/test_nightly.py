"""By patience: sessions are renewed after two minutes (paper 6.2). `pytest -m nightly`."""

import time

import pytest

from ends import Pair
from lab import wait_until
from traffic import Flow, Stream, Tap, content

# Beyond REKEY_AFTER_TIME (120 s), and REJECT_AFTER_TIME (180 s), when the first keys are gone.
SECONDS = 200

pytestmark = pytest.mark.nightly


@pytest.mark.parametrize("initiator", [0, 1], ids=["ours-began", "theirs-began"])
def test_rekey_under_traffic(lab, initiator):
    """One connection each way, and a session renewed under both: no byte is lost or changed, and
    the sender is never still for as long as a lost session would make it."""
    pair = Pair(lab, initiator=initiator)
    there = Flow(*pair.spaces(initiator), pair.inner(1 - initiator), seed="there")
    back = Flow(*pair.spaces(1 - initiator), pair.inner(initiator, 6), seed="back")
    ends = pair.ends[initiator], pair.ends[1 - initiator]
    with there, back, Tap(ends[0].namespace) as tap:
        first = ends[0].handshake_age(ends[1].public)
        started = time.monotonic()
        initiations = set()
        while time.monotonic() - started < SECONDS:
            there.goes_on()
            back.goes_on()
            initiations |= {message for message, _, _ in tap.messages(True, 1)}
            tap.packets.clear()
            time.sleep(0.1)
        assert ends[0].handshake_age(ends[1].public) > first
        assert ends[1].handshake_age(ends[0].public) > first
        # Once, perhaps twice when they cross: not for every packet.
        assert 1 <= len(initiations) <= 3


@pytest.mark.parametrize("kinds", [("ours", "theirs"), ("theirs", "ours")], ids="-".join)
def test_an_idle_tunnel_wakes_up(lab, kinds):
    """After the keys have expired the first packet begins anew."""
    pair = Pair(lab, kinds)
    with Stream(*pair.spaces(), pair.inner(1), timeout=SECONDS + 60) as stream:
        stream.send(content("before", 100_000))
        wait_until(lambda: stream.received == stream.sent, 20, "the first half")
        first = pair.left.handshake_age(pair.right.public)
        time.sleep(SECONDS)
        assert pair.left.handshake_age(pair.right.public) == first
        stream.send(content("after", 100_000))
        stream.finish()
    assert pair.left.handshake_age(pair.right.public) > first
