import Raft
import SimulatedWorld

/// What must hold in any quorum, checked after every event (Raft, figure 3).
struct QuorumRules {
    struct Broken: Error, CustomStringConvertible {
        let description: String
    }

    private struct Placed: Hashable {
        let offset: Int64
        let epoch: Int32
    }

    /// Who led which epoch.
    private var leaders: [Int32: Int32] = [:]
    private var votes: [Placed: Int32] = [:]
    /// The one content that a record of this offset and epoch can have, and the epoch before it.
    private var written: [Placed: (record: MemoryRaftLog.Record, before: Int32)] = [:]
    /// Every committed record, from the first.
    private(set) var committed: [MemoryRaftLog.Record] = []
    /// The epoch in which each of them was committed first.
    private var committedIn: [Int32] = []
    private var states: [UInt64] = [0]

    var committedEnd: Int64 { Int64(committed.count) }

    /// One leader in an epoch, and it has everything that was committed in earlier epochs. A late
    /// leader, of an epoch that is over without its knowing, need not have more.
    mutating func elected(_ node: Int32, epoch: Int32, log: MemoryRaftLog) throws(Broken) {
        if let other = leaders.updateValue(node, forKey: epoch) {
            throw Broken(description: "epoch \(epoch) has leaders \(other) and \(node)")
        }
        for offset in max(0, log.startOffset)..<max(log.startOffset, committedEnd) {
            guard
                log.record(at: offset) == committed[Int(offset)]
                    || committedIn[Int(offset)] >= epoch
            else {
                throw Broken(
                    description: "leader \(node) of epoch \(epoch) lacks committed \(offset)")
            }
        }
        if log.startOffset > committedEnd {
            throw Broken(description: "leader \(node) starts beyond what is committed")
        }
    }

    /// One vote in an epoch.
    mutating func voted(_ node: Int32, for candidate: Int32, epoch: Int32) throws(Broken) {
        let place = Placed(offset: Int64(node), epoch: epoch)
        if let other = votes.updateValue(candidate, forKey: place), other != candidate {
            throw Broken(
                description: "\(node) voted for \(other) and \(candidate) in epoch \(epoch)")
        }
    }

    /// Log matching, by induction: a record has one content and one predecessor.
    mutating func changed(
        _ node: Int32, by operation: MemoryRaftLog.Operation, log: MemoryRaftLog
    ) throws(Broken) {
        switch operation {
        case .appended(let offset, let record):
            // Cut off again within the same step: then nobody saw it.
            guard log.record(at: offset) == record, let before = log.epoch(before: offset) else {
                return
            }
            let place = Placed(offset: offset, epoch: record.epoch)
            if let known = written[place] {
                guard known.record == record, known.before == before else {
                    throw Broken(
                        description: "\(node) has another record \(offset) of epoch \(record.epoch)"
                    )
                }
            } else {
                written[place] = (record, before)
            }
        case .truncated(let from, let records):
            for (index, record) in records.enumerated() {
                let offset = from + Int64(index)
                if offset < committedEnd, committed[Int(offset)] == record {
                    throw Broken(description: "\(node) cut off committed record \(offset)")
                }
            }
        case .installed(let id, let state):
            guard id.offset <= committedEnd, states[Int(id.offset)] == state else {
                throw Broken(description: "\(node) installed a wrong snapshot \(id)")
            }
        }
    }

    /// What a node takes for committed is on the disks of a majority, and never anything else.
    mutating func committed(
        upTo end: Int64, from: Int64, by node: Int32, in epoch: Int32, log: MemoryRaftLog,
        holders: (Int64, MemoryRaftLog.Record) -> Int, majority: Int
    ) throws(Broken) {
        guard end <= log.endOffset else {
            throw Broken(description: "\(node) commits \(end), its log ends at \(log.endOffset)")
        }
        for offset in max(from, log.startOffset)..<max(end, from, log.startOffset) {
            guard let record = log.record(at: offset) else { continue }
            if offset < committedEnd {
                guard committed[Int(offset)] == record else {
                    throw Broken(description: "\(node) committed another record at \(offset)")
                }
                continue
            }
            guard offset == committedEnd else {
                throw Broken(description: "\(node) committed \(offset) after \(committedEnd)")
            }
            let count = holders(offset, record)
            guard count >= majority else {
                throw Broken(description: "\(node) committed \(offset) on \(count) disks")
            }
            committed.append(record)
            committedIn.append(epoch)
            states.append(MemoryRaftLog.fold(states[Int(offset)], record, at: offset))
        }
    }
}
