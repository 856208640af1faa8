import NIOCore

/// The topics of a consumer's subscription (`ConsumerProtocolSubscription`).
///
/// The coordinator looks into a member's metadata for this only. Every version of the subscription
/// begins as version 0 does: the version, then the topics.
package enum SubscriptionTopics {
    package static func read(_ metadata: ByteBuffer) -> [String]? {
        var buffer = metadata
        guard let version = buffer.readInteger(as: Int16.self), version >= 0,
            let count = buffer.readInteger(as: Int32.self), count >= 0,
            // Every topic takes two bytes at least, so no claim makes us reserve more than we got.
            Int(count) <= buffer.readableBytes / 2
        else { return nil }
        var topics: [String] = []
        for _ in 0..<count {
            guard let length = buffer.readInteger(as: Int16.self), length >= 0,
                let topic = buffer.readString(length: Int(length))
            else { return nil }
            topics.append(topic)
        }
        return topics
    }
}
