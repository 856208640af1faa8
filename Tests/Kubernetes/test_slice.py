"""The Slice as a custom resource has the shape of the signed manifest: the same fields, no more and
no less, and what one refuses the other does not take."""

import copy
import json
import re

import pytest
import yaml

from schemas import REPOSITORY, documents, slice_problems, slice_schema

READERS = REPOSITORY / "Sources/Gateway/SliceModel"


@pytest.fixture
def document():
    one, = documents("slice.yaml")
    return one


def fields(schema, path=()):
    """Every field of a schema, as a path of names."""
    found = set()
    for key, value in schema.get("properties", {}).items():
        found |= {(*path, key)} | fields(value, (*path, key))
    return found | (fields(schema["items"], path) if "items" in schema else set())


def used(value, path=()):
    if isinstance(value, list):
        return set().union(*[used(one, path) for one in value], set())
    if not isinstance(value, dict) or path[-1:] == ("labels",):
        return set()
    return set().union(*[{(*path, key)} | used(one, (*path, key)) for key, one in value.items()],
                       set())


def test_the_example_has_every_field(document):
    assert slice_problems(document) == []
    known = fields(slice_schema())
    shown = used(document) - {("metadata", "name")}
    # One selector is like the other.
    known -= {path for path in known if path[:3] == ("spec", "policies", "to") and len(path) > 3}
    shown -= {path for path in shown if path[:3] == ("spec", "policies", "to") and len(path) > 3}
    assert shown == known


def test_the_protocols_example_is_a_slice():
    text = (REPOSITORY / "Docs/Protocol.md").read_text()
    example = yaml.safe_load(re.search(r"### 5\.1 Fields\s+```yaml\n(.*?)```", text, re.S)[1])
    example["signature"] = {"key": "A" * 43 + "=", "value": "A" * 86 + "=="}
    assert slice_problems(example) == []


def test_the_gateway_reads_the_same_fields():
    """From the readers' sources: `required("name"` and `optional("name"`."""
    read = set()
    for path in READERS.glob("Manifest*.swift"):
        if "Encoding" not in path.name:
            read |= set(re.findall(r'(?:required|optional)\(\s*"(\w+)"', path.read_text()))
    known = {path[-1] for path in fields(slice_schema())}
    assert read - known == set()
    # A reader that does not know policies knows nothing of what belongs to them.
    if "policies" in read:
        assert known - read == set()


def test_it_is_a_structural_schema():
    """What the API server asks of one, as far as it is not in the schema of the definition:
    every part has a type, and what is named excludes what is not named."""
    def look(schema, path):
        assert schema.get("type") in ("object", "array", "string", "integer", "boolean"), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert not {"$ref", "oneOf", "anyOf", "allOf", "not", "uniqueItems"} & set(schema), path
        assert ("items" in schema) == (schema["type"] == "array"), path
        for name in schema.get("required", []):
            assert name in schema["properties"], path
        for key, value in schema.get("properties", {}).items():
            look(value, f"{path}.{key}")
        for key in ("items", "additionalProperties"):
            if key in schema:
                look(schema[key], f"{path}.{key}")

    look(slice_schema(), "")


def put(path, value):
    """A change of a document: `spec.clusters.0.name`; without a value the field goes."""
    def change(document):
        place = document
        *most, last = [int(one) if one.isdigit() else one for one in path.split(".")]
        for one in most:
            place = place[one]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return change


BAD = [
    ("spec", None), ("spec.version", 0), ("spec.version", "1"), ("spec.version", None),
    ("spec.isolation", "closed"), ("spec.port", 65536), ("spec.mtu", 575), ("spec.prefixes", []),
    ("spec.prefixes.0", "10.80.0.0"), ("spec.clusters", []), ("spec.clusters.0.name", "West"),
    ("spec.clusters.0.region", "eu--west"), ("spec.clusters.0.gateways.0.publicKey", "AAAA="),
    ("spec.clusters.0.gateways.0.privateKey", "x"), ("spec.clusters.0.gateways", []),
    ("spec.clusters.1.gateways.0.persistentKeepalive", 25), ("spec.namespaces.0.name", "-a"),
    ("spec.namespaces.0.regions", []), ("spec.policies.0.action", "drop"),
    ("spec.policies.0.ports.0", "tcp/0"), ("spec.policies.0.ports.0", "icmp/1"),
    ("spec.policies.0.form", {}), ("spec.policies.0.from.namespaces", "apps"),
    ("spec.policies.0.from.labels.role", "A"), ("spec.policies.0.name", None),
    ("spec.policies.0.description", "x" * 257), ("spec.policies.0.log", "yes"),
    ("spec.services.0.ports.0.protocol", "http"), ("spec.services.0.ports.0.name", "a" * 16),
    ("spec.services.0.check.port", 0), ("spec.services.0.namespace", None),
    ("spec.services.0.endpoints.selector", {}), ("signature.key", "AAAA"),
    ("signature.value", None),
    ("status", {}),
]


@pytest.mark.parametrize("path, value", BAD, ids=[f"{path}={value!r:.20}" for path, value in BAD])
def test_bad_slices_are_refused(document, path, value):
    changed = copy.deepcopy(document)
    put(path, value)(changed)
    assert slice_problems(changed)


def test_without_a_signature_it_may_wait_for_one(document):
    del document["signature"]
    assert slice_problems(document) == []
    assert json.dumps(document)
