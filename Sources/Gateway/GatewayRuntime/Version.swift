/// The product's version, as `--version`, the API and the log show it.
package enum Version {
    package static let text = "0.1.0"
}
