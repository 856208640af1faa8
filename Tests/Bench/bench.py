#!/usr/bin/python3
"""Measures the tunnel against wireguard-go, openvpn and no tunnel, on this machine, in one run.

Every round has all contenders on both underlays, one after another in an order of its own, so that
a machine that gets slower or faster meanwhile does so for all. Ratios are taken within a round.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "Lab"))

import report
from contenders import KINDS, REPOSITORY, find_gateway, versions
from figures import (ALL, CONTENDERS, FIGURES, GROUPS, MORE_PEERS, OURS, WIRE_GROUPS,
                     Results)
from lab import Lab, LabError, enter_user_namespace, run
from machine import Watch, describe
from measure import FULL, QUICK, Session
from underlay import UNDERLAYS, VETH, WIRE

# In this order: memory is idle before anything else, and at its peak after all that is asked of the
# two ends alone.
STEPS = {"start": "start", "memory_idle": "memory", "rtt": "rtt", "tcp": "tcp", "busy": "busy",
         "steady": "steady", "udp1200": "udp1200", "udp64": "udp64", "memory_peak": "memory",
         "elsewhere": "elsewhere", "initiations": "initiations"}

LIMIT = 20 * 60  # seconds: no round is begun that would end later, unless asked for


def word_for(contender):
    return contender.replace(",", "").replace(" ", "-")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="how often all is measured (5; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="short measurements, no report")
    parser.add_argument("--only", action="append", default=[], metavar="WORD[,WORD]",
                        help=f"measurements ({', '.join(GROUPS)}) or contenders "
                        f"({', '.join(map(word_for, ALL))})")
    parser.add_argument("--all-peers", action="store_true",
                        help=f"{' and '.join(MORE_PEERS)} too, which takes a third longer")
    parser.add_argument("--underlay", choices=["both", *UNDERLAYS], default="both",
                        help="veth: as the kernel makes it; wire: every packet crosses alone; both "
                        f"(the default): all on the veth, {' and '.join(WIRE_GROUPS)} on the wire")
    parser.add_argument("--json", metavar="FILE", help="write every number measured")
    parser.add_argument("--report", metavar="DIR", type=Path,
                        help="write Benchmarks.md and its charts there (Docs, if all is measured)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of contenders")
    options = parser.parse_args()
    options.limit = LIMIT if options.rounds is None else float("inf")
    options.rounds = options.rounds or (1 if options.quick else 5)
    words = [word for many in options.only for word in many.split(",") if word]
    names = {word_for(name): name for name in ALL}
    unknown = [word for word in words if word not in GROUPS and word not in names]
    if unknown:
        parser.error(f"--only does not know {', '.join(unknown)}")
    options.groups = [word for word in words if word in GROUPS] or GROUPS
    options.contenders = [names[word] for word in words if word in names] or list(
        ALL if options.all_peers else CONTENDERS)
    if options.report is None and not options.quick and not words and options.underlay == "both":
        options.report = REPOSITORY / "Docs"
    options.underlays = underlays(options)
    if options.report is not None and VETH not in options.underlays:
        parser.error("--report: the page is about the veth first")
    return options


def underlays(options):
    """Underlays and the measurements there are on each."""
    if options.underlay != "both":
        return {options.underlay: options.groups}
    on_wire = [group for group in options.groups if group in WIRE_GROUPS]
    return {VETH: options.groups, **({WIRE: on_wire} if on_wire else {})}


def build_udpbench(directory):
    """And tcpbench beside it."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise LabError("no C compiler for udpbench.c (Debian package gcc)")
    program = Path(directory) / "udpbench"
    for one in program, program.with_name("tcpbench"):
        source = Path(__file__).with_name(one.name + ".c")
        run(compiler, "-std=gnu11", "-O2", "-Wall", "-pthread", "-o", one, source)
    return program


def steps(groups):
    return [step for step, group in STEPS.items() if group in groups]


def measure(name, underlay, options, udpbench, results, details, started):
    """One contender on one underlay in one round. What cannot be measured is told and left out."""
    plan = QUICK if options.quick else FULL
    number = len(results.rounds)
    width = max(map(len, ALL))
    print(f"[{time.monotonic() - started:4.0f} s] round {number}/{options.rounds}  "
          f"{underlay} {name:{width}}", end="", flush=True)
    figures = {figure.key: figure for figure in FIGURES}

    def say(key, value):
        figure = figures[key]
        print(f"  {key} {figure.show(value)}", end="", flush=True)

    def fail(what, error):
        first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        results.failures.append((number, name, f"{what}: {first}"))
        print(f"\n    {what} could not be measured: {error}", flush=True)

    session = None
    try:
        with Lab() as lab:
            session = Session(KINDS[name](lab, udpbench, underlay), udpbench, plan, say)
            for step in steps(options.underlays[underlay]):
                try:
                    getattr(session, step)()
                except (LabError, OSError, ValueError, KeyError) as error:
                    fail(step, error)
    except (LabError, OSError) as error:
        fail("set-up", error)
    print(flush=True)
    if session is not None:
        results.add(name, session.values)
        details.append({"round": number, "underlay": underlay, "contender": name,
                        "values": session.values, "details": session.details})


def main():
    options = arguments()
    enter_user_namespace()
    started = time.monotonic()
    order = random.Random(options.seed)
    columns = [name for name in ALL if name in CONTENDERS or name in options.contenders]
    results = {underlay: Results(columns) for underlay in options.underlays}
    details, watch, rounds = [], Watch(), 0
    try:
        if OURS in options.contenders:
            print(f"measures {find_gateway()}", flush=True)
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            udpbench = build_udpbench(directory)
            for done in range(options.rounds):
                taken = time.monotonic() - started
                if done and taken + taken / done > options.limit:
                    print(f"another round would take too long: {done} it is")
                    break
                for one in results.values():
                    one.new_round()
                rounds += 1
                turns = [(name, underlay) for underlay in results for name in options.contenders]
                order.shuffle(turns)
                for name, underlay in turns:
                    watch.look()
                    measure(name, underlay, options, udpbench, results[underlay], details, started)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: nothing is left behind, nothing was written", file=sys.stderr)
        return 130
    facts = {
        "machine": describe(), "versions": versions(columns), "complaints": watch.complaints(),
        "rounds": rounds, "seed": options.seed, "quick": options.quick,
        "seconds": time.monotonic() - started, "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    print("\n" + report.text(results, facts))
    failures = [line for one in results.values() for line in one.missing()]
    if options.json:
        Path(options.json).write_text(json.dumps(
            {"facts": facts, "failures": failures, "rounds": details}, indent=1) + "\n")
    if options.report:
        print(f"\nwritten: {report.write(options.report, results, facts)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
