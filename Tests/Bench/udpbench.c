/* Two ends of a UDP measurement in one process, each in its own network namespace: what was sent
 * and what came is then known exactly, and no control channel disturbs the path.
 *
 *   udpbench flow  FROM TO ADDRESS SIZE RATE SECONDS   RATE in packets per second, 0: no pacing
 *   udpbench ports FROM TO ADDRESS SIZE RATE SECONDS   the same, each from a port of its own, until
 *                                                      there is none left
 *   udpbench pong  FROM TO ADDRESS SIZE ROUNDS SECONDS at most so many, at most so long
 *   udpbench first FROM TO ADDRESS SECONDS             until the first answer, asking every 1 ms
 *
 * FROM and TO are paths of namespaces, ADDRESS is TO's. SIZE is the UDP payload. Prints JSON;
 * `at` is an instant of CLOCK_MONOTONIC.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define MAX_SIZE 9000
#define TICK 50000        /* ns between two looks at the clock by a paced sender */
#define QUIET 150         /* ms without a packet after which nothing more will come */
#define MAX_ROUNDS 2000000
#define FIRST_PORT 1024
#define PORTS 64512 /* as many conversations as there are source ports */
#define UDP_HEADER 8

static struct sockaddr_in target;
static int size;
static _Atomic uint64_t received, reordered, duplicated, foreign;
static _Atomic int sender_done;
static uint32_t overflowed; /* packets that the receiver's own socket had no room for */

static void die(const char *what) {
    fprintf(stderr, "udpbench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_until(int64_t when) {
    struct timespec t = {when / 1000000000, when % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {}
}

static void enter(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) die(path);
    close(fd);
}

/* A socket stays in the namespace it was made in, so one thread can make both. */
static int udp(const char *namespace, int type, int buffer) {
    enter(namespace);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, IPPROTO_UDP);
    if (fd < 0) die("socket");
    int one = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one);
    return fd;
}

static void set_timeout(int fd, int ms) {
    struct timeval t = {ms / 1000, ms % 1000 * 1000};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) < 0) die("SO_RCVTIMEO");
}

static void *receive(void *argument) {
    int fd = *(int *)argument;
    static char data[BATCH][MAX_SIZE];
    static char control[BATCH][CMSG_SPACE(sizeof(uint32_t))];
    struct iovec vectors[BATCH];
    struct mmsghdr messages[BATCH];
    static uint8_t seen[1 << 24]; /* one bit a packet; numbers beyond it are not checked twice */
    uint64_t expected = 0;
    set_timeout(fd, QUIET);
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){data[i], MAX_SIZE};
            messages[i] = (struct mmsghdr){.msg_hdr = {
                .msg_iov = &vectors[i], .msg_iovlen = 1,
                .msg_control = control[i], .msg_controllen = sizeof control[i]}};
        }
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        if (count < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN) die("recvmmsg");
            if (sender_done) return NULL;
            continue;
        }
        for (int i = 0; i < count; i++) {
            uint64_t n;
            if (messages[i].msg_len != (unsigned)size) { foreign++; continue; }
            memcpy(&n, data[i], sizeof n);
            if (n >> 3 < sizeof seen) {
                if (seen[n >> 3] & 1 << (n & 7)) { duplicated++; continue; }
                seen[n >> 3] |= 1 << (n & 7);
            }
            received++;
            if (n < expected) reordered++;
            else expected = n + 1;
        }
        struct cmsghdr *head = CMSG_FIRSTHDR(&messages[count - 1].msg_hdr);
        if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SO_RXQ_OVFL)
            memcpy(&overflowed, CMSG_DATA(head), sizeof overflowed);
    }
}

/* A sender that came late makes up for at most this many packets: a longer burst would measure
 * queues and the scheduler, not the path. What it then did not send does not count as sent. */
static uint64_t most_at_once(double rate) {
    uint64_t burst = (uint64_t)(rate * 4 * TICK / 1e9);
    return burst < 8 ? 8 : burst > 128 ? 128 : burst;
}

/* A socket for each conversation would cost more than the packet: a raw one, to which the header is
 * given with the payload. Its checksum is 0, which is none. */
static void write_header(char *header, uint64_t n) {
    uint16_t words[4] = {htons(FIRST_PORT + n), target.sin_port, htons(UDP_HEADER + size), 0};
    memcpy(header, words, sizeof words);
}

