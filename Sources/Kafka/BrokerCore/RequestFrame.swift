import KafkaWire
import NIOCore

/// A request with its header read and its body still to be read.
struct RequestFrame {
    let apiKey: Int16
    let version: Int16
    let correlationId: Int32
    let clientId: String?
    let body: ByteBuffer

    /// Reads the header of a frame (without its length).
    init(_ frame: ByteBuffer) throws(WireError) {
        var peek = WireReader(frame)
        apiKey = try peek.int16()
        version = try peek.int16()
        var reader = WireReader(frame)
        // The header of an ApiVersions request of a version that is not known is read like that
        // of the newest one: it has to be answered (KIP-511).
        let header = try RequestHeader(
            from: &reader, version: HeaderVersion.request(apiKey: apiKey, version: version))
        correlationId = header.correlationId
        clientId = header.clientId
        body = reader.buffer
    }

    /// Reads the body.
    func decode<Request: KafkaRequest>(
        _ type: Request.Type = Request.self
    ) throws(WireError) -> Request {
        var reader = WireReader(body)
        return try Request(from: &reader, version: version)
    }
}

/// Where a reply goes and how it has to look.
package struct ReplyAddress: Sendable {
    package var token: ReplyToken
    package var apiKey: Int16
    package var version: Int16
    package var correlationId: Int32
}

extension ReplyAddress {
    /// Length, header and body: a frame in pieces.
    func pieces<Response: KafkaResponse>(
        _ response: Response, version encoded: Int16? = nil
    ) -> [Piece] {
        var writer = WireWriter(frame: true)
        writeHeader(to: &writer)
        response.encode(to: &writer, version: encoded ?? version)
        return writer.finish()
    }

    /// A body that another node has encoded already, in the same version.
    func pieces(passingOn body: ByteBuffer) -> [Piece] {
        var writer = WireWriter(frame: true, capacity: 16 + body.readableBytes)
        writeHeader(to: &writer)
        writer.raw(body)
        return writer.finish()
    }

    private func writeHeader(to writer: inout WireWriter) {
        var header = ResponseHeader()
        header.correlationId = correlationId
        header.encode(
            to: &writer, version: HeaderVersion.response(apiKey: apiKey, version: version))
    }
}
