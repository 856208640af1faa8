import Addresses
import SliceDNS
import Testing

@Suite struct CodecTests {
    /// Names that share ends, in both cases.
    private static func randomName(_ random: inout SplitMix) -> DomainName {
        let tops = ["", "slice.local", "svc.slice.local", "SLICE.local", "a.b.c.d.e.f.g.h"]
        var text = tops[random.below(tops.count)]
        for _ in 0..<random.below(4) {
            let label = [
                "x", "kafka", "Kafka", "broker-0", "_tcp", String(repeating: "l", count: 63),
            ]
            text = label[random.below(label.count)] + (text.isEmpty ? "" : "." + text)
        }
        return DomainName(text.isEmpty ? "." : text) ?? .root
    }

    private static func randomRecord(_ random: inout SplitMix) -> ResourceRecord {
        let number = UInt32(truncatingIfNeeded: random.next())
        let data: (RecordType, ResourceRecord.Data) =
            switch random.below(8) {
            case 0: (.a, .a(IPv4Address(number)))
            case 1: (.aaaa, .aaaa(IPv6Address(high: random.next(), low: random.next())))
            case 2: (.ns, .ns(randomName(&random)))
            case 3: (.ptr, .ptr(randomName(&random)))
            case 4: (.cname, .cname(randomName(&random)))
            case 5:
                (
                    .srv,
                    .srv(
                        ResourceRecord.SRV(
                            priority: UInt16(random.below(65_536)), weight: 1, port: 9092,
                            target: randomName(&random)))
                )
            case 6: (.txt, .opaque((0..<random.below(40)).map { UInt8($0) }))
            default: (RecordType(rawValue: 65_280), .opaque([]))
            }
        return ResourceRecord(
            owner: randomName(&random), type: data.0, ttl: number, data: data.1)
    }

    private static func randomMessage(_ random: inout SplitMix) -> Message {
        func records(_ random: inout SplitMix) -> [ResourceRecord] {
            (0..<random.below(9)).map { _ in randomRecord(&random) }
        }
        return Message(
            header: Header(
                id: UInt16(random.below(65_536)), flags: UInt16(random.below(65_536))),
            questions: (0..<random.below(3)).map { _ in
                Question(randomName(&random), RecordType(rawValue: UInt16(random.below(300))))
            }, answers: records(&random), authority: records(&random),
            additional: records(&random),
            edns: random.below(2) == 0
                ? nil
                : EDNS(
                    payloadBytes: UInt16(random.below(65_536)), version: UInt8(random.below(256)),
                    codeUpper: UInt8(random.below(256)), flags: UInt16(random.below(65_536)),
                    options: (0..<random.below(3)).map {
                        EDNS.Option(code: UInt16($0), data: [UInt8](repeating: 7, count: $0 * 9))
                    }))
    }

    @Test func whatIsWrittenIsRead() throws {
        var random = SplitMix(state: 7)
        for _ in 0..<2_000 {
            let message = Self.randomMessage(&random)
            let bytes = try #require(message.encoded())
            let read = try bytes.withUnsafeBytes { try Message(decoding: $0) }
            #expect(read == message)
            #expect(read.encoded() == bytes)
        }
    }

    @Test func noPrefixOfAMessageIsOne() throws {
        var random = SplitMix(state: 8)
        for _ in 0..<40 {
            let bytes = try #require(Self.randomMessage(&random).encoded())
            for count in 0..<bytes.count {
                #expect(problem(Array(bytes[..<count])) != nil)
            }
        }
    }

