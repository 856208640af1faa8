// Intel's IPsec-MB (Debian libipsec-mb) behind few calls: AEADs that use the widest instructions
// the CPU has, several times faster than what works everywhere.
//
// The library is loaded when it is first asked for, and nothing needs it: a host without it, or a
// build without its header, or another architecture, has `cipsecmb_available() == 0`.
#ifndef CIPSECMB_H
#define CIPSECMB_H

#include <stddef.h>
#include <stdint.h>

// Whether the library is there and can be used. Loads it at the first call; from any thread.
int cipsecmb_available(void);

// The version that was loaded, or why there is none. Never NULL.
const char *cipsecmb_description(void);

// What one thread needs to seal and open: a queue of jobs, about 200 KB. NULL if not available.
typedef struct cipsecmb cipsecmb;
cipsecmb *cipsecmb_new(void);
void cipsecmb_free(cipsecmb *manager);

// ChaCha20-Poly1305 (RFC 8439) without associated data. `nonce` is 12 bytes. `into` may be
// exactly `from`. `count` is not 0, and less than 64 KiB. Seal writes `count + 16` bytes.
void cipsecmb_chacha_seal(cipsecmb *manager, const void *key, const void *nonce, const void *from,
                          size_t count, void *into);
// Opens `count` bytes and the 16 of the tag after them. 1 if authentic, else 0 and zeros.
int cipsecmb_chacha_open(cipsecmb *manager, const void *key, const void *nonce, const void *from,
                         size_t count, void *into);

// AES-256-GCM (NIST SP 800-38D) in the same way. The key is expanded once, into so many bytes at
// an address that 64 divides.
size_t cipsecmb_aes_key_size(void);
void cipsecmb_aes_expand(cipsecmb *manager, const void *key, void *expanded);
void cipsecmb_aes_seal(cipsecmb *manager, const void *expanded, const void *nonce,
                       const void *from, size_t count, void *into);
int cipsecmb_aes_open(cipsecmb *manager, const void *expanded, const void *nonce, const void *from,
                      size_t count, void *into);

#endif
