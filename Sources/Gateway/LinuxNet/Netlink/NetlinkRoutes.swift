import Addresses
import Glibc

// Routes and routing rules: `ip route` and `ip rule`, without `ip`.
extension Netlink {
    /// Those of one table, or of all with nil.
    package func routes(
        table: UInt32? = Route.mainTable, interfaceIndex: Int32? = nil
    ) throws(LinuxError) -> [Route] {
        var all: [Route] = []
        for family in [Family.ipv4, Family.ipv6] {
            var request = NetlinkRequest(RTM.getRoute, flags: NLM.dump)
            request.append(UInt32(family))
            request.append(UInt64(0))
            if let table { request.put(RTA.table, table) }
            do {
                all += try dump(request, "routes") { Route($0) }
            } catch {
                // A table nobody has put a route into does not exist.
                if error.errno == ENOENT { continue }
                throw error
            }
        }
        return all.filter {
            (table == nil || $0.table == table)
                && (interfaceIndex == nil || $0.interfaceIndex == interfaceIndex)
        }
    }

    /// EEXIST if there is one to that prefix with that metric.
    package func addRoute(_ route: Route) throws(LinuxError) {
        try changeRoute(RTM.newRoute, NLM.create | NLM.exclusive, route, "add route")
    }

    /// Adds it, or puts it in the place of the one to the same prefix with the same metric.
    package func replaceRoute(_ route: Route) throws(LinuxError) {
        try changeRoute(RTM.newRoute, NLM.create | NLM.replace, route, "set route")
    }

    /// ESRCH if there is none.
    package func removeRoute(_ route: Route) throws(LinuxError) {
        try changeRoute(RTM.deleteRoute, 0, route, "remove route")
    }

    private func changeRoute(
        _ type: UInt16, _ flags: UInt16, _ route: Route, _ operation: String
    ) throws(LinuxError) {
        do {
            try request(route.request(type, flags: NLM.ack | flags), operation, "\(route)")
        } catch {
            guard let index = route.interfaceIndex else { throw error }
            var named = error
            let name = (try? link(index: index))?.name
            named.context = "dev \(name ?? "#\(index)")"
            throw named
        }
    }

    /// The route the kernel would take now, and its MTU.
    package struct Lookup: Hashable, Sendable {
        package let interface: String
        package let interfaceIndex: Int32
        package let gateway: IPAddress?
        package let source: IPAddress?
        package let linkMTU: UInt32
        /// Learnt by path MTU discovery or set on the route, if so.
        package let routeMTU: UInt32?

        package var mtu: UInt32 { min(linkMTU, routeMTU ?? linkMTU) }
    }

    /// ENETUNREACH (or the error of an `unreachable` route) if there is no way to the address.
    package func lookUpRoute(to address: IPAddress) throws(LinuxError) -> Lookup {
        let object = "route to \(address)"
        var request = NetlinkRequest(RTM.getRoute, flags: NLM.ack)
        request.append(address.family)
        request.append(UInt8(address.bitWidth))
        request.append(UInt16(0))
        request.append(UInt64(0))
        request.put(RTA.destination, address)
        let replies = try self.request(request, "find", object)
        // An IPv4 answer is marked as cloned from the table: it is still the answer.
        guard let route = replies.lazy.compactMap({ Route(answer: $0) }).first else {
            throw LinuxError("find", object, errno: ENETUNREACH)
        }
        guard !route.kind.isRefusal, let index = route.interfaceIndex,
            let link = try link(index: index)
        else { throw LinuxError("find", object, errno: ENETUNREACH) }
        return Lookup(
            interface: link.name, interfaceIndex: index, gateway: route.gateway,
            source: route.preferredSource, linkMTU: link.mtu, routeMTU: route.mtu)
    }

    // MARK: Rules

    package func rules() throws(LinuxError) -> [RoutingRule] {
        var all: [RoutingRule] = []
        for family in [Family.ipv4, Family.ipv6] {
            var request = NetlinkRequest(RTM.getRule, flags: NLM.dump)
            request.append(UInt32(family))
            request.append(UInt64(0))
            all += try dump(request, "routing rules") { RoutingRule($0) }
        }
        return all
    }

    /// EEXIST if the very same rule is there.
    package func addRule(_ rule: RoutingRule) throws(LinuxError) {
        try changeRule(RTM.newRule, NLM.create | NLM.exclusive, rule, "add rule")
    }

    /// ENOENT if there is none.
    package func removeRule(_ rule: RoutingRule) throws(LinuxError) {
        try changeRule(RTM.deleteRule, 0, rule, "remove rule")
    }

    private func changeRule(
        _ type: UInt16, _ flags: UInt16, _ rule: RoutingRule, _ operation: String
    ) throws(LinuxError) {
        for name in [rule.inputInterface, rule.outputInterface] {
            if let name { try checkName(name, operation) }
        }
        guard [rule.from, rule.to].allSatisfy({ $0 == nil || $0?.isIPv4 == rule.isIPv4 }) else {
            throw LinuxError(
                operation, "\(rule)", errno: EAFNOSUPPORT, detail: "a prefix of the other family")
        }
        try request(rule.request(type, flags: NLM.ack | flags), operation, "\(rule)")
    }
}
