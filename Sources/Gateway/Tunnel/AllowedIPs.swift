import Addresses

/// Which peer owns which prefixes: WireGuard's cryptokey routing table (WireGuard paper, section
/// 2). A prefix belongs to one peer; the longest one that holds an address decides.
///
/// This is the control side, a value that is edited at leisure. Packet threads read the flat
/// form that `freeze` makes of it.
package struct AllowedIPs: Sendable {
    /// Prefixes in all. More are refused, so that no configuration can take the memory.
    package static let maximumCount = 1 << 20

    private struct Entry {
        var prefix: IPPrefix
        var peer: Int32
        /// Neighbours among the same peer's prefixes, -1 at the ends. A free entry uses `next`.
        var previous: Int32
        var next: Int32
    }

    private var entries: [Entry] = []
    private var firstFree: Int32 = -1
    private var slots: [IPPrefix: Int32] = [:]
    private var ends: [Int32: (first: Int32, last: Int32)] = [:]

    package init() {}

    package var count: Int { slots.count }

    /// Gives the prefix to the peer, taking it from any other, as WireGuard does. It goes to the
    /// end of the peer's list, even if it was there before. False if the table is full.
    package mutating func insert(_ prefix: IPPrefix, peer: Int32) -> Bool {
        precondition(peer >= 0)
        let slot: Int32
        if let old = slots[prefix] {
            unlink(old)
            slot = old
        } else {
            guard count < Self.maximumCount else { return false }
            slot = takeFree()
            slots[prefix] = slot
        }
        let last = ends[peer]?.last ?? -1
        entries[Int(slot)] = Entry(prefix: prefix, peer: peer, previous: last, next: -1)
        if last >= 0 { entries[Int(last)].next = slot }
        ends[peer] = (first: ends[peer]?.first ?? slot, last: slot)
        return true
    }

    /// Takes the prefix from the peer. False if it is not this peer's.
    @discardableResult
    package mutating func remove(_ prefix: IPPrefix, peer: Int32) -> Bool {
        guard let slot = slots[prefix], entries[Int(slot)].peer == peer else { return false }
        unlink(slot)
        release(slot)
        return true
    }

    /// Takes all prefixes of a peer, and says how many there were.
    @discardableResult
    package mutating func removeAll(of peer: Int32) -> Int {
        var slot = ends.removeValue(forKey: peer)?.first ?? -1
        var removed = 0
        while slot >= 0 {
            let next = entries[Int(slot)].next
            release(slot)
            slot = next
            removed += 1
        }
        return removed
    }

    /// The peer has these prefixes and no others. False if not all of them found room.
    package mutating func replace(_ prefixes: some Sequence<IPPrefix>, peer: Int32) -> Bool {
        removeAll(of: peer)
        return prefixes.reduce(true) { insert($1, peer: peer) && $0 }
    }

    /// The owner of exactly this prefix.
    package func owner(of prefix: IPPrefix) -> Int32? {
        slots[prefix].map { entries[Int($0)].peer }
    }

    /// A peer's prefixes, in the order in which it got them.
    package func prefixes(of peer: Int32) -> [IPPrefix] {
        var result: [IPPrefix] = []
        var slot = ends[peer]?.first ?? -1
        while slot >= 0 {
            result.append(entries[Int(slot)].prefix)
            slot = entries[Int(slot)].next
        }
        return result
    }

    /// The owner of the longest prefix that holds the address. For control paths: it tries every
    /// length.
    package func lookup(_ address: IPAddress) -> Int32? {
        for length in (0...address.bitWidth).reversed() {
            if let prefix = IPPrefix(address, length: length), let peer = owner(of: prefix) {
                return peer
            }
        }
        return nil
    }

    private mutating func takeFree() -> Int32 {
        guard firstFree >= 0 else {
            let none = IPPrefix(host: .v4(IPv4Address(0)))
            entries.append(Entry(prefix: none, peer: -1, previous: -1, next: -1))
            return Int32(entries.count - 1)
        }
        let slot = firstFree
        firstFree = entries[Int(slot)].next
        return slot
    }

    private mutating func release(_ slot: Int32) {
        slots[entries[Int(slot)].prefix] = nil
        entries[Int(slot)].peer = -1
        entries[Int(slot)].next = firstFree
        firstFree = slot
    }

    /// Takes an entry out of its peer's list.
    private mutating func unlink(_ slot: Int32) {
        let entry = entries[Int(slot)]
        guard var (first, last) = ends[entry.peer] else { return }
        if entry.previous >= 0 {
            entries[Int(entry.previous)].next = entry.next
        } else {
            first = entry.next
        }
        if entry.next >= 0 {
            entries[Int(entry.next)].previous = entry.previous
        } else {
            last = entry.previous
        }
        ends[entry.peer] = first >= 0 ? (first, last) : nil
    }

    /// The flat form for packet threads. Costs a sort of all prefixes.
    package func freeze() -> AllowedIPsTable {
        var v4: [AddressRange<UInt32>] = []
        var v6: [AddressRange<UInt128>] = []
        for entry in entries where entry.peer >= 0 {
            let length = entry.prefix.length
            switch entry.prefix.address {
            case .v4(let a):
                let host = UInt32.max.shifted(right: length)
                v4.append(AddressRange(first: a.value, last: a.value | host, peer: entry.peer))
            case .v6(let a):
                let first = UInt128(a.high) << 64 | UInt128(a.low)
                let host = UInt128.max.shifted(right: length)
                v6.append(AddressRange(first: first, last: first | host, peer: entry.peer))
            }
        }
        return AllowedIPsTable(v4: flatten(v4), v6: flatten(v6))
    }
}

