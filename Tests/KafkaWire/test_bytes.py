"""Every message in every version, byte for byte: KafkaWire against two other implementations."""
import pytest

import codec
import echo
import kafka_python
import vectors

CODECS = codec.codecs()
ROUNDS = 16


@pytest.fixture(scope="module")
def wire():
    program = echo.Echo()
    yield program
    program.close()


# Schemas without Swift yet have no other witness than kafka-python.
SCHEMAS_ONLY = [
    c for c in codec.codecs(generated_only=False)
    if not c.schema.generate and kafka_python.message_class(c)]


def values(one):
    for version in one.versions:
        for number in range(ROUNDS):
            yield version, one.fill(codec.seeded(one.name, version, number), version)


def test_swift_has_every_message_of_the_schemas(wire):
    expected = {c.name: (c.schema.versions.low, c.schema.versions.high) for c in CODECS}
    assert wire.messages() == expected


@pytest.mark.parametrize("one", CODECS, ids=lambda c: c.name)
def test_swift_reads_and_writes_what_the_schema_says(wire, one):
    for version, value in values(one):
        content = one.encode(value, version)
        again, left = wire.echo(one.name, version, content)
        assert again == content, (version, value)
        assert left == 0


@pytest.mark.parametrize("one", CODECS, ids=lambda c: c.name)
def test_swift_refuses_every_part_of_a_message(wire, one):
    """No message is the start of another one of its kind: what is cut short is an error."""
    for version in one.versions:
        content = one.encode(one.fill(codec.seeded(one.name, version), version), version)
        for length in range(len(content)):
            _, left = wire.echo(one.name, version, content[:length])
            assert left is None, (version, length)


def test_swift_reports_what_follows_a_message(wire):
    one = next(c for c in CODECS if c.name == "HeartbeatRequest")
    content = one.encode(one.fill(codec.seeded(one.name, 4), 4), 4)
    assert wire.echo(one.name, 4, content + b"rest") == (content, 4)


def test_swift_refuses_versions_that_are_not_there(wire):
    for one in CODECS:
        for version in (one.versions[0] - 1, one.versions[-1] + 1):
            text, left = wire.echo(one.name, version, bytes(64))
            assert (text, left) == (f"no {one.name} of version {version}", None)


def test_the_vectors_of_the_swift_tests_are_what_the_schemas_say():
    assert vectors.FILE.read_text() == vectors.text(), "run vectors.py"


WITNESSED = [c for c in CODECS if kafka_python.message_class(c)]


def test_kafka_python_witnesses_the_apis_of_clients():
    names = {c.name for c in WITNESSED}
    for api in ("Produce", "Fetch", "Metadata", "JoinGroup", "OffsetFetch", "CreateTopics"):
        assert {f"{api}Request", f"{api}Response"} <= names


@pytest.mark.parametrize("one", WITNESSED, ids=lambda c: c.name)
def test_kafka_python_agrees_in_both_directions(wire, one):
    for version, value in values(one):
        value = kafka_python.without_ours(one, value)
        theirs = kafka_python.encode(one, value, version)
        again, left = wire.echo(one.name, version, theirs)
        assert again == theirs, (version, value)
        assert left == 0
        if one.name == "ApiVersionsResponse" and value["ErrorCode"] != 0:
            continue  # which kafka-python reads as version 0, whatever the version
        assert kafka_python.decode(one, again, version) == value, version


@pytest.mark.parametrize("one", SCHEMAS_ONLY, ids=lambda c: c.name)
def test_kafka_python_agrees_with_schemas_that_have_no_swift(one):
    for version, value in values(one):
        theirs = kafka_python.encode(one, value, version)
        assert theirs == one.encode(value, version), (version, value)
        assert kafka_python.decode(one, theirs, version) == value, version
