/* Two ends of a UDP measurement in one process, each in its own network namespace: what was sent
 * and what came is then known exactly, and no control channel disturbs the path.
 *
 *   udpbench flow  FROM TO ADDRESS SIZE RATE SECONDS   RATE in packets per second, 0: no pacing
 *   udpbench ports FROM TO ADDRESS SIZE RATE SECONDS   the same, each from a port of its own, until
 *                                                      there is none left
 *   udpbench pong  FROM TO ADDRESS SIZE ROUNDS SECONDS at most so many, at most so long
 *   udpbench first FROM TO ADDRESS SECONDS             until the first answer, asking every 1 ms
 *   udpbench offer FROM TO ADDRESS SIZE RATE SECONDS FILE PORT
 *                                                      what FILE holds, around and around, until
 *                                                      SIGTERM or so long; says `sending` first
 *
 * FROM and TO are paths of namespaces, ADDRESS is TO's. SIZE is the UDP payload. Prints JSON;
 * `at` is an instant of CLOCK_MONOTONIC. Nobody reads what `offer` sends to the port of all the
 * other roles, 9009: it is dropped there.
 */
#define _GNU_SOURCE
#include "namespaces.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define BATCH 64
#define MAX_SIZE 9000
#define TICK 50000        /* ns between two looks at the clock by a paced sender */
#define OFFER_TICK 250000 /* the same by one whose waking must cost little */
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

static void sleep_until(int64_t when) {
    struct timespec t = {when / 1000000000, when % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {}
}

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

/* How many packets are due, for a sender that looks at the clock every `step`. */
struct pace {
    double rate, due, most;
    int64_t before, tick, step;
};

static struct pace pace_from(int64_t start, double rate, int64_t step) {
    /* A sender that came late makes up for at most this many packets: a longer burst would measure
     * queues and the scheduler, not the path. What it then did not send does not count as sent. */
    double burst = rate * 4 * step / 1e9;
    return (struct pace){rate, 0, burst < 8 ? 8 : burst > 128 ? 128 : burst, start, start, step};
}

static uint64_t pace_due(struct pace *pace, int64_t t) {
    pace->due += (t - pace->before) * pace->rate / 1e9;
    pace->before = t;
    if (pace->due > pace->most) pace->due = pace->most;
    uint64_t count = (uint64_t)pace->due;
    pace->due -= count;
    return count;
}

static void pace_wait(struct pace *pace) {
    pace->tick += pace->step;
    if (pace->tick < now()) pace->tick = now();
    else sleep_until(pace->tick);
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

    int64_t start = now(), end = start + (int64_t)(seconds * 1e9), t;
    uint64_t sent = 0, refused = 0;
    struct pace pace = pace_from(start, rate, TICK);
    while ((t = now()) < end && sent < all) {
        uint64_t count = rate > 0 ? pace_due(&pace, t) : BATCH;
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
        if (rate > 0) pace_wait(&pace);
    }
    double taken = (now() - start) / 1e9;
    sender_done = 1;
    pthread_join(receiver, NULL);
    printf("{\"sent\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"received\": %" PRIu64
           ", \"reordered\": %" PRIu64 ", \"duplicated\": %" PRIu64 ", \"foreign\": %" PRIu64
           ", \"overflowed\": %" PRIu32 ", \"seconds\": %.6f}\n",
           sent, refused, received, reordered, duplicated, foreign, overflowed, taken);
}

static volatile sig_atomic_t is_stopped;

static void note_stop(int number) {
    (void)number;
    is_stopped = 1;
}

static struct mmsghdr *read_datagrams(const char *path, int *count) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) < 0) die(path);
    long length = ftell(file);
    rewind(file);
    *count = length / size;
    if (*count < 1 || length % size) { errno = EINVAL; die(path); }
    char *data = malloc(length);
    struct iovec *vectors = calloc(*count, sizeof *vectors);
    struct mmsghdr *messages = calloc(*count, sizeof *messages);
    if (!data || !vectors || !messages || fread(data, size, *count, file) != (size_t)*count)
        die(path);
    fclose(file);
    for (int i = 0; i < *count; i++) {
        vectors[i] = (struct iovec){data + (long)i * size, size};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &vectors[i], .msg_iovlen = 1}};
    }
    return messages;
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void offer(int from, double rate, double seconds, const char *path) {
    int all, next = 0;
    struct mmsghdr *messages = read_datagrams(path, &all);
    if (connect(from, (struct sockaddr *)&target, sizeof target) < 0) die("connect");
    signal(SIGTERM, note_stop);
    /* It plays the network, which does not wait for those it reaches. Not everyone may ask so. */
    int is_urgent = sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){1}) == 0;
    printf("sending\n");
    fflush(stdout);
    int64_t start = now(), end = start + (int64_t)(seconds * 1e9), t;
    uint64_t sent = 0, refused = 0;
    double used = cpu_seconds();
    struct pace pace = pace_from(start, rate, OFFER_TICK);
    while (!is_stopped && (t = now()) < end) {
        uint64_t count = pace_due(&pace, t);
        while (count > 0) {
            int batch = all - next < BATCH ? all - next : BATCH;
            if ((uint64_t)batch > count) batch = count;
            int done = sendmmsg(from, messages + next, batch, 0);
            if (done < 0) {
                if (errno == ECONNREFUSED || errno == EINTR) continue;
                if (errno != ENOBUFS && errno != EAGAIN) die("sendmmsg");
                refused++;
                done = 1;
            }
            sent += done;
            count -= done;
            next = (next + done) % all;
        }
        pace_wait(&pace);
    }
    printf("{\"sent\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"cpu\": %.6f, \"seconds\": %.6f, "
           "\"urgent\": %d}\n",
           sent - refused, refused, cpu_seconds() - used, (now() - start) / 1e9, is_urgent);
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
    int is_offer = !strcmp(role, "offer");
    int wanted = !strcmp(role, "first") ? 6 : is_offer ? 10 : 8;
    if (count != wanted) {
        fprintf(stderr, "usage: see the head of udpbench.c\n");
        return 64;
    }
    target.sin_family = AF_INET;
    target.sin_port = htons(9009);
    if (inet_pton(AF_INET, words[4], &target.sin_addr) != 1) die(words[4]);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    int is_raw = !strcmp(role, "ports");
    int to = udp(words[3], SOCK_DGRAM, is_offer ? 1 : 64 << 20); /* 1: as little as there is */
    if (bind(to, (struct sockaddr *)&target, sizeof target) < 0) die("bind");
    int from = udp(words[2], is_raw ? SOCK_RAW : SOCK_DGRAM, 1 << 20);
    if (!strcmp(role, "first")) {
        first(from, to, atof(words[5]));
        return 0;
    }
    size = atoi(words[5]);
    if (size < 8 || size > MAX_SIZE) { errno = EINVAL; die(words[5]); }
    if (is_offer) {
        target.sin_port = htons(atoi(words[9]));
        offer(from, atof(words[6]), atof(words[7]), words[8]);
    } else if (!strcmp(role, "flow") || is_raw)
        flow(from, to, atof(words[6]), atof(words[7]), is_raw);
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
