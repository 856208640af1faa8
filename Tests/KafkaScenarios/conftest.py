import os
import re
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "Lab")]

from lab import Lab, limits  # noqa: E402
from lab.brokers import broker_program  # noqa: E402
from lab.limits import (  # noqa: E402, F401
    pytest_collection_modifyitems, pytest_configure, pytest_runtest_call,
    pytest_runtest_makereport, pytest_runtest_setup)

limits.test_seconds = 120


def clients_site():
    folder = os.environ.get("KAFKA_PYTHON_SITE")
    if not folder or not (Path(folder) / "confluent_kafka").is_dir():
        raise pytest.UsageError(
            "set KAFKA_PYTHON_SITE to the folder with the clients: Tests/Clients/site.sh makes "
            f"it and prints its name. It is {folder!r} now")
    return folder


sys.path.insert(0, clients_site())


# refused(by: 1), lost("disk"), leader(2): a case of an enum as Swift prints it.
SWIFT = re.compile(r"""\b[a-z]\w*\((?:[a-z]\w*: |\d|")""")


@pytest.fixture
def lab():
    with Lab() as made:
        yield made
        brokers = [one for one in made.processes if str(broker_program()) in one.command]
        for process in brokers:
            process.kill()  # a stop of all at once would take its time
        for process in brokers:
            for line in process.output().splitlines():
                assert not SWIFT.search(line), f"{process.label} speaks Swift: {line}"
