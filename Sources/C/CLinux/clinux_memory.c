#define _GNU_SOURCE
#include "clinux_memory.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { max_ranges = 16 };

static int release(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size;
    (void)unused;
    struct {
        uintptr_t start, end;
    } ranges[max_ranges];
    int count = 0;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < info->dlpi_phnum && count < max_ranges; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        // Writable segments hold relocated pointers: those pages exist nowhere else.
        if (p->p_type != PT_LOAD || (p->p_flags & PF_W)) continue;
        ranges[count].start = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
        ranges[count].end = (info->dlpi_addr + p->p_vaddr + p->p_memsz + page - 1) & ~(page - 1);
        count++;
    }
    // Apart from the reading: the program headers are themselves in the first of these pages.
    // Best effort: the vdso and locked memory refuse.
    for (int i = 0; i < count; i++)
        (void)madvise((void *)ranges[i].start, ranges[i].end - ranges[i].start, MADV_DONTNEED);
    return 0;
}

void clinux_release_program_pages(void) { dl_iterate_phdr(release, NULL); }

void clinux_release_pages(void *base, size_t count) {
    (void)madvise(base, count, MADV_DONTNEED);
}

void clinux_release_free_memory(void) { (void)malloc_trim(0); }
