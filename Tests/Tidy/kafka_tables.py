"""The tables of Docs/Kafka.md and Docs/Metrics.md, from the sources.

    kafka_tables.py [ROOT]          say whether the pages have them as they are
    kafka_tables.py --write [ROOT]  put them in

A table stands between `<!-- NAME -->` and `<!-- end NAME -->`.
"""

import pathlib
import re
import sys

STRING = r'"((?:[^"\\]|\\.)*)"'

# Where Kafka's default is another and the property's own text does not say so.
KAFKAS = {
    "process.roles": "none, it must be given",
    "log.dir": "/tmp/kafka-logs",
    "controller.listener.names": "none, it must be given",
    "max.connections": "2147483647",
    "queued.max.request.bytes": "-1, no limit",
    "replica.selector.class": "empty, the leader",
    "controller.quorum.election.timeout.ms": "1000",
}
OURS = {"metrics.listener", "log.level", "log.format",
        "max.inflight.requests.per.connection"}
# The quorum's timing has defaults of its own where the file gives none.
RAFT = {
    "controller.quorum.election.timeout.ms": "electionTimeout",
    "controller.quorum.fetch.timeout.ms": "fetchTimeout",
    "controller.quorum.election.backoff.max.ms": "electionBackoffMax",
    "controller.quorum.request.timeout.ms": "requestTimeout",
}
NUMBERS = {"9223372036854775807": "no limit", "2147483647": "no limit"}


def text_of(pieces):
    return "".join(re.findall(STRING, pieces)).replace('\\"', '"')


def read(root, path):
    return (root / path).read_text()


def apis(root):
    versions = {}
    for file in sorted((root / "Sources/Kafka/KafkaWire/Messages").rglob("*Request.swift")):
        text = file.read_text()
        key = re.search(r"apiKey: Int16 \{ (\d+) \}", text)
        low, high = re.search(r"validVersions: \S+ \{ (\d+)\.\.\.(\d+) \}", text).groups()
        versions[file.stem.removesuffix("Request")] = (int(key[1]), int(low), int(high))
    source = read(root, "Sources/Kafka/BrokerCore/ServedAPI.swift")
    lists = {
        name: set(re.findall(r"(\w+)Request\.apiKey,", source.split(f"static let {name} ")[1]
                             .split("])")[0]))
        for name in ("broker", "controller")
    }
    yield "| key | API | versions | broker's listener | controller's listener |"
    yield "| --- | --- | --- | --- | --- |"
    for name, (key, low, high) in sorted(versions.items(), key=lambda item: item[1]):
        served = ["yes" if name in lists[kind] else "" for kind in ("broker", "controller")]
        if any(served):
            span = str(low) if low == high else f"{low} to {high}"
            yield f"| {key} | {name} | {span} | {served[0]} | {served[1]} |"


