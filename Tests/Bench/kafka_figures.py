"""What is measured of the stretched Kafka, and what Apache Kafka was seen to do."""

from figures import Figure

# Apache Kafka 3.9: three combined brokers with heaps of 512 MB, RF 3, acks=all, on a machine of 2
# cores, measured for this comparison once, with the same clients.
APACHE = "Apache Kafka 3.9"
FIGURES = [
    Figure("default", "1 KB records, batches of 16 KB, no linger", "records/s", 1, True, "rate"),
    Figure("large", "1 KB records, batches of 128 KB, linger 5 ms", "records/s", 1, True, "rate"),
    Figure("small", "100 B records, batches of 128 KB, linger 5 ms", "records/s", 1, True, "rate"),
    Figure("p50", "Acknowledged at 1,000 records/s, median", "ms", 1e3, False, "latency"),
    Figure("p99", "Acknowledged at 1,000 records/s, 99th percentile", "ms", 1e3, False, "latency"),
    Figure("consume", "Consumed by one client", "MB/s", 1e-6, True, "consume"),
    Figure("killed", "Slowest record when the leader gets kill -9", "s", 1, False, "fault"),
    Figure("cut", "Slowest record when the leader's cluster is cut off", "s", 1, False, "fault"),
    Figure("moved", "Until another leads, the leader's cluster cut off", "s", 1, False, "fault"),
    Figure("ready", "Start of all three until they serve", "ms", 1e3, False, "start"),
    Figure("rest", "Resident memory of a broker at rest", "MB", 1e-6, False, "start"),
    Figure("busy", "Resident memory of a broker after all of it", "MB", 1e-6, False, "consume"),
]
REFERENCE = {"default": 16_000, "large": 45_000, "small": 118_000, "p50": 0.001, "p99": 0.050,
             "consume": 249e6, "killed": 14.4}
STEPS = {"start": "start", "rate_default": "rate", "rate_large": "rate", "rate_small": "rate",
         "latency": "latency", "consume": "consume", "kill": "fault", "cut": "fault"}
GROUPS = list(dict.fromkeys(STEPS.values()))
