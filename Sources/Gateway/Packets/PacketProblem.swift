/// Why a packet cannot be used: a reason to count, never a trap.
package enum PacketProblem: UInt8, Error, CaseIterable, Sendable {
    /// Neither version 4 nor 6, or no bytes at all.
    case badVersion
    /// Fewer bytes than the header or its total length asks for.
    case truncated
    /// More bytes than the total length says.
    case trailingBytes
    /// IPv4 header length below 20, or total length below the header length.
    case badHeaderLength
    /// A kind of segmentation that was not offered, or that does not fit the packet.
    case unsupportedSegmentation
    /// Segment size zero or larger than the payload.
    case badSegmentSize
    /// More segments than the limit.
    case tooManySegments
    /// TCP or UDP header that is short or says nonsense.
    case badTransportHeader
    /// A checksum to complete that lies outside the packet or in its IP header.
    case badChecksumPlace
}
