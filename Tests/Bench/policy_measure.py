"""The measurements at one size in one round."""

import json
import time

from lab import LabError, wait_until
from measure import Session
from policy_world import neighbours

PATIENCE = 120  # seconds for rules to be in force
# Where the kernel keeps sets, their elements and the elements' counters (proc_meminfo(5)).
KERNEL = "SUnreclaim", "Percpu", "VmallocUsed"


def kernel_memory():
    with open("/proc/meminfo") as file:
        fields = dict(line.split(":") for line in file)
    return sum(int(fields[name].split()[0]) * 1024 for name in KERNEL)


def settled(look, seconds=20, pause=0.4):
    """What `look` gives once it gives nearly the same again: the kernel frees in the background."""
    last = look()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(pause)  # between two looks: that is what is compared
        now = look()
        if abs(now - last) <= 128 << 10:
            return now
        last = now
    raise LabError(f"the kernel's memory does not come to rest in {seconds} s")


class PolicySession(Session):
    """`contender` is a PolicyWorld."""

    @property
    def world(self):
        return self.contender

    def probe(self, role, *words, timeout=60):
        if role == "ports":
            self.world.forget_connections()
        return super().probe(role, *words, timeout=timeout)

    def flow(self):
        self.probe("first", 10)
        self._datagrams(64, "flow", "flow_flood")

    def new(self):
        """A packet each, so that it is looked up in every table."""
        self._datagrams(64, "new", "new_flood", role="ports")
        self.world.forget_connections()

    def apply(self):
        """Two pairs of endpoints, each inside one cluster, ask all the time; the new policies allow
        them. So each sees the rules of its own gateway, and of no other."""
        world = self.world
        if not world.size.policies:
            return
        world.prepare_turn()
        self.details["manifest_bytes"] = world.slice.manifest.stat().st_size
        before = self._denied()
        asking = [self._ask(*pair) for pair in neighbours(world.turn)]
        wait_until(lambda: all(now > then for now, then in zip(self._denied(), before)), 20,
                   "both gateways to deny what is not yet allowed")
        started = time.monotonic()
        self.world.gateways["west"].ctl(
            "slice", "apply", world.slice.manifest, timeout=PATIENCE)
        self.details["apply_returned"] = time.monotonic() - started
        for key, one in zip(("here", "there"), asking):
            answer = json.loads(one.wait_for(r"^\{.*\}$", PATIENCE)[0])
            self.note(key, answer["at"] - started)
        world.version += 1
        world.wait_until_agreed(PATIENCE)

    def _ask(self, source, target):
        """Until there is an answer."""
        world = self.world
        return world.lab.start(
            [self.udpbench, "first", world.pods[source].path, world.pods[target].path,
             world.addresses[target], PATIENCE], label="asking")

    def _denied(self):
        return [gateway.status(self.world.slice)["drops"].get("deniedByPolicy", 0)
                for gateway in self.world.gateways.values()]

    def memory(self):
        """Of the daemon that has more, and of one router's table: the same loaded once more, into a
        namespace where nothing uses it."""
        self.note("rest", self._memory("VmRSS"))
        self.note("peak", self._memory("VmHWM"))
        world = self.world
        router = world.gateways["west"].router_namespace(world.slice)
        table = router.run("nft", "list table inet slice", timeout=PATIENCE).stdout
        copy = world.lab.namespace("copy")
        before = settled(kernel_memory)
        copy.run("nft", "-f", "-", input=table, timeout=PATIENCE)
        self.note("kernel", settled(kernel_memory) - before)
        copy.remove()
