#!/usr/bin/python3
"""Measures what policies and endpoints cost a slice, on this machine, in one run.

Every round has all sizes, one after another in an order of its own, so that a machine that gets
slower or faster meanwhile does so for all. Ratios are taken within a round.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Lab"))

import measure
import policy_report
from bench import build_udpbench
from contenders import REPOSITORY
from lab import Lab, LabError, enter_user_namespace
from lab.gateways import find_program
from machine import Watch, describe
from policy_figures import FIGURES, FULL, GROUPS, QUICK, STEPS, PolicyResults
from policy_measure import PolicySession
from policy_world import PolicyWorld


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="how often all is measured (3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="short and small, no report")
    parser.add_argument("--only", action="append", default=[], metavar="WORD[,WORD]",
                        help=f"measurements ({', '.join(GROUPS)}) or policies x endpoints "
                        f"({', '.join(size.word for size in FULL)})")
    parser.add_argument("--json", metavar="FILE", help="write every number measured")
    parser.add_argument("--report", metavar="DIR", type=Path,
                        help="write Benchmarks/Policies.md there (Docs, if all is measured)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of sizes")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.plan = measure.QUICK if options.quick else measure.FULL
    sizes = QUICK if options.quick else FULL
    words = {word for many in options.only for word in many.split(",") if word}
    unknown = words - set(GROUPS) - {size.word for size in sizes}
    if unknown:
        parser.error(f"--only does not know {', '.join(sorted(unknown))}")
    options.groups = words & set(GROUPS) or set(GROUPS)
    options.sizes = [size for size in sizes if size.word in words] or sizes
    if options.report is None and not options.quick and not words:
        options.report = REPOSITORY / "Docs"
    return options


class Run:
    def __init__(self, options, udpbench):
        self.options, self.udpbench = options, udpbench
        self.results, self.details = PolicyResults(options.sizes), []
        self.started = time.monotonic()

    def measure(self, size):
        """One size in one round. What cannot be measured is told and left out."""
        number = len(self.results.rounds)
        figures = {figure.key: figure for figure in FIGURES}
        width = max(len(one.name) for one in self.options.sizes)
        print(f"[{time.monotonic() - self.started:4.0f} s] round {number}/{self.options.rounds}  "
              f"{size.name:{width}}", end="", flush=True)

        def say(key, value):
            print(f"  {key} {figures[key].show(value)}", end="", flush=True)

        def fail(what, error):
            first = (str(error).strip() or repr(error)).splitlines()[0]
            self.results.failures.append((number, size.name, f"{what}: {first}"))
            print(f"\n    {what} could not be measured: {error}", flush=True)

        session = None
        try:
            with Lab() as lab:
                world = PolicyWorld(lab, size)
                session = PolicySession(world, self.udpbench, self.options.plan, say)
                for step, group in STEPS.items():
                    if group not in self.options.groups:
                        continue
                    try:
                        getattr(session, step)()
                    except (LabError, OSError, ValueError, KeyError) as error:
                        fail(step, error)
        except (LabError, OSError) as error:
            fail("set-up", error)
        print(flush=True)
        if session is not None:
            self.results.add(size.name, session.values)
            self.details.append({"round": number, "size": size.name, "values": session.values,
                                 "details": session.details})


def main():
    options = arguments()
    enter_user_namespace()
    order, watch = random.Random(options.seed), Watch()
    try:
        print(f"measures {find_program('slice-gateway')}", flush=True)
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            run = Run(options, build_udpbench(directory))
            for _ in range(options.rounds):
                run.results.new_round()
                for size in order.sample(options.sizes, len(options.sizes)):
                    watch.look()
                    run.measure(size)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: nothing is left behind, nothing was written", file=sys.stderr)
        return 130
    facts = {"machine": describe(), "complaints": watch.complaints(), "rounds": options.rounds,
             "seed": options.seed, "plan": options.plan,
             "seconds": time.monotonic() - run.started,
             "date": time.strftime("%Y-%m-%d", time.gmtime())}
    print("\n" + policy_report.text(run.results, facts))
    if options.json:
        Path(options.json).write_text(json.dumps(
            {"facts": {**facts, "plan": vars(options.plan)}, "failures": run.results.missing(),
             "rounds": run.details}, indent=1) + "\n")
    if options.report:
        print(f"\nwritten: {policy_report.write(options.report, run.results, facts)}")
    return 1 if run.results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
