#define _GNU_SOURCE
#include "clinux_packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

_Static_assert(clinux_sock_dgram == SOCK_DGRAM, "as in <sys/socket.h>");
_Static_assert(clinux_sock_cloexec == SOCK_CLOEXEC, "as in <sys/socket.h>");

enum { control_size = 128 };

struct slot {
    struct sockaddr_in6 name;  // large enough for both families
    struct iovec iov;
    _Alignas(struct cmsghdr) char control[control_size];
};

struct clinux_batch {
    int capacity;
    struct mmsghdr *messages;
    struct slot *slots;
};

clinux_batch *clinux_batch_new(int capacity) {
    clinux_batch *batch = calloc(1, sizeof *batch);
    if (!batch) return NULL;
    batch->capacity = capacity;
    batch->messages = calloc((size_t)capacity, sizeof *batch->messages);
    batch->slots = calloc((size_t)capacity, sizeof *batch->slots);
    if (!batch->messages || !batch->slots) {
        clinux_batch_free(batch);
        return NULL;
    }
    for (int i = 0; i < capacity; i++) {
        struct msghdr *h = &batch->messages[i].msg_hdr;
        h->msg_name = &batch->slots[i].name;
        h->msg_iov = &batch->slots[i].iov;
        h->msg_iovlen = 1;
        h->msg_control = batch->slots[i].control;
    }
    return batch;
}

void clinux_batch_free(clinux_batch *batch) {
    if (!batch) return;
    free(batch->messages);
    free(batch->slots);
    free(batch);
}

static socklen_t put_address(struct sockaddr_in6 *name, const struct clinux_address *a,
                             int family) {
    if (family == 4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)name;
        memset(v4, 0, sizeof *v4);
        v4->sin_family = AF_INET;
        v4->sin_port = htons(a->port);
        memcpy(&v4->sin_addr, a->bytes, 4);
        return sizeof *v4;
    }
    memset(name, 0, sizeof *name);
    name->sin6_family = AF_INET6;
    name->sin6_port = htons(a->port);
    name->sin6_scope_id = a->scope;
    if (a->family == 4) {
        name->sin6_addr.s6_addr[10] = 0xff;
        name->sin6_addr.s6_addr[11] = 0xff;
        memcpy(&name->sin6_addr.s6_addr[12], a->bytes, 4);
    } else {
        memcpy(&name->sin6_addr, a->bytes, 16);
    }
    return sizeof *name;
}

void clinux_batch_put(clinux_batch *batch, int i, void *data, size_t count, uint32_t segment_size,
                      const struct clinux_address *to, uint8_t tos, int socket_family) {
    struct slot *slot = &batch->slots[i];
    struct msghdr *h = &batch->messages[i].msg_hdr;
    slot->iov.iov_base = data;
    slot->iov.iov_len = count;
    h->msg_namelen = put_address(&slot->name, to, socket_family);
    h->msg_flags = 0;
    size_t used = 0;
    if (segment_size) {
        struct cmsghdr *c = (struct cmsghdr *)(void *)slot->control;
        c->cmsg_level = IPPROTO_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
        uint16_t size = (uint16_t)segment_size;
        memcpy(CMSG_DATA(c), &size, sizeof size);
        used += CMSG_SPACE(sizeof(uint16_t));
    }
    if (tos) {
        struct cmsghdr *c = (struct cmsghdr *)(void *)(slot->control + used);
        int v4 = to->family == 4;
        c->cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
        c->cmsg_type = v4 ? IP_TOS : IPV6_TCLASS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        int value = tos;
        memcpy(CMSG_DATA(c), &value, sizeof value);
        used += CMSG_SPACE(sizeof(int));
    }
    h->msg_control = used ? slot->control : NULL;
    h->msg_controllen = used;
}

int clinux_batch_send(int fd, clinux_batch *batch, int from, int to) {
    int n = sendmmsg(fd, batch->messages + from, (unsigned)(to - from), 0);
    return n < 0 ? -errno : n;
}

// The size of each segment but the last; `used` is the room of its control message, 0 if there is
// none.
static size_t segment_size(const clinux_batch *batch, int i, size_t *used) {
    struct msghdr *h = &batch->messages[i].msg_hdr;
    size_t all = batch->slots[i].iov.iov_len;
    // UDP_SEGMENT, where there is one, is put first.
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    *used = 0;
    if (!c || c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_SEGMENT) return all;
    uint16_t segment;
    memcpy(&segment, CMSG_DATA(c), sizeof segment);
    *used = CMSG_SPACE(sizeof segment);
    return segment ? segment : all;
}

int clinux_batch_messages(const clinux_batch *batch, int i, long *bytes) {
    size_t used, all = batch->slots[i].iov.iov_len, size = segment_size(batch, i, &used);
    *bytes = (long)all;
    return size ? (int)((all + size - 1) / size) : 1;
}

