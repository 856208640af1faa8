import Glibc
import LinuxNet
import Synchronization
import Testing

/// Whether these tests may make namespaces. They say so where they are skipped.
let isRoot: Bool = geteuid() == 0

// SOCK_STREAM, whose Swift type depends on which C module came first.
let streamSocket: Int32 = 1

private let counter = Atomic<Int>(0)

/// A name no other run has: the process, then a number.
func uniqueName(_ stem: String = "lab") -> String {
    "\(stem)\(getpid())-\(counter.add(1, ordering: .relaxed).newValue)"
}

/// Two named namespaces, gone afterwards whatever happens.
func withNamespaces<T>(
    _ body: (_ a: NetworkNamespace, _ b: NetworkNamespace) throws -> T
) throws -> T {
    let names = [uniqueName(), uniqueName()]
    defer { for name in names { try? NetworkNamespace.remove(named: name) } }
    let made = try names.map { try NetworkNamespace.create(named: $0) }
    return try body(made[0], made[1])
}

/// The independent view: what a program of iproute2 or nftables prints. Only tests spawn programs.
func output(_ arguments: [String]) throws -> String {
    var pipeEnds: [Int32] = [0, 0]
    try #require(pipe(&pipeEnds) == 0)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, pipeEnds[1], 1)
    posix_spawn_file_actions_addclose(&actions, pipeEnds[0])
    posix_spawn_file_actions_addclose(&actions, pipeEnds[1])
    var pointers = arguments.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    var pid: pid_t = 0
    let result = posix_spawnp(&pid, arguments[0], &actions, nil, &pointers, environ)
    close(pipeEnds[1])
    defer { close(pipeEnds[0]) }
    try #require(result == 0, "cannot run \(arguments[0])")
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(pipeEnds[0], &chunk, chunk.count)
        if count > 0 { bytes += chunk[..<count] } else if count == 0 || errno != EINTR { break }
    }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return String(decoding: bytes, as: UTF8.self)
}

/// What `ip` prints inside a namespace.
func ip(_ namespace: NetworkNamespace, _ arguments: String) throws -> String {
    let words = arguments.split(separator: " ").map(String.init)
    return try output(["ip", "-n", namespace.label] + words)
}

/// Waits for what the kernel does in its own time: asks again, with a bound, never sleeps on a
/// fixed time.
func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<2_000 {
        if try condition() { return true }
        usleep(1_000)
    }
    return false
}

/// The error that a call throws, or nil.
func failure(_ body: () throws -> Void) -> LinuxError? {
    do {
        try body()
        return nil
    } catch {
        return error as? LinuxError
    }
}

struct SplitMix64: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
