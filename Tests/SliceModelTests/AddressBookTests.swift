import Addresses
import ConfigFile
import SliceModel
import Testing

/// The book the obvious way: two lists and a walk over every address.
private struct ModelBook {
    var candidates: [[IPAddress]]
    var limit: Int
    /// Longest untouched first.
    var leases: [(key: String, addresses: [IPAddress], attached: Bool)] = []

    init(_ prefixes: [IPPrefix], limit: Int) {
        self.limit = limit
        candidates = [true, false].compactMap { isIPv4 in
            let own = prefixes.filter { $0.isIPv4 == isIPv4 }
            guard !own.isEmpty else { return nil }
            return own.flatMap { prefix in
                let all = (0...).lazy.map { prefix.address(at: $0) }.prefix { $0 != nil }.compactMap
                { $0 }
                return Array(all).dropFirst(2).dropLast(isIPv4 ? 1 : 0)
            }
        }
    }

    mutating func attach(_ key: String) -> [IPAddress]? {
        if let index = leases.firstIndex(where: { $0.key == key }) {
            let old = leases.remove(at: index)
            leases.append((key, old.addresses, true))
            return old.addresses
        }
        if leases.count >= limit, !evict() { return nil }
        while true {
            let used = leases.flatMap(\.addresses)
            let picked = candidates.compactMap { $0.first { !used.contains($0) } }
            if picked.count == candidates.count {
                leases.append((key, picked, true))
                return picked
            }
            if !evict() { return nil }
        }
    }

    mutating func detach(_ key: String) {
        guard let index = leases.firstIndex(where: { $0.key == key && $0.attached }) else { return }
        let old = leases.remove(at: index)
        leases.append((key, old.addresses, false))
    }

    mutating func forget(_ key: String) { leases.removeAll { $0.key == key } }

    private mutating func evict() -> Bool {
        guard let index = leases.firstIndex(where: { !$0.attached }) else { return false }
        leases.remove(at: index)
        return true
    }
}

@Suite struct AddressBookTests {
    private func prefixes(_ texts: String...) throws -> [IPPrefix] {
        try texts.map { try #require(IPPrefix($0)) }
    }

    private func key(_ endpoint: String, _ namespace: String = "kafka") throws -> AddressBook.Key {
        AddressBook.Key(try Sample.name(namespace), try Sample.name(endpoint))
    }

    private func decode(
        _ text: String, _ prefixes: [IPPrefix], limit: Int = 4096
    ) throws(ConfigProblems) -> (book: AddressBook, dropped: [AddressBook.Lease]) {
        try Array(text.utf8).withUnsafeBytes { bytes in
            Result { () throws(ConfigProblems) in
                try AddressBook.decode(bytes, file: "b", prefixes: prefixes, limit: limit)
            }
        }.get()
    }

    @Test func pairsAndSkips() throws {
        var book = AddressBook(prefixes: try prefixes("10.80.1.0/29", "fd00:80:0:1::/64"))
        var given: [String] = []
        for index in 0..<5 {
            given.append(
                try book.attach(key("e\(index)")).addresses.map(\.description).joined(
                    separator: " "))
        }
        #expect(
            given == (2...6).map { "10.80.1.\($0) fd00:80:0:1::\($0)" })
        #expect(throws: AddressBook.Failure.self) { try book.attach(key("e5")) }
        do throws(AddressBook.Failure) {
            _ = try book.attach(AddressBook.Key(NamespaceName("a")!, EndpointName("b")!))
        } catch {
            #expect(error.description.hasPrefix("no IPv4 address is left in 10.80.1.0/29: detach"))
        }
        let fourth = try #require(IPAddress("10.80.1.4"))
        let third = try key("e2")
        #expect(book.owner(of: fourth) == third)
        #expect(book.all.count == 5)
    }

    @Test func sticky() throws {
        var book = AddressBook(prefixes: try prefixes("10.80.1.0/29"))
        let a = try book.attach(key("a")).addresses
        let b = try book.attach(key("b")).addresses
        #expect(try book.attach(key("a")).addresses == a)
        book.detach(try key("a"))
        #expect(try book.attach(key("c")).addresses != a)
        #expect(try book.attach(key("a")).addresses == a)
        #expect(try book.attach(key("a", "other")).addresses != a)
        book.forget(try key("b"))
        #expect(try book.attach(key("d")).addresses == b)
    }

    @Test func longestAwayGivesWay() throws {
        var book = AddressBook(prefixes: try prefixes("10.80.1.0/29"))
        var addresses: [String: [IPAddress]] = [:]
        for name in ["a", "b", "c", "d", "e"] {
            addresses[name] = try book.attach(key(name)).addresses
        }
        book.detach(try key("c"))
        book.detach(try key("a"))
        #expect(try book.attach(key("f")).addresses == addresses["c"])
        #expect(try book[key("c")] == nil)
        #expect(try book[key("a")] != nil)
        #expect(try book.attach(key("g")).addresses == addresses["a"])
        #expect(throws: AddressBook.Failure.self) { try book.attach(key("a")) }
    }