int clinux_batch_send_apart(int fd, clinux_batch *batch, int i, int *error, long *bytes) {
    struct msghdr one = batch->messages[i].msg_hdr;
    struct iovec rest = batch->slots[i].iov, piece = rest;
    size_t used, size = segment_size(batch, i, &used);
    if (used) {
        one.msg_controllen -= used;
        one.msg_control = one.msg_controllen ? (char *)one.msg_control + used : NULL;
    }
    one.msg_iov = &piece;
    int refused = 0;
    *bytes = 0;
    while (rest.iov_len > 0) {
        piece.iov_base = rest.iov_base;
        piece.iov_len = rest.iov_len < size ? rest.iov_len : size;
        ssize_t n;
        do n = sendmsg(fd, &one, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0) {
            *error = errno;
            *bytes += (long)piece.iov_len;
            refused++;
        }
        rest.iov_base = (char *)rest.iov_base + piece.iov_len;
        rest.iov_len -= piece.iov_len;
    }
    return refused;
}

void clinux_batch_provide(clinux_batch *batch, int i, void *buffer, size_t capacity) {
    batch->slots[i].iov.iov_base = buffer;
    batch->slots[i].iov.iov_len = capacity;
}

int clinux_batch_receive(int fd, clinux_batch *batch, int count) {
    for (int i = 0; i < count; i++) {
        struct msghdr *h = &batch->messages[i].msg_hdr;
        h->msg_namelen = sizeof batch->slots[i].name;
        h->msg_control = batch->slots[i].control;
        h->msg_controllen = control_size;
    }
    int n = recvmmsg(fd, batch->messages, (unsigned)count, MSG_DONTWAIT, NULL);
    return n < 0 ? -errno : n;
}

void clinux_batch_get(const clinux_batch *batch, int i, struct clinux_received *out) {
    const struct slot *slot = &batch->slots[i];
    struct msghdr *h = &batch->messages[i].msg_hdr;
    memset(out, 0, sizeof *out);
    out->count = batch->messages[i].msg_len;
    out->truncated = (h->msg_flags & MSG_TRUNC) != 0;
    if (slot->name.sin6_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&slot->name;
        out->from.family = 4;
        out->from.port = ntohs(v4->sin_port);
        memcpy(out->from.bytes, &v4->sin_addr, 4);
    } else if (IN6_IS_ADDR_V4MAPPED(&slot->name.sin6_addr)) {
        out->from.family = 4;
        out->from.port = ntohs(slot->name.sin6_port);
        memcpy(out->from.bytes, &slot->name.sin6_addr.s6_addr[12], 4);
    } else {
        out->from.family = 6;
        out->from.port = ntohs(slot->name.sin6_port);
        out->from.scope = slot->name.sin6_scope_id;
        memcpy(out->from.bytes, &slot->name.sin6_addr, 16);
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            out->segment_size = size > 0 ? (uint32_t)size : 0;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            out->tos = *CMSG_DATA(c);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            int value;
            memcpy(&value, CMSG_DATA(c), sizeof value);
            out->tos = (uint8_t)value;
        }
    }
}

ssize_t clinux_read_now(int descriptor, void *buffer, size_t count) {
    struct iovec iov = {.iov_base = buffer, .iov_len = count};
    ssize_t n = preadv2(descriptor, &iov, 1, -1, RWF_NOWAIT);
    return n < 0 ? -errno : n;
}

int clinux_udp_open(int family, uint16_t port, int share) {
    int fd = socket(family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0) return -errno;
    struct clinux_address any = {.family = (uint8_t)family, .port = port};
    struct sockaddr_in6 name;
    socklen_t length = put_address(&name, &any, family);
    int off = 0;
    if (family == 6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0) goto fail;
    if (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &share, sizeof share) < 0) goto fail;
    if (bind(fd, (struct sockaddr *)&name, length) < 0) goto fail;
    return fd;
fail:;
    int error = errno;
    close(fd);
    return -error;
}

int clinux_udp_port(int fd) {
    struct sockaddr_in6 name;
    socklen_t length = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &length) < 0) return -errno;
    return ntohs(name.sin6_port);  // the port is at the same place in both families
}

static int set_int(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

int clinux_udp_enable_gro(int fd) { return set_int(fd, IPPROTO_UDP, UDP_GRO, 1); }

int clinux_udp_probe_segment(int fd) { return set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 0); }

int clinux_udp_enable_tos(int fd, int family) {
    int error = set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
    if (family == 6 && !error) error = set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    return error;
}

int clinux_udp_share_port(int fd) { return set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1); }

int clinux_udp_set_mark(int fd, uint32_t mark) {
    return set_int(fd, SOL_SOCKET, SO_MARK, (int)mark);
}

int clinux_udp_set_filter(int fd, const struct sock_filter *program, size_t length) {
    if (length == 0) {
        int error = set_int(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
        return error == -ENOENT ? 0 : error;
    }
    struct sock_fprog whole = {
        .len = (unsigned short)length, .filter = (struct sock_filter *)program};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &whole, sizeof whole) < 0) return -errno;
    return 0;
}

int clinux_udp_choose_socket(int fd, const struct sock_filter *program, size_t length) {
    struct sock_fprog whole = {
        .len = (unsigned short)length, .filter = (struct sock_filter *)program};
    int result = setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &whole, sizeof whole);
    return result < 0 ? -errno : 0;
}

int clinux_udp_set_buffers(int fd, int receive, int send) {
    // The forced forms pass the system's limit and need CAP_NET_ADMIN in the first namespace.
    if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, receive))
        set_int(fd, SOL_SOCKET, SO_RCVBUF, receive);
    if (set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, send))
        set_int(fd, SOL_SOCKET, SO_SNDBUF, send);
    return 0;
}
