// Numbers of the kernel's user interface that this room speaks: linux/netlink.h,
// linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/neighbour.h, linux/fib_rules.h,
// linux/net_namespace.h, linux/veth.h. They never change.

enum NLM {
    static let request: UInt16 = 0x01
    static let ack: UInt16 = 0x04
    static let dumpInterrupted: UInt16 = 0x10
    static let dump: UInt16 = 0x300
    /// For requests that create.
    static let replace: UInt16 = 0x100
    static let exclusive: UInt16 = 0x200
    static let create: UInt16 = 0x400
    static let append: UInt16 = 0x800
    /// On an acknowledgement: the request's payload was left out; attributes follow.
    static let capped: UInt16 = 0x100
    static let ackAttributes: UInt16 = 0x200

    static let errorMessage: UInt16 = 2
    static let doneMessage: UInt16 = 3
    static let overrunMessage: UInt16 = 4
    /// Types below are the protocol's own.
    static let firstType: UInt16 = 0x10

    static let nested: UInt16 = 0x8000
    static let typeMask: UInt16 = 0x3fff

    static let errorText: UInt16 = 1
}

enum RTM {
    static let newLink: UInt16 = 16
    static let deleteLink: UInt16 = 17
    static let getLink: UInt16 = 18
    static let newAddress: UInt16 = 20
    static let deleteAddress: UInt16 = 21
    static let getAddress: UInt16 = 22
    static let newRoute: UInt16 = 24
    static let deleteRoute: UInt16 = 25
    static let getRoute: UInt16 = 26
    static let newNeighbour: UInt16 = 28
    static let deleteNeighbour: UInt16 = 29
    static let getNeighbour: UInt16 = 30
    static let newRule: UInt16 = 32
    static let deleteRule: UInt16 = 33
    static let getRule: UInt16 = 34
    static let newNamespaceID: UInt16 = 88
    static let getNamespaceID: UInt16 = 90
}

enum IFLA {
    static let address: UInt16 = 1
    static let name: UInt16 = 3
    static let mtu: UInt16 = 4
    static let link: UInt16 = 5
    static let master: UInt16 = 10
    static let operationalState: UInt16 = 16
    static let info: UInt16 = 18
    static let alias: UInt16 = 20
    static let statistics64: UInt16 = 23
    static let namespaceFD: UInt16 = 28
    static let linkNamespaceID: UInt16 = 37

    static let infoKind: UInt16 = 1
    static let infoData: UInt16 = 2
    static let vethPeer: UInt16 = 1
}

enum IFA {
    static let address: UInt16 = 1
    static let local: UInt16 = 2
    static let flags: UInt16 = 8
}

enum RTA {
    static let destination: UInt16 = 1
    static let outputInterface: UInt16 = 4
    static let gateway: UInt16 = 5
    static let priority: UInt16 = 6
    static let preferredSource: UInt16 = 7
    static let metrics: UInt16 = 8
    static let table: UInt16 = 15
    static let via: UInt16 = 18
    static let metricMTU: UInt16 = 2

    static let cloned: UInt32 = 0x200
    static let onLink: UInt32 = 0x04
}

enum NDA {
    static let destination: UInt16 = 1
    static let linkAddress: UInt16 = 2
}

enum FRA {
    static let destination: UInt16 = 1
    static let source: UInt16 = 2
    static let inputInterface: UInt16 = 3
    static let priority: UInt16 = 6
    static let table: UInt16 = 15
    static let outputInterface: UInt16 = 17
    static let proto: UInt16 = 21
}

enum NETNSA {
    static let id: UInt16 = 1
    static let fd: UInt16 = 3
}

enum Family {
    static let unspecified: UInt8 = 0
    static let ipv4: UInt8 = 2
    static let bridge: UInt8 = 7
    static let ipv6: UInt8 = 10
}
