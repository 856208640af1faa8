import NIOCore

private let requests: [Int16: any KafkaRequest.Type] = {
    let types = KafkaMessages.all.compactMap { $0 as? any KafkaRequest.Type }
    return Dictionary(types.map { ($0.apiKey, $0) }, uniquingKeysWith: { first, _ in first })
}()

/// For fuzzers. With a first byte of 0 the rest is a request as a broker gets it, header first;
/// otherwise the first two bytes choose a message and a version, and the rest is that message.
/// What can be decoded must come out the same when it is encoded and decoded again.
package func fuzzKafkaRequest(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= 2 else { return }
    let rest = ByteBuffer(bytes: bytes[2...])
    if bytes[0] == 0 { return fuzzFrame(rest) }
    let type = KafkaMessages.all[Int(bytes[0]) % KafkaMessages.all.count]
    let versions = type.validVersions
    let version = versions.lowerBound + Int16(Int(bytes[1]) % versions.count)
    var reader = WireReader(rest)
    decode(type, version, &reader)
}

private func fuzzFrame(_ frame: ByteBuffer) {
    guard let apiKey = frame.getInteger(at: frame.readerIndex, as: Int16.self),
        let version = frame.getInteger(at: frame.readerIndex + 2, as: Int16.self)
    else { return }
    var reader = WireReader(frame)
    let headerVersion = HeaderVersion.request(apiKey: apiKey, version: version)
    guard decode(RequestHeader.self, headerVersion, &reader) else { return }
    guard let type = requests[apiKey] else { return }
    decode(type, version, &reader)
}

@discardableResult
private func decode(
    _ type: any KafkaMessage.Type, _ version: Int16, _ reader: inout WireReader
) -> Bool {
    guard let message = try? type.init(from: &reader, version: version) else { return false }
    checkAgain(message, version)
    return true
}

/// Bytes are compared, for a value that is not a number is not equal to itself.
private func checkAgain<Message: KafkaMessage>(_ message: Message, _ version: Int16) {
    let bytes = message.encoded(version: version)
    var reader = WireReader(bytes)
    guard let again = try? Message(from: &reader, version: version) else {
        preconditionFailure("\(Message.self) \(version) cannot read what it wrote")
    }
    precondition(reader.remaining == 0, "\(Message.self) \(version) wrote more than it reads")
    precondition(
        again.encoded(version: version) == bytes, "\(Message.self) \(version) is not the same")
}
