/* Which edges of the core were taken: for tests/fuzz, whose build calls this at each. */
#include <stdint.h>

#define EDGES (1 << 16)

uint8_t nbmf_fuzz_edges[EDGES];

__attribute__((no_sanitize("address", "undefined"))) void __sanitizer_cov_trace_pc(void) {
    const uintptr_t at = (uintptr_t)__builtin_return_address(0);
    nbmf_fuzz_edges[(at ^ at >> 16) % EDGES] = 1;
}
