"""What is counted for a peer is what happened."""

import pytest

from ends import Pair
from lab import ping, wait_until
from traffic import exchange


@pytest.mark.parametrize("has_session", [False, True], ids=["handshakes", "packets"])
def test_what_cannot_be_sent_is_not_counted(lab, has_session):
    pair = Pair(lab)
    left, right = pair.ends
    if has_session:
        exchange(*pair.spaces(), pair.inner(1), [64])
    before = left.peer(right.public)["sent"]
    assert (int(before) > 0) == has_session
    left.namespace.ip(f"route add unreachable {pair.underlay(1)}/32")
    drops = ping(left.namespace, pair.inner(1), 5, patience=1)
    assert drops.received == 0
    assert left.peer(right.public)["sent"] == before
    left.namespace.ip(f"route del unreachable {pair.underlay(1)}/32")
    wait_until(lambda: ping(left.namespace, pair.inner(1), 1, patience=1).received, 15,
               "packets to pass again")
    assert int(left.peer(right.public)["sent"]) > int(before)