def properties(root):
    source = read(root, "Sources/Kafka/BrokerConfig/BrokerProperties.swift")
    timing = dict(re.findall(
        r"(\w+): Nanoseconds = \.milliseconds\((\d+)\)",
        read(root, "Sources/Kafka/Raft/RaftConfiguration.swift")))
    entry = re.compile(
        r"\.init\(\s*" + STRING + r",\s*(\.(?:[^,()\[\]]|\([^()]*(?:\([^()]*\))*[^()]*\))+),\s*"
        r"(nil|" + STRING + r")(?:,\s*topic: " + STRING + r")?,\s*"
        r"((?:" + STRING + r"[\s+]*)+)\)")
    yield "| property | default | Kafka's, if other | what it says | for one topic |"
    yield "| --- | --- | --- | --- | --- |"
    count = 0
    for found in entry.finditer(source):
        count += 1
        name, default, topic = found[1], found[4], found[5]
        meaning = text_of(found[6])
        if name in RAFT:
            default = timing[RAFT[name]]
        kafkas = KAFKAS.get(name, "")
        said = re.search(r" Kafka: (-?\d+)\b", meaning)
        if said:
            kafkas = said[1]
            meaning = re.sub(r" Kafka: -?\d+(?:\.|;)", "", meaning)
        meaning = re.sub(r" (Kafka: [^.]*|Kafka has no (limit|default))\.", "", meaning)
        meaning = re.sub(r" Ours(, not Kafka's\.|: Kafka serves one at a time\.)", "", meaning)
        meaning = re.sub(r"(\. )([a-z])(?=[a-z ]+ that )", lambda m: m[1] + m[2].upper(), meaning)
        if kafkas == (default or ""):
            kafkas = ""
        if name in OURS:
            kafkas = "ours"
        if default is None:
            default = "must be given"
        elif default == "":
            default = "empty"
        elif "kafka" in default:
            default = default.split(".")[-1]
        default = NUMBERS.get(default, default)
        kafkas = NUMBERS.get(kafkas, kafkas)
        yield f"| `{name}` | {default} | {kafkas} | {meaning.strip()} | " + (
            f"`{topic}` |" if topic else "|")
    if count != source.count(".init("):
        sys.exit(f"kafka_tables: {count} of {source.count('.init(')} properties were understood")


def topics(root):
    source = read(root, "Sources/Kafka/CommitLog/Config/TopicConfig.swift")
    tiers = re.search(r"noTiers = " + STRING, source)[1]
    rows = []
    for piece in re.split(r"\bmake\(", source)[2:]:
        head = re.match(r"\s*" + STRING + r", \.\w+, " + STRING, piece)
        only = re.search(r"\.only\(" + STRING + r", because: (?:" + STRING + "|noTiers)", piece)
        note = f"only {only[1]}: {only[2] or tiers}" if only else ""
        if "without effect" in piece:
            note = "taken, without effect: batches are kept as their producer compressed them"
        default = NUMBERS.get(head[2], head[2] or "empty")
        rows.append(f"| `{head[1]}` | {default} | {note} |")
    yield "| property | default | |"
    yield "| --- | --- | --- |"
    yield from sorted(rows)


def metrics(root):
    source = read(root, "Sources/Kafka/BrokerCore/Metrics/MetricCatalogue.swift")
    entry = re.compile(
        r"\.init\(\s*" + STRING + r",\s*\.(gauge|counter|summary),\s*(?:\[([^\]]*)\],\s*)?"
        r"((?:" + STRING + r"[\s+]*)+)\)")
    yield "| metric | | labels | what it says |"
    yield "| --- | --- | --- | --- |"
    count = 0
    for found in entry.finditer(source):
        count += 1
        labels = ", ".join(f"`{label}`" for label in re.findall(STRING, found[3] or ""))
        yield f"| `{found[1]}` | {found[2]} | {labels} | {text_of(found[4])} |"
    there = len(re.findall(r"\s\.init\(", source))
    if count != there:
        sys.exit(f"kafka_tables: {count} of {there} metrics were understood")


PAGES = {
    "Docs/Kafka.md": {"apis": apis, "properties": properties, "topics": topics},
    "Docs/Metrics.md": {"metrics": metrics},
}


def bring(root, page, tables, is_writing):
    text = page.read_text()
    for name, table in tables.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end {name} -->")
        if not begin or not end:
            sys.exit(f"{page} has no table {name}")
        text = before + begin + "\n".join(table(root)) + "\n" + end + after
    if is_writing:
        page.write_text(text)
    elif text != page.read_text():
        sys.exit(f"{page} is not as the sources are: run Tests/Tidy/kafka_tables.py --write")


def main():
    words = sys.argv[1:]
    is_writing = "--write" in words
    words = [word for word in words if not word.startswith("--")]
    root = pathlib.Path(words[0] if words else pathlib.Path(__file__).parents[2])
    for name, tables in PAGES.items():
        bring(root, root / name, tables, is_writing)


if __name__ == "__main__":
    main()
