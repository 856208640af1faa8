import CommitLog
import NIOCore
import Testing

@Suite struct KeyTests {
    /// From the table of the reference implementation (vectors.h): key 00 to 0f, input 00, 01, ...
    @Test(arguments: [
        (0, "a3817f04ba25a8e66df67214c7550293"), (1, "da87c1d86b99af44347659119b22fc45"),
        (15, "5493e99933b0a8117e08ec0f97cfc3d9"),
    ])
    func sipHashHasTheReferencesValues(count: Int, expected: String) {
        let hash = SipHash(key: 0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908)
        let value = (0..<count).map { UInt8($0) }.withUnsafeBytes { hash.hash($0) }
        var bytes = ByteBuffer()
        bytes.writeInteger(value.low, endianness: .little)
        bytes.writeInteger(value.high, endianness: .little)
        let text = bytes.readableBytesView.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
        #expect(text == expected)
    }

    @Test func theLastOffsetOfEveryKey() {
        var random = SeededRandom(3)
        var keys = KeyOffsets(capacity: 500, hash: SipHash(key: 1, 2))
        var model: [String: Int64] = [:]
        var refused = 0
        for offset in 0..<5000 {
            let key = String(random.next() % 600)
            let wasTaken = keys.put(ByteBuffer(string: key), Int64(offset))
            #expect(wasTaken == (model[key] != nil || model.count < 500))
            if wasTaken { model[key] = Int64(offset) } else { refused += 1 }
        }
        #expect(refused > 0)
        #expect(keys.count == 500)
        for key in 0..<600 {
            #expect(keys.offset(of: ByteBuffer(string: "\(key)")) == model["\(key)"])
        }
    }
}
