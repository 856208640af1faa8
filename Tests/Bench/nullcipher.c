// Stands in for libIPSec_MB.so.1 in one benchmark: packets are copied, not protected. What the
// gateway carries with it is what the same loop could carry if ciphers cost nothing.
//
// Not part of the product: slice-gateway opens the library by name, and the benchmark alone puts
// this one in its way (LD_LIBRARY_PATH). Tags are zeros, on both ends.
#include <intel-ipsec-mb.h>
#include <stdlib.h>
#include <string.h>

static IMB_JOB *next_job(IMB_MGR *manager) { return &manager->jobs[0]; }

static IMB_JOB *submit(IMB_MGR *manager) {
    IMB_JOB *job = &manager->jobs[0];
    if (job->dst != job->src) memcpy(job->dst, job->src, job->msg_len_to_cipher_in_bytes);
    memset(job->auth_tag_output, 0, 16);
    return job;
}

static IMB_JOB *flush(IMB_MGR *manager) {
    (void)manager;
    return NULL;
}

static void expand(const void *key, struct gcm_key_data *expanded) { (void)key, (void)expanded; }

static void copy(const struct gcm_key_data *key, struct gcm_context_data *context, uint8_t *out,
                 const uint8_t *in, uint64_t count, const uint8_t *iv, const uint8_t *aad,
                 uint64_t aad_count, uint8_t *tag, uint64_t tag_count) {
    (void)key, (void)context, (void)iv, (void)aad, (void)aad_count;
    if (out != in) memcpy(out, in, count);
    memset(tag, 0, tag_count);
}

IMB_MGR *alloc_mb_mgr(uint64_t flags) {
    (void)flags;
    return calloc(1, sizeof(IMB_MGR));
}

void free_mb_mgr(IMB_MGR *manager) { free(manager); }

unsigned imb_get_version(void) { return IMB_VERSION_NUM; }

void init_mb_mgr_auto(IMB_MGR *manager, IMB_ARCH *architecture) {
    manager->get_next_job = next_job;
    manager->submit_job_nocheck = submit;
    manager->flush_job = flush;
    manager->gcm256_pre = expand;
    manager->gcm256_enc = copy;
    manager->gcm256_dec = copy;
    if (architecture) *architecture = IMB_ARCH_AVX512;
}
