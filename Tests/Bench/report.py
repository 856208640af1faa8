"""The results as text for a terminal, and as Docs/Benchmarks.md with its charts."""

import chart
from figures import (LIMIT, MAIN, NEBULA, OPENVPN, OPENVPN_CBC, OURS, OURS_AES, STRANGER, STRANGERS,
                     WIREGUARD_GO)
from initiations import SIZE
from measure import ALLOWED_LOSS, FULL, QUICK
from stranger import RATE
from underlay import VETH, WIRE

CHARTS = {
    "throughput": ("More is better", ["tcp1", "bbr1", "tcp4", "pps64", "pps1200", "flood64"]),
    "cost": ("Less is better",
             ["rtt50", "rtt99", "busy50", "busy99", "bbr50", "bbr99", "steady50", "steady99",
              "elsewhere50", "elsewhere99", "cpu", "idle", "peak", "start"]),
}
TITLES = {VETH: "", WIRE: "on a wire-like underlay"}
# How the peers that are not in every run are set up.
MORE = {
    OPENVPN_CBC: "the same with `--tun-mtu 1300 --data-ciphers AES-256-CBC --auth SHA256`, as "
    "another overlay of slices has it",
    NEBULA: "`nebula` on both ends with certificates of one CA, MTU 1420, each other's address in "
    "`static_host_map` and no lighthouse; everything else as nebula has it by itself (AES)",
}
LIGHT = 0.95  # of the rate that a stranger was to send at


def cell(results, figure, name):
    spread = results.spread(name, figure.key)
    if spread is None:
        return "-"
    text = figure.show(spread.median)
    if spread.count > 1:
        text += f" ({figure.show(spread.least)} to {figure.show(spread.most)})"
    return text


def times(advantage):
    return "-" if advantage is None else f"{advantage.median:.2f}".replace("inf", "∞")


def rows(results, figures):
    header = ["", "unit", *results.contenders, *[f"x {peer}" for peer in results.peers]]
    table = [[figure.title, figure.unit,
              *[cell(results, figure, name) for name in results.contenders],
              *[times(results.advantage(figure, peer)) for peer in results.peers]]
             for figure in results.measured(figures)]
    return header, table


def behind(results, figures):
    return [f"{figure.title}: {advantage.median:.2f} times {peer}"
            for figure, peer, advantage in results.behind(figures)]


def limits(results):
    """How near the packet path comes to itself without a cipher, and what AES is beside peers."""
    lines = []
    for figure in results.measured():
        if figure.key not in ("tcp1", "tcp4", "cpu", "pps64"):
            continue
        plain, aes = (results.advantage(figure, LIMIT, one) for one in (OURS, OURS_AES))
        beside = [f"{found.median:.1f} times better than {peer}" for peer in results.peers
                  if (found := results.advantage(figure, peer, OURS_AES))]
        if plain and aes:
            lines.append(
                f"{figure.title}: ChaCha20-Poly1305 reaches {plain.median:.2f} of the limit, AES "
                f"{aes.median:.2f}; AES is {' and '.join(beside) or 'alone'}")
    return lines


def aligned(header, table):
    widths = [max(len(line[n]) for line in [header, *table]) for n in range(len(header))]
    return ["  ".join(f"{word:{width}}" if n < 2 else f"{word:>{width}}"
                      for n, (word, width) in enumerate(zip(line, widths))).rstrip()
            for line in [header, *table]]


def light(results):
    """Where a stranger could not send as much as it was to."""
    return [f"{name} was sent {spread.median / 1e3:.0f} kpps only ({title})"
            for kind, title in STRANGERS.items() for name in results.contenders
            if (spread := results.spread(name, f"sent_{kind}")) and spread.median < LIGHT * RATE]


def text(results, facts):
    """Of the results on each underlay."""
    lines = []
    for underlay, found in results.items():
        for figures in MAIN, STRANGER:
            header, table = rows(found, figures)
            if table:
                lines += aligned([TITLES[underlay], *header[1:]], table)
                lines += [f"{OURS} is not ahead in {line}" for line in behind(found, figures)]
                lines.append("")
        lines += [*limits(found), *light(found)]
        lines += [f"Not measured: {line}" for line in found.missing()]
        lines.append("")
    lines.append("x PEER: how many times better than it (above 1: ahead), median of the rounds'"
                 " ratios.")
    lines += [f"The machine was not quiet: {line}" for line in facts["complaints"]]
    return "\n".join(lines)


