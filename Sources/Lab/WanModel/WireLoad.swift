/// What travels together: one packet, or a train of packets that were handed over as one and
/// follow one another on the wire, each with headers of its own.
package struct WireLoad: Hashable, Sendable {
    package var packets: Int
    /// Of all packets, IP headers included.
    package var bytes: Int

    package init(packets: Int, bytes: Int) {
        self.packets = packets
        self.bytes = bytes
    }

    static func packet(_ length: Int) -> WireLoad { WireLoad(packets: 1, bytes: length) }
}
