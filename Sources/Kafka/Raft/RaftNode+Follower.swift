import NIOCore
import Timing

extension RaftNode {
    // MARK: Asking

    func fetchFromLeader() {
        guard case .follower(let state) = role, let leader = election.leaderID,
            let index = requests.index(of: leader), requests.peers[index].isReady(at: now)
        else { return }
        // What a fetch offset tells is flushed: with a log that flushes in the background the next
        // fetch waits for it.
        guard log.flushedOffset >= log.endOffset || canary == .forgetsFlush else { return }
        guard let download = state.download else {
            return sendFetch(to: index, maxWait: timing.fetchMaxWait)
        }
        let request = FetchSnapshotRequest(
            clusterID: configuration.clusterID, replica: configuration.key,
            maxBytes: fetchBytes, currentLeaderEpoch: election.epoch,
            snapshotID: download.id, position: download.position)
        send(.fetchSnapshot(request), .fetchSnapshot, to: index)
    }

    func sendFetch(to index: Int, maxWait: Nanoseconds) {
        let end = log.endOffsetAndEpoch
        let request = FetchRequest(
            clusterID: configuration.clusterID, replica: configuration.key,
            currentLeaderEpoch: election.epoch, fetchOffset: end.offset,
            lastFetchedEpoch: end.epoch, highWatermark: highWatermark, maxWait: maxWait,
            maxBytes: fetchBytes)
        send(.fetch(request), .fetch, to: index)
    }

    // MARK: Answers

    func handle(_ response: FetchResponse, from index: Int) throws(RaftLogError) {
        guard
            try acceptsBody(
                response.topLevelError, response.error, leaderID: response.leaderID,
                epoch: response.leaderEpoch, from: index),
            isLeader(index)
        else { return }
        if let end = response.divergingEpoch {
            guard try truncate(to: end) else { return backOff(index) }
        } else if let id = response.snapshotID {
            guard try startDownload(id) else { return backOff(index) }
        } else {
            guard try append(response.records, from: index) else { return backOff(index) }
            raiseHighWatermark(to: response.highWatermark)
        }
        heardLeader()
    }

    private func isLeader(_ index: Int) -> Bool {
        guard case .follower = role else { return false }
        return requests.peers[index].key.id == election.leaderID
    }

    private func heardLeader() {
        guard case .follower(var state) = role else { return }
        electionRetries = 0
        fetchBytes = min(configuration.limits.maxFetchBytes, fetchBytes * 2)
        state.lastFetch = now
        state.refusals = 0
        // A leader that resigns may still answer what it was asked before.
        if !state.leaderResigned { state.fetchDeadline = now + randomFetchTimeout() }
        role = .follower(state)
    }

    private func append(_ records: ByteBuffer, from index: Int) throws(RaftLogError) -> Bool {
        guard records.readableBytes > 0 else { return true }
        do {
            try log.appendAsFollower(records, leaderEpoch: election.epoch)
        } catch .invalidRecords(let reason) {
            warn(.invalidRecords(from: requests.peers[index].key.id, reason))
            return false
        } catch { throw error }
        if canary != .forgetsFlush { try log.flush() }
        return true
    }

    private func raiseHighWatermark(to told: Int64) {
        highWatermark = max(highWatermark, min(told, log.endOffset))
    }

    /// KIP-595: to where both logs are the same as far as this answer tells; the next fetch finds
    /// out whether that was far enough. False if nothing came of it.
    private func truncate(to leaderEnd: OffsetAndEpoch) throws(RaftLogError) -> Bool {
        guard leaderEnd.epoch >= 0, leaderEnd.offset >= 0 else { return false }
        let own = log.lastOffset(notAbove: leaderEnd.epoch)
        let target = own.epoch == leaderEnd.epoch ? min(own.offset, leaderEnd.offset) : own.offset
        guard target >= highWatermark else {
            warn(.truncationBelowHighWatermark(asked: target, highWatermark: highWatermark))
            return false
        }
        guard target < log.endOffset else { return false }
        try log.truncate(to: target)
        effects.append(.truncated(to: target))
        return true
    }

    // MARK: Snapshots

    private func startDownload(_ id: OffsetAndEpoch) throws(RaftLogError) -> Bool {
        // Records of the future there cannot be, nor so many that offsets would run out.
        guard id.offset > 0, id.offset < Int64.max / 2, id.epoch > 0, id.epoch <= election.epoch,
            case .follower(var state) = role
        else {
            warn(.implausibleSnapshot(id))
            return false
        }
        // What this log has beyond it is not committed.
        guard id.offset >= highWatermark else {
            warn(.snapshotBelowHighWatermark(id, highWatermark: highWatermark))
            return false
        }
        try log.beginSnapshot(id)
        state.download = SnapshotDownload(id: id)
        role = .follower(state)
        return true
    }

    func handle(_ response: FetchSnapshotResponse, from index: Int) throws(RaftLogError) {
        let isRestart =
            response.error == .snapshotNotFound || response.error == .positionOutOfRange
        guard
            try acceptsBody(
                response.topLevelError, isRestart ? .none : response.error,
                leaderID: response.leaderID, epoch: response.leaderEpoch, from: index),
            isLeader(index), case .follower(var state) = role, var download = state.download
        else { return }
        // The leader has a newer one by now: the next fetch tells which.
        guard !isRestart else {
            endDownload()
            return heardLeader()
        }
        let from = requests.peers[index].key.id
        let bytes = response.unalignedRecords
        if let fault = fault(in: response, of: download) {
            warn(.invalidSnapshot(from: from, download.id, fault))
            endDownload()
            return backOff(index)
        }
        try log.appendToSnapshot(bytes)
        download.position += Int64(bytes.readableBytes)
        download.size = response.size
        state.download = download
        role = .follower(state)
        if download.position == response.size {
            do {
                try log.installSnapshot()
                finishDownload(download.id)
            } catch .invalidRecords(let reason) {
                warn(.invalidSnapshot(from: from, download.id, reason))
                endDownload()
                return backOff(index)
            } catch { throw error }
        }
        heardLeader()
    }

    private func fault(in response: FetchSnapshotResponse, of download: SnapshotDownload) -> String?
    {
        let count = Int64(response.unalignedRecords.readableBytes)
        if response.snapshotID != download.id { return "another snapshot" }
        if response.position != download.position { return "position \(response.position)" }
        if response.size != download.size ?? response.size { return "size \(response.size)" }
        if response.size > configuration.limits.maxSnapshotBytes { return "too large" }
        if count == 0 { return "an empty part" }
        return count <= response.size - response.position ? nil : "more than the whole"
    }

    private func endDownload() {
        guard case .follower(var state) = role else { return }
        log.abandonSnapshot()
        state.download = nil
        role = .follower(state)
    }

    private func finishDownload(_ id: OffsetAndEpoch) {
        guard case .follower(var state) = role else { return }
        state.download = nil
        role = .follower(state)
        highWatermark = max(highWatermark, id.offset)
        effects.append(.snapshotInstalled(id))
    }
}
