/* What the processor has, and how a file is compiled for a kind of it. */
#ifndef NBMF_CPU_H
#define NBMF_CPU_H

#include "core.h"

#if defined(__x86_64__) || defined(_M_X64)
#define NBMF_X86 1
#elif defined(__aarch64__) || defined(_M_ARM64)
#define NBMF_ARM 1
#endif

#if defined(NBMF_X86)
#include <cpuid.h>
#include <immintrin.h>
enum { CPU_SSE41 = 1, CPU_AVX2 = 2, CPU_AVXVNNI = 4, CPU_AVX512VNNI = 8 };

/* What both the processor and the system know. Asked here, as __builtin_cpu_supports says no to everything where the
 * compiler's own library is without the function that prepares it (zig's, in a shared library). */
static inline int cpu_kinds(void) {
    const unsigned avx512_f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    unsigned a, b, c, d, kept, kept_high;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    int kinds = c >> 19 & 1 ? CPU_SSE41 : 0;
    if (!(c >> 27 & 1) || !(c >> 28 & 1)) return kinds;
    __asm__ volatile("xgetbv" : "=a"(kept), "=d"(kept_high) : "c"(0)); /* registers that the system keeps */
    if ((kept & 0x06) != 0x06 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return kinds;
    if (b >> 5 & 1) kinds |= CPU_AVX2;
    if ((kept & 0xE6) == 0xE6 && (b & avx512_f_dq_bw_vl) == avx512_f_dq_bw_vl && c >> 11 & 1) kinds |= CPU_AVX512VNNI;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 4 & 1 && kinds & CPU_AVX2) kinds |= CPU_AVXVNNI;
    return kinds;
}
#elif defined(NBMF_ARM)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
static inline int has_dot_products(void) { return getauxval(AT_HWCAP) >> 20 & 1; }
#elif defined(__APPLE__)
static inline int has_dot_products(void) { return 1; }
#else
static inline int has_dot_products(void) { return 0; }
#endif
#endif

#if defined(__clang__)
#define PRAGMA(text) _Pragma(#text)
#define COMPILE_FOR(target_text) \
    PRAGMA(clang attribute push(__attribute__((target(target_text))), apply_to = function))
#define AS_BEFORE _Pragma("clang attribute pop")
#else
#define PRAGMA(text) _Pragma(#text)
#define COMPILE_FOR(target_text) PRAGMA(GCC push_options) PRAGMA(GCC target(target_text))
#define AS_BEFORE _Pragma("GCC pop_options")
#endif

#endif
