/// What a document may cost before it is refused. libyaml itself is linear in most things; the
/// limits keep the rest, and everything after it, small.
package struct ConfigLimits: Hashable, Sendable {
    package var bytes: Int
    /// Maps and lists inside one another.
    package var depth: Int
    /// Scalars, lists and maps, keys included.
    package var nodes: Int
    package var problems: Int

    package init(
        bytes: Int = 1 << 20, depth: Int = 32, nodes: Int = 1 << 16, problems: Int = 100
    ) {
        self.bytes = bytes
        self.depth = depth
        self.nodes = nodes
        self.problems = problems
    }
}
