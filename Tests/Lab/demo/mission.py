"""The part of the story that Kafka plays."""

import json
import secrets
import time

from lab import CLUSTERS, LabError, capture
from ledger import Phase, Read, Verdict, rounded
from progress import Progress
from workload import CONSUMER, GROUP, PARTITIONS, PRODUCER, TOPIC, Workload

RATE, SIZE = 400, 512


class Mission:
    """Steps of a Story."""

    def kafka_up(self):
        self.heading("One Kafka, stretched over the three")
        self.screen.say(
            "A slice-broker in each attached namespace `kafka`, broker and controller both. They "
            "find each other by the names that the gateways answer. The rack is the cluster; all "
            "timeouts are the default ones.")
        self.screen.command("slice-broker start --config broker.properties    (in each cluster)")
        acks = "1" if self.broken == "acks-1" else "all"
        fault = self.broken if self.broken in ("forget", "swap", "twice") else None
        self.mark = f"slice-demo-secret-{secrets.token_hex(8)}"
        self.load = Workload(
            self.lab, {name: (self.world.endpoint(name), self.v4[name], self.host_name(name))
                       for name in CLUSTERS},
            {name: self.world.endpoint(name, 2) for name in CLUSTERS},
            self.mark, RATE, SIZE, acks, fault)
        with self.screen.waiting("starting three brokers"):
            ready = self.load.start_brokers()
            # kcat in each cluster asks the broker there.
            seen = {name: self.kcat_brokers(name) for name in CLUSTERS}
        brokers = [self.load.broker(name) for name in CLUSTERS]
        self.screen.table(
            ["CLUSTER", "NODE", "NAME", "READY AFTER", "RESIDENT"],
            [[one.rack, one.node, one.address, f"{ready[one.rack] * 1000:.0f} ms",
              f"{one.resident_bytes() / 2**20:.0f} MiB"] for one in brokers], right=(3, 4))
        expected = {one.node: one.address for one in brokers}
        self.hold(all(found == expected for found in seen.values()),
                  "kcat, in each cluster's namespace `apps`, is told of the same three brokers",
                  "kcat -L")
        self.facts["brokers"] = {one.rack: {
            "ready_after_ms": round(ready[one.rack] * 1000),
            "resident_mib": round(one.resident_bytes() / 2**20, 1)} for one in brokers}
        self.load.watch()
        with self.screen.waiting("making a topic"):
            problem = self.load.create_topic("east")
            self.load.wait(lambda: len(self.load.partitions()) == PARTITIONS
                           and self.load.is_whole() and self.load.controller(), 10)
        partitions = self.load.partitions()
        everywhere = {self.load.nodes[name] for name in CLUSTERS}
        self.hold(problem is None and len(partitions) == PARTITIONS and all(
            set(one.replicas) == set(one.in_sync) == everywhere for one in partitions.values()),
            f"topic `{TOPIC}`: {PARTITIONS} partitions, each with one replica in each cluster, all "
            "in sync",
            problem or "made in east with confluent-kafka: 3 replicas, min.insync.replicas 2; "
            + self.leaders())

    def kcat(self, name, *words, **options):
        return self.load.clients[name].run(
            "kcat", "-b", self.load.broker(name).address, *words, **options)

    def kcat_brokers(self, name):
        listing = json.loads(self.kcat(name, "-L", "-J").stdout)
        return {one["id"]: one["name"] for one in listing["brokers"]}

    def leaders(self):
        return "leaders: " + ", ".join(f"{self.load.leads(name)} in {name}" for name in CLUSTERS)

    def progress(self, text):
        return Progress(self.screen, self.load, text)

    def kafka_map(self):
        load = self.load
        self.map({name: load.state(name)[0] if name in load.unreachable | load.killed
                  else f"● leads {load.leads(name)}" for name in CLUSTERS},
                 load.controller(), load.unreachable)

    # --- everything is well --------------------------------------------------------------------

    def steady(self):
        self.heading("Applications write and read in every cluster")
        self.screen.say(
            f"confluent-kafka, in each cluster: a producer of {RATE} records a second of {SIZE} "
            f"bytes, acks=all, idempotent; and a member of the group `{GROUP}`. Other than "
            "default: " + ", ".join(f"{key}={value}" for key, value
                                    in (PRODUCER | CONSUMER).items()) + ".")
        load = self.load
        load.start_clients()
        with self.progress("the clients come up") as view:
            begun = load.wait(lambda: load.assigned() == PARTITIONS and load.is_flowing(), 20)
            self.marks = {"begun": time.monotonic()}
            view.update("all is well")
            load.go_on(3)
            view.update("all is well; looking at the underlay")
            self.look_at_the_underlay()
            view.update("all is well")
            load.go_on(4)
        self.kafka_map()
        self.hold(begun, f"in each cluster records are acknowledged; the group reads all "
                  f"{PARTITIONS} partitions")
        found = self.underlay
        self.hold(found["plaintext"] == 0 and found["other"] == 0 and found["tunnel"] > 100
                  and found["inside"],
                  f"on the underlay: {found['tunnel']} packets, all of them UDP of the two slices, "
                  f"none with a record in clear ({found['plaintext'] + found['other']} others)",
                  "captured on all three nodes; the same records are readable in east's namespace")
        self.facts["underlay_packets"] = found
        if self.broken == "error":
            raise LabError("an error on purpose")

    def look_at_the_underlay(self):
        mark = self.mark.encode()
        wire = [capture(self.world.node(name), "eth0") for name in CLUSTERS]
        inside = capture(self.world.endpoint("east"), self.faces["east"])
        with wire[0] as w1, wire[1] as w2, wire[2] as w3, inside as plain:
            if self.broken == "plaintext":
                self.world.node("west").run(
                    "sh", "-c", f"printf %s {self.mark} | "
                    f"socat - UDP-SENDTO:{self.world.address('east')}:9")
            self.load.go_on(1)
        packets = [packet for one in (w1, w2, w3) for packet in one.packets()]
        tunnel = [packet for packet in packets if packet.is_udp
                  and packet.destination_port in (self.slice.port, self.other.port)]
        ours = set(tunnel)
        others = [packet for packet in packets if packet not in ours
                  and packet.protocol != 58]
        self.underlay = {
            "tunnel": len(tunnel), "other": len(others),
            "plaintext": sum(mark in packet.data for packet in packets),
            "inside": sum(mark in packet.data for packet in plain.packets())}

    # --- a cluster is lost ---------------------------------------------------------------------

    def cut_off(self):
        load = self.load
        lost = load.controller() or CLUSTERS[0]
        rest = [name for name in CLUSTERS if name != lost]
        self.lost, self.rest = lost, rest
        self.heading(f"One cluster lost: {lost}, where the controller is")
        self.screen.say(
            f"It leads {load.leads(lost)} of the {PARTITIONS} partitions too. Its applications go "
            "on as if nothing had happened; nothing that they write may be acknowledged.")
        self.screen.command(f"relay: cut {lost}>* and *>{lost}")
        if self.broken != "no-cut":
            self.isolate(lost)
        if self.broken == "no-quorum":
            self.isolate(rest[0])
        load.unreachable = {lost}
        at = self.marks["cut"] = time.monotonic()
        node = load.nodes[lost]
        with self.progress(f"{lost} is cut off: the others look for new leaders") as view:
            def moved():
                partitions = load.partitions().values()
                return (load.controller(among=rest) in rest
                        and all(one.leader not in (node, -1) and node not in one.in_sync
                                for one in partitions))

            has_moved = load.wait(moved, 20)
            seconds = time.monotonic() - at
            view.update(f"{lost} is cut off; its partitions have new leaders")
            flows = has_moved and load.wait(lambda: load.is_flowing(rest), 8)
            view.update(f"{lost} is cut off; the others go on")
            taken = flows and load.wait(lambda: load.assigned(rest) == PARTITIONS, 15)
            if flows:
                # Long enough for the rest of the group to have read what was left lying.
                load.wait(lambda: time.monotonic() > at + 9 and load.lag() < RATE, 15)
        self.kafka_map()
        since = self.facts["cut"] = {"cluster": lost, "seconds_to_new_leaders": rounded(seconds),
                                     "controller": load.controller(among=rest)}
        self.hold(has_moved, f"{lost}'s partitions have leaders in {' and '.join(rest)}, and "
                  f"{lost} is in sync nowhere{after(has_moved, seconds)}",
                  f"{self.leaders()}; the controller is in {since['controller']}")
        self.hold(flows, f"in {' and '.join(rest)} records of all partitions are acknowledged "
                  "again")
        self.hold(taken, f"the group's members in {' and '.join(rest)} read all partitions",
                  f"{load.lag()} records are acknowledged and not read yet")

    # --- and its broker killed there ------------------------------------------------------------

    def killed(self):
        load, lost, rest = self.load, self.lost, self.rest
        broker = load.broker(lost)
        self.heading(f"kill -9: the broker in {lost}, while it is cut off")
        self.screen.say(
            "What it had taken and nobody else has is in its log, and it has not closed that. The "
            "applications there have no broker at all now; the others must not even notice.")
        self.screen.command(f"kill -9 {broker.process.pid}")
        before = {index: (one.leader, one.epoch) for index, one in load.partitions().items()}
        load.killed = {lost}
        at = self.marks["kill"] = time.monotonic()
        if self.broken != "no-kill":
            broker.kill()
        is_dead = not broker.process.is_running
        with self.progress(f"the broker in {lost} is dead, and cut off; the others go on") as view:
            load.go_on(3)
            flows = load.wait(lambda: load.is_flowing(rest), 5)
            view.update(f"{' and '.join(rest)} do not notice")
            load.wait(lambda: time.monotonic() > at + 5, 6)
            now = {index: (one.leader, one.epoch) for index, one in load.partitions().items()}
        self.kafka_map()
        self.hold(is_dead, f"the broker in {lost} has ended, in the midst of everything")
        self.hold(flows and now == before, f"{' and '.join(rest)} go on as if nothing had happened",
                  self.leaders() + ", as before" if now == before else f"{before} became {now}")
        self.facts["killed"] = {"cluster": lost}

    # --- it comes back -------------------------------------------------------------------------

    def healed(self):
        load, lost = self.load, self.lost
        self.heading(f"{lost} comes back, and its broker with it")
        self.screen.command("relay: heal *")
        self.screen.command("slice-broker start --config broker.properties")
        at = self.marks["heal"] = time.monotonic()
        if self.broken != "no-heal":
            self.world.relay.heal("*")
        broker = load.broker(lost)
        broker.start(wait=False)
        load.unreachable, load.killed = set(), set()
        with self.progress(f"{lost} is back: its broker starts") as view:
            ready = load.wait(lambda: "is ready" in broker.process.output(), 20)
            started = time.monotonic() - at
            view.update(f"the broker in {lost} serves; it catches up")
            whole = ready and load.wait(
                lambda: load.in_sync(lost) == PARTITIONS and load.is_whole(), 20)
            seconds = time.monotonic() - at
            view.update(f"{lost} has caught up; its producer delivers what it kept")
            delivered = whole and load.wait(
                lambda: load.waiting(lost) < RATE / 4 and load.is_flowing(), 20)
            backlog = time.monotonic() - at
            view.update("all is well again")
            if delivered:
                load.go_on(3)
        self.kafka_map()
        self.hold(ready, "started again, its broker serves" + after(ready, started))
        self.hold(whole, f"{lost} has what it missed: all replicas are in sync again"
                  + after(whole, seconds))
        self.hold(delivered, f"the producer in {lost} has delivered what it had kept"
                  + after(delivered, backlog), self.leaders())
        self.facts["healed"] = {"seconds_to_ready": rounded(started) if ready else None,
                                "seconds_to_in_sync": rounded(seconds) if whole else None,
                                "seconds_to_delivered": rounded(backlog) if delivered else None}

    # --- the books -----------------------------------------------------------------------------

    def books(self):
        self.heading("Every acknowledged record")
        load = self.load
        self.marks["end"] = time.monotonic()
        with self.progress("the producers end") as view:
            ended = load.stop_producers()
            view.update("the group reads the rest")
            load.wait(lambda: load.lag() == 0, 20)
            load.go_on(0.5)
            load.stop_consumers()
        load.stop_watching()
        for name in CLUSTERS:
            self.facts["brokers"][name]["resident_mib_at_the_end"] = round(
                load.broker(name).resident_bytes() / 2**20, 1)
        acknowledged = load.acknowledged()
        with self.screen.waiting("kcat reads all of it in each cluster"):
            copies = {name: self.kcat_reads(name) for name in CLUSTERS}
        with self.screen.waiting("holding the books against each other"):
            group = Verdict(acknowledged, load.group_reads())
            kcats = {name: Verdict(acknowledged, [copy]) for name, copy in copies.items()}
        self.phases(acknowledged)
        self.screen.table(
            ["READ BY", "RECORDS", "ACKNOWLEDGED", "LOST", "TWICE", "OUT OF ORDER",
             "DAMAGED"],
            [[label, one.read, one.acknowledged, len(one.lost) + len(one.elsewhere),
              len(one.twice), len(one.disorder), len(one.damaged) + len(one.changed)]
             for label, one in [(f"group {GROUP}", group),
                                *((f"kcat in {name}", one) for name, one in kcats.items())]],
            right=(1, 2, 3, 4, 5, 6))
        failed = sum(said.get("failed", 0) for said in load.produced.values())
        every = [group, *kcats.values()]
        self.hold(ended and not load.troubles and group.acknowledged > 0,
                  f"{group.acknowledged} records were acknowledged; the producers gave up "
                  f"{failed}", "; ".join(load.troubles))
        self.hold(not any(one.lost or one.elsewhere for one in every),
                  "none of them is lost: the group read each, where the producer was told that it "
                  "is; kcat, in each cluster, finds the same",
                  some(f"{one.producer} {one.number}" for one in group.lost))
        self.hold(not any(one.twice for one in every), "none was written twice",
                  f"{group.read_again} were read again by another member of the group, which "
                  "began where the last commit was"
                  if not group.twice else some(f"{a} {b}" for a, b in group.twice))
        self.hold(not any(one.disorder for one in every),
                  "in every partition each producer's records are in the order in which it wrote "
                  "them")
        self.hold(all(one.places == group.places for one in kcats.values())
                  and not any(one.damaged or one.changed for one in every),
                  "every record is whole, and the same in every reader's eyes")
        if self.broken != "no-cut":
            self.alone(acknowledged)
        self.facts["records"] = {
            "acknowledged": group.acknowledged, "given_up": failed, "read": group.read,
            "lost": len(group.lost), "elsewhere": len(group.elsewhere), "twice": len(group.twice),
            "disorder": len(group.disorder), "damaged": len(group.damaged),
            "read_again": group.read_again,
            "kcat": {name: one.read for name, one in kcats.items()}}

    def alone(self, acknowledged):
        cut, heal = self.marks["cut"], self.marks.get("heal", time.monotonic())
        wrong = [one for one in acknowledged
                 if one.producer == self.lost and cut < one.sent and one.at < heal]
        self.hold(not wrong, f"while {self.lost} was cut off, nothing that was written there was "
                  "acknowledged: there is no second truth",
                  f"{len(wrong)} were" if wrong else "")
        self.facts["cut"]["acknowledged_alone"] = len(wrong)

    def kcat_reads(self, name):
        done = self.kcat(name, "-C", "-t", TOPIC, "-o", "beginning", "-e", "-q",
                         "-X", f"client.rack={name}", "-f", r"%p %o %S %s\n", timeout=60)
        reads = []
        for line in done.stdout.splitlines():
            partition, offset, size, mark, producer, number, filler = line.split(" ", 6)
            is_whole = (mark == self.mark and int(size) == SIZE == len(line.split(" ", 3)[3]))
            reads.append(Read(producer, int(number), int(partition), int(offset), is_whole))
        return reads

    def phases(self, acknowledged):
        """The figures."""
        marks = self.marks
        names = [("begun", "all is well", ()), ("cut", f"{self.lost} cut off", (self.lost,)),
                 ("kill", "and its broker killed", (self.lost,)),
                 ("heal", f"{self.lost} back", (self.lost,)), ("end", "", ())]
        names = [one for one in names if one[0] in marks]
        found = {}
        for (start, label, without), (end, _, _) in zip(names, names[1:]):
            found[start, label] = Phase(acknowledged, marks[start], marks[end], without)
        self.screen.table(
            ["", "SECONDS", "RECORDS/S", "P50", "P99", "SLOWEST", "LONGEST GAP"],
            [[label, f"{one.seconds:.1f}", f"{one.rate:.0f}", ms(one.median), ms(one.p99),
              ms(one.slowest), f"{one.gap:.2f} s"] for (_, label), one in found.items()],
            right=(1, 2, 3, 4, 5, 6))
        self.screen.say(
            "From before a record is handed to the client until it is told of the acknowledgement; "
            "the gap is the longest time in which no record of some partition was acknowledged. "
            f"Without the producer in {self.lost} while that is cut off and delivers what it "
            "kept.")
        self.facts["phases"] = {start: one.facts for (start, _), one in found.items()}


def after(happened, seconds):
    return f", {seconds:.2f} s later" if happened else f": not within {seconds:.0f} s"


def ms(value):
    return "-" if value is None else f"{value:.1f} ms" if value < 1000 else f"{value / 1000:.2f} s"


def some(words, count=4):
    """The first few, and how many more."""
    words = list(words)
    rest = f" and {len(words) - count} more" if len(words) > count else ""
    return "; ".join(words[:count]) + rest
