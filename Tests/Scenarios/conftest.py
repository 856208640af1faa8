import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "Lab")]

from lab import Lab, LabError, ThreeClusters, limits  # noqa: E402
from lab.gateways import SliceWorld, find_program  # noqa: E402
from lab.limits import (  # noqa: E402, F401
    pytest_collection_modifyitems, pytest_configure, pytest_runtest_call,
    pytest_runtest_makereport, pytest_runtest_setup)

limits.test_seconds = 90


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
