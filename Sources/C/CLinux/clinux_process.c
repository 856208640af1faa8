#define _GNU_SOURCE
#include "clinux_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

_Static_assert(clinux_spawn_setsid == POSIX_SPAWN_SETSID, "as in <spawn.h>");

static volatile sig_atomic_t signal_sink = -1;

static void note_signal(int number) {
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    // A full pipe has enough of them.
    ssize_t ignored = write(signal_sink, &byte, 1);
    (void)ignored;
    errno = saved;
}

static void interrupted(int number) { (void)number; }

int clinux_make_interruptible(void) {
    // Without SA_RESTART: the point is that the call comes back.
    struct sigaction action = {.sa_handler = interrupted};
    if (sigaction(SIGURG, &action, NULL) < 0) return -errno;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGURG);
    return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int clinux_signal_pipe(const int *signals, int count) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return -errno;
    signal_sink = ends[1];
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    for (int i = 0; i < count; i++)
        if (sigaction(signals[i], &action, NULL) < 0) return -errno;
    return ends[0];
}
