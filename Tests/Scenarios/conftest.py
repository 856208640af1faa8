import os
import signal
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "Lab")]

from lab import Lab, LabError, ThreeClusters  # noqa: E402
from lab.gateways import SliceWorld, find_program  # noqa: E402

TEST_SECONDS = 90
NIGHTLY_SECONDS = 900


def pytest_configure(config):
    config.addinivalue_line("markers", "nightly: takes minutes; run with `-m nightly`")


def pytest_collection_modifyitems(config, items):
    if "nightly" in config.getoption("-m"):
        return
    slow = [item for item in items if item.get_closest_marker("nightly")]
    items[:] = [item for item in items if not item.get_closest_marker("nightly")]
    config.hook.pytest_deselected(items=slow)


class TookTooLong(Exception):
    """A test that would have hung."""


def bounded(item):
    seconds = NIGHTLY_SECONDS if item.get_closest_marker("nightly") else TEST_SECONDS

    def expired(number, frame):
        raise TookTooLong(f"not done in {seconds} s")

    old = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    yield from bounded(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    yield from bounded(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows what the processes of the test's lab have said."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for value in list(getattr(item, "funcargs", {}).values()):
        lab = value if isinstance(value, Lab) else getattr(value, "lab", None)
        if isinstance(lab, Lab):
            for process in lab.processes:
                report.sections.append((f"{process.label} (pid {process.pid})", process.tail(40)))


def needs_root():
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes network namespaces")
    try:
        find_program("slice-gateway")
        find_program("slicectl")
    except LabError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def lab():
    needs_root()
    with Lab() as made:
        yield made


@pytest.fixture(scope="module")
def module_world():
    """Two slices with the same overlay addresses on the gateways of three clusters, an endpoint
    in each cluster and slice."""
    needs_root()
    with Lab() as made:
        yield SliceWorld(made, ThreeClusters(made, "delay 2ms", endpoints=2),
                         names=("payments", "orders"))


@pytest.fixture
def world(module_world):
    """The module's world, on good wires."""
    module_world.relay.say("seed 7")
    module_world.relay.set("*", "delay 2ms")
    yield module_world
    module_world.relay.clear("*")
    module_world.relay.heal("*")