def markdown_table(header, table):
    lines = [header, ["---"] * 2 + ["---:"] * (len(header) - 2), *table]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(directory, results, facts):
    """Writes the page, and charts of what was measured on the veth; returns the page's path."""
    folder = directory / "Benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for name, (title, keys) in CHARTS.items():
        figures = [figure for figure in results[VETH].measured() if figure.key in keys]
        if not figures:
            continue
        (folder / f"{name}.svg").write_text(chart.draw(title, figures, results[VETH]))
        images.append(f"![{title}](Benchmarks/{name}.svg)")
    path = directory / "Benchmarks.md"
    path.write_text(page(results, facts, "\n\n".join(images)))
    return path


def bold_table(results, figures=MAIN):
    """With what is ours in bold."""
    header, table = rows(results, figures)
    return markdown_table(header, [[line[0], line[1], f"**{line[2]}**", *line[3:]]
                                   for line in table])


def standing(results):
    """What is to be said below a table of its results."""
    notes = [f"Not measured: {line}." for line in results.missing()]
    notes += [f"{line}." for line in limits(results)]
    return notes + ahead(results, MAIN)


def ahead(results, figures):
    lines = behind(results, figures)
    if lines:
        return [f"{OURS} is not ahead of a peer in: {'; '.join(lines)}."]
    return [f"{OURS} is ahead of {' and '.join(results.peers)} in every row."]


def bullets(notes):
    return "\n".join(f"- {note}" for note in notes)


def wire_section(results):
    return f"""
## On a wire-like underlay

The same contenders in the same rounds, where segmentation and receive offloads of both ends of the
veth are off and every packet crosses alone, as on a network: above, what one end sends at once
may arrive as it left. Checksums are left to the device on both.

{bold_table(results)}

{bullets(standing(results))}
"""


def stranger_section(results):
    notes = [f"{line}." for line in light(results)] + ahead(results, STRANGER)
    return f"""
## Under handshakes that are none

One TCP stream while a third namespace, with a veth of its own to the receiving end, sends {RATE:,}
datagrams of {SIZE} bytes a second to the tunnel's port: handshake initiations, of the right type
and random otherwise, with the right MAC1, for which one has to know the receiver's public key, or a
wrong one. Peers other than {WIREGUARD_GO} have no MAC1: they get first messages of their own
handshakes. {OPENVPN}'s limits on new sessions are those of its server mode, which point to point
has not.

The sender needs cores that the tunnel is then without: here it shares this machine. The fair
measure is therefore what is left beside the same datagrams to a port whose socket nobody reads.

{bold_table(results, STRANGER)}

{bullets(notes)}
"""


