#define _GNU_SOURCE
#include "allocation_counter.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

// The program's own malloc family takes the place of glibc's for everything in the process
// (malloc(3), "Replacing malloc" of the glibc manual), counts if this thread asked, and hands on
// to glibc.

static __thread bool armed;
static __thread struct allocation_counts counts;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *pointer);

#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)

static inline void allocated(void) {
    if (armed) counts.allocations++;
}

void *malloc(size_t size) {
    allocated();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    allocated();
    return __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size) {
    allocated();
    return __libc_realloc(pointer, size);
}

void *memalign(size_t alignment, size_t size) {
    allocated();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    allocated();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **pointer, size_t alignment, size_t size) {
    allocated();
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0)
        return EINVAL;
    void *memory = __libc_memalign(alignment, size);
    if (memory == NULL) return ENOMEM;
    *pointer = memory;
    return 0;
}

void free(void *pointer) {
    if (armed && pointer != NULL) counts.frees++;
    __libc_free(pointer);
}

#endif

// What compiled Swift calls to count a reference, taken the place of in the same way. Compilers
// may expect these two to keep all registers, so they do. Weak: a program with the runtime
// linked in keeps that one, and counts nothing.

#define PRESERVING __attribute__((preserve_most, weak, visibility("default")))

typedef void *(*retain_function)(void *);
typedef void (*release_function)(void *);

static retain_function next_retain;
static release_function next_release;

__attribute__((constructor)) static void find_next(void) {
    next_retain = (retain_function)dlsym(RTLD_NEXT, "swift_retain");
    next_release = (release_function)dlsym(RTLD_NEXT, "swift_release");
}

PRESERVING void *swift_retain(void *object);
PRESERVING void swift_release(void *object);

PRESERVING void *swift_retain(void *object) {
    if (armed) counts.retains++;
    if (next_retain == NULL) find_next();
    return next_retain(object);
}

PRESERVING void swift_release(void *object) {
    if (armed) counts.releases++;
    if (next_release == NULL) find_next();
    next_release(object);
}

bool allocation_counter_counts_references(void) {
    return next_retain != NULL && next_release != NULL;
}

// Swift Testing asks the runtime to be told of every error thrown, to know where from. For a
// typed one the runtime then makes a box, which it does in no program that does not ask. So the
// question is withdrawn; all that is lost is where an error of a failed test came from.
static void forget_thrown_errors(void) {
    void **typed = dlsym(RTLD_DEFAULT, "_swift_willThrowTypedImpl");
    void **untyped = dlsym(RTLD_DEFAULT, "_swift_willThrow");
    if (typed != NULL) __atomic_store_n(typed, NULL, __ATOMIC_SEQ_CST);
    if (untyped != NULL) __atomic_store_n(untyped, NULL, __ATOMIC_SEQ_CST);
}

void allocation_counter_start(void) {
    forget_thrown_errors();
    counts = (struct allocation_counts){0};
    armed = true;
}

struct allocation_counts allocation_counter_stop(void) {
    armed = false;
    return counts;
}
