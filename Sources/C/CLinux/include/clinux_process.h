// Values of <spawn.h> that Swift does not see because they are GNU extensions.
#pragma once

// posix_spawn(3): the child leads a session of its own.
enum { clinux_spawn_setsid = 0x80 };
