import Addresses
import Glibc
import LinuxNet
import Logging
import NIOCore
import NIOPosix
import SliceDirectory
import SliceModel
import Synchronization
import Timing

/// What the directory needs of the manifest in force.
package struct DirectoryManifest: Sendable {
    package var slice: DirectorySlice
    package var version: UInt64
    package var digest: DirectoryDigest
    /// As it was signed, for gateways that have an older one.
    package var document: [UInt8]

    package init(
        slice: DirectorySlice, version: UInt64, digest: DirectoryDigest, document: [UInt8]
    ) {
        self.slice = slice
        self.version = version
        self.digest = digest
        self.document = document
    }

    /// Nil if the manifest does not have the cluster.
    package init?(_ manifest: SliceManifest, local: ClusterName, document: [UInt8]) {
        guard let slice = DirectorySlice(manifest, local: local),
            let digest = DirectoryDigest(bytes: ManifestDigest(of: manifest).bytes)
        else { return nil }
        self.init(
            slice: slice, version: manifest.version, digest: digest, document: document)
    }
}

package struct DirectoryReport: Sendable {
    package var incarnation: UInt64
    /// Of our own records.
    package var version: UInt64
    package var peers: [DirectoryPeerStatus]
    /// Sentences: what peers do, and why we do not listen.
    package var problems: [String]
    /// What peers claim and are not given: of the same problems those.
    package var refusedClaims: [DirectoryProblem]
    package var listening: [IPAddress]
}

/// The directory of one slice at work: the node, and its sockets inside the router namespace.
///
/// One event loop of its own, whose thread lives in that namespace: every socket it makes belongs
/// there. All methods may be called from anywhere and return at once, but for `stop` and `status`.
package final class DirectoryService: Sendable {
    /// What the service tells. Called on the service's own thread, one after the other: to be
    /// handed on, not worked on.
    package struct Callbacks: Sendable {
        /// The view as it is now, and which clusters are not as they were. At once after a quiet
        /// time, then gathered, at most every `pause`.
        package var onChange: @Sendable (DirectoryView, [ClusterName]) -> Void
        /// A manifest that a peer sent: nothing of it is verified. The answer is `judge`.
        package var onManifest: @Sendable (ReceivedManifest) -> Void

        package init(
            onChange: @escaping @Sendable (DirectoryView, [ClusterName]) -> Void,
            onManifest: @escaping @Sendable (ReceivedManifest) -> Void
        ) {
            self.onChange = onChange
            self.onManifest = onManifest
        }
    }

    package struct Options: Sendable {
        package var port = DirectoryPort.number
        package var limits = DirectoryLimits()
        package var timing = DirectoryTiming()
        /// Between two calls of `onChange`, at least.
        package var pause = Nanoseconds.milliseconds(50)
        /// Between two attempts to listen.
        package var listenRetry = Nanoseconds.seconds(1)
        /// What an earlier life has stored (`stored`).
        package var restored: [DirectoryStore.Cluster] = []
        package var policies = DirectoryDigest.none

        package init() {}
    }

    private let group: MultiThreadedEventLoopGroup
    private let driver: NIOLoopBound<DirectoryDriver>
    /// A loop that has ended takes nothing more.
    private let isStopped = Mutex(false)

    private init(group: MultiThreadedEventLoopGroup, driver: NIOLoopBound<DirectoryDriver>) {
        self.group = group
        self.driver = driver
    }

    /// The incarnation has to be larger than in any earlier life: `nextIncarnation`.
    package static func start(
        in namespace: NetworkNamespace, _ manifest: DirectoryManifest, incarnation: UInt64,
        options: Options = Options(), logger: Logger, callbacks: Callbacks
    ) async throws -> DirectoryService {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        do {
            let driver = try await loop.submit {
                try namespace.enterForGood()
                let driver = DirectoryDriver(
                    manifest, incarnation: incarnation, options: options, loop: loop,
                    logger: logger, callbacks: callbacks)
                driver.start()
                return NIOLoopBound(driver, eventLoop: loop)
            }.get()
            return DirectoryService(group: group, driver: driver)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    /// Grows with each start, also if the file that it is stored in was lost.
    package static func nextIncarnation(after stored: UInt64) -> UInt64 {
        let seconds = UInt64(max(0, WallClock.now().nanosecondsSince1970 / 1_000_000_000))
        return max(stored &+ 1, seconds)
    }

    /// All that is to be known of this cluster, each time.
    package func setOwn(endpoints: [EndpointRecord], services: [ServiceRecord]) {
        step(.own(endpoints: endpoints, services: services))
    }

    package func update(_ manifest: DirectoryManifest) { perform { $0.update(manifest) } }

    /// Of what is in force, to be compared with the peers'.
    package func setPolicies(_ digest: DirectoryDigest) { step(.policies(digest)) }

    /// What came of a manifest that `onManifest` handed out.
    package func judge(_ manifest: ReceivedManifest, isAccepted: Bool) {
        step(
            .manifestJudged(from: manifest.from, manifest.digest, isAccepted: isAccepted))
    }

    private func step(_ event: DirectoryEvent) { perform { $0.step(event) } }

    private func perform(_ body: @escaping @Sendable (DirectoryDriver) -> Void) {
        let driver = driver
        isStopped.withLock { isStopped in
            if !isStopped { driver.eventLoop.execute { body(driver.value) } }
        }
    }

    /// What is asked before the end is answered before the end.
    private func ask<T: Sendable>(
        _ body: @escaping @Sendable (DirectoryDriver) -> T
    ) async -> T? {
        let driver = driver
        let answer = isStopped.withLock { isStopped in
            isStopped ? nil : driver.eventLoop.submit { body(driver.value) }
        }
        return try? await answer?.get()
    }

    /// Nil after it was stopped, as the next two.
    package func status() async -> DirectoryReport? { await ask { $0.report } }

    package func view() async -> DirectoryView? { await ask { $0.view } }

    /// To be written to a file when the view has changed, and given to the next life
    /// (`DirectoryStore.decode`).
    package func stored() async -> [UInt8]? { await ask { $0.stored } }

    /// Takes leave of everybody. No callback comes after it. Has to be called: the thread stays
    /// otherwise.
    package func stop() async {
        let driver = driver
        let farewell: EventLoopFuture<Void>? = isStopped.withLock { isStopped in
            if isStopped { return nil }
            isStopped = true
            return driver.eventLoop.flatSubmit { driver.value.stop() }
        }
        guard let farewell else { return }
        try? await farewell.get()
        try? await group.shutdownGracefully()
    }
}
