"""`make demo`: three clusters on this machine, one slice over them, one Kafka stretched over it.

It shows, and checks, that brokers in three clusters form one Kafka over an encrypted slice; that
losing a cluster, and kill -9 of its broker before it comes back, cost no record that was
acknowledged; and that strangers reach nothing. All of it happens in network namespaces of its own,
and all of it is gone afterwards.
"""

import argparse
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from lab import LabError, enter_user_namespace, find_relay, run, sweep  # noqa: E402
from lab.brokers import broker_program  # noqa: E402
from lab.gateways import find_program  # noqa: E402
from lab.userns import in_user_namespace  # noqa: E402
from screen import Screen, wrap  # noqa: E402
from story import BREAKS, Story  # noqa: E402
from workload import clients_site  # noqa: E402

PROMISES = [
    "Three clusters joined by nothing but a slow underlay form one network.",
    "What crosses the underlay is encrypted; only what was attached takes part.",
    "Brokers and applications find each other by name; applications reach Kafka's port only.",
    "One Kafka, used by unmodified clients, is stretched over them.",
    "It loses a cluster, and that one's broker, goes on, and takes both back; nothing that was "
    "acknowledged is lost, doubled or out of order.",
    "No host, and no other slice with the same addresses, reaches it.",
]


def arguments():
    parser = argparse.ArgumentParser(
        prog="make demo DEMO_FLAGS='...'", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--step", action="store_true", help="wait for Enter after each step")
    pace.add_argument("--fast", action="store_true", help="no time to read between steps")
    parser.add_argument("--json", metavar="FILE",
                        help="write a report there; - is standard output, with nothing else on it")
    parser.add_argument("--break", dest="broken", choices=BREAKS, metavar="WHAT",
                        help="do something wrong on purpose, to see that it is noticed: "
                        + "; ".join(f"{name} ({what})" for name, what in BREAKS.items()))
    return parser.parse_args()


class Interrupted(BaseException):
    """SIGINT or SIGTERM."""


def main():
    args = arguments()
    for other in (find_relay, lambda: find_program("slice-gateway"),
                  lambda: find_program("slicectl"), broker_program):
        try:
            other()
        except LabError as error:
            sys.exit(str(error))
    if run("sh", "-c", "command -v kcat", check=False).returncode != 0:
        sys.exit("kcat is not installed: apt-get install kcat")
    if clients_site() is None:
        sys.exit("confluent-kafka is not here: name the folder that has it in $KAFKA_PYTHON_SITE; "
                 "Tests/Clients/site.sh makes one and prints its name")
    enter_user_namespace()
    return Supervisor(args).run()


class Supervisor:
    """The story runs in a child. When that has ended, in whatever way, what it made is taken
    away here if it could not do it itself; if both are killed, the next run does it."""

    def __init__(self, args):
        self.args = args

    def run(self):
        for name in sweep():
            if self.args.json != "-":
                print(f"removed what a killed run had left: {name}")
        handled = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, handled)
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG
            if os.getppid() != parent:
                os._exit(1)
            os._exit(self.child(handled))

        def pass_on(number, frame):
            try:
                os.kill(child, number)
            except ProcessLookupError:
                pass

        for number in handled:
            signal.signal(number, pass_on)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
        while True:
            try:
                _, status = os.waitpid(child, 0)
                break
            except InterruptedError:
                continue
        # Nothing that the child made may outlive it, and nobody interrupts this.
        signal.pthread_sigmask(signal.SIG_BLOCK, handled)
        sweep()
        return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1

    def child(self, handled):
        interrupted = None

        def stop(number, frame):
            nonlocal interrupted
            if interrupted is None:
                interrupted = number
                raise Interrupted

        for number in handled:
            signal.signal(number, stop)
        screen = Screen(is_quiet=self.args.json == "-", step=self.args.step,
                        fast=self.args.fast)
        story = Story(screen, self.args.broken)
        started, holds = time.time(), False
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
            self.opening(screen)
            # The lab puts a handler of its own in place, which a second signal would set off.
            holds = story.run(on_lab=lambda lab: signal.signal(signal.SIGTERM, stop))
            self.closing(screen, story, holds, time.time() - started)
        except Interrupted:
            pass
        except Exception as error:
            import traceback
            traceback.print_exc()
            story.hold(False, "the demo itself went wrong", str(error))
        signal.pthread_sigmask(signal.SIG_BLOCK, handled)
        if interrupted is not None:
            screen.line()
            screen.tick(True, "interrupted; everything that was made is gone")
        if self.args.json:
            self.report(story, holds, interrupted, started)
        sys.stdout.flush()
        return 128 + interrupted if interrupted is not None else 0 if holds else 1

    def opening(self, screen):
        screen.title("Three clusters, one slice, one Kafka",
                     "All of it in network namespaces that are gone afterwards"
                     + (", inside a user namespace: no root was needed." if in_user_namespace()
                        else "."))
        if self.args.broken:
            screen.line(f"On purpose, this run {BREAKS[self.args.broken]}: it must fail.", "warn")

    def closing(self, screen, story, holds, seconds):
        failed = [check for check in story.checks if not check["holds"]]
        screen.line()
        if holds:
            screen.line(f"All {len(story.checks)} checks held, in {seconds:.0f} s. "
                        "So it was seen here that:", "good")
            for promise in PROMISES:
                for n, line in enumerate(wrap(promise, screen.width - 5)):
                    screen.line((" · " if n == 0 else "   ") + line)
        else:
            screen.line(f"{len(failed)} of {len(story.checks)} checks did not hold:", "bad")
            for check in failed:
                screen.line(f" ✗ step {check['step']}, {check['title']}: {check['check']}")
        screen.line()

    def report(self, story, holds, interrupted, started):
        document = json.dumps({
            "ok": holds and interrupted is None,
            "interrupted": interrupted and signal.Signals(interrupted).name,
            "broken_on_purpose": self.args.broken, "in_user_namespace": in_user_namespace(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
            "seconds": round(time.time() - started, 1),
            "checks": story.checks, "facts": story.facts}, indent=1)
        if self.args.json == "-":
            print(document)
        else:
            Path(self.args.json).write_text(document + "\n")


if __name__ == "__main__":
    sys.exit(main())
