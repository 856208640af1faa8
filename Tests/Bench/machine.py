"""What this machine is, and whether it was quiet."""

import os
import platform
import socket
import time
from dataclasses import dataclass
from pathlib import Path

NORMAL_BUSY = 0.05
NORMAL_STEAL = 0.01
# Named, because the kernel's own choice differs from machine to machine, and BBR, say, does not
# take loss for congestion. A socket's, because a namespace may not choose what is not allowed.
CONGESTION_CONTROL, OTHER_CONGESTION_CONTROL = "cubic", "bbr"


def may_choose(control):
    """Whether a TCP may be told to use it (tcp(7), TCP_CONGESTION)."""
    with socket.socket() as one:
        try:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
        except OSError:
            return False
    return True


def describe():
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    memory = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()
                  if line.startswith("MemTotal:"))
    flags = fields.get("flags", "").split()
    vector = [name for name in ("avx2", "avx512f", "vaes") if name in flags]
    return {
        "CPU": fields.get("model name", platform.machine())
        + (f" ({', '.join(vector)})" if vector else ""),
        "Cores": str(len(os.sched_getaffinity(0))),
        "Memory": f"{memory / 2**20:.1f} GiB",
        "Virtual machine": "yes" if "hypervisor" in flags else "no",
        "Kernel": platform.release(),
        "Offloads of the veth": "the kernel's defaults",
    }


@dataclass(frozen=True)
class Times:
    total: int
    idle: int
    steal: int

    @staticmethod
    def now():
        # user nice system idle iowait irq softirq steal: proc(5)
        n = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return Times(sum(n), n[3] + n[4], n[7])

    def since(self, before):
        """The shares that were busy (stolen time aside) and stolen."""
        total = max(1, self.total - before.total)
        steal = (self.steal - before.steal) / total
        return max(0, 1 - (self.idle - before.idle) / total - steal), steal


class Watch:
    """Looks between measurements at what others do with this machine."""

    def __init__(self):
        self.load = os.getloadavg()[0]
        self.began = Times.now()
        self.busy = []

    def look(self, seconds=0.4):
        before = Times.now()
        time.sleep(seconds)
        busy, steal = Times.now().since(before)
        self.busy.append(busy + steal)

    def wait(self, seconds):
        """Looks until the machine is quiet, for so long at most; how long that took. Of several
        looks only the last counts."""
        began = time.monotonic()
        while True:
            self.look()
            waited = time.monotonic() - began
            if self.busy[-1] <= NORMAL_BUSY or waited >= seconds:
                return waited
            self.busy.pop()

    def complaints(self):
        """Why these figures may not be trusted; nothing if the machine was quiet."""
        found = []
        cores = len(os.sched_getaffinity(0))
        if self.load > 0.3 * cores:
            found.append(f"the load average was {self.load:.1f} at the start")
        noisy = [share for share in self.busy if share > NORMAL_BUSY]
        if noisy:
            found.append(f"others used up to {max(noisy):.0%} of the machine, seen in "
                         f"{len(noisy)} of {len(self.busy)} looks between measurements")
        _, steal = Times.now().since(self.began)
        if steal > NORMAL_STEAL:
            found.append(f"the host took {steal:.1%} of the time for others (steal)")
        return found