extension FixedWidthInteger {
    /// A shift by the whole width gives zero.
    fileprivate func shifted(right bits: Int) -> Self { bits >= bitWidth ? 0 : self >> bits }
}

/// The addresses of one prefix.
private struct AddressRange<Address: FixedWidthInteger> {
    var first: Address
    var last: Address
    var peer: Int32
}

/// A start of a stretch of addresses which all have the same answer.
private typealias Stretch<Address> = (start: Address, peer: Int32)

/// Turns nested ranges into stretches that cover all addresses, in order. What a walk of the
/// binary trie would give, leaf by leaf: at every address the innermost range counts.
private func flatten<Address: FixedWidthInteger>(
    _ ranges: [AddressRange<Address>]
) -> [Stretch<Address>] {
    // Outer ranges before inner ones that start at the same address. No two are equal.
    let sorted = ranges.sorted { ($0.first, $1.last) < ($1.first, $0.last) }
    var result: [Stretch<Address>] = [(0, -1)]
    func begin(_ start: Address, _ peer: Int32) {
        if result[result.count - 1].start == start { result.removeLast() }
        if result.last?.peer != peer { result.append((start, peer)) }
    }
    var enclosing: [AddressRange<Address>] = []
    func leave(before limit: Address?) {
        while let inner = enclosing.last, limit.map({ inner.last < $0 }) ?? true {
            enclosing.removeLast()
            if inner.last < Address.max { begin(inner.last + 1, enclosing.last?.peer ?? -1) }
        }
    }
    for range in sorted {
        leave(before: range.first)
        begin(range.first, range.peer)
        enclosing.append(range)
    }
    leave(before: nil)
    return result
}

