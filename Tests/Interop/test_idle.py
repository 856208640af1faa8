"""What an interface costs that nobody uses."""

from pathlib import Path

from ends import Pair
from lab import wait_until
from traffic import exchange


def resident(end):
    """Of files, which are the program and its libraries."""
    for line in Path(f"/proc/{end.process.pid}/status").read_text().splitlines():
        if line.startswith("RssFile:"):
            return int(line.split()[1])
    raise AssertionError("no RssFile")


def test_an_idle_interface_lets_go_of_its_pages(lab):
    pair = Pair(lab, kinds=("ours", "ours"))
    for _ in range(2):
        exchange(*pair.spaces(), pair.inner(1), [64])
        busy = [resident(end) for end in pair.ends]
        wait_until(
            lambda: all(resident(end) < at * 0.75 for end, at in zip(pair.ends, busy)), 25,
            "the pages of the program to go")
