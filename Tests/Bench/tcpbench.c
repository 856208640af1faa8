/* Both ends of one TCP stream, each in its own network namespace. Says `connected`, sends what the
 * connection takes, and tells at every SIGUSR1 how much has arrived; ends at SIGTERM, whatever
 * became of the stream. (iperf3 waits for its own control connection, which under a flood may be
 * for ever.)
 *
 *   tcpbench FROM TO ADDRESS CONTROL
 *
 * FROM and TO are paths of namespaces, ADDRESS is TO's, CONTROL the sender's congestion control.
 * Prints JSON; `at` is an instant of CLOCK_MONOTONIC.
 */
#define _GNU_SOURCE
#include "namespaces.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define BLOCK (128 << 10)

static _Atomic uint64_t received;

static void *receive(void *argument) {
    static char data[BLOCK];
    ssize_t count;
    while ((count = recv(*(int *)argument, data, sizeof data, 0)) > 0) received += count;
    die("recv");
    return NULL;
}

static void *transmit(void *argument) {
    static char data[BLOCK];
    while (send(*(int *)argument, data, sizeof data, MSG_NOSIGNAL) >= 0) {}
    die("send");
    return NULL;
}

static int tcp(const char *namespace) {
    enter(namespace);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    return fd;
}

int main(int count, char **words) {
    if (count != 5) {
        fprintf(stderr, "usage: see the head of tcpbench.c\n");
        return 64;
    }
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = 0};
    if (inet_pton(AF_INET, words[3], &target.sin_addr) != 1) {
        errno = EINVAL;
        die(words[3]);
    }
    /* Before there are threads, which have the same blocked. */
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    sigaddset(&wanted, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &wanted, NULL);

    int listener = tcp(words[2]);
    if (bind(listener, (struct sockaddr *)&target, sizeof target) < 0) die("bind");
    if (listen(listener, 1) < 0) die("listen");
    /* A port of the kernel's choice: an older stream may linger. */
    socklen_t length = sizeof target;
    if (getsockname(listener, (struct sockaddr *)&target, &length) < 0) die("getsockname");
    int from = tcp(words[1]);
    const char *control = words[4];
    if (setsockopt(from, IPPROTO_TCP, TCP_CONGESTION, control, strlen(control)) < 0) die(control);
    if (connect(from, (struct sockaddr *)&target, sizeof target) < 0) die("connect");
    int to = accept(listener, NULL, NULL);
    if (to < 0) die("accept");
    printf("connected\n");
    fflush(stdout);

    pthread_t threads[2];
    if ((errno = pthread_create(&threads[0], NULL, receive, &to))) die("thread");
    if ((errno = pthread_create(&threads[1], NULL, transmit, &from))) die("thread");
    for (;;) {
        int number;
        if ((errno = sigwait(&wanted, &number))) die("sigwait");
        if (number == SIGTERM) _exit(0);
        printf("{\"received\": %" PRIu64 ", \"at\": %.9f}\n", received, now() / 1e9);
        fflush(stdout);
    }
}
