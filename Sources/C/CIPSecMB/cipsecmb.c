#include "cipsecmb.h"

#if defined(__x86_64__) && __has_include(<intel-ipsec-mb.h>)
#define HAS_LIBRARY 1
#endif

#ifdef HAS_LIBRARY

#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

// The functions that are symbols. All others are members of IMB_MGR, whose shape is that of the
// header: so only the header's own version is taken.
static struct {
    IMB_MGR *(*new_manager)(uint64_t);
    void (*free_manager)(IMB_MGR *);
    void (*init_manager)(IMB_MGR *, IMB_ARCH *);
    unsigned (*version)(void);
} library;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int available;
static char description[160];

static void *symbol(void *handle, const char *name) {
    void *found = dlsym(handle, name);
    if (!found) snprintf(description, sizeof description, "%s is missing in libIPSec_MB", name);
    return found;
}

static void load(void) {
    void *handle = dlopen("libIPSec_MB.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        snprintf(description, sizeof description, "%s", dlerror());
        return;
    }
    *(void **)&library.new_manager = symbol(handle, "alloc_mb_mgr");
    *(void **)&library.free_manager = symbol(handle, "free_mb_mgr");
    *(void **)&library.init_manager = symbol(handle, "init_mb_mgr_auto");
    *(void **)&library.version = symbol(handle, "imb_get_version");
    if (!library.new_manager || !library.free_manager || !library.init_manager || !library.version)
        return;
    unsigned version = library.version();
    if (version >> 8 != IMB_VERSION_NUM >> 8) {
        snprintf(description, sizeof description,
                 "libIPSec_MB is %u.%u, and this program was built for %u.%u", version >> 16 & 255,
                 version >> 8 & 255, IMB_VERSION_NUM >> 16 & 255, IMB_VERSION_NUM >> 8 & 255);
        return;
    }
    // Below AVX2 it is no faster than libsodium, and its AES may be without instructions.
    available = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("aes") &&
                __builtin_cpu_supports("pclmul");
    if (available)
        snprintf(description, sizeof description, "IPsec-MB %u.%u.%u%s", version >> 16 & 255,
                 version >> 8 & 255, version & 255,
                 __builtin_cpu_supports("avx512f") ? " with AVX-512" : " with AVX2");
    else
        snprintf(description, sizeof description, "this CPU has no AVX2 for libIPSec_MB");
}

int cipsecmb_available(void) {
    pthread_once(&once, load);
    return available;
}

const char *cipsecmb_description(void) {
    pthread_once(&once, load);
    return description;
}

cipsecmb *cipsecmb_new(void) {
    if (!cipsecmb_available()) return NULL;
    IMB_MGR *manager = library.new_manager(0);
    IMB_ARCH architecture;
    if (manager) library.init_manager(manager, &architecture);
    if (manager && manager->imb_errno != 0) {
        library.free_manager(manager);
        manager = NULL;
    }
    return (cipsecmb *)manager;
}

void cipsecmb_free(cipsecmb *manager) {
    if (manager) library.free_manager((IMB_MGR *)manager);
}

// Not by memcmp: how long it takes must not tell how much of a forged tag was right.
static inline int is_same(const uint8_t *a, const uint8_t *b) {
    uint64_t x[2], y[2];
    memcpy(x, a, 16);
    memcpy(y, b, 16);
    uint64_t differing = (x[0] ^ y[0]) | (x[1] ^ y[1]);
    __asm__("" : "+r"(differing));
    return differing == 0;
}

