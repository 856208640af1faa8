import BrokerConfig
import KafkaWire
import Timing

/// Producer ids in stock, from blocks that the controller hands out.
struct ProducerIdBlocks {
    private var next: Int64 = 0
    private var end: Int64 = 0
    private var following: Range<Int64>?
    var isAsking = false
    /// Those who wait for the next block.
    var waiting: [ReplyAddress] = []

    /// More than this wait only for a controller that is gone.
    static let maximumWaiting = 10_000

    mutating func take() -> Int64? {
        if next == end, let block = following {
            next = block.lowerBound
            end = block.upperBound
            following = nil
        }
        guard next < end else { return nil }
        defer { next += 1 }
        return next
    }

    /// The next block is asked for before this one is used up.
    var wantsMore: Bool { !isAsking && following == nil && end - next <= 200 }

    mutating func add(_ block: Range<Int64>) {
        if next == end {
            next = block.lowerBound
            end = block.upperBound
        } else {
            following = block
        }
    }
}

extension BrokerNode {
    func initProducerId(_ request: InitProducerIdRequest, _ address: ReplyAddress) {
        guard request.transactionalId == nil else {
            // No transactions yet.
            reply(
                address,
                InitProducerIdResponse(
                    errorCode: .transactionalIdAuthorizationFailed, producerEpoch: -1))
            return
        }
        if let id = producerIds.take() {
            reply(address, InitProducerIdResponse(producerId: id, producerEpoch: 0))
        } else if producerIds.waiting.count < ProducerIdBlocks.maximumWaiting {
            producerIds.waiting.append(address)
        } else {
            reply(
                address,
                InitProducerIdResponse(errorCode: .coordinatorNotAvailable, producerEpoch: -1))
        }
        askForProducerIds()
    }

    private func askForProducerIds() {
        guard producerIds.wantsMore else { return }
        producerIds.isAsking = askController(
            AllocateProducerIdsRequest(brokerId: config.nodeID, brokerEpoch: lifecycle.epoch),
            .producerIds)
        if !producerIds.isAsking { failWaitingProducers() }
    }

    func producerIdsCame(_ response: AllocateProducerIdsResponse?) {
        producerIds.isAsking = false
        guard let response, response.errorCode == .none, response.producerIdLen > 0 else {
            failWaitingProducers()
            return
        }
        let start = response.producerIdStart
        producerIds.add(start..<(start + Int64(response.producerIdLen)))
        let waiting = producerIds.waiting
        producerIds.waiting = []
        for address in waiting {
            guard let id = producerIds.take() else {
                producerIds.waiting.append(address)
                continue
            }
            reply(address, InitProducerIdResponse(producerId: id, producerEpoch: 0))
        }
        askForProducerIds()
    }

    /// Clients ask again by themselves.
    private func failWaitingProducers() {
        let waiting = producerIds.waiting
        producerIds.waiting = []
        for address in waiting {
            reply(
                address,
                InitProducerIdResponse(errorCode: .coordinatorLoadInProgress, producerEpoch: -1))
        }
    }
}
