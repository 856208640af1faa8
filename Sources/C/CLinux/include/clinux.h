// What Swift cannot import from Linux headers: ioctl requests, variadic calls and calls whose
// headers are in no module. Each shim does one call, is prefixed with clinux_, and returns what
// the call returned, or the negated errno.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Error names and texts that need no lock and no locale (glibc 2.32).
const char *clinux_error_name(int code);
const char *clinux_error_text(int code);

// Threads and namespaces
int clinux_thread_id(void);
int clinux_set_thread_name(const char *name);
/// Threads made with these attributes run on this CPU alone; 0 or -errno.
int clinux_set_thread_cpu(pthread_attr_t *attributes, int cpu);
int clinux_unshare_network(void);
int clinux_enter_network(int fd);
/// Which network namespace a socket lives in: a number that is never used again (Linux 5.14).
int clinux_namespace_cookie(int fd, uint64_t *cookie);
/// Tries CLONE_NEWUSER in a child process, since a process with threads may not do it itself.
int clinux_probe_user_namespace(void);
/// Effective capabilities of the calling thread.
int clinux_effective_capabilities(uint64_t *set);

// Mounts
int clinux_mount_bind(const char *from, const char *to, bool recursive);
int clinux_mount_make_shared(const char *path);
int clinux_mount_tmpfs(const char *path, const char *options);
int clinux_unmount_detach(const char *path);

// TUN
struct clinux_tun_features {
    uint32_t tun, no_packet_info, vnet_header, multi_queue, exclusive, persistent;
};
struct clinux_tun_offloads {
    uint32_t checksum, tso4, tso6, tso_ecn, uso4, uso6;
};
struct clinux_tun_features clinux_tun_feature_bits(void);
struct clinux_tun_offloads clinux_tun_offload_bits(void);
/// `name` holds 16 bytes: the wished name (or a pattern with %d, or nothing) on the way in, the
/// actual one on the way out.
int clinux_tun_attach(int fd, char *name, uint32_t flags);
int clinux_tun_current(int fd, char *name, uint32_t *flags);
int clinux_tun_set_offload(int fd, uint32_t offloads);
int clinux_tun_set_persistent(int fd, bool on);
int clinux_tun_set_vnet_header_size(int fd, int size);
int clinux_tun_get_vnet_header_size(int fd);

// Descriptors
int clinux_eventfd(void);
int clinux_timerfd(void);
int clinux_timerfd_set(int fd, int64_t first_ns, int64_t every_ns);
/// Blocks the signals for the calling thread (and those it starts) and opens a signalfd on them.
int clinux_signalfd(const int *signals, int count);
/// The number of the next pending signal, or -EAGAIN.
int clinux_signalfd_next(int fd);
int clinux_set_receive_timeout(int fd, int64_t nanoseconds);
int clinux_flock_exclusive(int fd);
int clinux_flock_wait(int fd);
int clinux_notify_send(
    int fd, const char *path, size_t path_length, const void *text, size_t length);
/// The magic number of the file system that holds the file (linux/magic.h).
int64_t clinux_filesystem_type(int fd);
