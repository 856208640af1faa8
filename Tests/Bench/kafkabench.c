// Produces and consumes with librdkafka and tells what it saw as one line of JSON.
//
//   kafkabench produce BROKERS TOPIC SIZE RATE SECONDS [KEY=VALUE...]
//       RATE in records per second, 0: as many as the producer's queue takes. The first fifth of
//       the time warms up and is not counted. Latency is from rd_kafka_producev to the delivery
//       report.
//   kafkabench consume BROKERS TOPIC RECORDS SECONDS [KEY=VALUE...]
//       From the beginning of all partitions until RECORDS have come; a time from the first on.
//
// Values are different for every record and do not compress: nobody gets them for nothing.
#include <errno.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_SAMPLES (1u << 24)

static uint32_t *samples;  // microseconds
static size_t sample_count;
static uint64_t delivered, failed, counted;
static int64_t count_from, count_until;
static int64_t last_delivery, longest_gap, slowest;
static char first_error[256];
static atomic_int done;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void die(const char *what, const char *why) {
    fprintf(stderr, "kafkabench: %s: %s\n", what, why);
    exit(1);
}

static void note_error(const char *error) {
    if (!first_error[0]) snprintf(first_error, sizeof first_error, "%s", error);
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client, (void)opaque;
    int64_t now = now_ns(), took = now - (int64_t)(intptr_t)message->_private;
    if (message->err) {
        failed++;
        note_error(rd_kafka_err2str(message->err));
        return;
    }
    delivered++;
    if (now < count_from || now > count_until) return;
    counted++;
    if (took > slowest) slowest = took;
    if (last_delivery && now - last_delivery > longest_gap) longest_gap = now - last_delivery;
    last_delivery = now;
    if (sample_count < MOST_SAMPLES) samples[sample_count++] = (uint32_t)(took / 1000);
}

static void *poll_always(void *client) {
    while (!atomic_load_explicit(&done, memory_order_relaxed)) rd_kafka_poll(client, 100);
    return NULL;
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile(double p) {
    if (!sample_count) return -1;
    size_t at = (size_t)(p * (double)(sample_count - 1) + 0.5);
    return samples[at] / 1e6;
}

static rd_kafka_t *make(rd_kafka_type_t type, const char *brokers, int count, char **settings) {
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *most[][2] = {{"bootstrap.servers", brokers}, {"log_level", "3"}};
    for (size_t n = 0; n < sizeof most / sizeof *most; n++)
        if (rd_kafka_conf_set(conf, most[n][0], most[n][1], why, sizeof why)) die(most[n][0], why);
    for (int n = 0; n < count; n++) {
        char *equals = strchr(settings[n], '=');
        if (!equals) die(settings[n], "not KEY=VALUE");
        *equals = 0;
        if (rd_kafka_conf_set(conf, settings[n], equals + 1, why, sizeof why))
            die(settings[n], why);
    }
    if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *client = rd_kafka_new(type, conf, why, sizeof why);
    if (!client) die("librdkafka", why);
    return client;
}

static uint64_t random_state = 0x9E3779B97F4A7C15;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static int produce(char **words, int settings_count, char **settings) {
    const char *topic_name = words[1];
    size_t size = strtoul(words[2], NULL, 10);
    double rate = atof(words[3]), seconds = atof(words[4]);
    rd_kafka_t *client = make(RD_KAFKA_PRODUCER, words[0], settings_count, settings);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, topic_name, NULL);
    if (!topic) die(topic_name, "no such topic");
    samples = malloc(MOST_SAMPLES * sizeof *samples);
    // A pool of random bytes; each value is a stretch of it with a number of its own.
    size_t pool_size = (1 << 20) + size;
    unsigned char *pool = malloc(pool_size), *value = malloc(size + 8);
    for (size_t n = 0; n < pool_size; n++) pool[n] = (unsigned char)(next_random() >> 32);
    int64_t began = now_ns();
    count_from = began + (int64_t)(seconds * 0.2e9);
    count_until = began + (int64_t)(seconds * 1e9);
    pthread_t poller;
    pthread_create(&poller, NULL, poll_always, client);
    uint64_t sent = 0;
    int64_t now = began;
    while (now < count_until) {
        uint64_t due = rate > 0 ? (uint64_t)((double)(now - began) / 1e9 * rate) + 1 : sent + 64;
        while (sent < due) {
            memcpy(value, pool + next_random() % (1 << 20), size);
            if (size >= 8) memcpy(value, &sent, 8);
            if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, size,
                                 NULL, 0, (void *)(intptr_t)now_ns()) == 0) {
                sent++;
                continue;
            }
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                die("produce", rd_kafka_err2str(rd_kafka_last_error()));
            struct timespec pause = {0, 200000};
            nanosleep(&pause, NULL);
            if (now_ns() >= count_until) break;
        }
        if (rate > 0) {
            int64_t next = began + (int64_t)((double)sent / rate * 1e9);
            struct timespec until = {next / 1000000000, next % 1000000000};
            while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
        }
        now = now_ns();
    }
    if (now_ns() - last_delivery > longest_gap && last_delivery)
        longest_gap = count_until - last_delivery;
    int left = rd_kafka_flush(client, 30000) ? rd_kafka_outq_len(client) : 0;
    atomic_store(&done, 1);
    pthread_join(poller, NULL);
    qsort(samples, sample_count, sizeof *samples, by_value);
    double span = (double)(count_until - count_from) / 1e9;
    printf("{\"sent\": %" PRIu64 ", \"delivered\": %" PRIu64 ", \"failed\": %" PRIu64
           ", \"left\": %d, \"per_second\": %.1f, \"bytes_per_second\": %.1f, "
           "\"p50\": %.6f, \"p99\": %.6f, \"p999\": %.6f, \"slowest\": %.6f, "
           "\"longest_gap\": %.6f, \"error\": \"%s\"}\n",
           sent, delivered, failed, left, (double)counted / span,
           (double)counted * (double)size / span, percentile(0.5), percentile(0.99),
           percentile(0.999), (double)slowest / 1e9, (double)longest_gap / 1e9, first_error);
    return failed || left ? 2 : 0;
}

