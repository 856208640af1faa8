import LinuxNet
import SliceDNS
import SliceDirectory
import SliceModel
import Synchronization
import Timing

/// Who is where and what it is called, as one slice knows it: what it has told, what it has heard,
/// and the servers that speak of it. Used by the slice's own thread.
final class SliceMembership {
    var directory: DirectoryService?
    var names: NameServer?
    var health: HealthChecker?
    var denials: DenialWatch?
    /// What the servers were started with: other addresses need others.
    var namesOptions: NamesOptions?

    /// Of this cluster, as last told to the others.
    var endpoints: [EndpointRecord] = []
    var services: [ServiceRecord] = []
    /// Offered by command, beside those of the manifest.
    var exports: [Service] = []
    /// Services that this cluster's endpoints are not to see.
    var hidden: Set<ServiceRecord.Key> = []

    /// Of all clusters, as last heard.
    var view: DirectoryView?
    /// Records that the manifest does not admit where they are: said once.
    var refused: Set<String> = []
    /// Claims of peers that the directory refuses, as last seen.
    var refusedClaims: Set<DirectoryProblem> = []
    var isViewUnsaved = false
    var nextSave = Instant(nanoseconds: 0)

    var distances = Distances()
    var table: NameTable?
    var serial: UInt32 = 1
    /// Names under /run/netns that have a resolv.conf of ours, and those that have somebody else's.
    var resolvConfs: [String: NamespaceName] = [:]
    var foreignResolvConfs: Set<String> = []
    var problem: String?
    let latest = LatestView()

    struct NamesOptions: Equatable {
        var addresses: [String]
        var forwarders: [String]
    }
}

/// What the directory says, on its way to the slice's thread: only the newest counts.
final class LatestView: Sendable {
    private let view = Mutex<DirectoryView?>(nil)

    /// False if the one before is still on its way, and this takes its place.
    func put(_ new: DirectoryView) -> Bool {
        view.withLock { view in
            defer { view = new }
            return view == nil
        }
    }

    func take() -> DirectoryView? {
        view.withLock { view in
            defer { view = nil }
            return view
        }
    }
}
