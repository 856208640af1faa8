import Timing

extension PartitionReplica {
    func watch(_ session: FetchSession, _ slot: Int32) -> Int32 {
        watchers.append(Watcher(session: session, slot: slot))
        return Int32(watchers.count - 1)
    }

    func unwatch(at index: Int32) {
        let index = Int(index)
        let last = watchers.removeLast()
        guard index < watchers.count else { return }
        watchers[index] = last
        last.session.watcherMoved(last.slot, to: Int32(index))
    }

    /// The partition goes: sessions that read it find it missing.
    func letGoOfWatchers() {
        while let last = watchers.last { last.session.detach(last.slot) }
    }

    /// The high watermark has risen: consumers can read on. Followers are told with their next
    /// answer, which need not come at once.
    func wakeForHighWatermark() {
        for index in watchers.indices {
            let session = watchers[index].session
            if session.readsToLogEnd {
                session.mark(watchers[index].slot)
                if session.isFollower { context.answerSooner(session) }
            } else {
                session.wake(watchers[index].slot, context)
            }
        }
    }

    /// Something other than data: a new epoch, another role, a new log start.
    func wakeAll() {
        for index in watchers.indices {
            watchers[index].session.wake(watchers[index].slot, context)
        }
    }
}

extension ReplicationContext {
    /// A waiting follower does not know the high watermark: it is not left so for as long as
    /// it was ready to wait.
    func answerSooner(_ session: FetchSession) {
        guard let wait = config.highWatermarkWait, let waiting = session.waiting else { return }
        let deadline = now + wait
        guard deadline < waiting.deadline else { return }
        session.waiting?.deadline = deadline
        fetchWaits.move(waiting.slot, to: deadline)
    }
}