    @Test func namesArePointedAt() throws {
        let zone = try #require(DomainName("slice.local"))
        let below = try #require(DomainName("kafka.slice.local"))
        func message(_ record: ResourceRecord) -> Message {
            Message(
                header: Header(id: 1), questions: [Question(zone, .a)], answers: [record])
        }
        let ptr = ResourceRecord(owner: below, type: .ptr, ttl: 5, data: .ptr(below))
        let short = try #require(message(ptr).encoded())
        // Question 17; owner `kafka` and a pointer 8, ten fixed, a pointer 2.
        #expect(short.count == 12 + 17 + 8 + 10 + 2)
        // RFC 2782: not the target of SRV.
        let srv = ResourceRecord(
            owner: below, type: .srv, ttl: 5,
            data: .srv(ResourceRecord.SRV(priority: 0, weight: 0, port: 1, target: below)))
        #expect(try #require(message(srv).encoded()).count == 12 + 17 + 8 + 10 + 6 + 19)
        #expect(message(srv).encoded(limit: 71) == nil)
        #expect(message(srv).encoded(limit: 72) != nil)
    }

    private func problem(_ bytes: [UInt8]) -> MessageProblem? {
        bytes.withUnsafeBytes { raw in
            do throws(MessageProblem) {
                _ = try Message(decoding: raw)
                return nil
            } catch {
                return error
            }
        }
    }

    @Test func pointersLeadBackOrNowhere() {
        let head: [UInt8] = [0, 1, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 97, 0, 0, 1, 0, 1]
        func record(_ owner: [UInt8], _ data: [UInt8] = [1, 2, 3, 4]) -> [UInt8] {
            head + owner + [0, 1, 0, 1, 0, 0, 0, 5, 0, UInt8(data.count)] + data
        }
        #expect(problem(record([0xc0, 12])) == nil)
        #expect(problem(record([1, 98, 0xc0, 12])) == nil)
        #expect(problem(record([0xc0, 19])) == .badPointer)
        #expect(problem(record([1, 98, 0xc0, 19])) == .badPointer)
        #expect(problem(record([0xc0, 21])) == .badPointer)
        #expect(problem(record([0xff, 0xff])) == .badPointer)
        #expect(problem(record([0xc0, 11])) == .badPointer)
        #expect(problem(record([0xc0, 12], [1, 2, 3])) == .badData)
        #expect(problem(record([0xc0, 12], [1, 2, 3, 4, 5])) == .badData)
    }

    /// Each leads to the one before: never a loop, but work that grows.
    @Test func chainsOfPointersEnd() {
        func chain(_ count: Int) -> [UInt8] {
            // Data of a type we do not know is a good place for them.
            var data: [UInt8] = [0]
            let start = 12 + 1 + 10
            for index in 0..<count {
                let place = index == 0 ? start : start + 1 + 2 * (index - 1)
                data += [0xc0 | UInt8(place >> 8), UInt8(place & 0xff)]
            }
            let last = start + 1 + 2 * (count - 1)
            return [0, 1, 0x80, 0, 0, 0, 0, 2, 0, 0, 0, 0]
                + [0, 0xff, 0, 0, 1, 0, 0, 0, 5, UInt8(data.count >> 8), UInt8(data.count & 0xff)]
                + data + [0xc0 | UInt8(last >> 8), UInt8(last & 0xff)]
                + [0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 1, 2, 3, 4]
        }
        #expect(problem(chain(126)) == nil)
        #expect(problem(chain(127)) == .tooManyPointers)
        #expect(problem(chain(4_000)) == .tooManyPointers)
    }

    @Test func namesInText() {
        #expect(DomainName(".") == .root && DomainName.root.description == ".")
        #expect(DomainName("a.b") == DomainName("a.b."))
        #expect(DomainName("A.b")?.lowercased == DomainName("a.b"))
        for text in ["", "..", "a..b", ".a", String(repeating: "a", count: 64)] {
            #expect(DomainName(text) == nil, "\(text)")
        }
        let longest = String(repeating: "a.", count: 127)
        #expect(DomainName(longest)?.wire.count == 255)
        #expect(DomainName("a." + longest) == nil)
        #expect(DomainName("a b.c\\d")?.description == "a\\032b.c\\\\d.")
    }
}