static inline void chacha(IMB_MGR *manager, int is_seal, const void *key, const void *nonce,
                          const void *from, size_t count, void *into, void *tag) {
    IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
    job->cipher_direction = is_seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
    job->chain_order = is_seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job->enc_keys = key;
    job->dec_keys = key;
    job->key_len_in_bytes = 32;
    job->u.CHACHA20_POLY1305.aad = NULL;
    job->u.CHACHA20_POLY1305.aad_len_in_bytes = 0;
    job->src = from;
    job->dst = into;
    job->cipher_start_src_offset_in_bytes = 0;
    job->msg_len_to_cipher_in_bytes = count;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = count;
    job->iv = nonce;
    job->iv_len_in_bytes = 12;
    job->auth_tag_output = tag;
    job->auth_tag_output_len_in_bytes = 16;
    // It is done at once, as of 1.3; should one be kept back, it is done here.
    if (!IMB_SUBMIT_JOB_NOCHECK(manager))
        while (IMB_FLUSH_JOB(manager)) {}
}

void cipsecmb_chacha_seal(cipsecmb *manager, const void *key, const void *nonce, const void *from,
                          size_t count, void *into) {
    chacha((IMB_MGR *)manager, 1, key, nonce, from, count, into, (uint8_t *)into + count);
}

int cipsecmb_chacha_open(cipsecmb *manager, const void *key, const void *nonce, const void *from,
                         size_t count, void *into) {
    uint8_t tag[16];
    chacha((IMB_MGR *)manager, 0, key, nonce, from, count, into, tag);
    if (is_same(tag, (const uint8_t *)from + count)) return 1;
    memset(into, 0, count);
    return 0;
}

size_t cipsecmb_aes_key_size(void) { return sizeof(struct gcm_key_data); }

void cipsecmb_aes_expand(cipsecmb *manager, const void *key, void *expanded) {
    IMB_AES256_GCM_PRE((IMB_MGR *)manager, key, expanded);
}

void cipsecmb_aes_seal(cipsecmb *manager, const void *expanded, const void *nonce,
                       const void *from, size_t count, void *into) {
    struct gcm_context_data context;
    IMB_AES256_GCM_ENC((IMB_MGR *)manager, expanded, &context, into, from, count, nonce, NULL, 0,
                       (uint8_t *)into + count, 16);
}

int cipsecmb_aes_open(cipsecmb *manager, const void *expanded, const void *nonce, const void *from,
                      size_t count, void *into) {
    struct gcm_context_data context;
    uint8_t tag[16];
    IMB_AES256_GCM_DEC((IMB_MGR *)manager, expanded, &context, into, from, count, nonce, NULL, 0,
                       tag, 16);
    if (is_same(tag, (const uint8_t *)from + count)) return 1;
    memset(into, 0, count);
    return 0;
}

#else

int cipsecmb_available(void) { return 0; }
const char *cipsecmb_description(void) { return "this program was built without IPsec-MB"; }
cipsecmb *cipsecmb_new(void) { return NULL; }
void cipsecmb_free(cipsecmb *manager) { (void)manager; }
void cipsecmb_chacha_seal(cipsecmb *manager, const void *key, const void *nonce, const void *from,
                          size_t count, void *into) {
    (void)manager, (void)key, (void)nonce, (void)from, (void)count, (void)into;
}
int cipsecmb_chacha_open(cipsecmb *manager, const void *key, const void *nonce, const void *from,
                         size_t count, void *into) {
    (void)manager, (void)key, (void)nonce, (void)from, (void)count, (void)into;
    return 0;
}
size_t cipsecmb_aes_key_size(void) { return 0; }
void cipsecmb_aes_expand(cipsecmb *manager, const void *key, void *expanded) {
    (void)manager, (void)key, (void)expanded;
}
void cipsecmb_aes_seal(cipsecmb *manager, const void *expanded, const void *nonce,
                       const void *from, size_t count, void *into) {
    (void)manager, (void)expanded, (void)nonce, (void)from, (void)count, (void)into;
}
int cipsecmb_aes_open(cipsecmb *manager, const void *expanded, const void *nonce, const void *from,
                      size_t count, void *into) {
    (void)manager, (void)expanded, (void)nonce, (void)from, (void)count, (void)into;
    return 0;
}

#endif
