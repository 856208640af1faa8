import Addresses
import ConfigFile

// What a fuzzer calls: any bytes in, no trap, and rules that hold for whatever is accepted.

package enum ManifestFuzz {
    /// True if the bytes are a manifest.
    @discardableResult
    package static func run(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let manifest = try? SliceManifest.parse(bytes, file: "fuzz") else {
            // Signing walks the text by itself, and must stop as cleanly.
            _ = try? SliceManifest.sign(
                String(decoding: bytes, as: UTF8.self), with: key, file: "fuzz")
            return false
        }
        for cluster in manifest.clusters {
            precondition(!cluster.overlayAddresses.isEmpty, "a cluster without an address")
            guard let plan = try? SlicePlan(manifest, local: cluster.name) else {
                preconditionFailure("a valid manifest without a plan")
            }
            var book = AddressBook(prefixes: plan.localPrefixes, limit: 8)
            if let namespace = manifest.namespaces.first?.name, let endpoint = EndpointName("a") {
                _ = try? book.attach(AddressBook.Key(namespace, endpoint))
            }
        }
        precondition(manifest.warnings.count <= ManifestLimits.warnings + 1, "a limit is not kept")
        for policy in manifest.policies {
            precondition(policy.ports?.isEmpty != true, "a policy that matches nothing")
        }
        let digest = manifest.policyDigest
        let text = String(decoding: bytes, as: UTF8.self)
        if let signed = try? SliceManifest.sign(text, with: key, file: "fuzz") {
            let again = try? SliceManifest.parse(text: signed, file: "fuzz")
            precondition(again?.signedBytes == manifest.signedBytes, "signing changed the content")
            precondition(again?.policyDigest == digest, "signing changed what is enforced")
            precondition((try? again?.verify(owner: key.publicKey)) != nil, "signed, not verified")
        }
        return true
    }

    private static let key: OwnerKeyPair = {
        guard let key = OwnerKeyPair(seed: [UInt8](repeating: 7, count: OwnerKeyPair.seedBytes))
        else { preconditionFailure("libsodium does not start on this machine") }
        return key
    }()
}

package enum GatewayConfigFuzz {
    /// True if the bytes are a configuration.
    @discardableResult
    package static func run(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let config = try? GatewayConfig.parse(bytes, file: "fuzz") else { return false }
        precondition(config.slices.count <= config.limits.maxSlices, "a limit is not kept")
        return true
    }
}

package enum AddressBookFuzz {
    /// True if the bytes are a book.
    @discardableResult
    package static func run(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let prefixes = [IPPrefix("10.80.1.0/24"), IPPrefix("fd00:80:1::/64")].compactMap { $0 }
        guard
            let (book, _) = try? AddressBook.decode(
                bytes, file: "fuzz", prefixes: prefixes, limit: 64)
        else { return false }
        let again = Array(book.fileText.utf8).withUnsafeBytes {
            try? AddressBook.decode($0, file: "fuzz", prefixes: prefixes, limit: 64)
        }
        precondition(again?.book.all == book.all, "a book that does not come back")
        return true
    }
}
