/// What a configuration belongs to. The broker resource without a name is every broker's default.
package struct ConfigResource: Hashable, Comparable, Sendable, CustomStringConvertible {
    package static let topicType: Int8 = 2
    package static let brokerType: Int8 = 4

    package var type: Int8
    package var name: String

    package init(type: Int8, name: String) {
        self.type = type
        self.name = name
    }

    package static func topic(_ name: String) -> Self { Self(type: topicType, name: name) }
    package static func broker(_ id: Int32) -> Self { Self(type: brokerType, name: String(id)) }
    package static let everyBroker = Self(type: brokerType, name: "")

    package static func < (a: Self, b: Self) -> Bool {
        a.type != b.type ? a.type < b.type : a.name < b.name
    }

    package var description: String {
        switch type {
        case Self.topicType: "topic \(name)"
        case Self.brokerType: name.isEmpty ? "every broker" : "broker \(name)"
        default: "resource \(name) of type \(type)"
        }
    }
}
