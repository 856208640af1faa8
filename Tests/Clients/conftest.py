import itertools
import os
import re
import sys
import warnings
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "Lab")]

from lab import Lab  # noqa: E402
from lab.brokers import BrokerCluster  # noqa: E402
from lab.limits import (  # noqa: E402, F401
    pytest_collection_modifyitems, pytest_configure, pytest_runtest_call,
    pytest_runtest_makereport, pytest_runtest_setup)


def clients_site():
    folder = os.environ.get("KAFKA_PYTHON_SITE")
    if not folder or not all(
            (Path(folder) / name).is_dir() for name in ("kafka", "aiokafka", "confluent_kafka")):
        raise pytest.UsageError(
            "set KAFKA_PYTHON_SITE to the folder with the clients: Tests/Clients/site.sh makes "
            f"it and prints its name. It is {folder!r} now")
    return folder


sys.path.insert(0, clients_site())

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of Python's by kafka-python, at import
    import kafka  # noqa: F401

from admin import create_topic  # noqa: E402

_numbers = itertools.count(1)


@pytest.fixture
def lab():
    with Lab() as made:
        yield made


@pytest.fixture(scope="session")
def session_lab():
    with Lab() as made:
        yield made


@pytest.fixture(scope="session")
def one_broker(session_lab):
    return BrokerCluster(session_lab, 1, name="one")


@pytest.fixture(scope="session")
def three_brokers(session_lab):
    return BrokerCluster(session_lab, 3, name="three")


@pytest.fixture
def one(one_broker):
    """One broker, shared by the tests of the session: it must be there afterwards."""
    yield one_broker
    is_well(one_broker)


@pytest.fixture
def three(three_brokers):
    """Three brokers, shared by the tests of the session: they must be there afterwards."""
    yield three_brokers
    is_well(three_brokers)


@pytest.fixture(params=[1, 3], ids=["one broker", "three brokers"])
def cluster(request):
    """One broker, and three."""
    chosen = request.getfixturevalue({1: "one_broker", 3: "three_brokers"}[request.param])
    yield chosen
    is_well(chosen)


def is_well(cluster):
    for broker in cluster:
        assert broker.is_running, broker.process.tail(60)


@pytest.fixture
def name(request):
    """Names that no other test uses: name(), name("group")."""
    stem = re.sub("[^A-Za-z0-9]+", "-", request.node.name.removeprefix("test_")).strip("-")[:60]
    return lambda kind="topic": f"{stem}-{kind}-{next(_numbers)}"


@pytest.fixture
def topic_in(name):
    """topic_in(cluster, partitions=1, **configs) makes a topic and tells its name."""
    def make(cluster, partitions=1, replicas=None, **configs):
        topic = name()
        create_topic(cluster, topic, partitions, replicas or min(3, len(cluster.brokers)),
                     **{key.replace("_", "."): value for key, value in configs.items()})
        return topic
    return make
