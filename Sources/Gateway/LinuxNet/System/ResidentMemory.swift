import CLinux

/// What this process keeps in memory.
package enum ResidentMemory {
    /// Lets go of code and constants that were mapped in, for when a burst of other work is
    /// over: starting and configuring touch far more code than carrying packets does, and the
    /// kernel maps in 64 KiB around each touch. What is still used comes back from the page
    /// cache.
    package static func releaseProgramPages() { clinux_release_program_pages() }

    /// Gives back what was freed and lies between what was not: the allocator keeps it otherwise,
    /// and reading a large manifest takes many times what is kept of it.
    package static func releaseFreeMemory() { clinux_release_free_memory() }

    /// Lets go of what is in whole pages from `base` on; they read as zeros until written again.
    package static func release(_ base: UnsafeMutableRawPointer, count: Int) {
        clinux_release_pages(base, count)
    }
}
