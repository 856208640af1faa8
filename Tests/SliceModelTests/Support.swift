import ConfigFile
import Noise
import SliceModel
import Testing

/// Seeded: the same numbers every time.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}

/// The problems of a document, as compilers print them.
func problems<Value>(_ read: () throws(ConfigProblems) -> Value) -> [String] {
    do throws(ConfigProblems) {
        _ = try read()
        return []
    } catch {
        return error.problems.map(\.description)
    }
}

enum Sample {
    static func owner(_ byte: UInt8 = 1) throws -> OwnerKeyPair {
        try #require(OwnerKeyPair(seed: [UInt8](repeating: byte, count: 32)))
    }

    /// Public keys of X25519 whose private keys are 32 bytes of 1, of 2, of 3 and of 4.
    static let keyWest = "pOCSkrZRwni5dyxWn1+puxPZBrRqtoyd+dwrRAn4ogk="
    static let keyCentral = "zo060cy2M+x7cMF4FKXHbs0CloUFDTRHRboFhw5YfVk="
    static let keyEast = "Xf7dO2vUf2+ijuFdlp1bsOpTd01Ii9r53xxuASSz7yI="
    static let keyFourth = "rAGyIJ6GNU+4UyN7XeD0+rE8f8v0M6YcAZNpYX/s8Qs="

    static let manifest = """
        # A slice for tests.
        apiVersion: slice-gateway.dev/v1alpha1
        kind: Slice
        metadata:
          name: payments
        spec:
          version: 3
          isolation: open
          port: 51820
          mtu: 1380
          prefixes:
            - 10.80.0.0/16
            - fd00:80::/48
          clusters:
            - name: west
              region: us-west
              prefixes: [10.80.1.0/24, "fd00:80:0:1::/64"]
              gateways:
                - name: gw-west
                  publicKey: \(keyWest)
                  endpoints: ["192.0.2.1:51820", "[2001:db8::1]:51820"]
            - name: central
              region: eu-central
              prefixes: [10.80.2.0/24, "fd00:80:0:2::/64"]
              gateways:
                - name: gw-central
                  publicKey: \(keyCentral)
                  endpoints: [gw.central.example.net:51820]
                  persistentKeepalive: 25s
            - name: east
              region: ap-east-1
              prefixes: [10.80.3.0/24, "fd00:80:0:3::/64"]
              gateways:
                - name: gw-east
                  publicKey: \(keyEast)
          namespaces:
            - name: kafka
            - name: billing
              clusters: [west, east]

        """

    static func parsed(_ text: String = manifest) throws -> SliceManifest {
        try SliceManifest.parse(text: text, file: "m")
    }

    static func name<Name: SliceModelName>(_ text: String, as: Name.Type = Name.self) throws -> Name
    {
        try #require(Name(text))
    }
}

extension String {
    /// For single edits of a sample: the first occurrence, which must be there.
    func replacing(first old: String, with new: String) throws -> String {
        let range = try #require(self.firstRange(of: old), "\(old) is not in the sample")
        var copy = self
        copy.replaceSubrange(range, with: new)
        return copy
    }
}
