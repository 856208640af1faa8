/// Prometheus' text format, version 0.0.4: families of samples in the order of their making.
struct MetricsText {
    enum Kind: String {
        case gauge, counter
    }

    typealias Labels = [(name: String, value: String)]

    private struct Family {
        var name: String
        var kind: Kind
        var help: String
        var samples: [String] = []
    }

    private var families: [Family] = []
    private var places: [String: Int] = [:]

    /// Adds a sample. `help` is a text of ours, without line breaks and backslashes. All
    /// samples of a name stand together, wherever they were added.
    mutating func add(
        _ name: String, _ kind: Kind, _ help: String, _ labels: Labels, _ value: Double
    ) {
        let place: Int
        if let known = places[name] {
            place = known
        } else {
            place = families.count
            places[name] = place
            families.append(Family(name: name, kind: kind, help: help))
        }
        let inside = labels.map { "\($0.name)=\"\(Self.escapeValue($0.value))\"" }
            .joined(separator: ",")
        families[place].samples.append(
            name + (inside.isEmpty ? "" : "{\(inside)}") + " \(Self.number(value))\n")
    }

    var text: String {
        families.map { family in
            "# HELP \(family.name) \(family.help)\n"
                + "# TYPE \(family.name) \(family.kind.rawValue)\n" + family.samples.joined()
        }.joined()
    }

    static func escapeValue(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": out += "\\\\"
            case "\"": out += "\\\""
            case "\n": out += "\\n"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    /// As strconv.ParseFloat of Go reads it.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return Int64(exactly: value).map { "\($0)" } ?? "\(value)"
    }
}
