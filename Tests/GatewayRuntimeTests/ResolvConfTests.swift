import Addresses
import GatewayRuntime
import Glibc
import LinuxNet
import SliceDNS
import SliceModel
import Testing

@Suite struct ResolvConfTests {
    private func conf(_ slice: String = "pay", _ servers: String...) throws -> ResolvConf {
        ResolvConf(
            slice: try #require(SliceName(slice)), namespace: try #require(NamespaceName("kafka")),
            servers: servers.compactMap { IPAddress($0) })
    }

    private func text(_ path: String) throws -> String {
        String(decoding: try File.read(path), as: UTF8.self)
    }

    @Test func theText() throws {
        #expect(
            try conf("pay", "10.80.1.1", "fd00:80::1").text == """
                # slice-gateway pay
                # Written when the endpoint was attached, removed when it is detached. Remove these
                # lines to keep a version of your own.
                nameserver 10.80.1.1
                nameserver fd00:80::1
                search kafka.svc.slice.local svc.slice.local slice.local
                options ndots:4 timeout:2 attempts:2

                """)
        // The C library reads three.
        let many = try conf("pay", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4").text
        #expect(many.contains("10.0.0.3") && !many.contains("10.0.0.4"))
    }

    @Test func writtenOnceAndRemoved() throws {
        let scratch = try ScratchDirectory()
        let directory = "\(scratch.path)/netns"
        defer {
            rmdir("\(directory)/kafka-0")
            rmdir(directory)
            scratch.remove()
        }
        let path = "\(directory)/kafka-0/resolv.conf"
        let first = try conf("pay", "10.80.1.1")
        #expect(try first.apply(netns: "kafka-0", in: directory) == .written)
        #expect(try text(path) == first.text)
        #expect(try first.apply(netns: "kafka-0", in: directory) == .unchanged)
        let second = try conf("pay", "10.80.1.9")
        #expect(try second.apply(netns: "kafka-0", in: directory) == .written)
        #expect(try text(path) == second.text)
        // Another slice's is not ours.
        let other = try conf("payments", "10.80.1.1")
        #expect(try other.apply(netns: "kafka-0", in: directory) == .foreign(path: path))
        #expect(
            try ResolvConf.remove(slice: other.slice, netns: "kafka-0", in: directory)
                == .foreign(path: path))
        #expect(
            try ResolvConf.remove(slice: first.slice, netns: "kafka-0", in: directory)
                == .removed)
        #expect(
            try ResolvConf.remove(slice: first.slice, netns: "kafka-0", in: directory)
                == .absent)
        #expect(access("\(directory)/kafka-0", F_OK) != 0)
    }

    @Test func whatSomebodyElseWroteStays() throws {
        let scratch = try ScratchDirectory()
        let directory = "\(scratch.path)/netns"
        let path = "\(directory)/a/resolv.conf"
        defer {
            unlink(path)
            rmdir("\(directory)/a")
            rmdir(directory)
            scratch.remove()
        }
        try Directory.create("\(directory)/a")
        let ours = try conf("pay", "10.80.1.1")
        let texts = [
            "nameserver 192.0.2.1\n", "", "# slice-gateway payments\n", " # slice-gateway pay\n",
            String(repeating: "#", count: 70_000),
        ]
        for theirs in texts {
            try AtomicFile.write(path, text: theirs)
            #expect(try ours.apply(netns: "a", in: directory) == .foreign(path: path))
            #expect(
                try ResolvConf.remove(slice: ours.slice, netns: "a", in: directory)
                    == .foreign(path: path))
            #expect(try File.read(path, limitBytes: 100_000) == Array(theirs.utf8))
        }
    }

    @Test func namesThatLeadElsewhereAreRefused() throws {
        for name in ["", ".", "..", "a/b", "../../etc"] {
            #expect(throws: LinuxError.self) {
                try conf("pay").apply(netns: name, in: "/nonexistent")
            }
        }
    }
}
