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
static inline int has_avxvnni(void) {
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
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
