/// Why a node cannot start or go on, in words for who has to mend it.
package struct NodeStartError: Error, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}
