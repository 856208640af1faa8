import Glibc
import Packets
import WanModel

/// The bytes of what is in flight, each with the virtio header in front that the TUN wants. A
/// train lies in a slot for the largest, a packet in one for the MTU. The names by which the
/// model knows trains are below zero.
struct PacketStore: ~Copyable {
    private static let trainSize = VirtioNetHeader.size + 65_535

    /// What was read, in a slot for trains. Its holder keeps or gives back that.
    struct Reading {
        let name: Int32
        let virtio: VirtioNetHeader
        let packet: UnsafeMutableRawBufferPointer
    }

    private var packets: PacketPool
    private var trains: PacketPool

    /// Room for as much as may be in flight. Of short trains there may be more than slots; those
    /// are cut up.
    init(_ queue: DelayQueue, mtu: Int) {
        // One more of each than can be in flight: a slot for what is offered next.
        packets = PacketPool(
            slotCount: queue.packetLimit + 1, slotSize: VirtioNetHeader.size + mtu)
        let count = min(queue.packetLimit, max(1, queue.byteLimit / Self.trainSize))
        trains = PacketPool(slotCount: count + 1, slotSize: Self.trainSize)
    }

    /// Nil, with the reason in `errno`: there is nothing to read.
    mutating func read(_ tun: Int32) -> Reading? {
        guard let slot = trains.take() else { preconditionFailure("the spare slot is never kept") }
        let bytes = trains.bytes(slot)
        let count = Glibc.read(tun, bytes.baseAddress, bytes.count)
        guard count > VirtioNetHeader.size else {
            trains.giveBack(slot)
            return nil
        }
        trains.setLength(slot, count)
        return Reading(
            name: ~slot, virtio: VirtioNetHeader(trains.start(slot)),
            packet: .init(rebasing: bytes[VirtioNetHeader.size..<count]))
    }

    /// Whether what was read may stay where it is.
    var canKeep: Bool { trains.slotsInUse < trains.slotCount }

    /// Readies a train to be written as it is.
    func describe(_ train: Reading, header: Int) {
        var virtio = train.virtio
        // The kernel's own may be wrong, and is read again when the train is written.
        virtio.headerLength = UInt16(header)
        virtio.store(to: trains.start(~train.name))
    }

    /// A packet of its own, complete with checksums. Nil: longer than the MTU.
    mutating func add(_ packet: UnsafeRawBufferPointer) -> Int32? {
        guard packet.count + VirtioNetHeader.size <= packets.slotSize else { return nil }
        guard let slot = packets.take() else {
            preconditionFailure("the spare slot is never kept")
        }
        VirtioNetHeader().store(to: packets.start(slot))
        UnsafeMutableRawBufferPointer(rebasing: packets.bytes(slot)[VirtioNetHeader.size...])
            .copyMemory(from: packet)
        packets.setLength(slot, VirtioNetHeader.size + packet.count)
        return slot
    }

    mutating func addHolder(_ name: Int32) { packets.addHolder(name) }

    mutating func giveBack(_ name: Int32) {
        if name < 0 { trains.giveBack(~name) } else { packets.giveBack(name) }
    }

    /// Whether the TUN took it.
    func write(_ name: Int32, to tun: Int32) -> Bool {
        let content = name < 0 ? trains.content(~name) : packets.content(name)
        return Glibc.write(tun, content.baseAddress, content.count) == content.count
    }
}
