/// A figure for who watches: a name that Kafka's dashboards know, with its labels.
package struct NodeMetric: Sendable, Equatable {
    package enum Kind: String, Sendable {
        case gauge, counter
    }

    package var name: String
    package var kind: Kind
    package var labels: [(name: String, value: String)]
    package var value: Double

    package init(
        _ name: String, _ kind: Kind = .gauge, _ labels: [(name: String, value: String)] = [],
        _ value: Double
    ) {
        self.name = name
        self.kind = kind
        self.labels = labels
        self.value = value
    }

    package static func == (a: Self, b: Self) -> Bool {
        a.name == b.name && a.kind == b.kind && a.value == b.value
            && a.labels.elementsEqual(b.labels) { $0 == $1 }
    }
}

/// Prometheus' text format, version 0.0.4.
package enum PrometheusText {
    package static func render(_ metrics: [NodeMetric]) -> String {
        var text = ""
        var last = ""
        // Figures of one name have to stand together.
        for metric in metrics.sorted(by: { $0.name < $1.name }) {
            if metric.name != last {
                text += "# TYPE \(metric.name) \(metric.kind.rawValue)\n"
                last = metric.name
            }
            text += metric.name
            if !metric.labels.isEmpty {
                text += "{"
                text += metric.labels.map { "\($0.name)=\"\(escaped($0.value))\"" }
                    .joined(separator: ",")
                text += "}"
            }
            text += " \(number(metric.value))\n"
        }
        return text
    }

    private static func escaped(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            .replacing("\n", with: "\\n")
    }

    private static func number(_ value: Double) -> String {
        Int64(exactly: value).map { String($0) } ?? String(value)
    }
}
