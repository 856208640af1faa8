// Resident memory: of the program's own files, and of what was freed.
#pragma once
#include <stddef.h>

// Lets go of the pages of code and constants that were mapped in while starting. They are clean
// pages of files: what is still used comes back from the page cache at the next touch.
void clinux_release_program_pages(void);

// Gives pages back to the kernel in which nothing is left of what was allocated.
void clinux_release_free_memory(void);

// Gives back pages of memory that is mapped but in no file; they read as zeros until written again.
// `base` is at the start of a page, and the last page goes whole.
void clinux_release_pages(void *base, size_t count);
