"""The results as text for a terminal, and as Docs/Benchmarks/Distance.md."""

from distance_figures import (BARE, DISTANCES, FIGURE, GOAL, LOSS, PATHS, SLICE, STREAMS, digits,
                              most)
from distance_world import LARGEST_WINDOW
from report import cell, markdown_table

HEADER = ["", "unit", *PATHS, "slice / bare"]


def ratio(results, key):
    spread = results.ratio(key)
    if spread is None:
        return "-"
    text = digits(spread.median)
    if spread.count > 1:
        text += f" ({digits(spread.least)} to {digits(spread.most)})"
    return text


def rows(results):
    return [[figure.title, figure.unit, *[cell(results, figure, path) for path in PATHS],
             ratio(results, figure.key)] for figure in results.measured()]


def answers(results):
    """What the figures say to the two questions."""
    lines = []
    for stream in STREAMS:
        filled = [results.spread(path, f"{stream.key}_filled") for path in (SLICE, BARE)]
        if all(filled):
            ours, bare = (f"{spread.median:.1%}" for spread in filled)
            lines.append(f"{stream.title}: one stream through the slice fills {ours} of the path, "
                         f"without the slice {bare}")
        reached = [results.spread(path, stream.key) for path in (SLICE, BARE)]
        if stream.loss and all(reached):
            ours, bare = (f"{spread.median / stream.expected(path):.2f}"
                          for path, spread in zip((SLICE, BARE), reached))
            lines.append(f"{stream.title}: the stream reaches {ours} of what Mathis' formula gives "
                         f"for its segments through the slice, without the slice {bare}")
    for distance in DISTANCES:
        for percentile in (50, 99):
            key = f"p{percentile}_{distance.key}"
            spread = results.ratio(key)
            if spread:
                verdict = "within" if spread.median <= GOAL else "not within"
                lines.append(f"{FIGURE[key].title}: {spread.median - 1:+.1%} through the slice, "
                             f"{verdict} {GOAL - 1:.0%}")
    return lines


def notes(results, facts):
    found = answers(results)
    found += [f"The machine was not quiet: {line}" for line in facts["complaints"]]
    found += [f"Not measured: {line}" for line in results.missing()]
    if not facts["complaints"]:
        found.append("The machine was quiet, before and between the measurements")
    return found


def text(results, facts):
    table = [HEADER, *rows(results)]
    widths = [max(len(line[n]) for line in table) for n in range(len(HEADER))]
    lines = ["  ".join(f"{word:{width}}" if n < 2 else f"{word:>{width}}"
                       for n, (word, width) in enumerate(zip(line, widths))).rstrip()
             for line in table]
    return "\n".join([*lines, "", *notes(results, facts)])


def write(directory, results, facts):
    path = directory / "Benchmarks" / "Distance.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(results, facts))
    return path


def times(streams):
    return "; ".join(f"{one.title.removeprefix('TCP, ')}: {one.seconds} s after {one.warm_up} s"
                     for one in streams)


def lossy(path):
    return " and ".join(f"{one.expected(path) / 1e6:.3g}" for one in STREAMS if one.loss)


def page(results, facts):
    machine = "\n".join(f"| {key} | {value} |" for key, value in facts["machine"].items())
    rounds = f"{facts['rounds']} round{'s' if facts['rounds'] > 1 else ''}"
    return f"""# Benchmarks over distances

Written by `make bench-distance` on {facts["date"]}; do not edit. Does one TCP stream through a
slice fill a path of 1 Gbit/s between places that are far apart, and does a producer of Kafka
records see the slice? Both are measured through the same relay without the slice too, one right
after the other.

## Figures

Median of {rounds} (least to most), of Kafka {facts["pairs"]} pairs in each round. The last column
has the ratios within the pairs.

{markdown_table(HEADER, rows(results))}

{chr(10).join(f"- {note}." for note in notes(results, facts))}

## Machine

| | |
| --- | --- |
{machine}

Clients, servers, gateways and the relay that stands for the network between the places all share
this one machine and its cores.

## Method

The relay (`wan-relay`) routes packets between namespaces, holds each for half a round trip, and
lets none leave earlier than a wire of the given rate would. Distances are round trips. Within a
round the two paths follow one another in an order shuffled with seed {facts["seed"]}; each round
has namespaces and processes of its own. The run took {facts["seconds"] / 60:.1f} minutes.

- **TCP**: iperf3, one stream, CUBIC (asked for by name: some kernels take BBR by themselves) with
  the kernel's settings but for `tcp_rmem` and `tcp_wmem`, of which the largest is
  {LARGEST_WINDOW >> 20} MB in the namespaces of sender and receiver on both paths: 100 ms at
  1 Gbit/s are 12.5 MB under way and as many in the queue, and the kernel by itself lets a sender
  have 4. The path carries 1 Gbit/s of IP packets of at most 1,500 bytes each way; in front of it
  waits what it holds in one round trip, and what does not fit is dropped. The start of a stream is
  not counted
  ({times(STREAMS)}).
  The rate is what the receiver got, of which TCP/IP alone leaves {most(BARE) / 1e6:.0f} Mbit/s at
  most, and the slice's outer headers {most(SLICE) / 1e6:.0f}; *filled* is what the relay
  delivered, all headers counted, of what the wire can carry. *Busy* is the share of all cores'
  time.
- **Trains**: what a kernel hands over as one large packet (TCP and UDP segmentation offload)
  crosses the relay as one. It counts as the packets it stands for, with a header each, and arrives
  when the last of them has left the wire: 64 kB take that about half a millisecond. So the relay
  takes little of the time that sender, receiver and gateways share with it.
- **{LOSS:.1%} lost**: each packet by chance, both ways, and so no trains. CUBIC takes every loss
  for a sign of congestion, so distance and loss decide and not the path's rate. For Reno, which
  CUBIC is not to fall far behind, Mathis' formula gives {lossy(BARE)} Mbit/s without the slice,
  {lossy(SLICE)} with its smaller segments.
- **Kafka record**: three brokers, a place each, replication factor 3, `min.insync.replicas` 2; a
  topic of three partitions, of which each broker leads one. The producer is in the place of one of
  them, librdkafka driven by `Tests/Bench/kafkabench.c`: `acks=all`, `linger.ms=0`,
  `socket.nagle.disable=true`; 1,000 records of 100 bytes a second for
  {facts["record_seconds"]} s, of which the first fifth is not counted. From handing a record to
  librdkafka until its delivery report. Two such Kafkas run beside each other, one in the clusters'
  nodes and one in endpoints of the slice; one at a time has a producer. No rate limit.

## Again

    make bench-distance                                      # all of it, and this page
    make bench-distance BENCH_FLAGS="--quick"                # short, and no page
    make bench-distance BENCH_FLAGS="--only kafka --rounds 5"
    make bench-distance BENCH_FLAGS="--patience 600"         # waits while others use the machine
"""
