#!/usr/bin/python3
"""Measures three slice-brokers on this machine, by themselves and over a slice, with librdkafka."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Lab"))

import kafka_report
from figures import Spread
from kafka_figures import FIGURES, GROUPS, STEPS
from kafka_measure import Measure
from kafka_places import DISTANT, LOOPBACK, SLICE, Place, build_client
from lab import Lab, LabError, enter_user_namespace
from lab.brokers import broker_program
from machine import Watch, describe

PLACES = {"loopback": LOOPBACK, "slice": SLICE, "distant": DISTANT}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="how often all is measured (3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="short measurements, no report")
    parser.add_argument("--only", action="append", default=[], metavar="WORD[,WORD]",
                        help=f"measurements ({', '.join(GROUPS)}) or places ({', '.join(PLACES)})")
    parser.add_argument("--json", metavar="FILE", help="write every number measured")
    parser.add_argument("--report", metavar="DIR", type=Path,
                        help="write Benchmarks/Kafka.md there (Docs, if all is measured)")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = 3 if options.quick else 6
    words = [word for many in options.only for word in many.split(",") if word]
    unknown = [word for word in words if word not in GROUPS and word not in PLACES]
    if unknown:
        parser.error(f"--only does not know {', '.join(unknown)}")
    options.groups = {word for word in words if word in GROUPS} or set(GROUPS)
    options.places = [PLACES[one] for one in words if one in PLACES] or list(PLACES.values())
    if options.report is None and not options.quick and not words:
        options.report = Path(__file__).resolve().parents[2] / "Docs"
    return options


class Run:
    """Values of all rounds: values[place][key] is a list."""

    def __init__(self, options, client):
        self.options, self.client = options, client
        self.values = {place: {} for place in options.places}
        self.details, self.failures = [], []
        self.started = time.monotonic()

    def spread(self, place, key):
        return Spread.of(self.values.get(place, {}).get(key, []))

    def measure(self, place, number):
        figures = {figure.key: figure for figure in FIGURES}
        print(f"[{time.monotonic() - self.started:4.0f} s] round {number}/{self.options.rounds}  "
              f"{place}", flush=True)

        def say(key, value):
            figure = figures[key]
            self.values[place].setdefault(key, []).append(value)
            print(f"    {figure.title:55} {figure.show(value):>9} {figure.unit}", flush=True)

        with Lab() as lab:
            measure = Measure(Place(lab, place), self.client, self.options.seconds, say)
            for step, group in STEPS.items():
                if group not in self.options.groups and step != "start":
                    continue
                try:
                    getattr(measure, step)()
                except (LabError, OSError, ValueError, KeyError, AssertionError) as error:
                    self.failures.append(f"{place}, {step}: {error}")
                    print(f"    {step} could not be measured: {error}", flush=True)
                    if step == "start":
                        break
            self.details.append({"round": number, "place": place, "values": measure.values,
                                 "details": measure.details})


def main():
    options = arguments()
    enter_user_namespace()
    watch = Watch()
    try:
        print(f"measures {broker_program()}", flush=True)
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            run = Run(options, build_client(directory))
            for number in range(1, options.rounds + 1):
                for place in options.places:
                    watch.look()
                    run.measure(place, number)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: nothing is left behind, nothing was written", file=sys.stderr)
        return 130
    facts = {"machine": describe(), "complaints": watch.complaints(), "rounds": options.rounds,
             "seconds": options.seconds, "taken": time.monotonic() - run.started,
             "date": time.strftime("%Y-%m-%d", time.gmtime())}
    print("\n" + kafka_report.text(run, facts))
    if options.json:
        Path(options.json).write_text(json.dumps(
            {"facts": facts, "failures": run.failures, "rounds": run.details}, indent=1) + "\n")
    if options.report:
        print(f"\nwritten: {kafka_report.write(options.report, run, facts)}")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
