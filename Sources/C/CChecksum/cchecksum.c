#include "cchecksum.h"

#include <string.h>

// The polynomial 0x1edc6f41, bit-reversed: bit i of a word is the coefficient of x^(31-i).
#define POLYNOMIAL 0x82f63b78u

static enum cchecksum_way best = CCHECKSUM_TABLE;
static uint32_t table[8][256];

// Slicing by eight: table[k][b] is what byte b does to the remainder k bytes later.
static uint32_t by_table(uint32_t crc, const uint8_t *at, size_t count) {
    while (count >= 8) {
        uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
                              (uint32_t)at[3] << 24);
        crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^
              table[4][low >> 24] ^ table[3][at[4]] ^ table[2][at[5]] ^ table[1][at[6]] ^
              table[0][at[7]];
        at += 8;
        count -= 8;
    }
    while (count--) crc = crc >> 8 ^ table[0][(crc ^ *at++) & 255];
    return crc;
}

#if defined(__x86_64__)

#include <immintrin.h>

#define WITH_INSTRUCTION __attribute__((target("sse4.2")))
#define WITH_PRODUCT __attribute__((target("sse4.2,pclmul")))
#define STEP8(crc, byte) _mm_crc32_u8(crc, byte)
#define STEP64(crc, word) ((uint32_t)_mm_crc32_u64(crc, word))

WITH_PRODUCT static inline uint64_t product(uint32_t a, uint32_t b) {
    return (uint64_t)_mm_cvtsi128_si64(
        _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)a), _mm_cvtsi32_si128((int)b), 0));
}

static enum cchecksum_way probe(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("sse4.2")) return CCHECKSUM_TABLE;
    return __builtin_cpu_supports("pclmul") ? CCHECKSUM_THREE_LANES : CCHECKSUM_INSTRUCTION;
}

#elif defined(__aarch64__)

#include <arm_acle.h>
#include <arm_neon.h>
#include <sys/auxv.h>

#define WITH_INSTRUCTION __attribute__((target("crc")))
#define WITH_PRODUCT __attribute__((target("crc,aes")))
#define STEP8(crc, byte) __crc32cb(crc, byte)
#define STEP64(crc, word) __crc32cd(crc, word)

WITH_PRODUCT static inline uint64_t product(uint32_t a, uint32_t b) {
    return vgetq_lane_u64(vreinterpretq_u64_p128(vmull_p64((poly64_t)a, (poly64_t)b)), 0);
}

static enum cchecksum_way probe(void) {
    // HWCAP_PMULL and HWCAP_CRC32 of Linux's asm/hwcap.h.
    unsigned long has = getauxval(AT_HWCAP);
    if (!(has & 1ul << 7)) return CCHECKSUM_TABLE;
    return has & 1ul << 4 ? CCHECKSUM_THREE_LANES : CCHECKSUM_INSTRUCTION;
}

#else
#define NO_INSTRUCTION
static enum cchecksum_way probe(void) { return CCHECKSUM_TABLE; }
#endif

#ifndef NO_INSTRUCTION

static inline uint64_t word_at(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

WITH_INSTRUCTION static uint32_t by_instruction(uint32_t crc, const uint8_t *at, size_t count) {
    for (; count >= 8; at += 8, count -= 8) crc = STEP64(crc, word_at(at));
    while (count--) crc = STEP8(crc, *at++);
    return crc;
}

// The instruction has a latency of three cycles and a throughput of one, so three lanes of `lane`
// bytes run side by side. Then the first two are moved to where the third ends: multiplied by
// x^(16 lane) and x^(8 lane). A product of two reflected words is one bit short, and the
// instruction that reduces it multiplies by x^32: hence the constants x^(16 lane - 33) and
// x^(8 lane - 33), modulo the polynomial.
#define LANES(lane, two, one)                                                            \
    while (count >= 3 * (lane)) {                                                        \
        uint32_t a = crc, b = 0, c = 0;                                                  \
        const uint8_t *end = at + (lane);                                                \
        for (; at < end; at += 8) {                                                      \
            a = STEP64(a, word_at(at));                                                  \
            b = STEP64(b, word_at(at + (lane)));                                         \
            c = STEP64(c, word_at(at + 2 * (lane)));                                     \
        }                                                                                \
        crc = STEP64(0, product(a, two) ^ product(b, one)) ^ c;                          \
        at += 2 * (lane);                                                                \
        count -= 3 * (lane);                                                             \
    }

WITH_PRODUCT static uint32_t by_three_lanes(uint32_t crc, const uint8_t *at, size_t count) {
    LANES(2048, 0x82f89c77u, 0xa51b6135u)
    LANES(256, 0xdd7e3b0cu, 0xb9e02b86u)
    LANES(32, 0x9e4addf8u, 0xba4fc28eu)
    return by_instruction(crc, at, count);
}

#endif

__attribute__((constructor)) static void choose(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
        table[0][byte] = value;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++)
            table[k][byte] = table[k - 1][byte] >> 8 ^ table[0][table[k - 1][byte] & 255];
    best = probe();
}

enum cchecksum_way cchecksum_best_way(void) { return best; }

uint32_t cchecksum_crc32c_by(
    enum cchecksum_way way, uint32_t crc, const void *bytes, size_t count) {
    if (way > best) way = best;
#ifndef NO_INSTRUCTION
    if (way == CCHECKSUM_THREE_LANES) return ~by_three_lanes(~crc, bytes, count);
    if (way == CCHECKSUM_INSTRUCTION) return ~by_instruction(~crc, bytes, count);
#endif
    return ~by_table(~crc, bytes, count);
}

uint32_t cchecksum_crc32c(uint32_t crc, const void *bytes, size_t count) {
    return cchecksum_crc32c_by(best, crc, bytes, count);
}
