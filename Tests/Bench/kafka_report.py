"""The results as text for a terminal, and as Docs/Benchmarks/Kafka.md."""

from kafka_figures import APACHE, FIGURES, REFERENCE
from report import markdown_table


def cell(run, figure, place):
    spread = run.spread(place, figure.key)
    if spread is None:
        return "-"
    text = figure.show(spread.median)
    if spread.count > 1:
        text += f" ({figure.show(spread.least)} to {figure.show(spread.most)})"
    return text


def times(run, figure, place):
    """How many times better than Apache Kafka's figure; above 1 is ahead."""
    spread, reference = run.spread(place, figure.key), REFERENCE.get(figure.key)
    if spread is None or reference is None or spread.median <= 0:
        return "-"
    ratio = spread.median / reference if figure.more_is_better else reference / spread.median
    return f"{ratio:.2f}"


def rows(run):
    places = run.options.places
    header = ["", "unit", *places, APACHE, f"{places[0]}, times better"]
    table = [[figure.title, figure.unit, *[cell(run, figure, place) for place in places],
              figure.show(REFERENCE.get(figure.key)), times(run, figure, places[0])]
             for figure in FIGURES if any(run.spread(place, figure.key) for place in places)]
    return header, table


def text(run, facts):
    header, table = rows(run)
    widths = [max(len(line[n]) for line in [header, *table]) for n in range(len(header))]
    lines = ["  ".join(f"{word:{width}}" if n < 2 else f"{word:>{width}}"
                       for n, (word, width) in enumerate(zip(line, widths))).rstrip()
             for line in [header, *table]]
    lines += [f"The machine was not quiet: {line}" for line in facts["complaints"]]
    lines += [f"Not measured: {line}" for line in run.failures]
    return "\n".join(lines)


def write(directory, run, facts):
    path = directory / "Benchmarks" / "Kafka.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(page(run, facts))
    return path


def page(run, facts):
    header, table = rows(run)
    notes = [*[f"The machine was not quiet: {line}." for line in facts["complaints"]],
             *[f"Not measured: {line}." for line in run.failures]]
    if not facts["complaints"]:
        notes.append("The machine was quiet, before and between the measurements.")
    machine = "\n".join(f"| {key} | {value} |" for key, value in facts["machine"].items())
    seconds = facts["seconds"]
    return f"""# Benchmarks of Kafka

Written by `make bench-kafka` on {facts["date"]}; do not edit. Median of {facts["rounds"]} rounds
(least to most).

{markdown_table(header, table)}

{chr(10).join("- " + note for note in notes)}

## Machine

| | |
| --- | --- |
{machine}

Three brokers, the client, and over the slice three gateways and the relay that stands for the
network between the clusters, all share this one machine and its cores.

## Method

Three brokers that are controllers too, a rack each, every setting the default one; topics of 6
partitions, replication factor 3, `min.insync.replicas` 2. The client is librdkafka, driven by
`Tests/Bench/kafkabench.c`: `acks=all`, idempotent; values of random bytes that do not compress.
The run took {facts["taken"] / 60:.1f} minutes.

The column {APACHE} was measured once and not in this run: three combined brokers with heaps of
512 MB on loopback of a machine of this size. It says how far apart the two are, not by how many
percent.

- **Records/s**: as many as the client's queue takes, for {seconds} s; those acknowledged in the
  last four fifths of the time count.
- **Acknowledged at 1,000 records/s**: from handing a record to librdkafka until its delivery
  report, for {2 * seconds} s, linger 0, `socket.nagle.disable=true`. Between clusters 10 ms apart
  a record takes 20 ms where its leader is in the producer's cluster, and 40 ms elsewhere, before
  anything else; and with idempotence librdkafka has one batch of a partition under way: the next
  waits until it is acknowledged, which is what all of the column is bound by.
- **Consumed**: everything of a topic that was written just before, by one client that asks all
  partitions from the beginning; from the first records on.
- **Slowest record**: 1,000 records per second into one partition whose leader gets `kill -9`, or
  whose cluster is cut off from the others without a word, after 5 of 15 s; the longest that any
  record waited for its acknowledgement. Both the brokers' timeouts and the client's are the
  defaults, but for `topic.metadata.refresh.interval.ms=200`, and where a cluster is cut off
  `socket.timeout.ms=500`: librdkafka waits a minute for an answer that cannot come, and looks once
  a second whether it has waited long enough. The brokers' part of it is the line below: from the
  cut until another broker leads the partition, asked every few hundredths of a second.
- **Start**: three brokers started at once, from the first process until the last says that it is
  ready.
- **Memory**: the largest resident set of the three: at rest with 100 partitions of three replicas,
  and after all of the measurements.

## Again

    make bench-kafka                                     # all of it, and this page
    make bench-kafka BENCH_FLAGS="--quick"               # short, and no page
    make bench-kafka BENCH_FLAGS="--only latency,slice"
"""
