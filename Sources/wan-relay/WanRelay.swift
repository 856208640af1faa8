import Addresses
import ArgumentParser
import Glibc
import LinuxNet
import Timing
import WanModel

/// Arguments and wiring.
@main
struct WanRelay: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wan-relay",
        abstract: "Stands in for the wide-area network between sites, inside one namespace.",
        discussion: """
            Owns one TUN device in the namespace it is started in. Packets that are routed into \
            the device are held, lost, doubled, reordered or cut off as the link between their \
            source's and destination's site says, and written back to be routed on. \
            Routes and rules are the caller's: packets that arrive from a site must be routed \
            into the device (`ip rule add iif IF lookup TABLE`), packets that arrive from the \
            device to their site, with forwarding on and rp_filter off.

            Statements, in files or one a line on the control socket:
              site west 10.81.1.0/24 fd81:1::/64          (files only)
              limit packets 65536 bytes 256MB             (files only)
              seed 42
              set LINKS delay 10ms jitter 1ms [uniform|normal|tail] loss 1%
                        burst ENTER% LEAVE% [LOSS%] | burst off
                        duplicate 1% reorder 5% by 4ms
                        rate 100mbit | rate unlimited, queue 256kB
              clear LINKS, cut LINKS, heal LINKS
              at 5s COMMAND                               (since the start)
              in 5s COMMAND                               (from now)
              show [json], stats [json]                   (control socket only)
            LINKS is *, SITE, SITE>SITE, SITE>*, *>SITE or SITE<>SITE.
            The socket answers with lines that end with `ok`, or with one `error: ...`.
            """)

    @Option(help: "A file of statements; its sites come first.")
    var config: String?

    @Option(help: "A site, as NAME=PREFIX[,PREFIX...]. Repeat for each.")
    var site: [Site] = []

    @Option(help: "The TUN device to make, or to take over.")
    var tun: String

    @Option(help: "The device's MTU (1280 to 65535), which no packet may exceed.")
    var mtu: Int = 1_500

    @Option(help: "The control socket to listen on.")
    var control: String?

    @Option(help: "Where all chance comes from; before any `seed` of a file.")
    var seed: UInt64 = 1

    @Option(help: "A further file of statements, after those of --config.")
    var script: String?

    @Flag(help: "Run before everything else on the machine (SCHED_FIFO), for exact delays.")
    var realtime = false

    @Flag(help: "Read everything, print what `show` would say, and stop.")
    var check = false

    func validate() throws {
        // 1280: the least an IPv6 link may have (RFC 8200 section 5).
        guard (1_280...65_535).contains(mtu) else {
            throw ValidationError("--mtu must lie between 1280 and 65535")
        }
        guard Netlink.isInterfaceName(tun) else {
            throw ValidationError("`\(tun)` is not an interface name")
        }
    }

    func run() throws {
        let plan = try RelayPlan(sites: site, files: [config, script].compactMap { $0 })
        if check {
            print(try plan.model(seed: seed, start: MonotonicClock.now()).show())
            return
        }
        let device = try TunDevice(TunDevice.Options(name: tun))
        let netlink = try Netlink()
        try netlink.setMTU(device.name, UInt32(mtu))
        try netlink.setUp(device.name, true)
        let server = try control.map { try ControlServer(path: $0) }
        if realtime {
            var parameters = sched_param(sched_priority: 1)
            guard sched_setscheduler(0, SCHED_FIFO, &parameters) == 0 else {
                throw LinuxError("schedule", "wan-relay", "in real time", errno: errno)
            }
        }
        let model = try plan.model(seed: seed, start: MonotonicClock.now())
        var loop = try RelayLoop(model: model, tun: device, mtu: mtu, control: server)
        try loop.run(ready: "ready tun=\(device.name) mtu=\(mtu) sites=\(model.sites.count)")
    }
}

extension Site: ExpressibleByArgument {
    public init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1)
        guard parts.count == 2, Site.isName(parts[0]) else { return nil }
        let words = parts[1].split(separator: ",", omittingEmptySubsequences: false)
        let prefixes = words.compactMap { IPPrefix.hasHostBits($0) ? nil : IPPrefix($0) }
        guard prefixes.count == words.count else { return nil }
        self.init(name: String(parts[0]), prefixes: prefixes)
    }
}
