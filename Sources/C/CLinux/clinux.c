#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Newer than the oldest kernel headers this builds with (linux/if_tun.h of 6.2).
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static int result(long value) { return value < 0 ? -errno : (int)value; }

const char *clinux_error_name(int code) { return strerrorname_np(code); }
const char *clinux_error_text(int code) { return strerrordesc_np(code); }

int clinux_thread_id(void) { return (int)syscall(SYS_gettid); }

int clinux_set_thread_name(const char *name) { return -pthread_setname_np(pthread_self(), name); }

int clinux_set_thread_cpu(pthread_attr_t *attributes, int cpu) {
    if (cpu < 0 || cpu >= CPU_SETSIZE) return -EINVAL;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return -pthread_attr_setaffinity_np(attributes, sizeof set, &set);
}

int clinux_unshare_network(void) { return result(unshare(CLONE_NEWNET)); }

int clinux_enter_network(int fd) { return result(setns(fd, CLONE_NEWNET)); }

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71  // asm-generic/socket.h, younger than some headers
#endif

int clinux_namespace_cookie(int fd, uint64_t *cookie) {
    socklen_t length = sizeof *cookie;
    return result(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &length));
}

int clinux_probe_user_namespace(void) {
    pid_t child = fork();
    if (child < 0) return -errno;
    if (child == 0) {
        // Only calls that are safe after a fork of a process with threads.
        _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : errno);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return -errno;
    }
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

int clinux_effective_capabilities(uint64_t *set) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2] = {0};
    long r = syscall(SYS_capget, &header, data);
    if (r == 0) *set = data[0].effective | (uint64_t)data[1].effective << 32;
    return result(r);
}

int clinux_mount_bind(const char *from, const char *to, bool recursive) {
    return result(mount(from, to, "none", MS_BIND | (recursive ? MS_REC : 0), NULL));
}

int clinux_mount_make_shared(const char *path) {
    return result(mount("", path, "none", MS_SHARED | MS_REC, NULL));
}

int clinux_mount_tmpfs(const char *path, const char *options) {
    return result(mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options));
}

int clinux_unmount_detach(const char *path) { return result(umount2(path, MNT_DETACH)); }

struct clinux_tun_features clinux_tun_feature_bits(void) {
    struct clinux_tun_features bits = {IFF_TUN,         IFF_NO_PI,    IFF_VNET_HDR,
                                       IFF_MULTI_QUEUE, IFF_TUN_EXCL, IFF_PERSIST};
    return bits;
}

struct clinux_tun_offloads clinux_tun_offload_bits(void) {
    struct clinux_tun_offloads bits = {TUN_F_CSUM,    TUN_F_TSO4, TUN_F_TSO6,
                                       TUN_F_TSO_ECN, TUN_F_USO4, TUN_F_USO6};
    return bits;
}

int clinux_tun_attach(int fd, char *name, uint32_t flags) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, name, IFNAMSIZ);
    request.ifr_name[IFNAMSIZ - 1] = 0;
    request.ifr_flags = (short)flags;
    long r = ioctl(fd, TUNSETIFF, &request);
    if (r == 0) memcpy(name, request.ifr_name, IFNAMSIZ);
    return result(r);
}

int clinux_tun_current(int fd, char *name, uint32_t *flags) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    long r = ioctl(fd, TUNGETIFF, &request);
    if (r == 0) {
        memcpy(name, request.ifr_name, IFNAMSIZ);
        *flags = (uint16_t)request.ifr_flags;
    }
    return result(r);
}

int clinux_tun_set_offload(int fd, uint32_t offloads) {
    return result(ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads));
}

int clinux_tun_set_persistent(int fd, bool on) {
    return result(ioctl(fd, TUNSETPERSIST, (unsigned long)on));
}

int clinux_tun_set_vnet_header_size(int fd, int size) {
    return result(ioctl(fd, TUNSETVNETHDRSZ, &size));
}

int clinux_tun_get_vnet_header_size(int fd) {
    int size = 0;
    long r = ioctl(fd, TUNGETVNETHDRSZ, &size);
    return r < 0 ? -errno : size;
}

int clinux_eventfd(void) { return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

int clinux_timerfd(void) {
    return result(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}

int clinux_timerfd_set(int fd, int64_t first_ns, int64_t every_ns) {
    struct itimerspec when = {
        .it_value = {.tv_sec = first_ns / 1000000000, .tv_nsec = first_ns % 1000000000},
        .it_interval = {.tv_sec = every_ns / 1000000000, .tv_nsec = every_ns % 1000000000},
    };
    return result(timerfd_settime(fd, 0, &when, NULL));
}

int clinux_signalfd(const int *signals, int count) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
    int r = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (r != 0) return -r;
    return result(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int clinux_signalfd_next(int fd) {
    struct signalfd_siginfo info;
    ssize_t r = read(fd, &info, sizeof info);
    if (r < 0) return -errno;
    return r == sizeof info ? (int)info.ssi_signo : -EIO;
}

int clinux_set_receive_timeout(int fd, int64_t nanoseconds) {
    struct timeval limit = {.tv_sec = nanoseconds / 1000000000,
                            .tv_usec = nanoseconds % 1000000000 / 1000};
    return result(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
}

int clinux_flock_exclusive(int fd) { return result(flock(fd, LOCK_EX | LOCK_NB)); }

int clinux_flock_wait(int fd) { return result(flock(fd, LOCK_EX)); }

int clinux_notify_send(
    int fd, const char *path, size_t path_length, const void *text, size_t length) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path_length == 0 || path_length >= sizeof to.sun_path) return -ENAMETOOLONG;
    memcpy(to.sun_path, path, path_length);
    // An abstract name has no terminator: its length ends it (unix(7)).
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length);
    if (path[0] == '@') {
        to.sun_path[0] = 0;
    } else {
        size += 1;
    }
    return result(sendto(fd, text, length, MSG_NOSIGNAL, (struct sockaddr *)&to, size));
}

int64_t clinux_filesystem_type(int fd) {
    struct statfs info;
    return fstatfs(fd, &info) == 0 ? (int64_t)info.f_type : -errno;
}
