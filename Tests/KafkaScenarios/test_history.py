"""The checker finds what it is there for: a sound history with one thing done to it."""

import random

import pytest

from history import History, Poll, check, figures, undisturbed, verdict

PARTITIONS = 3


def sound(seconds=10, rate=300, seed=1):
    """The lines of two producers, a reader and a group of two on a log that behaves."""
    chance, lines, logs = random.Random(seed), [], {n: [] for n in range(PARTITIONS)}
    for number in range(seconds * rate):
        t, partition = number / rate, number % PARTITIONS
        value = f"{'ab'[number // PARTITIONS % 2]}/{number}"
        lines.append({"t": t, "kind": "invoke", "op": "send", "value": value,
                      "partition": partition, "once": True})
        end = {"t": t + 0.02 + chance.random() / 1000, "op": "send", "value": value}
        kind = "fail" if number % 50 == 7 else "unknown" if number % 50 == 8 else "ok"
        if kind == "ok" or number % 100 == 8:
            logs[partition].append(value)
        end |= {"offset": len(logs[partition]) - 1} if kind == "ok" else {"error": "E"}
        lines.append(end | {"kind": kind})
    for worker, group, mine in (("reader", None, [0, 1, 2]), ("g1", "g", [0, 1]), ("g2", "g", [2])):
        lines.append({"t": 0.1, "kind": "assign", "worker": worker, "group": group,
                      "partitions": mine})
        for partition in mine:
            for start in range(0, len(logs[partition]), 40):
                part = logs[partition][start:start + 40]
                lines.append({
                    "t": seconds + 1, "kind": "ok", "op": "poll", "worker": worker, "group": group,
                    "records": [[partition, start + n, value] for n, value in enumerate(part)]})
    return lines


def history_of(lines):
    history = History()
    for line in lines:
        history.add(line)
    return history


def kinds(lines):
    return {one.kind for one in check(history_of(lines))}


def polls(lines, worker=None):
    return [line for line in lines
            if line.get("op") == "poll" and worker in (None, line["worker"])]


def ends(lines, kind):
    return [line for line in lines if line["kind"] == kind and line.get("op") == "send"]


def value_of_acknowledged(lines, n=100):
    return ends(lines, "ok")[n]["value"]


def test_a_sound_history_holds():
    assert verdict(history_of(sound())) is None


def test_a_dropped_record_is_found():
    """Acknowledged, and in nobody's polls; what came after it has its offsets."""
    lines = sound()
    gone = value_of_acknowledged(lines)
    for line in polls(lines):
        line["records"] = [one for one in line["records"] if one[2] != gone]
    assert "lost" in kinds(lines)


def test_a_lost_end_of_the_log_is_found():
    lines = sound()
    for line in polls(lines):
        line["records"] = [one for one in line["records"] if one[1] < 800]
    assert kinds(lines) == {"lost"}


def test_a_record_that_a_group_skips_is_found():
    lines = sound()
    line = polls(lines, "g1")[-1]
    line["records"] = line["records"][:-1]
    assert kinds(lines) == {"skipped by a group"}


def test_a_duplicate_is_found():
    lines = sound()
    last = {}
    for line in polls(lines):
        if line["records"][0][0] == 1:
            last[line["worker"]] = line
    for line in last.values():
        line["records"].append([1, line["records"][-1][1] + 1, line["records"][0][2]])
    assert "duplicate" in kinds(lines)
    assert kinds(lines) <= {"duplicate", "reordered"}
    for line in lines:
        line |= {"once": False} if line["kind"] == "invoke" else {}
    assert kinds(lines) == set()


def test_two_reordered_records_are_found():
    """As the log has them: everybody reads them so, and the acknowledgements say so."""
    lines = sound()
    reader = polls(lines, "reader")[0]["records"]
    one, other = reader[10][2], reader[12][2]
    assert one[0] == other[0]
    swap = {one: other, other: one}
    offsets = {line["value"]: line["offset"] for line in ends(lines, "ok")}
    for line in polls(lines):
        line["records"] = [[p, o, swap.get(value, value)] for p, o, value in line["records"]]
    for line in ends(lines, "ok"):
        if line["value"] in swap:
            line["offset"] = offsets[swap[line["value"]]]
    assert kinds(lines) == {"reordered"}


def test_records_that_one_reader_gets_in_another_order_are_found():
    lines = sound()
    records = polls(lines, "reader")[0]["records"]
    records[3], records[4] = records[4], records[3]
    assert kinds(lines) == {"poll went back", "poll left out"}


def test_going_back_is_allowed_with_a_new_assignment_only():
    lines = sound()
    again = dict(polls(lines, "g1")[0])
    assert "poll went back" in kinds([*lines, again])
    assigned = {"t": 12, "kind": "assign", "worker": "g1", "group": "g", "partitions": [0, 1]}
    assert kinds([*lines, assigned, again]) == set()
    assigned = assigned | {"partitions": [1]}
    assert "poll went back" in kinds([*lines, assigned, again])


