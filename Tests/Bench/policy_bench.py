#!/usr/bin/python3
"""Measures what policies and endpoints cost a slice, on this machine, in one run.

There is a slice of each size all the time. In every round each measurement is made at all sizes,
one right after another in an order of its own, so that a machine that gets slower or faster
meanwhile does so for all. Ratios are taken within a round.
"""

import argparse
import contextlib
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
    parser.add_argument("--rounds", type=int, help="how often all is measured (5; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="short and small, no report")
    parser.add_argument("--only", action="append", default=[], metavar="WORD[,WORD]",
                        help=f"measurements ({', '.join(GROUPS)}) or policies x endpoints "
                        f"({', '.join(size.word for size in FULL)})")
    parser.add_argument("--json", metavar="FILE", help="write every number measured")
    parser.add_argument("--report", metavar="DIR", type=Path,
                        help="write Benchmarks/Policies.md there (Docs, if all is measured)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of sizes")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
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
    """Slices of all sizes at once, and what was measured of them."""

    def __init__(self, options, udpbench):
        self.options, self.udpbench = options, udpbench
        self.results, self.details = PolicyResults(options.sizes), []
        self.order, self.watch = random.Random(options.seed), Watch()
        self.started = time.monotonic()

    def measure(self):
        with contextlib.ExitStack() as stack:
            sessions = []
            for size in self.options.sizes:
                self.tell(f"sets up {size.name}")
                world = PolicyWorld(stack.enter_context(Lab()), size)
                sessions.append(PolicySession(world, self.udpbench, self.options.plan, None))
            for _ in range(self.options.rounds):
                self.results.new_round()
                for step, group in STEPS.items():
                    if group in self.options.groups:
                        self.step(step, sessions)
        self.tell("done")

    def step(self, step, sessions):
        """One measurement at all sizes. What cannot be measured is told and left out."""
        number = len(self.results.rounds)
        self.tell(f"round {number}/{self.options.rounds} {step}", end=":")
        self.watch.look()
        for session in self.order.sample(sessions, len(sessions)):
            size, figures = session.world.size, {figure.key: figure for figure in FIGURES}
            session.values, session.details = {}, {}
            session.say = lambda key, value: print(
                f"  {size.word} {key} {figures[key].show(value)}", end="", flush=True)
            try:
                getattr(session, step)()
            except (LabError, OSError, ValueError, KeyError) as error:
                first = (str(error).strip() or repr(error)).splitlines()[0]
                self.results.failures.append((number, size.name, f"{step}: {first}"))
                print(f"\n    {size.name}: {step} could not be measured: {error}", flush=True)
            self.results.add(size.name, session.values)
            self.details.append({"round": number, "size": size.name, "step": step,
                                 "values": session.values, "details": session.details})
        print(flush=True)

    def tell(self, text, end="\n"):
        print(f"[{time.monotonic() - self.started:4.0f} s] {text}", end=end, flush=True)


def main():
    options = arguments()
    enter_user_namespace()
    try:
        print(f"measures {find_program('slice-gateway')}", flush=True)
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            run = Run(options, build_udpbench(directory))
            run.measure()
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: nothing is left behind, nothing was written", file=sys.stderr)
        return 130
    facts = {"machine": describe(), "complaints": run.watch.complaints(), "rounds": options.rounds,
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
