/// A bug that can be put in on purpose, so that the tests can show that they would find it. Nothing
/// outside of tests names one.
package enum DirectoryCanary: String, Sendable, CaseIterable {
    /// Believes a cluster that claims what is another's.
    case skipsPrefixCheck = "skips-prefix-check"
    /// Lets the second endpoint have an address too.
    case skipsDuplicateCheck = "skips-duplicate-check"
    /// Keeps what a snapshot no longer has.
    case mergesSnapshots = "merges-snapshots"
    /// Goes on after a reconnection as if nothing had happened in between, and takes that for good.
    case forgetsGap = "forgets-gap"
    /// Follows a gateway that was replaced.
    case takesOlderIncarnation = "takes-older-incarnation"
    /// Never calls a silent cluster stale.
    case ignoresSilence = "ignores-silence"
    /// Keeps judging by the prefixes of the first manifest.
    case keepsOldPrefixes = "keeps-old-prefixes"
    /// Tells what it was given, whosever it is: not to be found, but what others are tried with.
    case tellsAnything = "tells-anything"
}