@pytest.mark.parametrize("is_in_the_middle", [False, True])
def test_a_read_of_a_failed_send_is_found(is_in_the_middle):
    lines = sound()
    if is_in_the_middle:
        # An acknowledgement turned into a failure.
        line = ends(lines, "ok")[100]
        line |= {"kind": "fail", "error": "E"}
        del line["offset"]
    else:
        failed = ends(lines, "fail")[-1]["value"]
        partition = next(one["partition"] for one in lines if one.get("value") == failed)
        for line in [line for line in polls(lines) if line["records"][0][0] == partition]:
            last = line
        last["records"].append([partition, last["records"][-1][1] + 1, failed])
    assert "failed" in kinds(lines)


def test_an_unknown_send_may_be_there_or_not():
    lines = sound()
    for line in ends(lines, "ok"):
        line |= {"kind": "unknown", "error": "E"}
        del line["offset"]
    assert kinds(lines) == set()


def test_a_send_that_never_ended_is_unknown():
    lines = sound()
    lines.append({"t": 9.9, "kind": "invoke", "op": "send", "value": "a/9999", "partition": 0,
                  "once": True})
    history = history_of(lines)
    assert check(history) == []
    assert figures(history).unknown == figures(history_of(sound())).unknown + 1


def test_two_values_at_one_offset_are_found():
    lines = sound()
    records = polls(lines, "reader")[0]["records"]
    other = history_of(lines).sends
    free = next(v for v, s in other.items() if s.outcome == "unknown" and s.partition == 0)
    records[5][2] = free
    assert "two values" in kinds(lines)


def test_another_offset_than_the_acknowledged_is_found():
    lines = sound()
    ends(lines, "ok")[50]["offset"] += 1
    assert "two values" in kinds(lines)


def test_what_nobody_sent_is_found():
    lines = sound()
    polls(lines, "reader")[-1]["records"][-1][2] = "c/1"
    assert "never sent" in kinds(lines)
    polls(lines, "reader")[-1]["records"][-1][2] = None
    assert "damaged" in kinds(lines)


def test_a_value_in_another_partition_is_found():
    lines = sound()
    value = value_of_acknowledged(lines)
    for line in lines:
        if line["kind"] == "invoke" and line["value"] == value:
            line["partition"] = (line["partition"] + 1) % PARTITIONS
    assert "astray" in kinds(lines)


def test_an_offset_before_one_that_was_acknowledged_earlier_is_found():
    """Two producers: the order of one of them does not tell."""
    lines = sound()
    for line in polls(lines):
        line["records"] = [one for one in line["records"] if one[0] != 0]
    history = history_of(lines)
    first, second = [one for one in history.acknowledged() if one.partition == 0][10:12]
    assert first.producer != second.producer
    first.offset, second.offset = second.offset, first.offset
    assert "behind time" not in {one.kind for one in check(history)}  # they were under way together
    second.invoked = first.ended + 0.001
    second.ended = second.invoked + 0.01
    assert "behind time" in {one.kind for one in check(history)}


def test_a_read_before_the_send_is_found():
    lines = sound()
    polls(lines, "reader")[-1]["t"] = 0.5
    assert kinds(lines) == {"foresight"}


def test_a_slow_run_does_not_count():
    """Also if it is slow because it failed a lot."""
    assert "does not count" in verdict(history_of(sound(rate=100)))
    lines = sound()
    for line in ends(lines, "ok")[::2]:
        line |= {"kind": "unknown", "error": "E"}
        del line["offset"]
    assert "does not count" in verdict(history_of(lines))
    assert "does not count" in verdict(History())


def test_windows_without_acknowledgements_belong_to_faults():
    lines = sound()
    lines = [line for line in lines if line.get("op") != "send" or not 4 < line["t"] < 6.5
             or line.get("partition", 2) != 2]
    history = History()
    gone = set()
    for line in lines:
        if line["kind"] == "invoke":
            gone.add(line["value"])
    for line in lines:
        if line.get("op") == "send" and line["value"] not in gone:
            continue
        history.add(line)
    history.faults = [(1.0, "kill 1", True), (4.1, "cut west", False), (5.0, "heal", True)]
    seen = figures(history)
    assert seen.windows[0][2] is None
    what, at, partition, seconds, steady = seen.windows[1]
    assert (what, partition) == ("cut west", 2) and 2.4 < seconds < 2.6 and 4 < at < 4.2
    assert seen.worst == seconds and seen.steady == steady
    assert 1.4 < steady < 1.6  # from the heal on
    assert "cut west" in seen.text()


@pytest.mark.parametrize("faults, seconds", [
    ([], 4), ([(5, "kill 1", True)], 4), ([(12, "kill 1", True)], 2),
    ([(11, "cut west", True), (11.5, "cut east", False), (13.5, "heal", True)], 1),
    ([(9, "kill all", False)], 0), ([(9, "kill all", False), (13, "start", True)], 1)])
def test_what_is_undisturbed_of_a_wait(faults, seconds):
    assert undisturbed(faults, 10, 4) == seconds


def test_a_verdict_names_what_it_found():
    lines = sound()
    gone = value_of_acknowledged(lines)
    for line in polls(lines):
        line["records"] = [one for one in line["records"] if one[2] != gone]
    said = verdict(history_of(lines))
    assert gone in said and "lost" in said
    assert all(isinstance(one, Poll) for one in history_of(lines).polls)
