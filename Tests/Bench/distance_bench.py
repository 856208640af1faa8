#!/usr/bin/python3
"""Measures one TCP stream and Kafka's records over distances, through a slice and without it.

Both paths lead through the same relay. In every round each measurement is made on both, one right
after the other in an order of its own, so that a machine that gets slower or faster meanwhile does
so for both. Ratios are taken within such a pair.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Lab"))

import distance_report
from contenders import REPOSITORY
from distance_figures import (DISTANCES, FIGURE, GROUPS, PATHS, QUICK_DISTANCES, QUICK_STREAMS,
                              STREAMS, DistanceResults)
from distance_measure import measure_records, measure_stream
from distance_world import KafkaWorld, StreamWorld
from kafka_places import build_client
from lab import Lab, LabError, enter_user_namespace, find_relay
from lab.brokers import broker_program
from lab.gateways import find_program
from machine import Watch, describe

PAIRS = 2  # of Kafka's measurements in a round: they are shorter than the streams


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="how often all is measured (3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="short measurements, no report")
    parser.add_argument("--only", action="append", default=[], metavar="WORD[,WORD]",
                        help=f"measurements ({', '.join(GROUPS)})")
    parser.add_argument("--json", metavar="FILE", help="write every number measured")
    parser.add_argument("--report", metavar="DIR", type=Path,
                        help="write Benchmarks/Distance.md there (Docs, if all is measured)")
    parser.add_argument("--patience", type=float, default=0, metavar="SECONDS",
                        help="how long, in all, to wait for others to leave the machine quiet")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the paths")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.pairs = 1 if options.quick else PAIRS
    options.record_seconds = 2 if options.quick else 6
    options.streams = QUICK_STREAMS if options.quick else STREAMS
    options.distances = QUICK_DISTANCES if options.quick else DISTANCES
    words = {word for many in options.only for word in many.split(",") if word}
    if words - set(GROUPS):
        parser.error(f"--only does not know {', '.join(sorted(words - set(GROUPS)))}")
    options.groups = words or set(GROUPS)
    if options.report is None and not options.quick and not words:
        options.report = REPOSITORY / "Docs"
    return options


class Run:
    """All rounds, and what was measured in them."""

    def __init__(self, options, client):
        self.options, self.client = options, client
        self.results, self.details = DistanceResults(), []
        self.order, self.watch = random.Random(options.seed), Watch()
        self.started = time.monotonic()
        self.patience = options.patience

    def measure(self):
        for number in range(1, self.options.rounds + 1):
            if "tcp" in self.options.groups:
                self.results.new_round()
                self.round(number, "tcp", StreamWorld, self.streams)
            if "kafka" in self.options.groups:
                self.round(number, "kafka", KafkaWorld, self.records)

    def round(self, number, group, world, measurements):
        self.tell(f"round {number}/{self.options.rounds} {group}")
        try:
            with Lab() as lab:
                measurements(world(lab))
        except (LabError, OSError) as error:
            self.fail(group, "set-up", error)

    def streams(self, world):
        # Other packets are lost in each round, or all rounds would have the same luck.
        seed = self.order.randrange(1 << 32)
        for stream in self.options.streams:
            self.pair(lambda path, stream=stream: measure_stream(world, stream, path, seed),
                      stream.title)

    def records(self, world):
        for _ in range(self.options.pairs):
            self.results.new_round()
            for distance in self.options.distances:
                self.pair(lambda path, distance=distance: measure_records(
                    world, distance, path, self.client, self.options.record_seconds),
                    f"Kafka, {distance.title}")

    def pair(self, measure, title):
        """On both paths. What cannot be measured is told and left out."""
        self.patience -= self.watch.wait(self.patience)
        for path in self.order.sample(PATHS, len(PATHS)):
            try:
                values, details = measure(path)
            except (LabError, OSError, ValueError, KeyError) as error:
                self.fail(path, title, error)
                continue
            self.results.add(path, values)
            self.details.append({"path": path, "what": title, "values": values,
                                 "details": details})
            shown = "  ".join(f"{key} {FIGURE[key].show(value)} {FIGURE[key].unit}"
                              for key, value in values.items())
            self.tell(f"  {path:17}  {shown}")

    def fail(self, path, what, error):
        first = (str(error).strip() or repr(error)).splitlines()[0]
        self.results.failures.append((len(self.results.rounds), path, f"{what}: {first}"))
        self.tell(f"  {path}: {what} could not be measured: {error}")

    def tell(self, text):
        print(f"[{time.monotonic() - self.started:4.0f} s] {text}", flush=True)


def main():
    options = arguments()
    enter_user_namespace()
    try:
        print(f"measures {find_program('slice-gateway')}, {broker_program()} through "
              f"{find_relay()}", flush=True)
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            run = Run(options, build_client(directory))
            run.measure()
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: nothing is left behind, nothing was written", file=sys.stderr)
        return 130
    facts = {"machine": describe(), "complaints": run.watch.complaints(), "rounds": options.rounds,
             "pairs": options.pairs, "record_seconds": options.record_seconds,
             "seed": options.seed, "seconds": time.monotonic() - run.started,
             "date": time.strftime("%Y-%m-%d", time.gmtime())}
    print("\n" + distance_report.text(run.results, facts))
    if options.json:
        Path(options.json).write_text(json.dumps(
            {"facts": facts, "failures": run.results.missing(), "rounds": run.details}, indent=1)
            + "\n")
    if options.report:
        print(f"\nwritten: {distance_report.write(options.report, run.results, facts)}")
    return 1 if run.results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
