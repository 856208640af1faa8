// Numbers of netfilter's netlink interface that this room speaks: linux/netfilter/nfnetlink.h,
// nf_tables.h, nfnetlink_conntrack.h, nf_conntrack_common.h and nfnetlink_log.h. They never change.

/// Message types: the subsystem in the upper byte, its message in the lower.
enum NFNL {
    static let conntrackNew: UInt16 = 1 << 8 | 0
    static let conntrackGet: UInt16 = 1 << 8 | 1
    static let conntrackDelete: UInt16 = 1 << 8 | 2
    /// What asks and what answers have the same type.
    static let conntrackStatisticsOfProcessor: UInt16 = 1 << 8 | 4
    static let conntrackStatistics: UInt16 = 1 << 8 | 5

    static let logPacket: UInt16 = 4 << 8 | 0
    static let logConfigure: UInt16 = 4 << 8 | 1

    static let tablesGetSet: UInt16 = 10 << 8 | 10
    static let tablesNewElements: UInt16 = 10 << 8 | 12
    static let tablesGetElements: UInt16 = 10 << 8 | 13
    static let tablesNewGeneration: UInt16 = 10 << 8 | 15
    static let tablesGetGeneration: UInt16 = 10 << 8 | 16
    static let tablesNewObject: UInt16 = 10 << 8 | 18
    static let tablesGetObject: UInt16 = 10 << 8 | 19
}

enum NFTA {
    static let generationID: UInt16 = 1

    static let setTable: UInt16 = 1
    static let setName: UInt16 = 2

    static let listTable: UInt16 = 1
    static let listSet: UInt16 = 2
    static let listElements: UInt16 = 3
    /// One of a list.
    static let listElement: UInt16 = 1

    static let elementKey: UInt16 = 1
    static let elementData: UInt16 = 2
    static let elementFlags: UInt16 = 3
    static let elementExpression: UInt16 = 7
    static let elementObject: UInt16 = 9
    static let elementKeyEnd: UInt16 = 10
    static let elementExpressions: UInt16 = 11

    static let objectTable: UInt16 = 1
    static let objectName: UInt16 = 2
    static let objectType: UInt16 = 3
    static let objectData: UInt16 = 4
    /// NFT_OBJECT_COUNTER.
    static let counterObject: UInt32 = 1

    static let dataValue: UInt16 = 1
    static let dataVerdict: UInt16 = 2
    static let verdictCode: UInt16 = 1
    static let verdictChain: UInt16 = 2

    static let expressionName: UInt16 = 1
    static let expressionData: UInt16 = 2
    static let counterBytes: UInt16 = 1
    static let counterPackets: UInt16 = 2

    /// NFT_SET_ELEM_INTERVAL_END and NFT_SET_ELEM_CATCHALL.
    static let flagIntervalEnd: UInt32 = 1
    static let flagCatchAll: UInt32 = 2
}

enum CTA {
    static let originalTuple: UInt16 = 1
    static let replyTuple: UInt16 = 2
    static let status: UInt16 = 3
    static let protocolState: UInt16 = 4
    static let timeout: UInt16 = 7
    static let mark: UInt16 = 8
    static let originalCounters: UInt16 = 9
    static let replyCounters: UInt16 = 10
    static let id: UInt16 = 12
    static let zone: UInt16 = 18
    static let markMask: UInt16 = 21

    static let tupleAddresses: UInt16 = 1
    static let tupleProtocol: UInt16 = 2

    static let sourceIPv4: UInt16 = 1
    static let destinationIPv4: UInt16 = 2
    static let sourceIPv6: UInt16 = 3
    static let destinationIPv6: UInt16 = 4

    static let protocolNumber: UInt16 = 1
    static let sourcePort: UInt16 = 2
    static let destinationPort: UInt16 = 3
    static let icmpIdentifier: UInt16 = 4
    static let icmpType: UInt16 = 5
    static let icmpCode: UInt16 = 6
    static let icmpv6Identifier: UInt16 = 7
    static let icmpv6Type: UInt16 = 8
    static let icmpv6Code: UInt16 = 9

    static let tcp: UInt16 = 1
    static let tcpState: UInt16 = 1

    static let counterPackets: UInt16 = 1
    static let counterBytes: UInt16 = 2

    static let statisticsEntries: UInt16 = 1
    static let statisticsMaximum: UInt16 = 2
    static let statisticsInvalid: UInt16 = 4
    static let statisticsInsertFailed: UInt16 = 9
    static let statisticsDropped: UInt16 = 10
    static let statisticsEarlyDropped: UInt16 = 11
}

enum NFULA {
    static let packetHeader: UInt16 = 1
    static let mark: UInt16 = 2
    static let inputInterface: UInt16 = 4
    static let outputInterface: UInt16 = 5
    static let payload: UInt16 = 9
    static let prefix: UInt16 = 10
    static let sequence: UInt16 = 12

    static let configureCommand: UInt16 = 1
    static let configureMode: UInt16 = 2
    static let configureBuffer: UInt16 = 3
    static let configureTimeout: UInt16 = 4
    static let configureThreshold: UInt16 = 5
    static let configureFlags: UInt16 = 6

    static let commandBind: UInt8 = 1
    static let modePacket: UInt8 = 2
    static let flagSequence: UInt16 = 1
}

extension NetlinkRequest {
    /// With the header of all netfilter messages (nfgenmsg): family, version 0, and a resource
    /// that only NFLOG and NFQUEUE use, in network order.
    init(netfilter type: UInt16, flags: UInt16, family: UInt8 = 0, resource: UInt16 = 0) {
        self.init(type, flags: flags)
        append(family)
        append(UInt8(0))
        append(resource.bigEndian)
    }
}

extension NetlinkReply.Message {
    /// What follows that header, if the message is of this type, and the family in it.
    func netfilter(_ wanted: UInt16) -> (family: UInt8, attributes: NetlinkReader)? {
        guard type == wanted else { return nil }
        var reader = NetlinkReader(payload[...])
        guard let family = reader.u8(), reader.take(3) != nil else { return nil }
        return (family, reader)
    }
}
