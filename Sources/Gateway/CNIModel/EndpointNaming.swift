/// What an endpoint is called if nobody says, and templates for saying.
package enum EndpointNaming {
    package static let labelRule =
        "must be 1 to 63 lower-case letters, digits and dashes, with no dash at either end"

    /// As in the manifest.
    package static func isLabel(_ text: String) -> Bool {
        let units = text.utf8
        return (1...63).contains(units.count) && units.first != 0x2d && units.last != 0x2d
            && units.allSatisfy { isLowerOrDigit($0) || $0 == 0x2d }
    }

    private static func isLowerOrDigit(_ byte: UInt8) -> Bool {
        0x61...0x7a ~= byte || 0x30...0x39 ~= byte
    }

    /// A DNS label for any text. Where more changes than the case, a digest of the text is put
    /// behind, so that different texts stay different names.
    package static func label(_ text: String) -> String {
        let lower = text.utf8.map { 0x41...0x5a ~= $0 ? $0 + 0x20 : $0 }
        let plain = String(decoding: lower, as: UTF8.self)
        if isLabel(plain) { return plain }
        var bytes = lower.map { isLowerOrDigit($0) ? $0 : UInt8(0x2d) }
        bytes = Array(bytes.drop { $0 == 0x2d }.prefix(54))
        while bytes.last == 0x2d { bytes.removeLast() }
        let start = bytes.isEmpty ? "x" : String(decoding: bytes, as: UTF8.self)
        return "\(start)-\(digest(text))"
    }

    /// FNV-1a of 32 bits (draft-eastlake-fnv), in hexadecimal.
    private static func digest(_ text: String) -> String {
        var hash: UInt32 = 0x811c_9dc5
        for byte in text.utf8 { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }

    private enum Part {
        case text(String)
        case name(String)
    }

    private static let names = ["pod", "kubernetes-namespace", "container", "interface"]

    static func check(template: String?) throws(CNIError) {
        if let template { _ = try parts(template) }
    }

    private static func parts(_ template: String) throws(CNIError) -> [Part] {
        var parts: [Part] = []
        var rest = template[...]
        while let open = rest.firstIndex(of: "{") {
            guard let close = rest[open...].firstIndex(of: "}") else {
                throw ConfigReader.invalid("endpoint has a { without its }")
            }
            let name = String(rest[rest.index(after: open)..<close])
            guard names.contains(name) else {
                throw ConfigReader.invalid(
                    "endpoint has {\(name)}, which is not known",
                    details: "known are \(names.map { "{\($0)}" }.joined(separator: ", "))")
            }
            parts += [.text(String(rest[..<open])), .name(name)]
            rest = rest[rest.index(after: close)...]
        }
        return parts + [.text(String(rest))]
    }

    /// The pod's name if there is one, and otherwise the container's id.
    package static func choose(
        template: String?, _ environment: CNIEnvironment
    ) throws(CNIError) -> String {
        let pod = environment.argument("K8S_POD_NAME")
        guard let template else { return label(pod ?? "c-\(shortID(environment.containerID))") }
        var text = ""
        for part in try parts(template) {
            switch part {
            case .text(let literal): text += literal
            case .name("pod"): text += try argument(pod, "K8S_POD_NAME")
            case .name("kubernetes-namespace"):
                text += try argument(
                    environment.argument("K8S_POD_NAMESPACE"), "K8S_POD_NAMESPACE")
            case .name("container"): text += shortID(environment.containerID)
            case .name: text += environment.interface
            }
        }
        return label(text)
    }

    private static func argument(_ value: String?, _ name: String) throws(CNIError) -> String {
        guard let value else {
            throw CNIError(
                .invalidEnvironment, "endpoint needs \(name), which CNI_ARGS does not have")
        }
        return value
    }

    private static func shortID(_ id: String) -> String {
        String(decoding: id.utf8.prefix(12), as: UTF8.self)
    }
}
