// What Swift cannot import from Linux headers: ioctl requests, cmsg macros and variadic calls.
// Each shim does one call and is prefixed with clinux_.
#pragma once
#include <stdint.h>
#include <stddef.h>
