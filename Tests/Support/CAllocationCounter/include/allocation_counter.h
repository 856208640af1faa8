#pragma once
#include <stdbool.h>
#include <stdint.h>

// Counts what one thread does between start and stop. Other threads count nothing.
struct allocation_counts {
    // malloc, calloc, realloc, memalign and their kin.
    uint64_t allocations;
    uint64_t frees;
    // Of Swift objects. Zero too if `counts_references` is false.
    uint64_t retains;
    uint64_t releases;
};

void allocation_counter_start(void);
struct allocation_counts allocation_counter_stop(void);

// Whether this runtime lets retains and releases be counted.
bool allocation_counter_counts_references(void);
