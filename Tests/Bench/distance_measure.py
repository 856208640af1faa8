"""One measurement over one path: a TCP stream, or Kafka records. Values by the keys of the figures,
and all that the programs said."""

import json
import time

from distance_figures import RATE
from lab import LabError, wait_until
from machine import CONGESTION_CONTROL, Times

# Every record is acknowledged by all replicas; librdkafka's own settings otherwise, but that it
# does not hold small requests back (Nagle), as Apache Kafka's own clients do not.
SETTINGS = ("acks=all", "linger.ms=0", "socket.nagle.disable=true")


def stream_values(stream, report, seconds, delivered, busy):
    """What iperf3 said (JSON), and what the relay let pass meanwhile."""
    if "error" in report:
        raise LabError(f"iperf3: {report['error']}")
    if report["end"].get("sender_tcp_congestion") != CONGESTION_CONTROL:
        raise LabError(f"iperf3 did not send with {CONGESTION_CONTROL}")
    values = {stream.key: report["end"]["sum_received"]["bits_per_second"]}
    if not stream.loss:
        values[f"{stream.key}_filled"] = delivered * 8 / seconds / RATE
        values[f"{stream.key}_busy"] = busy
    return values


def record_values(distance, said):
    told = json.loads(said)
    if told["p50"] < 0:
        raise LabError(f"no record was acknowledged in time: {said.strip()}")
    return {f"p50_{distance.key}": told["p50"], f"p99_{distance.key}": told["p99"]}


def measure_stream(world, stream, path, seed=1):
    """`seed` is of what the relay loses. iperf3 leaves out the start of the stream, and the relay's
    counters are read when that has passed and at the end."""
    near, far, address = world.ends[path]
    world.relay.set("*", stream.conditions)
    world.relay.say(f"seed {seed}")
    listener = far.start("iperf3", "-s", "-1", "--forceflush", "-B", address, label="iperf3-server")
    try:
        listener.wait_for("Server listening")
        sender = near.start("iperf3", "-c", address, "-J", "-C", CONGESTION_CONTROL,
                            "-O", stream.warm_up, "-t", stream.seconds, label="iperf3")
        began, wire = time.monotonic(), world.wire()
        wait_until(lambda: world.wire()["delivered_bytes"] > wire["delivered_bytes"] + 10_000, 20,
                   "the stream to begin")
        time.sleep(stream.warm_up)
        began, wire, times = time.monotonic(), world.wire(), Times.now()
        time.sleep(stream.seconds - 0.5)  # the end of a stream is not of its steady part
        ended, passed = time.monotonic(), world.wire()
        busy, _ = Times.now().since(times)
        status = sender.wait(60)
        try:
            report = json.loads(sender.output())
        except ValueError:
            raise LabError(f"iperf3 ended with {status}: {sender.tail()}") from None
    finally:
        listener.stop()
    delivered = passed["delivered_bytes"] - wire["delivered_bytes"]
    values = stream_values(stream, report, ended - began, delivered, busy)
    details = {"end": report["end"], "wire": passed, "wire before": wire, "busy": busy,
               "intervals": [one["sum"]["bits_per_second"] for one in report["intervals"]],
               "cwnd": [one["streams"][0]["snd_cwnd"] for one in report["intervals"]],
               "rtts": [one["streams"][0]["rtt"] for one in report["intervals"]]}
    return values, details


def measure_records(world, distance, path, client, seconds):
    world.relay.set("*", distance.conditions)
    said = world.produce(path, client, seconds, *SETTINGS)
    return record_values(distance, said), json.loads(said)
