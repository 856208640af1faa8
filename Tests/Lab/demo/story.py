"""What the demo does and what it holds true, step by step."""

import json
import re
import sys
import time
from pathlib import Path

from lab import CLUSTERS, Lab, LabError, ThreeClusters, capture, ping, reaches, wait_until
from lab.core import NETNS
from lab.gateways import Gateway, Slice, address_of
from mission import Mission, some
from screen import amount, wrap

# A public key in base64.
POLICIES = """\
  policies:
    - name: kafka-clients
      description: applications reach brokers
      from: {namespaces: [apps]}
      to: {namespaces: [kafka]}
      ports: [tcp/9092]
"""
KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
PROBE = Path(__file__).with_name("probe.py")
PROBE_PORT = 4747

BREAKS = {
    "plaintext": "says a secret on the underlay, beside the tunnel",
    "no-cut": "does not cut the cluster off",
    "no-quorum": "cuts two clusters off instead of one",
    "no-heal": "never heals what it cut",
    "no-kill": "does not kill the broker that is cut off",
    "acks-1": "asks only leaders to acknowledge",
    "forget": "counts a record as acknowledged that was never sent",
    "twice": "writes one record two times",
    "swap": "writes two records in each other's place",
    "no-isolation": "wires one attached namespace to its host",
    "open": "makes the slice open instead of strict",
    "litter": "leaves a namespace behind",
    "error": "fails half-way with an error",
}


class Story(Mission):
    """One run. `report` is what it saw, for machines."""

    def __init__(self, screen, broken=None):
        self.screen, self.broken = screen, broken
        self.checks, self.facts = [], {}
        self.steps = [self.underlay, self.slice_made, self.gateways_up, self.attached,
                      self.kafka_up, self.steady, self.cut_off, self.killed, self.healed,
                      self.books, self.strangers, self.seen]
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
                finally:
                    if hasattr(self, "load"):
                        self.load.kill_clients()
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

    def map(self, words=None, controller=None, cut=()):
        """The three clusters as they stand: what is in them, which links are cut."""
        boxes = []
        for cluster in CLUSTERS:
            address = getattr(self, "v4", {}).get(cluster)
            lines = [f"node {self.world.address(cluster)}"]
            if address:
                lines.append(f"slice {address}")
            if words:
                lines += [f"kafka {words[cluster]}",
                          "controller" if cluster == controller else ""]
            boxes.append((cluster, lines, "bad" if cluster in cut else None))

        def link(a, b):
            if a in cut or b in cut:
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
            self.world = ThreeClusters(self.lab, "delay 10ms", endpoints=3)
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
            "widen its own rights. It is strict: what is not of one namespace does not talk, but "
            "for what a policy allows. Shown once; the second slice is made the same way.")

        self.slice = Slice(
            self.world, "payments", 51820, told=self.told, from_template=True,
            namespaces=("kafka", "apps"), more=POLICIES,
            isolation="open" if self.broken == "open" else "strict")
        for line in POLICIES.rstrip().splitlines():
            self.screen.say(line)
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
        self.heading("Namespaces attached in each")
        self.screen.say(
            "An attached namespace gets one more interface, an address that stays its own, and "
            "routes to the slice; nothing else of it changes.")
        self.screen.command("slicectl attach payments kafka/broker --netns NAME    "
                            "(in each cluster; apps/app, and the same for orders)")
        replies, self.v4, self.v6, self.faces, self.others = {}, {}, {}, {}, {}
        for name in CLUSTERS:
            reply = self.gateways[name].attach(self.slice, self.world.endpoint(name), "broker")
            replies[name] = reply
            end = reply["endpoint"]
            self.v4[name], self.v6[name] = address_of(end), address_of(end, 6)
            self.faces[name] = end["interface"]
            self.gateways[name].attach(self.slice, self.world.endpoint(name, 2), "app", "apps")
            other = self.gateways[name].attach(self.other, self.world.endpoint(name, 1), "broker")
            self.others[name] = other["endpoint"]
        self.screen.table(
            ["CLUSTER", "ADDRESSES", "INTERFACE", "MTU", "ROUTES"],
            [[name, f"{self.v4[name]}, {self.v6[name]}", self.faces[name], reply["mtu"],
              ", ".join(reply["routes"])] for name, reply in replies.items()])
        with self.screen.waiting("pinging from namespace to namespace"):
            answers = [reaches(self.world.endpoint(a), family[b])
                       for a, b in pairs() for family in (self.v4, self.v6)]
        self.hold(all(answers),
                  "every namespace `kafka` reaches the two others, over IPv4 and IPv6")
        with self.screen.waiting("asking for names"):
            found = {(a, b): wait_until(lambda: self.resolves(a, b), 5,
                                        f"apps in {a} to find {self.host_name(b)}")
                     for a in CLUSTERS for b in CLUSTERS}
        self.hold(all(addresses == {self.v4[b], self.v6[b]} for (_, b), addresses
                      in found.items()),
                  "in each cluster's namespace `apps` the brokers of all three have names",
                  ", ".join(self.host_name(name) for name in CLUSTERS))
        self.hold([address_of(self.others[name]) for name in CLUSTERS] == list(self.v4.values()),
                  "the other slice, `orders`, has the very same overlay addresses",
                  "on the same gateways; step 11 shows that it does not matter")

    @staticmethod
    def host_name(cluster):
        return f"broker.kafka.{cluster}.slice.local"

    def resolves(self, source, target):
        """The addresses that a program in apps is given by the C library, or None."""
        done = self.world.endpoint(source, 2).run(
            "getent", "ahosts", self.host_name(target), check=False)
        found = {line.split()[0] for line in done.stdout.splitlines()}
        return found if len(found) == 2 else None

    def isolate(self, cluster):
        for link in (f"{cluster}>*", f"*>{cluster}"):
            self.world.relay.cut(link)

    def strangers(self):
        self.heading("Strangers reach nothing")
        self.screen.say(
            "Pings, TCP to Kafka's ports and UDP, over IPv4 and IPv6, to the three members. First "
            "from inside, to see that the captures see; from the applications, who may speak to "
            "brokers and to no controller; from the hosts of all three clusters, outside the "
            "namespaces; from the slice `orders`.")
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
            apps = probe(self.world.endpoint("west", 2))
            time.sleep(0.2)
            rows.append(["apps in west", apps["tried"], len(apps["reached"]), seen() - base])
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
        expected = {f"tcp {address}:9092" for address in targets}
        self.hold(set(apps["reached"]) == expected,
                  "from the applications: Kafka's port of every broker, and nothing else",
                  some(sorted(set(apps["reached"]) ^ expected)))
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
        decided = {}
        for name in CLUSTERS:
            for policy in self.gateways[name].status(self.slice).get("policies") or []:
                decided.setdefault(policy["name"], {"action": policy["action"]})[name] = \
                    policy["decided"]
        if decided:
            self.screen.table(
                ["CONVERSATIONS DECIDED BY", "", *CLUSTERS],
                [[name, one["action"], *(one.get(cluster, 0) for cluster in CLUSTERS)]
                 for name, one in decided.items()], right=(2, 3, 4))
        self.facts["policies"] = decided
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
