// Batches of UDP messages: sendmmsg(2) and recvmmsg(2) with the control messages of UDP_SEGMENT,
// UDP_GRO, TOS and traffic class, which Swift cannot build because they are macros.
#pragma once
#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// The socket types of Glibc are enums of whichever C module includes <sys/socket.h> first, which
// differs between debug and release builds: so they are given here.
enum { clinux_sock_dgram = 2, clinux_sock_cloexec = 02000000 };

// An address in host byte order of port, network byte order of bytes. family: 4 or 6.
struct clinux_address {
    uint8_t family;
    uint16_t port;
    uint32_t scope;
    uint8_t bytes[16];
};

struct clinux_received {
    size_t count;
    // The size of each but the last of several messages in the buffer; 0 when there is one.
    uint32_t segment_size;
    uint8_t tos;
    uint8_t truncated;
    struct clinux_address from;
};

typedef struct clinux_batch clinux_batch;

// Null when memory is short.
clinux_batch *clinux_batch_new(int capacity);
void clinux_batch_free(clinux_batch *batch);

// `socket_family` is that of the socket: IPv4 goes through an IPv6 socket as mapped addresses.
void clinux_batch_put(clinux_batch *batch, int i, void *data, size_t count, uint32_t segment_size,
                      const struct clinux_address *to, uint8_t tos, int socket_family);
// sendmmsg of messages from..<to: how many were sent, or -errno.
int clinux_batch_send(int fd, clinux_batch *batch, int from, int to);
// Sends message i with one sendmsg for each of its segments. How many were refused, with how many
// bytes together; if any was, `error` has the errno of the last.
int clinux_batch_send_apart(int fd, clinux_batch *batch, int i, int *error, long *bytes);
// How many segments message i has, with how many bytes together.
int clinux_batch_messages(const clinux_batch *batch, int i, long *bytes);

void clinux_batch_provide(clinux_batch *batch, int i, void *buffer, size_t capacity);
// recvmmsg that waits for nothing: how many arrived, or -errno.
int clinux_batch_receive(int fd, clinux_batch *batch, int count);
void clinux_batch_get(const clinux_batch *batch, int i, struct clinux_received *out);

// A bound UDP socket, or -errno. `family` 6 is dual stack. `share`: beside others at that port.
// `port` 0 lets the kernel choose. Non-blocking on receive only by flag: sends wait for room.
int clinux_udp_open(int family, uint16_t port, int share);
// Lets further sockets be bound to this one's port (SO_REUSEPORT): 0 or -errno.
int clinux_udp_share_port(int fd);
// The port a socket is bound to, or -errno.
int clinux_udp_port(int fd);
// What a queue of a TUN device has at once: bytes read, or -errno (-EAGAIN when it is empty).
// `descriptor` waits in read(2).
ssize_t clinux_read_now(int descriptor, void *buffer, size_t count);
// Options: 0 or -errno.
int clinux_udp_enable_gro(int fd);
int clinux_udp_probe_segment(int fd);
int clinux_udp_enable_tos(int fd, int family);
int clinux_udp_set_mark(int fd, uint32_t mark);
// A program that decides which datagrams are received (SO_ATTACH_FILTER); of no length: none does.
int clinux_udp_set_filter(int fd, const struct sock_filter *program, size_t length);
// A program that says which of the sockets at this one's port gets a datagram, by number in the
// order in which they were bound (SO_ATTACH_REUSEPORT_CBPF).
int clinux_udp_choose_socket(int fd, const struct sock_filter *program, size_t length);
int clinux_udp_set_buffers(int fd, int receive, int send);
