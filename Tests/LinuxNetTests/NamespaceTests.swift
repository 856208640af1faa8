import Glibc
import LinuxNet
import Testing

private let mine = LinuxError("try", "something", errno: EDOM)

@Suite(.enabled(if: isRoot, "needs root: it makes network namespaces"))
struct NamespaceTests {
    @Test func madeNamespacesAreSeenByIpNetns() throws {
        let name = uniqueName()
        defer { try? NetworkNamespace.remove(named: name) }
        #expect(!NetworkNamespace.exists(named: name))
        let namespace = try NetworkNamespace.create(named: name)
        #expect(try output(["ip", "netns", "list"]).contains(name))
        #expect(try output(["ip", "netns", "exec", name, "echo", "inside"]) == "inside\n")
        #expect(try NetworkNamespace.list().contains(name))
        #expect(try NetworkNamespace.named(name) == namespace)
        #expect(try NetworkNamespace.current() != namespace)
        #expect(try ip(namespace, "-o link show lo").contains("LOOPBACK,UP"))
        try NetworkNamespace.remove(named: name)
        #expect(!NetworkNamespace.exists(named: name))
        #expect(try !output(["ip", "netns", "list"]).contains(name))
    }

    @Test func namespacesOfIpNetnsAreOpenedAndRemoved() throws {
        let name = uniqueName()
        defer { try? NetworkNamespace.remove(named: name) }
        _ = try output(["ip", "netns", "add", name])
        #expect(try NetworkNamespace.list().contains(name))
        #expect(try Netlink(in: .named(name)).links().map(\.name).contains("lo"))
        try NetworkNamespace.remove(named: name)
        #expect(!(try NetworkNamespace.list().contains(name)))
    }

    @Test func errorsNameTheNamespaceAndTheErrno() throws {
        let name = uniqueName()
        defer { try? NetworkNamespace.remove(named: name) }
        let absent = failure { _ = try NetworkNamespace.named(name) }
        #expect(absent?.errno == ENOENT)
        #expect(absent?.isAbsent == true)
        #expect(
            absent?.description
                == "cannot open namespace \(name): No such file or directory (ENOENT)")
        #expect(failure { try NetworkNamespace.remove(named: name) }?.errno == ENOENT)
        try NetworkNamespace.create(named: name)
        let twice = failure { try NetworkNamespace.create(named: name) }
        #expect(twice?.exists == true)
        #expect(NetworkNamespace.exists(named: name), "a refused creation leaves the first alone")
        for bad in ["", "..", "a/b", String(repeating: "x", count: 256)] {
            #expect(failure { try NetworkNamespace.create(named: bad) }?.errno == EINVAL)
        }
    }

    @Test func aFileThatIsNoNamespaceIsLitterAndCanBeRemoved() throws {
        let name = uniqueName()
        try withNamespaces { _, _ in
            let path = NetworkNamespace.path(of: name)
            close(open(path, O_CREAT | O_WRONLY, 0))
            #expect(failure { _ = try NetworkNamespace.named(name) }?.errno == EINVAL)
            #expect(try !NetworkNamespace.list().contains(name))
            try NetworkNamespace.remove(named: name)
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test func runEntersOnItsOwnThreadOnly() throws {
        try withNamespaces { a, b in
            let here = try NetworkNamespace.current()
            let inside = try a.run { try NetworkNamespace.current() }
            #expect(inside == a)
            #expect(try NetworkNamespace.current() == here)
            let nested = try a.run { try b.run { try NetworkNamespace.current() } }
            #expect(nested == b)
            #expect(failure { try a.run { throw mine } } == mine)
        }
    }

    @Test func anonymousNamespacesLiveWhileTheyAreHeld() throws {
        let namespace = try NetworkNamespace.anonymous()
        #expect(try NetworkNamespace.current() != namespace)
        let lo = try Netlink(in: namespace).existingLink(named: "lo")
        #expect(lo.isUp && lo.isLoopback)
        let again = try NetworkNamespace(path: "/proc/self/fd/\(namespace.fd)")
        #expect(again == namespace)
        #expect(try NetworkNamespace(pid: getpid()) == NetworkNamespace.current())
    }

    /// Inode numbers are used again, cookies are not.
    @Test func cookiesAreGivenOnce() throws {
        guard let mine = try Netlink().namespaceCookie else { return }  // before Linux 5.14
        var seen: Set<UInt64> = [mine]
        for _ in 0..<4 {
            let namespace = try NetworkNamespace.anonymous()
            let cookie = try #require(try Netlink(in: namespace).namespaceCookie)
            #expect(try Netlink(in: namespace).namespaceCookie == cookie)
            #expect(seen.insert(cookie).inserted)
        }
    }

    @Test func socketsBelongToTheNamespaceTheyWereOpenedIn() throws {
        try withNamespaces { a, b in
            // The same port is free in both.
            var fds: [Int32] = []
            defer { for fd in fds { close(fd) } }
            for namespace in [a, b] {
                let fd = try namespace.socket(AF_INET, streamSocket)
                fds.append(fd)
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_port = UInt16(4242).bigEndian
                address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
                let bound = withUnsafePointer(to: &address) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        bind(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                    }
                }
                #expect(bound == 0)
                #expect(listen(fd, 1) == 0)
            }
            #expect(try output(["ip", "netns", "exec", a.label, "ss", "-Hlnt"]).contains(":4242"))
        }
    }
}
