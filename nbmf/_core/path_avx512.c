/* x86-64 with AVX-512 VNNI: Ice Lake, Zen 4 and later. */
#include "cpu.h"
#if defined(NBMF_X86)
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define PATH avx512
#define PATH_AVX512
static int runs_here(void) { return (cpu_kinds() & CPU_AVX512VNNI) != 0; }
COMPILE_FOR("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#include "path.h"
AS_BEFORE
#endif
