import Addresses
import Synchronization

/// Which peer an address belongs to, and where each peer's path is: immutable once published.
package struct Routes: ~Copyable {
    /// Keeps the memory of `allowedIPs`.
    private let table: AllowedIPsTable
    package let allowedIPs: AllowedIPsView
    @usableFromInline let paths: UnsafeMutablePointer<UnsafeMutablePointer<PeerPath>?>
    @usableFromInline let pathCount: Int

    package init(
        allowedIPs table: AllowedIPsTable, paths list: [UnsafeMutablePointer<PeerPath>?]
    ) {
        self.table = table
        allowedIPs = table.view
        pathCount = list.count
        paths = .allocate(capacity: max(1, list.count))
        paths.initialize(from: list, count: list.count)
    }

    deinit { paths.deallocate() }

    @inlinable package func path(number: Int32) -> UnsafeMutablePointer<PeerPath>? {
        number >= 0 && Int(number) < pathCount ? paths[Int(number)] : nil
    }
}

/// The root of what packet threads read: they follow atomic pointers and never wait.
package struct Forwarding: ~Copyable {
    package let sessions: SessionTable
    package let routes = Atomic<UnsafeMutablePointer<Routes>?>(nil)
    /// The inner MTU: padding never goes beyond it (paper 5.4.6).
    package let mtu = Atomic<Int>(1420)
    /// See `CounterClasses`.
    package let counterStride: UInt64

    package init(sessionCapacity: Int, lanes: Int = 1) {
        sessions = SessionTable(capacity: sessionCapacity)
        counterStride = CounterClasses.stride(lanes: lanes)
    }
}

/// Something that packet threads may still see. It is freed when all of them have passed a
/// point where they hold nothing.
package enum Retired: @unchecked Sendable {
    case session(UnsafeMutablePointer<Session>)
    case endpoint(UnsafeMutablePointer<IPEndpoint>)
    case routes(UnsafeMutablePointer<Routes>)
    case path(UnsafeMutablePointer<PeerPath>)

    package func free() {
        switch self {
        case .session(let p):
            Session.destroy(p)
        case .endpoint(let p):
            p.deallocate()
        case .routes(let p):
            p.deinitialize(count: 1)
            p.deallocate()
        case .path(let p):
            if let endpoint = p.pointee.endpoint.load(ordering: .relaxed) { endpoint.deallocate() }
            p.deinitialize(count: 1)
            p.deallocate()
        }
    }
}