static void flow(int from, int to, double rate, double seconds, int is_raw) {
    static char data[BATCH][UDP_HEADER + MAX_SIZE];
    uint64_t all = is_raw ? PORTS : UINT64_MAX;
    int header = is_raw ? UDP_HEADER : 0;
    struct iovec vectors[BATCH];
    struct mmsghdr messages[BATCH];
    for (int i = 0; i < BATCH; i++) {
        memset(data[i], 'a' + i % 26, header + size);
        vectors[i] = (struct iovec){data[i], header + size};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
    }
    if (connect(from, (struct sockaddr *)&target, sizeof target) < 0) die("connect");
    pthread_t receiver;
    if ((errno = pthread_create(&receiver, NULL, receive, &to))) die("thread");

    int64_t start = now(), end = start + (int64_t)(seconds * 1e9), tick = start, t;
    uint64_t sent = 0, refused = 0;
    double due = 0, most = most_at_once(rate);
    int64_t before = start;
    while ((t = now()) < end && sent < all) {
        uint64_t count = BATCH;
        if (rate > 0) {
            due += (t - before) * rate / 1e9;
            before = t;
            if (due > most) due = most;
            count = (uint64_t)due;
            due -= count;
        }
        if (count > all - sent) count = all - sent;
        while (count > 0) {
            int batch = count < BATCH ? count : BATCH;
            for (int i = 0; i < batch; i++) {
                uint64_t n = sent + i;
                if (is_raw) write_header(data[i], n);
                memcpy(data[i] + header, &n, sizeof n);
            }
            int done = sendmmsg(from, messages, batch, 0);
            if (done < 0) {
                if (errno == ECONNREFUSED || errno == EINTR) continue;
                if (errno != ENOBUFS && errno != EAGAIN) die("sendmmsg");
                refused++;
                done = 1; /* offered, and lost at the first queue */
            }
            sent += done;
            count -= done;
        }
        if (rate > 0) {
            tick += TICK;
            if (tick < now()) tick = now();
            else sleep_until(tick);
        }
    }
    double taken = (now() - start) / 1e9;
    sender_done = 1;
    pthread_join(receiver, NULL);
    printf("{\"sent\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"received\": %" PRIu64
           ", \"reordered\": %" PRIu64 ", \"duplicated\": %" PRIu64 ", \"foreign\": %" PRIu64
           ", \"overflowed\": %" PRIu32 ", \"seconds\": %.6f}\n",
           sent, refused, received, reordered, duplicated, foreign, overflowed, taken);
}

static void *echo(void *argument) {
    int fd = *(int *)argument;
    static char data[MAX_SIZE];
    for (;;) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        ssize_t count = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&peer, &length);
        if (count >= 0) sendto(fd, data, count, 0, (struct sockaddr *)&peer, length);
    }
    return NULL;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void pong(int from, int to, int rounds, double seconds) {
    static int64_t times[MAX_ROUNDS];
    static char data[MAX_SIZE];
    if (connect(from, (struct sockaddr *)&target, sizeof target) < 0) die("connect");
    pthread_t server;
    if ((errno = pthread_create(&server, NULL, echo, &to))) die("thread");
    set_timeout(from, 500);
    int64_t end = now() + (int64_t)(seconds * 1e9);
    uint64_t lost = 0;
    int count = 0;
    for (uint64_t n = 0; n < (uint64_t)rounds && now() < end; n++) {
        memcpy(data, &n, sizeof n);
        int64_t start = now();
        if (send(from, data, size, 0) < 0) { lost++; continue; }
        for (;;) {
            uint64_t back = UINT64_MAX;
            ssize_t got = recv(from, data, sizeof data, 0);
            int64_t time = now() - start;
            if (got < 0) { lost++; break; }
            memcpy(&back, data, sizeof back);
            if (back != n) continue; /* late */
            if (n >= 100) times[count++] = time; /* the first ones warm up */
            break;
        }
    }
    if (count == 0) { errno = ETIMEDOUT; die("no answer"); }
    qsort(times, count, sizeof *times, ascending);
    printf("{\"rounds\": %d, \"lost\": %" PRIu64 ", \"p50\": %.9f, \"p99\": %.9f, "
           "\"p999\": %.9f, \"max\": %.9f}\n", count, lost, times[count / 2] / 1e9,
           times[(int64_t)count * 99 / 100] / 1e9, times[(int64_t)count * 999 / 1000] / 1e9,
           times[count - 1] / 1e9);
}

static void first(int from, int to, double seconds) {
    char byte = 1;
    if (connect(from, (struct sockaddr *)&target, sizeof target) < 0) die("connect");
    pthread_t server;
    if ((errno = pthread_create(&server, NULL, echo, &to))) die("thread");
    set_timeout(from, 1);
    int64_t start = now();
    while (now() < start + (int64_t)(seconds * 1e9)) {
        send(from, &byte, 1, 0);
        if (recv(from, &byte, 1, 0) == 1) {
            int64_t end = now();
            printf("{\"seconds\": %.9f, \"at\": %.9f}\n", (end - start) / 1e9, end / 1e9);
            return;
        }
    }
    errno = ETIMEDOUT;
    die("no answer");
}

int main(int count, char **words) {
    const char *role = count > 1 ? words[1] : "";
    int wanted = !strcmp(role, "first") ? 6 : 8;
    if (count != wanted) {
        fprintf(stderr, "usage: see the head of udpbench.c\n");
        return 64;
    }
    target.sin_family = AF_INET;
    target.sin_port = htons(9009);
    if (inet_pton(AF_INET, words[4], &target.sin_addr) != 1) die(words[4]);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    int is_raw = !strcmp(role, "ports");
    int to = udp(words[3], SOCK_DGRAM, 64 << 20);
    if (bind(to, (struct sockaddr *)&target, sizeof target) < 0) die("bind");
    int from = udp(words[2], is_raw ? SOCK_RAW : SOCK_DGRAM, 1 << 20);
    if (!strcmp(role, "first")) {
        first(from, to, atof(words[5]));
        return 0;
    }
    size = atoi(words[5]);
    if (size < 8 || size > MAX_SIZE) { errno = EINVAL; die(words[5]); }
    if (!strcmp(role, "flow") || is_raw) flow(from, to, atof(words[6]), atof(words[7]), is_raw);
    else if (!strcmp(role, "pong")) {
        int rounds = atoi(words[6]);
        if (rounds < 101 || rounds > MAX_ROUNDS) { errno = EINVAL; die(words[6]); }
        pong(from, to, rounds, atof(words[7]));
    } else {
        fprintf(stderr, "udpbench: what is `%s`?\n", role);
        return 64;
    }
    return 0;
}
