#pragma once
#include <stddef.h>
#include <stdint.h>

// CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum of `count` more bytes behind those
// whose checksum was `crc` (0 for none). The fastest way that this processor has is chosen once,
// at load.
uint32_t cchecksum_crc32c(uint32_t crc, const void *bytes, size_t count);

// The ways there are, for tests and for a word in the log.
enum cchecksum_way {
    CCHECKSUM_TABLE = 0,
    CCHECKSUM_INSTRUCTION = 1,  // SSE4.2 or ARMv8 CRC, one lane
    CCHECKSUM_THREE_LANES = 2,  // the same, three lanes joined by a carry-less product
};
enum cchecksum_way cchecksum_best_way(void);
// As cchecksum_crc32c, in the way asked for, or in the best below it that this processor has.
uint32_t cchecksum_crc32c_by(enum cchecksum_way way, uint32_t crc, const void *bytes, size_t count);