/// Owns the memory of a frozen table. Keep it alive as long as any thread uses its `view`.
package final class AllowedIPsTable: Sendable {
    package let view: AllowedIPsView

    fileprivate init(v4: [Stretch<UInt32>], v6: [Stretch<UInt128>]) {
        let starts4 = UnsafeMutablePointer<UInt32>.allocate(capacity: v4.count)
        let peers4 = UnsafeMutablePointer<Int32>.allocate(capacity: v4.count)
        for (i, stretch) in v4.enumerated() {
            (starts4 + i).initialize(to: stretch.start)
            (peers4 + i).initialize(to: stretch.peer)
        }
        let starts6 = UnsafeMutablePointer<UInt128>.allocate(capacity: v6.count)
        let peers6 = UnsafeMutablePointer<Int32>.allocate(capacity: v6.count)
        for (i, stretch) in v6.enumerated() {
            (starts6 + i).initialize(to: stretch.start)
            (peers6 + i).initialize(to: stretch.peer)
        }
        view = AllowedIPsView(
            starts4: starts4, peers4: peers4, count4: v4.count, index4: Self.makeIndex(v4),
            starts6: starts6, peers6: peers6, count6: v6.count)
    }

    /// For each value of the upper 16 bits the stretch that holds its first address, and one
    /// more entry for the last stretch. A small table does without: it fits into the first cache.
    private static func makeIndex(_ v4: [Stretch<UInt32>]) -> UnsafeMutablePointer<UInt32>? {
        guard v4.count > AllowedIPsView.smallCount else { return nil }
        let index = UnsafeMutablePointer<UInt32>.allocate(capacity: 65_537)
        var stretch = 0
        for upper in 0..<65_536 {
            let address = UInt32(upper) << 16
            while stretch + 1 < v4.count, v4[stretch + 1].start <= address { stretch += 1 }
            (index + upper).initialize(to: UInt32(stretch))
        }
        (index + 65_536).initialize(to: UInt32(v4.count - 1))
        return index
    }

    deinit {
        view.starts4.deallocate()
        view.peers4.deallocate()
        view.index4?.deallocate()
        view.starts6.deallocate()
        view.peers6.deallocate()
    }

    /// What the table takes.
    package var byteCount: Int {
        view.count4 * 8 + view.count6 * 20 + (view.index4 == nil ? 0 : 65_537 * 4)
    }
}

/// The frozen table as packet threads read it: plain pointers, no reference counting, no locks.
/// Valid as long as the `AllowedIPsTable` that it came from.
package struct AllowedIPsView: @unchecked Sendable, BitwiseCopyable {
    @usableFromInline static let smallCount = 64

    // The table is never written to after it was made, so threads may share it.
    @usableFromInline let starts4: UnsafePointer<UInt32>
    @usableFromInline let peers4: UnsafePointer<Int32>
    @usableFromInline let count4: Int
    @usableFromInline let index4: UnsafePointer<UInt32>?
    @usableFromInline let starts6: UnsafePointer<UInt128>
    @usableFromInline let peers6: UnsafePointer<Int32>
    @usableFromInline let count6: Int

    fileprivate init(
        starts4: UnsafePointer<UInt32>, peers4: UnsafePointer<Int32>, count4: Int,
        index4: UnsafeMutablePointer<UInt32>?, starts6: UnsafePointer<UInt128>,
        peers6: UnsafePointer<Int32>, count6: Int
    ) {
        self.starts4 = starts4
        self.peers4 = peers4
        self.count4 = count4
        self.index4 = index4.map { UnsafePointer($0) }
        self.starts6 = starts6
        self.peers6 = peers6
        self.count6 = count6
    }

    /// The peer that owns an IPv4 address (host byte order), or -1.
    @inlinable
    package func lookup(v4 address: UInt32) -> Int32 {
        // Both searches look for the last start that is not above the address. The first start
        // is 0, so there always is one.
        var found = 0
        var count = count4
        if let index4 {
            let upper = Int(address >> 16)
            found = Int(index4[upper])
            count = Int(index4[upper &+ 1]) &- found &+ 1
        }
        while count > 1 {
            let half = count >> 1
            found = starts4[found &+ half] <= address ? found &+ half : found
            count &-= half
        }
        return peers4[found]
    }

    /// The peer that owns an IPv6 address, or -1.
    @inlinable
    package func lookup(v6 high: UInt64, low: UInt64) -> Int32 {
        let address = UInt128(high) << 64 | UInt128(low)
        var found = 0
        var count = count6
        while count > 1 {
            let half = count >> 1
            found = starts6[found &+ half] <= address ? found &+ half : found
            count &-= half
        }
        return peers6[found]
    }
}
