import Bytes
import LinuxNet
import Noise
import SliceModel
import SlicePolicy
import Timing
import Tunnel

extension SliceWorker {
    /// What exists while the slice runs.
    final class Running {
        var inputs: SliceInputs
        var book: AddressBook
        let router: RouterNamespace
        let tun: TunDevice
        let tunnel: TunnelInterface
        var prober: EchoProber
        var socket: ConfigurationSocket?
        var mtu = 0
        var choices: [PublicKey: EndpointChoice] = [:]
        var resolutions: [UnderlayEndpoint: Resolution] = [:]
        /// The last answer of each peer, and when it came.
        var roundTrips: [PublicKey: (time: Nanoseconds, at: Instant)] = [:]
        var tunnelEnded = false
        let membership = SliceMembership()
        var policies: PolicyState
        /// What they are made from has changed since they were made.
        var policiesAreStale = true
        var saysNoDenials = false
        /// A manifest was read a moment ago: what that took is free by the next tick.
        var hasFreeMemory = true
        /// Of the manifest in force.
        lazy var policyDigest = inputs.manifest.policyDigest
        let startedAt = MonotonicClock.now()
        var nextReconciliation = MonotonicClock.now()
        var nextProbe = MonotonicClock.now()

        var plan: SlicePlan { inputs.plan }

        init(
            inputs: SliceInputs, book: AddressBook, router: RouterNamespace, tun: TunDevice,
            tunnel: TunnelInterface, prober: EchoProber
        ) {
            self.inputs = inputs
            self.book = book
            self.router = router
            self.tun = tun
            self.tunnel = tunnel
            self.prober = prober
            policies = PolicyState(
                firstNumber: Entropy.system.uint32(),
                PolicyModel(inputs.manifest, local: inputs.plan.cluster, endpoints: []))
        }
    }
}