def page(results, facts, images):
    plan = QUICK if facts["quick"] else FULL
    others = wire_section(results[WIRE]) if WIRE in results else ""
    results = results[VETH]
    if results.measured(STRANGER):
        others += stranger_section(results)
    rates = [(name, results.spread(name, "busy_stream")) for name in results.contenders]
    streams = ", ".join(f"{name} {rate.median / 1e9:.2f}" for name, rate in rates if rate)
    streams = f" ({streams} Gbit/s here, and so not the same load)" if streams else ""
    more = "".join(f"| {name} | {MORE[name]} |\n" for name in results.contenders if name in MORE)
    notes = [f"The machine was not quiet: {line}." for line in facts["complaints"]]
    notes += standing(results)
    if not facts["complaints"]:
        notes.append("The machine was quiet, before and between the measurements.")
    facts_table = "\n".join(
        f"| {key} | {value} |" for key, value in [*facts["machine"].items(),
                                                  *facts["versions"].items()])
    return f"""# Benchmarks

Written by `make bench-tunnel` on {facts["date"]}; do not edit. Figures of one machine say little
about another: the ratios are what counts, and `make bench` makes them for yours. Kafka's figures
are on a [page of their own](Benchmarks/Kafka.md), as are those
[over distances](Benchmarks/Distance.md); where the time goes, and what was tried, is on
[another](Benchmarks/PacketPath.md).

{images}

## Figures

Median of {facts["rounds"]} round{"s" if facts["rounds"] > 1 else ""} (least to most). The last \
columns say how many times better
{OURS} is than each peer, whatever the direction of the row: above 1 is ahead.
They are medians of the ratios within each round.

{bold_table(results)}

{bullets(notes)}
{others}
## Machine and versions

| | |
| --- | --- |
{facts_table}

Both ends of every tunnel, the senders and the receivers share this one machine and its cores.

## Method

Two network namespaces joined by one veth, MTU {1500}, without any other traffic; for each contender
in each round new ones, and new processes. In every round all contenders run one after another, on
each underlay, in an order shuffled with seed {facts["seed"]}. The run took
{facts["seconds"] / 60:.1f} minutes.

| contender | set up as |
| --- | --- |
| {OURS} | `slice-gateway wireguard -f IF` on both ends, configured by stock `wg`, MTU 1420 |
| {OURS_AES} | the same with `--cipher aes-256-gcm`; the ratios are of the row above |
| {LIMIT} | slice-gateway with a library in IPsec-MB's place that copies \
(`Tests/Bench/nullcipher.c`): the limit of the same packet path. No part of the product does that |
| wireguard-go | `wireguard-go -f IF` on both ends, configured the same way, MTU 1420 |
| openvpn | `--proto udp --tun-mtu 1420 --data-ciphers AES-256-GCM --auth none --disable-dco`, \
point to point with TLS and pinned certificates; everything else as openvpn has it by itself |
{more}| no tunnel | the veth itself: what the machine can do at most |

- **TCP**: iperf3, {plan.tcp_seconds} s each, what the receiver got; with CUBIC, Linux's default, by
  name, since machines differ in what they have made theirs. BBR sends at the pace that it has
  found, and a pace has pauses.
- **UDP without loss**: the highest rate at which at most {ALLOWED_LOSS:.1%} is lost, found by
  bisection in trials of {plan.trial_seconds} s, each repeated once before it counts as failed. The
  sender is paced every 50 µs and never sends more than 128 packets at once; what counts is what
  arrived, by sequence number. Sizes are of the UDP payload.
- **Flood**: the sender does not hold back at all; what arrives per second.
- **Round-trip time**: {plan.pongs} times {plan.rounds - 100:,} datagrams of 64 bytes, one at a
  time, there and back, each time from new processes; the median of the {plan.pongs} medians and
  99th percentiles. On a machine with few cores most of a round trip is the scheduler's: to wake a
  process on another core takes several times longer than to carry a packet. slice-gateway looks
  again before it sleeps (`--busy-poll`), and cores that stay awake make even a round trip through
  two gateways shorter than one without a tunnel.
- **Beside TCP**: the same while a TCP stream runs in the same direction: one that takes what it
  can get{streams}, and one that the sender's TCP paces to 250 Mbit/s. slice-gateway lets the
  datagrams pass, as those of any flow that sends little ([how](Protocol.md#sparse-flows)).
- **Beside another tunnel's**: the stream goes through a second tunnel between the same two ends,
  with processes and a port of its own, as each slice has its own threads and port. Not for openvpn.
- **Initiations**: each kind beside a TCP stream of its own, once that is past its start, and what
  of it arrives in {plan.stranger_seconds} s; the undisturbed rate is the mean of one stream before
  all kinds and one after. The sender is at the head of the run queue (`SCHED_FIFO`, if it may),
  since a network does not wait for those it reaches; its CPU time has in it what the kernel does
  with a datagram up to the receiver's socket.
- **CPU time**: user and system time of both daemons during the TCP stream, per 10^9 bytes that
  the receiver got.
- **Memory**: of the end that has more: resident set after the handshake, and the highest it was
  from then on, with all of the measurements and a flood of small packets at the end. Pages of a
  program that both ends share count for each.
- **Start**: from starting the first process until a datagram has been answered through the tunnel,
  with the handshake, and with the calls of `wg` and `ip` that configure both ends.

The sources are `Tests/Bench`; `udpbench.c` there is the sender and receiver of datagrams,
`tcpbench.c` of the stream beside initiations.

## Again

    make bench-tunnel                                 # all of it, and this page
    make bench-tunnel BENCH_FLAGS="--all-peers"       # with openvpn's CBC and nebula
    make bench-tunnel BENCH_FLAGS="--quick"           # short, and no page
    make bench-tunnel BENCH_FLAGS="--only rtt,udp64 --rounds 3 --json figures.json"
    make bench-tunnel BENCH_FLAGS="--underlay wire"   # everything where packets cross alone
"""
