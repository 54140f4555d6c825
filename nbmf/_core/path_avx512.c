/* x86-64 with AVX-512 VNNI: Ice Lake, Zen 4 and later. */
#include "cpu.h"
#if defined(NBMF_X86)
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define PATH avx512
#define PATH_AVX512
static int runs_here(void) { return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni"); }
COMPILE_FOR("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#include "path.h"
AS_BEFORE
#endif
