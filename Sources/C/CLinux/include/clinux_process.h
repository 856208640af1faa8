// Values of <spawn.h> that Swift does not see because they are GNU extensions.
#pragma once

// posix_spawn(3): the child leads a session of its own.
enum { clinux_spawn_setsid = 0x80 };

// Makes SIGURG end a blocking call of the thread it is sent to (EINTR) and do nothing else, and
// unblocks it in the calling thread: a thread started from a pool inherits a mask of everything.
// Returns 0 or -errno.
int clinux_make_interruptible(void);

// Installs a handler for the signals that writes their numbers, one byte each, to a pipe, and
// returns its read end (non-blocking, closed on exec), or -errno. For one caller in a process.
int clinux_signal_pipe(const int *signals, int count);