    @Test func limitHolds() throws {
        var book = AddressBook(prefixes: try prefixes("10.0.0.0/8"), limit: 2)
        _ = try book.attach(key("a"))
        _ = try book.attach(key("b"))
        #expect(throws: AddressBook.Failure.full(limit: 2)) { try book.attach(key("c")) }
        book.detach(try key("a"))
        _ = try book.attach(key("c"))
        #expect(book.all.map(\.key.endpoint.text) == ["b", "c"])
    }

    @Test func agreesWithTheModel() throws {
        let shapes = [
            (try prefixes("10.80.1.0/29"), 100), (try prefixes("10.80.1.0/28", "fd00::/125"), 100),
            (try prefixes("fd00::/124"), 9),
            (try prefixes("10.0.0.0/30", "10.0.1.0/29", "fd00::/120"), 100),
            (try prefixes("fd00::/64", "10.80.1.0/27"), 12),
        ]
        for (seed, (prefixes, limit)) in shapes.enumerated() {
            var random = SplitMix64(seed: UInt64(seed))
            var book = AddressBook(prefixes: prefixes, limit: limit)
            // A /64 is too much to list: the model takes the first sixteenth of a thousandth.
            let small = prefixes.map {
                $0.isIPv4 ? $0 : IPPrefix($0.address, length: max($0.length, 119)) ?? $0
            }
            var model = ModelBook(small, limit: limit)
            for _ in 0..<3000 {
                let name = "e\(Int.random(in: 0..<20, using: &random))"
                let key = try key(name)
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<5:
                    let given = try? book.attach(key).addresses
                    #expect(given == model.attach(name))
                case 5..<8:
                    book.detach(key)
                    model.detach(name)
                case 8:
                    book.forget(key)
                    model.forget(name)
                default:
                    // Through the file and back, at any moment.
                    let (again, dropped) = try decode(book.fileText, prefixes, limit: limit)
                    #expect(dropped.isEmpty && again.all == book.all)
                    book = again
                }
                let all = book.all.flatMap(\.addresses)
                #expect(Set(all).count == all.count)
                #expect(book.all.count == model.leases.count)
            }
        }
    }

    @Test func newPrefixes() throws {
        var book = AddressBook(prefixes: try prefixes("10.80.1.0/24"))
        let a = try book.attach(key("a"))
        _ = try book.attach(key("b"))
        // A family is added: what everyone has stays, the rest comes with the next attach.
        #expect(book.move(to: try prefixes("10.80.1.0/24", "fd00::/64")).isEmpty)
        #expect(try book.attach(key("a")).addresses.map(\.description) == ["10.80.1.2", "fd00::2"])
        #expect(try book.attach(key("a")).addresses.first == a.addresses.first)
        // IPv4 moves.
        let changed = book.move(to: try prefixes("10.81.1.0/24", "fd00::/64"))
        #expect(changed.map(\.key.endpoint.text) == ["a", "b"])
        #expect(book[try key("a")]?.addresses.map(\.description) == ["fd00::2"])
        #expect(book[try key("b")] == nil)
        #expect(try book.attach(key("a")).addresses.map(\.description) == ["10.81.1.2", "fd00::2"])
        #expect(book.move(to: try prefixes("10.81.1.0/24", "fd00::/64")).isEmpty)
    }

    @Test func fileThatNoLongerFits() throws {
        var book = AddressBook(prefixes: try prefixes("10.80.1.0/24"))
        _ = try book.attach(key("a"))
        let (empty, dropped) = try decode(book.fileText, try prefixes("10.81.1.0/24"))
        #expect(empty.all.isEmpty && dropped.map(\.key.endpoint.text) == ["a"])
    }

    @Test(arguments: [
        ("{}", "the field `version` is missing"), ("{version: 2, leases: []}", "out of range"),
        (
            "{version: 1, leases: [{namespace: a, endpoint: b, addresses: [10.80.1.2], "
                + "attached: yes, step: 1}]}",
            "write true"
        ),
        (
            """
            {version: 1, leases: [
            {namespace: a, endpoint: b, addresses: [10.80.1.2], attached: true, step: 1},
            {namespace: a, endpoint: b, addresses: [10.80.1.2], attached: true, step: 2}]}
            """, "b:3:1: leases[1]: `a/b` is here twice"
        ),
    ])
    func damagedFile(_ text: String, _ expected: String) throws {
        let prefixes = try prefixes("10.80.1.0/24")
        let found = problems { () throws(ConfigProblems) in try decode(text, prefixes) }
        #expect(found.contains { $0.contains(expected) }, "\(found)")
    }

    @Test func wholeFileOnly() throws {
        var book = AddressBook(prefixes: try prefixes("10.80.1.0/24"))
        for name in ["a", "b", "c"] { _ = try book.attach(key(name)) }
        let bytes = Array(book.fileText.utf8)
        for count in 0..<bytes.count - 2 {
            let text = String(decoding: bytes.prefix(count), as: UTF8.self)
            #expect((try? decode(text, try prefixes("10.80.1.0/24"))) == nil)
        }
    }
}
