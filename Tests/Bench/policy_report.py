"""The results as text for a terminal, and as Docs/Benchmarks/Policies.md with its charts."""

import chart
import policy_measure
from measure import ALLOWED_LOSS
from policy_figures import SMALLEST
from policy_world import PER_CLUSTER, TEAMS
from report import cell, markdown_table

CHARTS = {
    "policies-packets": ("More is better", ["flow", "flow_flood", "new", "new_flood"]),
    "policies-cost": ("Less is better", ["here", "there", "rest", "peak", "kernel"]),
}


def ratio(results, figure, size):
    spread = results.ratio(figure, size)
    if spread is None:
        return "-"
    digits = 0 if spread.median >= 100 else 1 if spread.median >= 10 else 2
    text = f"{spread.median:,.{digits}f}"
    if spread.count > 1 and size != SMALLEST:
        text += f" ({spread.least:,.{digits}f} to {spread.most:,.{digits}f})"
    return text


def tables(results):
    header = ["", "unit", *[size.name for size in results.sizes]]
    values = [[figure.title, figure.unit,
               *[cell(results, figure, size.name) for size in results.sizes]]
              for figure in results.measured()]
    ratios = [[figure.title, "more" if figure.more_is_better else "less",
               *[ratio(results, figure, size) for size in results.sizes]]
              for figure in results.measured()]
    return header, values, ratios


def text(results, facts):
    header, values, ratios = tables(results)
    lines = []
    for title, table in (("", values), (f"to {SMALLEST.name}", ratios)):
        table = [[title, *header[1:]], *table]
        widths = [max(len(line[n]) for line in table) for n in range(len(header))]
        lines += ["  ".join(f"{word:{width}}" if n < 2 else f"{word:>{width}}"
                            for n, (word, width) in enumerate(zip(line, widths))).rstrip()
                  for line in table] + [""]
    return "\n".join([*lines, *notes(results, facts)])


def notes(results, facts):
    found = [f"The machine was not quiet: {line}." for line in facts["complaints"]]
    found += [f"Not measured: {line}." for line in results.missing()]
    return found or ["The machine was quiet, before and between the measurements."]


def write(directory, results, facts):
    """Writes the page and its charts; returns the page's path."""
    folder = directory / "Benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    names = [size.name for size in results.sizes]
    for name, (title, keys) in CHARTS.items():
        figures = [figure for figure in results.measured() if figure.key in keys]
        if figures:
            (folder / f"{name}.svg").write_text(chart.draw(title, figures, results, names))
            images.append(f"![{title}]({name}.svg)")
    path = folder / "Policies.md"
    path.write_text(page(results, facts, "\n\n".join(images)))
    return path


def page(results, facts, images):
    header, values, ratios = tables(results)
    machine = "\n".join(f"| {key} | {value} |" for key, value in facts["machine"].items())
    plan = facts["plan"]
    rounds = f"{facts['rounds']} round{'s' if facts['rounds'] > 1 else ''}"
    return f"""# Benchmarks of policies

Written by `make bench-policies` on {facts["date"]}; do not edit. What a slice's policies and the
endpoints that its directory knows cost: packets, time to change them, memory. Figures of one
machine say little about another: the ratios are what counts.

{images}

## Figures

Median of {rounds} (least to most). Columns are numbers of policies, with {len(TEAMS)} endpoints
known to the gateways where nothing else is said; *no policies* is an open slice.

{markdown_table(header, values)}

The same as multiples of the column *{SMALLEST.name}*, taken within each round. The second column
says whether more or less is better.

{markdown_table(["", "better", *header[2:]], ratios)}

{chr(10).join("- " + note for note in notes(results, facts))}

## Machine

| | |
| --- | --- |
{machine}

Both gateways, the sender, the receiver and the third cluster's gateway share this one machine and
its cores.

## Method

Three clusters whose nodes share one bridge, without a relay and without a delay, for each size; all
of them are there all the time. In every round each measurement is made at all sizes, one right
after another, in an order shuffled with seed {facts["seed"]}. The run took \
{facts["seconds"] / 60:.1f} minutes.

Two clusters have a gateway each and {PER_CLUSTER} endpoints, each in a namespace of its own. The
third has a real tunnel, and a program that speaks the directory's protocol in place of a gateway
(`Tests/Bench/played_gateway.py`): it tells of as many endpoints as are missing, spread over the
same namespaces, each with an IPv4 and an IPv6 address. Every gateway gets them from it as it would
from any other.

Every policy decides something: they are spread over all {len(TEAMS) ** 2} pairs of namespaces, each
with a port of its own, TCP and UDP, a seventh of them denies. That is the most that so many can be;
policies that select no endpoint there is take no room in the kernel. The policy of the packets that
are measured is the last of all.

- **One conversation**: UDP datagrams of 64 bytes from an endpoint of one cluster to one of the
  other, all from one port. Without loss: the highest rate at which at most {ALLOWED_LOSS:.1%} is
  lost, found by bisection in trials of {plan.trial_seconds} s, each repeated once before it counts
  as failed. In a flood the sender does not hold back; what counts is what arrives per second.
- **Conversations begun**: the same with another source port for each datagram, at most 64,512 in a
  trial, before which the routers forget all connections. So each packet passes all tables, twice:
  where it leaves and where it arrives.
- **In force**: in each of the two clusters an endpoint asks its neighbour every few milliseconds,
  which the policies in force deny. `slicectl slice apply` gives one gateway a manifest with as many
  policies, signed in advance, in which two are others and allow it; the other gateway hears of it
  from the first. The time ends with the first answer. It has reading, checking the signature,
  compiling and the kernel's transaction in it, and at the other gateway the way there.
- **Memory of a daemon**: of the one that has more, after all of the above, and its peak.
- **Kernel memory**: by what {", ".join(policy_measure.KERNEL)} of /proc/meminfo grow when the table
  of one router is loaded once more, into a namespace where nothing uses it.

The sources are `Tests/Bench/policy_*.py`.

## Again

    make bench-policies                                   # all of it, and this page
    make bench-policies BENCH_FLAGS="--quick"             # short, and no page
    make bench-policies BENCH_FLAGS="--only new,apply,100000x10 --rounds 1"
"""
