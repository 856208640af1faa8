import Addresses
import Glibc
import LinuxNet
import Synchronization
import Testing
import Timing

struct SystemTests {
    @Test func errorsSayWhatToDo() {
        let plain = LinuxError("move", "veth3", "into namespace kafka-0", errno: ENODEV)
        #expect(
            plain.description
                == "cannot move veth3 into namespace kafka-0: No such device (ENODEV)")
        let detailed = LinuxError("set the MTU of", "v0", errno: EINVAL, detail: "too large")
        #expect(
            detailed.description == "cannot set the MTU of v0: Invalid argument (EINVAL): too large"
        )
        let tun = LinuxError("open", "/dev/net/tun", errno: ENOENT)
        #expect(tun.description.contains("modprobe tun"))
        #expect(
            LinuxError("create veth", "v0", errno: EPERM).hint?.contains("CAP_NET_ADMIN") == true)
        let namespace = LinuxError("create", "namespace x", "in namespace y", errno: EPERM)
        #expect(namespace.hint?.contains("CAP_SYS_ADMIN") == true)
        #expect(LinuxError("do", "x", errno: 99_999).description == "cannot do x: errno 99999")
    }

    @Test func threadsRunAndAreJoined() throws {
        let event = try EventFD()
        let threads = try (1...8).map { _ in
            try PosixThread(name: "a name that is far too long") { event.signal() }
        }
        for thread in threads {
            thread.join()
            thread.join()
        }
        #expect(event.drain() == 8)
        #expect(event.drain() == 0)
    }

    @Test func timersFireAndAreDisarmed() throws {
        let timer = try TimerFD()
        #expect(timer.drain() == 0)
        try timer.set(after: .zero)
        #expect(eventually { timer.drain() == 1 })
        try timer.set(after: .milliseconds(1), every: .milliseconds(1))
        var fired: UInt64 = 0
        #expect(
            eventually {
                fired += timer.drain()
                return fired >= 3
            })
        try timer.disarm()
        timer.drain()
        #expect(timer.drain() == 0)
    }

    @Test func signalsAreRead() throws {
        let box = Shared(Atomic<Int32>(0))
        let thread = try PosixThread(name: "signals") {
            guard let signals = try? SignalFD([SIGUSR1, SIGHUP]) else { return }
            // To this thread alone: the others have it unblocked.
            pthread_kill(pthread_self(), SIGUSR1)
            if let signal = signals.next(), signals.next() == nil {
                box.value.store(signal, ordering: .releasing)
            }
        }
        thread.join()
        #expect(box.value.load(ordering: .acquiring) == SIGUSR1)
    }

    @Test func clocksGoForward() {
        let first = MonotonicClock.now()
        #expect(MonotonicClock.now() >= first)
        #expect(BoottimeClock.now().nanoseconds > 0)
        // 2024-01-01
        #expect(WallClock.now().nanosecondsSince1970 > 1_704_067_200_000_000_000)
    }

    @Test func kernelVersions() {
        #expect(KernelFeatures.version(of: "6.18.44-fc")! == (6, 18))
        #expect(KernelFeatures.version(of: "6.1-rc3")! == (6, 1))
        #expect(KernelFeatures.version(of: "unknown") == nil)
        #expect(KernelFeatures.version(of: KernelFeatures.kernelRelease()) != nil)
    }

    @Test(.enabled(if: isRoot, "needs root: it looks for root's capabilities"))
    func capabilitiesAndProbes() throws {
        let own = try Capabilities.effective()
        #expect(own.missing([.netAdmin, .sysAdmin]).isEmpty)
        #expect(Capabilities(bits: 1 << 12).missing([.netAdmin, .netRaw]) == [.netRaw])
        let probes = KernelFeatures.all()
        for probe in probes where probe.name != "user namespaces" {
            #expect(probe.isAvailable, "\(probe.name): \(probe.detail)")
        }
        #expect(KernelFeatures.tun().detail.contains("TCP"))
    }

    @Test(.enabled(if: isRoot, "needs root: it makes network namespaces"))
    func sysctlsAreThoseOfTheNamespace() throws {
        try withNamespaces { a, b in
            let key = "net/ipv4/ip_forward"
            try Sysctl.write(key, "1", in: a)
            try Sysctl.write(key, "0", in: b)
            #expect(try Sysctl.read(key, in: a) == "1")
            #expect(try Sysctl.read(key, in: b) == "0")
            let seen = try output(
                ["ip", "netns", "exec", a.label, "cat", "/proc/sys/net/ipv4/ip_forward"])
            #expect(seen == "1\n")
            try Netlink(in: a).createVethPair("v.0", peer: "v1")
            try Sysctl.write("net/ipv4/conf/v.0/rp_filter", "2", in: a)
            #expect(try Sysctl.read("net/ipv4/conf/v.0/rp_filter", in: a) == "2")
            let absent = failure { _ = try Sysctl.read("net/ipv4/conf/v.0/rp_filter", in: b) }
            #expect(absent?.errno == ENOENT)
            #expect(absent?.object == "/proc/sys/net/ipv4/conf/v.0/rp_filter")
            #expect(failure { try Sysctl.write(key, "nonsense", in: a) }?.errno == EINVAL)
            for bad in ["", "net/../kernel", "/net", "net//x"] {
                #expect(failure { _ = try Sysctl.read(bad, in: a) }?.errno == EINVAL)
            }
        }
    }
}

/// An atomic that closures may share.
final class Shared: Sendable {
    let value: Atomic<Int32>
    init(_ value: consuming Atomic<Int32>) { self.value = value }
}
