import Addresses
import Timing

/// What `show` and `stats` answer.
extension WanModel {
    /// The state as a script that makes it again.
    package func show() -> String {
        var lines = sites.map { site in
            "site \(site.name) " + site.prefixes.map(\.description).joined(separator: " ")
        }
        let bytes = Quantity.text(bytes: queue.byteLimit)
        lines.append("limit packets \(queue.packetLimit) bytes \(bytes)")
        lines.append("seed \(seed)")
        for (from, to) in pairs {
            let link = link(from: from, to: to)
            let name = "\(sites[from].name)>\(sites[to].name)"
            lines.append("set \(name) \(link.conditions)")
            if link.isCut { lines.append("cut \(name)") }
        }
        for next in scheduled.reversed() {
            lines.append("at \(Quantity.text(next.time - start)) \(next.command)")
        }
        return lines.joined(separator: "\n")
    }

    /// Site names and our own words need no escapes in JSON.
    package func showJSON() -> String {
        let siteList = sites.map { site in
            let prefixes = site.prefixes.map { "\"\($0)\"" }.joined(separator: ",")
            return "{\"name\":\"\(site.name)\",\"prefixes\":[\(prefixes)]}"
        }
        let linkList = pairs.map { from, to in
            let link = link(from: from, to: to)
            let c = link.conditions
            let burst = c.burst.map { (b: LinkConditions.Burst) in
                """
                {"enter_ppb":\(b.enter.partsPerBillion),"leave_ppb":\(b.leave.partsPerBillion),\
                "loss_ppb":\(b.loss.partsPerBillion)}
                """
            }
            return """
                {"from":"\(sites[from].name)","to":"\(sites[to].name)","cut":\(link.isCut),\
                "delay_ns":\(c.delay.count),"jitter_ns":\(c.jitter.count),\
                "spread":"\(c.spread.rawValue)","loss_ppb":\(c.loss.partsPerBillion),\
                "burst":\(burst ?? "null"),"duplicate_ppb":\(c.duplicate.partsPerBillion),\
                "reorder_ppb":\(c.reorder.partsPerBillion),"reorder_by_ns":\(c.reorderBy.count),\
                "rate_bps":\(c.bitsPerSecond.map(String.init) ?? "null"),\
                "queue_bytes":\(c.queueBytes)}
                """
        }
        let pending = scheduled.reversed().map {
            "{\"at_ns\":\(($0.time - start).count),\"command\":\"\($0.command)\"}"
        }
        return """
            {"seed":\(seed),"limit":{"packets":\(queue.packetLimit),"bytes":\(queue.byteLimit)},\
            "sites":[\(siteList.joined(separator: ","))],\
            "links":[\(linkList.joined(separator: ","))],\
            "scheduled":[\(pending.joined(separator: ","))]}
            """
    }

    package func stats() -> String {
        var lines = pairs.map { from, to in
            let c = link(from: from, to: to).counters
            var line = "\(sites[from].name)>\(sites[to].name)"
            line += " offered \(c.offeredPackets) (\(c.offeredBytes) bytes)"
            line += " delivered \(c.deliveredPackets) (\(c.deliveredBytes) bytes)"
            line += " duplicated \(c.duplicated) reordered \(c.reordered) dropped \(c.dropped)"
            let reasons = DropReason.allCases.filter { c.dropped($0) > 0 }
                .map { "\($0.name) \(c.dropped($0))" }
            return reasons.isEmpty ? line : line + " (\(reasons.joined(separator: ", ")))"
        }
        let reasons = StrayReason.allCases.map { "\($0.name) \(strays[$0.rawValue])" }
        lines.append("strays " + reasons.joined(separator: " "))
        lines.append(
            "in flight \(queue.packets) packets (\(queue.bytes) bytes), most \(queue.mostPackets)")
        return lines.joined(separator: "\n")
    }

    package func statsJSON() -> String {
        let linkList = pairs.map { from, to in
            let c = link(from: from, to: to).counters
            let drops = DropReason.allCases.map { "\"\($0.name)\":\(c.dropped($0))" }
            return """
                {"from":"\(sites[from].name)","to":"\(sites[to].name)",\
                "offered_packets":\(c.offeredPackets),"offered_bytes":\(c.offeredBytes),\
                "delivered_packets":\(c.deliveredPackets),"delivered_bytes":\(c.deliveredBytes),\
                "duplicated":\(c.duplicated),"reordered":\(c.reordered),\
                "dropped":{\(drops.joined(separator: ","))}}
                """
        }
        let strayList = StrayReason.allCases.map { "\"\($0.name)\":\(strays[$0.rawValue])" }
        return """
            {"links":[\(linkList.joined(separator: ","))],\
            "strays":{\(strayList.joined(separator: ","))},\
            "in_flight":{"packets":\(queue.packets),"bytes":\(queue.bytes),\
            "most_packets":\(queue.mostPackets)}}
            """
    }
}
