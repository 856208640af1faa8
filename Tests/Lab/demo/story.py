"""What the demo does and what it holds true, step by step."""

import json
import re
import secrets
import statistics
import sys
import time
from pathlib import Path

from etcd import Etcd, text, writes
from lab import CLUSTERS, Lab, LabError, ThreeClusters, capture, ping, reaches, wait_until
from lab.core import NETNS
from lab.gateways import Gateway, Slice, address_of
from screen import amount, wrap

# A public key in base64.
KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
PROBE = Path(__file__).with_name("probe.py")
PROBE_PORT = 4747

BREAKS = {
    "plaintext": "says a secret on the underlay, beside the tunnel",
    "no-cut": "does not cut the cluster off",
    "no-quorum": "cuts two clusters off instead of one",
    "no-heal": "never heals what it cut",
    "no-isolation": "wires one attached namespace to its host",
    "litter": "leaves a namespace behind",
    "error": "fails half-way with an error",
}


class Story:
    """One run. `report` is what it saw, for machines."""

    def __init__(self, screen, broken=None):
        self.screen, self.broken = screen, broken
        self.checks, self.facts = [], {}
        self.steps = [self.underlay, self.slice_made, self.gateways_up, self.attached,
                      self.etcd_up, self.across, self.cut_off, self.healed, self.strangers,
                      self.seen]
        self.number = 0

    # --- the frame -----------------------------------------------------------------------------

    def run(self, on_lab=lambda lab: None):
        """True if everything held."""
        litter = None
        try:
            with Lab() as lab:
                on_lab(lab)
                self.lab, self.directory = lab, lab.directory
                try:
                    for self.number, step in enumerate(self.steps, 1):
                        self.step_started = time.monotonic()
                        step()
                        if self.broken and not all(check["holds"] for check in self.checks):
                            break
                        self.screen.pause()
                except LabError as error:
                    self.hold(False, "this step could not be taken", str(error))
                    for note in getattr(error, "__notes__", []):
                        self.screen.say(note)
                    self.tails()
            self.heading("Nothing stays behind")
            litter = self.litter_of(lab)
        finally:
            # Whatever happened: the lab is down now.
            if litter is None and hasattr(self, "lab"):
                litter = self.litter_of(self.lab)
        self.hold(
            not litter, "every namespace, interface, process and file of this run is gone",
            "; ".join(litter))
        return all(check["holds"] for check in self.checks)

    def litter_of(self, lab):
        left = [f"namespace {path.name}" for path in sorted(NETNS.glob(lab.prefix + "-*"))]
        left += [f"{one.label} (pid {one.pid}) still runs" for one in lab.processes
                 if one.is_running]
        if lab.directory.exists():
            left.append(f"directory {lab.directory}")
        if self.broken == "litter":
            left.append("a namespace that was left on purpose")
        return left

    def tails(self):
        """What the gateways said last, where something failed."""
        for process in self.lab.processes:
            if "slice-gateway" in process.label and process.output():
                self.screen.say(f"{process.label} said last:")
                for line in process.tail(5).splitlines():
                    self.screen.say("  " + line)

    def heading(self, text):
        count = len(self.steps) + 1
        if hasattr(self, "_title") and self._title == text:
            return
        self._title = text
        self.screen.heading(min(self.number, count) if text != "Nothing stays behind" else count,
                            count, text)

    def hold(self, holds, text, detail=""):
        self.checks.append({"step": self.number, "title": getattr(self, "_title", ""),
                            "check": text, "holds": bool(holds), "detail": detail})
        self.screen.tick(holds, text, detail)
        return bool(holds)

    def map(self, leader=None, cut=None):
        """The three clusters as they stand: who leads, which links are cut."""
        boxes = []
        for cluster in CLUSTERS:
            address = getattr(self, "v4", {}).get(cluster)
            lines = [f"node {self.world.address(cluster)}"]
            if address:
                lines.append(f"slice {address}")
            if leader or cut:
                lines.append("etcd ○ cut off" if cluster == cut else
                             "etcd ● leader" if cluster == leader else "etcd ○ follower")
            boxes.append((cluster, lines, "bad" if cluster == cut else None))

        def link(a, b):
            if cut in (a, b):
                return "× cut ×", False
            return self.link_words.get((a, b), "20 ms"), True

        west, central, east = CLUSTERS
        self.screen.map(boxes, [link(west, central), link(central, east), link(west, east)])

    # --- the steps -----------------------------------------------------------------------------

    def underlay(self):
        self.heading("Three clusters, far apart")
        self.screen.say(
            "West, central and east are network namespaces on this machine. Nothing joins them "
            "but a relay that holds every packet for 10 ms.")
        with self.screen.waiting("making three clusters"):
            self.world = ThreeClusters(self.lab, "delay 10ms", endpoints=2)
            self.world.wait_until_joined()
            trips = {pair: ping(self.world.node(pair[0]), self.world.address(pair[1]), 4)
                     for pair in pairs()}
        self.link_words = {pair: f"{trip.median_ms:.1f} ms" for pair, trip in trips.items()}
        self.facts["underlay_rtt_ms"] = {
            "-".join(pair): round(trip.median_ms, 3) for pair, trip in trips.items()}
        self.map()
        self.hold(all(trip.received and trip.median_ms >= 19.5 for trip in trips.values()),
                  "the nodes reach each other, and only through the relay: 20 ms there and back")

    def slice_made(self):
        self.heading("A slice, described and signed")
        self.screen.say(
            "Its owner signs what the slice is. Gateways refuse anything else, so no gateway can "
            "widen its own rights. Shown once; the second slice is made the same way.")

        self.slice = Slice(self.world, "payments", 51820, told=self.told, from_template=True)
        verified = self.slice.ctl("slice", "verify", self.slice.manifest, "--owner",
                                  self.slice.owner)
        self.hold(verified.returncode == 0, "slicectl finds the manifest valid and signed",
                  self.shorten(verified.stdout))
        text = self.slice.manifest.read_text()
        forged = self.slice.directory / "forged.yaml"
        forged.write_text(text.replace("10.80.3.0/24", "10.80.4.0/24"))
        refused = self.slice.ctl("slice", "verify", forged, "--owner", self.slice.owner,
                                 check=False)
        self.hold(forged.read_text() != text and refused.returncode == 1,
                  "one prefix changed by hand: refused",
                  self.shorten(refused.stderr.splitlines()[0] if refused.stderr else ""))
        # The same overlay addresses on purpose: nothing but the slice keeps them apart.
        self.other = Slice(self.world, "orders", 51821, from_template=True)

    def told(self, words):
        """A slicectl command, as one would type it, before it runs."""
        words = [str(word).replace(str(self.lab.directory) + "/", "") for word in words]
        lines = wrap(" ".join(KEY.sub("KEY", word) for word in words), self.screen.width - 16)
        for n, line in enumerate(lines):
            more = " \\" if n + 1 < len(lines) else ""
            self.screen.command(("slicectl " if n == 0 else "    ") + line + more, first=n == 0)

    def shorten(self, text):
        return text.replace(str(self.lab.directory) + "/", "").strip()

    def gateways_up(self):
        self.heading("A gateway in each cluster")
        with self.screen.waiting("starting three gateways"):
            self.gateways = {name: Gateway(self.world, name, [self.slice, self.other])
                             for name in CLUSTERS}
            for gateway in self.gateways.values():
                gateway.launch()
            for gateway in self.gateways.values():
                gateway.wait_until_ready()
        self.hold(True, "three daemons answer slicectl, each with both slices",
                  "slice-gateway --config gateway.conf, in the node's namespace")
        with self.screen.waiting("pinging the other gateways through the tunnel"):
            pings = {}
            for a, b in [pair for pair in pairs()] + [pair[::-1] for pair in pairs()]:
                reply = wait_until(lambda: self.overlay_ping(a, b), 15,
                                   f"the gateway of {b} to answer {a} through the tunnel")
                pings[a, b] = reply["rttMicroseconds"] / 1000
        self.facts["overlay_gateway_rtt_ms"] = {
            "-".join(pair): round(ms, 3) for pair, ms in pings.items()}
        self.hold(all(self.gateways[name].has_sessions(self.slice) for name in CLUSTERS),
                  "every gateway has a WireGuard session with every other",
                  "slicectl ping payments CLUSTER: " + ", ".join(
                      f"{a} to {b} {ms:.1f} ms" for (a, b), ms in pings.items() if a < b))

    def overlay_ping(self, source, target):
        done = self.gateways[source].ask("ping", "payments", target, "--count", 1)
        replies = done.get("replies", [done])
        return next((one for one in replies if one["outcome"] == "answered"), None)

    def attached(self):
        self.heading("One namespace attached in each")
        self.screen.say(
            "An attached namespace gets one more interface, an address that stays its own, and "
            "routes to the slice; nothing else of it changes.")
        self.screen.command("slicectl attach payments kafka/etcd --netns NAME    "
                            "(in each cluster; then the same for orders)")
        replies, self.v4, self.v6, self.faces, self.others = {}, {}, {}, {}, {}
        for name in CLUSTERS:
            reply = self.gateways[name].attach(self.slice, self.world.endpoint(name), "etcd")
            replies[name] = reply
            end = reply["endpoint"]
            self.v4[name], self.v6[name] = address_of(end), address_of(end, 6)
            self.faces[name] = end["interface"]
            other = self.gateways[name].attach(self.other, self.world.endpoint(name, 1), "etcd")
            self.others[name] = other["endpoint"]
        self.screen.table(
            ["CLUSTER", "ADDRESSES", "INTERFACE", "MTU", "ROUTES"],
            [[name, f"{self.v4[name]}, {self.v6[name]}", self.faces[name], reply["mtu"],
              ", ".join(reply["routes"])] for name, reply in replies.items()])
        with self.screen.waiting("pinging from namespace to namespace"):
            answers = [reaches(self.world.endpoint(a), family[b])
                       for a, b in pairs() for family in (self.v4, self.v6)]
        self.hold(all(answers),
                  "every attached namespace reaches the two others, over IPv4 and IPv6")
        self.hold([address_of(self.others[name]) for name in CLUSTERS] == list(self.v4.values()),
                  "the other slice, `orders`, has the very same overlay addresses",
                  "on the same gateways; step 9 shows that it does not matter")

    def etcd_up(self):
        self.heading("A real distributed system: etcd")
        self.screen.say(
            "Debian's etcd, three members, one in each cluster. It knows nothing of slices; it "
            "was given overlay addresses.")
        with self.screen.waiting("starting etcd, waiting for an election"):
            self.etcd = Etcd(self.lab, {
                name: (self.world.endpoint(name), self.v4[name], self.v6[name])
                for name in CLUSTERS})
            leader = self.etcd.wait_until_whole()
            members = self.etcd.members()
            reports = {name: self.etcd.status(name) for name in CLUSTERS}
        self.leader = leader
        self.map(leader=leader)
        self.screen.table(
            ["MEMBER", "ID", "PEERS", "CLIENTS", "VERSION", "ROLE"],
            [[name, f"{members[name]['ID']:x}", members[name]["peerURLs"][0],
              members[name]["clientURLs"][0], reports[name]["version"],
              "leader" if name == leader else "follower"] for name in CLUSTERS])
        self.hold(set(members) == set(CLUSTERS) and leader in CLUSTERS,
                  f"three members, all of which follow {leader}")
        self.facts["etcd"] = {"leader": leader, "version": reports[leader]["version"]}

    def across(self):
        self.heading("Keys cross clusters, encrypted")
        secret = f"slice-demo-secret-{secrets.token_hex(8)}"
        rows, right = [], True
        wire = [capture(self.world.node(name), "eth0") for name in CLUSTERS]
        inside = capture(self.world.endpoint("east"), self.faces["east"])
        with self.screen.waiting("writing and reading"), wire[0] as w1, wire[1] as w2, \
                wire[2] as w3, inside as plain:
            for source in CLUSTERS:
                keys = [(f"{source}/{n}", f"{secret}/{source}/{n}") for n in range(20)]
                wrote = self.etcd.calls(source, [self.etcd.put_request(*one) for one in keys])
                row = [f"written in {source}", milliseconds(wrote)]
                for target in CLUSTERS:
                    if target == source:
                        row.append("-")
                        continue
                    # A read that goes through the leader: it sees the latest write, or fails.
                    got = self.etcd.calls(target, [self.etcd.get_request(k) for k, _ in keys])
                    right &= [value_of(one) for one in got] == [value for _, value in keys]
                    row.append(milliseconds(got))
                right &= all(one["ok"] for one in wrote)
                rows.append(row)
            if self.broken == "plaintext":
                self.world.node("west").run(
                    "sh", "-c", f"printf %s {secret} | "
                    f"socat - UDP-SENDTO:{self.world.address('east')}:9")
            plain.wait_for(1, lambda packet: secret.encode() in packet.data)
        packets = [packet for one in (w1, w2, w3) for packet in one.packets()]
        self.screen.table(["", "WRITE"] + [f"READ IN {name.upper()}" for name in CLUSTERS], rows,
                          right=(1, 2, 3, 4))
        self.hold(right, "60 keys written, each read back from both other clusters, all the same",
                  "median of 20; a write waits for a majority, so for one way there and back")
        seen = sum(secret.encode() in packet.data for packet in packets)
        tunnel = [packet for packet in packets if packet.is_udp
                  and packet.destination_port in (self.slice.port, self.other.port)]
        others = [packet for packet in packets if packet not in set(tunnel)
                  and packet.protocol != 58]
        self.hold(seen == 0 and not others and len(tunnel) > 100,
                  f"on the underlay: {len(tunnel)} packets, all of them UDP of the two slices, "
                  f"none with a value in clear ({seen + len(others)} others)",
                  f"captured on all three nodes; the same values are readable in east's namespace")
        self.facts["underlay_packets"] = {"tunnel": len(tunnel), "other": len(others),
                                          "plaintext": seen}
        self.facts["latency"] = [dict(zip(["what", "write", *CLUSTERS], row)) for row in rows]
        if self.broken == "error":
            raise LabError("an error on purpose")

    def cut_off(self):
        lost = self.leader
        rest = [name for name in CLUSTERS if name != lost]
        self.lost, self.rest = lost, rest
        self.heading(f"One cluster lost: {lost}, where the leader is")
        # From a cluster that stays; the first member that it asks is the one that goes.
        self.writer = self.etcd.writer(rest[0], [rest[0], rest[1]], "during-cut")
        wait_until(lambda: len(good(writes(self.writer))) >= 20, 15, "writes before the cut")
        if self.broken != "no-cut":
            self.isolate(lost)
        if self.broken == "no-quorum":
            self.isolate(rest[0])
        before = len(writes(self.writer))
        self.screen.command(f"relay: cut {lost}>* and *>{lost}")
        with self.screen.waiting("waiting for writes") as line:
            def going_on():
                done = good(writes(self.writer)[before:])
                line.update(f"cut off: {lost}; writes confirmed since: {len(done)}")
                return len(done) >= 100

            try:
                wait_until(going_on, 25, "100 writes after the cut")
                goes_on = True
            except LabError:
                goes_on = False
            new = wait_for_leader(self.etcd, rest) if goes_on else None
            alone = self.etcd.calls(lost, [self.etcd.put_request("alone", "x")], seconds=2)[0]
        records = writes(self.writer)
        gap = longest_gap(good(records))
        self.map(leader=new, cut=lost)
        self.hold(goes_on and new in rest,
                  f"writes go on: {len(good(records[before:]))} since the cut, led by {new} now",
                  f"the longest wait between two of them was {gap:.2f} s: the time of an election")
        self.hold(not alone["ok"], f"{lost} alone takes no write: there is no second truth",
                  alone.get("error", "it took one"))
        self.facts["cut"] = {"cluster": lost, "new_leader": new, "gap_seconds": round(gap, 3),
                             "writes_during": len(good(records[before:]))}

    def isolate(self, cluster):
        for link in (f"{cluster}>*", f"*>{cluster}"):
            self.world.relay.cut(link)

    def healed(self):
        self.heading(f"{self.lost} comes back")
        held = self.etcd.status(self.lost)
        behind = int(held["header"]["revision"]) if held else None
        if self.broken != "no-heal":
            self.world.relay.heal("*")
        self.screen.command("relay: heal *")
        with self.screen.waiting("catching up") as line:
            time.sleep(0.2)
            self.writer.stop()
            confirmed = good(writes(self.writer))

            def equal():
                reports = {name: self.etcd.status(name) for name in CLUSTERS}
                revisions = {name: int(one["header"]["revision"]) if one else None
                             for name, one in reports.items()}
                line.update("revisions: " + ", ".join(f"{k} {v}" for k, v in revisions.items()))
                return len(set(revisions.values())) == 1 and self.etcd.leader(CLUSTERS)

            try:
                leader = wait_until(equal, 30, f"{self.lost} to catch up")
                hashes = {name: self.etcd.hash(name) for name in CLUSTERS}
            except LabError:
                leader = None
                hashes = {name: (report and int(report["header"]["revision"]), None)
                          for name, report in
                          ((name, self.etcd.status(name)) for name in CLUSTERS)}
        self.leader = leader or self.leader
        self.map(leader=leader) if leader else None
        self.screen.table(["MEMBER", "REVISION", "HASH OF ALL KEYS"],
                          [[name, *pair] for name, pair in hashes.items()], right=(1, 2))
        caught_up = leader is not None and len(set(hashes.values())) == 1
        self.hold(caught_up, f"{self.lost} had stopped at revision {behind}; all three members "
                  "have the same revision and the same content now")
        if not caught_up:
            return
        keys = [record["key"] for record in confirmed]
        got = self.etcd.calls(self.lost, [self.etcd.get_request(key, local=True) for key in keys])
        kept = sum(value_of(one) == key[::-1] for one, key in zip(got, keys))
        self.hold(kept == len(keys) and keys,
                  f"all {len(keys)} confirmed writes, before and during the cut, are in "
                  f"{self.lost}")
        self.facts["healed"] = {"behind": behind, "revision": hashes[self.lost][0],
                                "confirmed_writes": len(keys), "kept": kept}

    def strangers(self):
        self.heading("Strangers reach nothing")
        self.screen.say(
            "Pings, TCP to etcd's ports and UDP, over IPv4 and IPv6, to the three members. First "
            "from inside, to see that the captures see; then from the hosts of all three "
            "clusters, outside the namespaces; then from the slice `orders`.")
        if self.broken == "no-isolation":
            self.leak()
        targets = [*self.v4.values(), *self.v6.values()]

        def wanted(packet):
            return packet.is_echo_request or PROBE_PORT in (packet.source_port,
                                                            packet.destination_port)

        def probe(namespace, addresses=targets):
            done = namespace.run(sys.executable, PROBE, *addresses)
            return json.loads(done.stdout)

        rows = []
        with capture(self.world.endpoint("west"), "any") as a, \
                capture(self.world.endpoint("central"), "any") as b, \
                capture(self.world.endpoint("east"), "any") as c, \
                capture(self.world.endpoint("east", 1), "any") as theirs, \
                self.screen.waiting("knocking at every door"):
            seen = lambda: sum(one.count(wanted) for one in (a, b, c))  # noqa: E731
            west, central = self.world.endpoint("west"), self.world.endpoint("central")
            inside = probe(west, [self.v4["east"], self.v6["east"], self.v4["central"],
                                  self.v6["central"]])
            wait_until(lambda: seen() >= 8, 5, "the captures to see the probe from inside")
            time.sleep(0.3)
            base = seen()
            rows.append(["kafka in west (inside)", inside["tried"], len(inside["reached"]), base])
            strangers = [(f"host of {name}", self.world.node(name), targets) for name in CLUSTERS]
            strangers += [(f"orders in {name}", self.world.endpoint(name, 1),
                           [family[other] for other in CLUSTERS if other != name
                            for family in (self.v4, self.v6)]) for name in ("west", "central")]
            arrived = []
            for label, namespace, addresses in strangers:
                before = seen()
                answer = probe(namespace, addresses)
                time.sleep(0.2)
                reached = answer["reached"]
                if label.startswith("orders"):
                    # Its own namespaces have these addresses too, and answer echo requests.
                    reached = [one for one in reached if one.startswith("tcp")]
                arrived.append((label, answer, reached, seen() - before))
                rows.append([label, answer["tried"], len(reached), seen() - before])
            in_orders = theirs.count(wanted)
        self.screen.table(["FROM", "TRIED", "REACHED", "PACKETS SEEN BY THE MEMBERS"], rows,
                          right=(1, 2, 3))
        self.hold(len(inside["reached"]) >= 8 and base > 0,
                  "from inside: reached, and seen by the captures")
        outside = [one for one in arrived if one[0].startswith("host")]
        self.hold(all(not reached and count == 0 for _, _, reached, count in outside),
                  "from outside the namespaces: nothing reached, not one packet arrived",
                  some(word for one in outside for word in one[2]))
        apart = [one for one in arrived if one[0].startswith("orders")]
        self.hold(all(not reached and count == 0 for _, _, reached, count in apart)
                  and in_orders > 0,
                  "from the slice `orders`: not one packet crossed; "
                  f"{in_orders} went to its own namespace in east, which has the same address",
                  some(word for one in apart for word in one[2]))
        self.facts["strangers"] = [
            dict(zip(["from", "tried", "reached", "packets_seen"], row)) for row in rows]

    def leak(self):
        node, member = self.world.node("east"), self.world.endpoint("east")
        node.veth(member, "leak0", "leak1")
        node.address("leak0", "198.18.0.1/30")
        member.address("leak1", "198.18.0.2/30")
        node.ip(f"route add {self.v4['east']}/32 via 198.18.0.2")

    def seen(self):
        self.heading("What the gateways saw")
        self.screen.command("slicectl status")
        rows, facts = [], []
        for name in CLUSTERS:
            status = self.gateways[name].status(self.slice)
            for peer in status["peers"]:
                traffic = peer["traffic"]
                age, trip = peer.get("handshakeAgeSeconds"), peer.get("rttMilliseconds")
                rows.append([f"{name} to {peer['cluster']}", peer.get("endpoint", "-"),
                             "-" if age is None else f"{age:.0f} s ago",
                             "-" if trip is None else f"{trip:.1f} ms",
                             amount(traffic["receivedBytes"]), amount(traffic["transmittedBytes"])])
                facts.append({"from": name, "to": peer["cluster"], "handshake_age_seconds": age,
                              "rtt_ms": trip, **traffic})
        self.screen.table(["PEER", "ENDPOINT", "HANDSHAKE", "RTT", "RECEIVED", "SENT"], rows,
                          right=(2, 3, 4, 5))
        drops = {name: self.gateways[name].status(self.slice)["drops"] for name in CLUSTERS}
        for name, reasons in drops.items():
            if reasons:
                self.screen.say(f"dropped in {name}: " + ", ".join(
                    f"{count} {reason}" for reason, count in reasons.items()))
        self.hold(len(facts) == 6 and all(
            one["handshake_age_seconds"] is not None and one["receivedBytes"] > 0
            and one["transmittedBytes"] > 0 for one in facts),
            "every gateway shook hands with every other and carried bytes both ways")
        self.facts["peers"], self.facts["drops"] = facts, drops


def pairs():
    west, central, east = CLUSTERS
    return [(west, central), (central, east), (west, east)]


def some(words, count=4):
    """The first few, and how many more."""
    words = list(words)
    rest = f" and {len(words) - count} more" if len(words) > count else ""
    return "; ".join(words[:count]) + rest


def good(records):
    return [record for record in records if record["ok"]]


def longest_gap(records):
    times = [record["at"] for record in records]
    return max((b - a for a, b in zip(times, times[1:])), default=0.0)


def milliseconds(answers):
    return f"{statistics.median(one['ms'] for one in answers):.1f} ms"


def value_of(answer):
    found = answer.get("reply", {}).get("kvs", []) if answer["ok"] else []
    return text(found[0]["value"]) if found else None


def wait_for_leader(etcd, among):
    try:
        return wait_until(lambda: etcd.leader(among), 10, "a new leader")
    except LabError:
        return None
