import CommitLog
import KafkaWire
import Timing

extension PartitionReplica {
    /// Up to where the log may be acknowledged as far as this disk is concerned. With
    /// `flush.messages` at most so many records less one are acknowledged without being durable.
    var durableEnd: Int64 {
        guard let log else { return 0 }
        let limit = log.config.flushMessages
        guard limit < Int64.max else { return log.logEndOffset }
        let (end, overflow) = log.flushedOffset.addingReportingOverflow(max(0, limit - 1))
        return overflow ? log.logEndOffset : min(end, log.logEndOffset)
    }

    /// A follower tells its leader how far it is by what it asks for next: so it may not ask
    /// before what it has is durable.
    var mayAskForMore: Bool { log.map { durableEnd == $0.logEndOffset } ?? false }

    /// Group commit: appends go on while a flush is under way, and the next takes all of them.
    func beginFlushIfDue() {
        guard let log, log.config.flushMessages < Int64.max, durableEnd < log.logEndOffset else {
            return
        }
        do {
            guard let ticket = try log.beginFlush() else { return }
            context.emit(.flush(TopicIdPartition(topicId, partition), ticket))
        } catch {
            noteFailure(error)
        }
    }

    func flushed(_ ticket: FlushTicket, _ error: DiskError?) {
        guard let log else { return }
        if let error {
            if log.failFlush(ticket, error) { noteFailure(.storage(error)) }
            return
        }
        do {
            try log.completeFlush(ticket, nowMs: context.nowMs)
        } catch {
            noteFailure(error)
            return
        }
        beginFlushIfDue()
        let end = durableEnd
        while let ack = flushAcks.pop(upTo: end) {
            if let effect = context.produces.settle(ack, .none) { context.emit(effect) }
        }
        advanceHighWatermark()
    }
}