static int consume(char **words, int settings_count, char **settings) {
    uint64_t wanted = strtoull(words[2], NULL, 10), records = 0, bytes = 0, first_bytes = 0;
    double seconds = atof(words[3]);
    rd_kafka_t *client = make(RD_KAFKA_CONSUMER, words[0], settings_count, settings);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, words[1], NULL);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, topic, &metadata, 10000);
    if (error) die("metadata", rd_kafka_err2str(error));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    int partitions = metadata->topics[0].partition_cnt;
    for (int n = 0; n < partitions; n++)
        if (rd_kafka_consume_start_queue(topic, n, RD_KAFKA_OFFSET_BEGINNING, queue))
            die("consume", rd_kafka_err2str(rd_kafka_last_error()));
    int64_t asked = now_ns(), first = 0, now = asked, until = asked + (int64_t)(seconds * 1e9);
    static rd_kafka_message_t *batch[10000];
    while (records < wanted && now < until) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, 100, batch, 10000);
        now = now_ns();
        for (ssize_t n = 0; n < got; n++) {
            if (!batch[n]->err) {
                records++;
                bytes += batch[n]->len;
            } else if (batch[n]->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                note_error(rd_kafka_message_errstr(batch[n]));
            }
            rd_kafka_message_destroy(batch[n]);
        }
        if (!first && records) first = now, first_bytes = bytes;
    }
    double span = (double)(now - first) / 1e9;
    printf("{\"records\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"until_first\": %.6f, "
           "\"seconds\": %.6f, \"bytes_per_second\": %.1f, \"error\": \"%s\"}\n",
           records, bytes, (double)(first - asked) / 1e9, span,
           span > 0 ? (double)(bytes - first_bytes) / span : 0, first_error);
    return records >= wanted ? 0 : 2;
}

int main(int count, char **words) {
    if (count >= 7 && !strcmp(words[1], "produce")) return produce(words + 2, count - 7, words + 7);
    if (count >= 6 && !strcmp(words[1], "consume")) return consume(words + 2, count - 6, words + 6);
    fprintf(stderr, "kafkabench produce BROKERS TOPIC SIZE RATE SECONDS [KEY=VALUE...]\n"
                    "kafkabench consume BROKERS TOPIC RECORDS SECONDS [KEY=VALUE...]\n");
    return 2;
}
