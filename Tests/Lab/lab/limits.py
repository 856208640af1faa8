"""What the suites of real processes share: nightly tests, a bound on each test, the processes'
logs with each failure. A conftest imports all of it and may set `test_seconds`."""

import signal

import pytest

from .core import Lab

test_seconds = 60
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
    seconds = NIGHTLY_SECONDS if item.get_closest_marker("nightly") else test_seconds

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
            # A module's lab may be gone already when its last test is reported.
            for process in filter(lambda one: one.log_path.exists(), lab.processes):
                report.sections.append((f"{process.label} (pid {process.pid})", process.tail(40)))
