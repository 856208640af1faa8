#define _GNU_SOURCE
#include "clinux_memory.h"

#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static int release(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size;
    (void)unused;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        // Writable segments hold relocated pointers: those pages exist nowhere else.
        if (p->p_type != PT_LOAD || (p->p_flags & PF_W)) continue;
        uintptr_t start = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
        uintptr_t end = (info->dlpi_addr + p->p_vaddr + p->p_memsz + page - 1) & ~(page - 1);
        // Best effort: the vdso and locked memory refuse.
        (void)madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void clinux_release_program_pages(void) { dl_iterate_phdr(release, NULL); }
