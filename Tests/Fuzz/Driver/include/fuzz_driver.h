#pragma once
#include <stddef.h>
#include <stdint.h>

// From libFuzzer: runs with these arguments and returns when it is done.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));
