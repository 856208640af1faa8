#define _GNU_SOURCE
#include "clinux_process.h"

#include <spawn.h>

_Static_assert(clinux_spawn_setsid == POSIX_SPAWN_SETSID, "as in <spawn.h>");
