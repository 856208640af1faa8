"""faults.py [SECONDS]: faults by chance on a real stretched cluster for as long as wanted, and what
a record of such a run needs: when, the seed, how busy the machine was besides. FAULT_SEED=n does
one again."""

import os
import random
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "Lab")]

from lab import limits  # noqa: E402

# The start of three gateways and brokers, the last fault's end, and the reading of the history.
AROUND = 300


def load():
    return " ".join(f"{one:.1f}" for one in os.getloadavg())


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    seed = os.environ.setdefault("FAULT_SEED", str(random.SystemRandom().randrange(1 << 32)))
    os.environ["FAULT_SECONDS"] = str(seconds)
    limits.NIGHTLY_SECONDS = seconds + AROUND
    print(f"{time.strftime('%Y-%m-%d %H:%M')}, {seconds} s, seed {seed}, {os.cpu_count()} cores, "
          f"load {load()}", flush=True)
    status = pytest.main(["-q", "-m", "nightly", "-p", "no:cacheprovider",
                          f"{HERE / 'test_faults.py'}::test_faults_by_chance"])
    print(f"load at the end {load()}; {'it holds' if status == 0 else 'it does not hold'}")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
