import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "Lab")]

from lab import Lab  # noqa: E402
from lab.limits import (  # noqa: E402, F401
    pytest_collection_modifyitems, pytest_configure, pytest_runtest_call,
    pytest_runtest_makereport, pytest_runtest_setup)


@pytest.fixture
def lab():
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes network namespaces")
    with Lab() as made:
        yield made
