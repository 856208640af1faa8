"""Our schema files against the facts of two releases of Kafka.

`kafka-messages.json`, if it is there, has every message of one release between 3.9 and 4.0;
kafka-python ships what clients need of 4.3. Ours are of 4.1, so each difference is one of time
and stands in a table below with its reason. A difference that is not in a table fails, and so
does an entry of a table that is no longer true.
"""
import json
import pathlib

import pytest

import codec
import differences
import kafka_python

FACTS = codec.ROOT.parent / "shared/kafka-messages.json"
OURS = {c.name: c for c in codec.codecs(generated_only=False)}


def pair(versions):
    return "none" if versions.empty else (versions.low, versions.high)


def versions(text):
    return pair(codec.language.Versions.parse(str(text)))


def default(value, type_):
    """As text, so that 0x10 is 16, "" is nothing and False is false."""
    if value in (None, "null"):
        return "null"
    text = str(value).strip('"').lower()
    if type_ in ("int8", "int16", "int32", "int64", "uint16"):
        return str(int(text or "0", 0))
    if type_ == "bool":
        return text or "false"
    return text


def described(fields, structs, path=""):
    """path -> facts of the field, for a message as JSON has it."""
    found = {}
    for field in fields:
        name = f"{path}.{field['name']}" if path else field["name"]
        ranged = field.get("versions") or field["taggedVersions"]
        found[name] = {
            "type": field["type"],
            "versions": versions(ranged),
            "nullable": versions(field.get("nullableVersions") or "none"),
            "default": default(field.get("default", ""), field["type"]),
            "tag": int(field["tag"]) if "tag" in field else None,
            "tagged": versions(field.get("taggedVersions") or "none"),
            "plain": field.get("flexibleVersions") == "none",
            "ignorable": str(field.get("ignorable", False)).lower() == "true",
        }
        kind = field["type"].removeprefix("[]")
        inner = field.get("fields") or structs.get(kind)
        if inner:
            found.update(described(inner, structs, name))
    return found


def flat(schema):
    structs = {s["name"]: s["fields"] for s in schema.get("commonStructs", [])}
    return described(schema["fields"], structs)


def ours(one, fields=None, path=""):
    """The same for a message of our schema files."""
    found = {}
    for field in one.message.fields if fields is None else fields:
        name = f"{path}.{field.name}" if path else field.name
        ranged = pair(field.versions)
        found[name] = {
            "type": field.type,
            "versions": ranged,
            "nullable": pair(field.nullable),
            "default": default(field.default or "", field.type),
            "tag": field.tag,
            "tagged": "none" if field.tag is None else ranged,
            "plain": field.plain,
            "ignorable": field.ignorable,
        }
        struct = one.message.structs.get(field.element)
        if struct:
            found.update(ours(one, struct.fields, name))
    return found


def compare(theirs):
    """Every difference: (message, field or aspect) -> what it is."""
    found = {}
    for name, schema in theirs.items():
        if name not in OURS:
            found[name, "message"] = "not ours"
            continue
        one = OURS[name]
        low, high = one.schema.versions.low, one.schema.versions.high
        if versions(schema["validVersions"]) != (low, high):
            found[name, "versions"] = f"{schema['validVersions']} there, {low}-{high} here"
        if versions(schema["flexibleVersions"]) != pair(one.schema.flexible):
            found[name, "flexible"] = schema["flexibleVersions"]
        if schema.get("apiKey") != one.schema.key:
            found[name, "key"] = schema.get("apiKey")
        there, here = flat(schema), ours(one)
        for path in there.keys() | here.keys():
            if path not in here:
                found[name, path] = "there only"
            elif path not in there:
                found[name, path] = "here only"
            elif there[path] != here[path]:
                found[name, path] = {
                    key: (there[path][key], here[path][key])
                    for key in here[path] if there[path][key] != here[path][key]}
        common = [path for path in there if path in here]
        if common != [path for path in here if path in there]:
            found[name, "order"] = "the fields stand in another order"
    return found


def matches(key, table):
    name, aspect = key
    return key in table or (name.removesuffix("Request").removesuffix("Response"), aspect) in table


def hold(found, table):
    unexplained = {key: what for key, what in found.items() if not matches(key, table)}
    assert not unexplained
    used = {key for key in table if any(matches(k, {key: 0}) for k in found)}
    assert table.keys() == used, f"no longer a difference: {sorted(table.keys() - used)}"


@pytest.mark.skipif(not FACTS.exists(), reason="the facts of the earlier release are not here")
def test_against_the_facts_of_the_earlier_release():
    theirs = {schema["name"]: schema for schema in json.loads(FACTS.read_text())}
    found = compare(theirs)
    found.update({(name, "message"): "here only" for name in OURS.keys() - theirs.keys()})
    hold(found, differences.EARLIER)


def test_against_the_schemas_of_the_later_release():
    hold(compare(kafka_python.schemas()), differences.LATER)


def test_the_release_that_is_advertised_is_told_apart():
    """kafka-python infers a broker's release from the ranges: it must find the one we mirror."""
    kafka_python.classes()
    from kafka.protocol.broker_version_data import infer_broker_version_from_api_versions
    apis = {
        c.schema.key: (v.low, v.high)
        for c in OURS.values() if c.schema.kind == "api"
        for v in [c.schema.advertise or c.schema.versions]}
    assert infer_broker_version_from_api_versions(apis) == (4, 1)


def test_an_element_of_an_array_takes_at_least_a_byte():
    """WireReader checks an array's count against the bytes left, an element a byte."""
    for one in OURS.values():
        for version in one.versions:
            for struct in one.message.structs.values():
                there = [f for f in struct.fields if codec.holds(f.versions, version)]
                assert not there or one.flexible(version) or any(f.tag is None for f in there)
