/* x86-64 with AVX2: Haswell, Zen and later. */
#include "cpu.h"
#if defined(NBMF_X86)
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define PATH avx2
#define PATH_AVX2
static int runs_here(void) { return (cpu_kinds() & CPU_AVX2) != 0; }
COMPILE_FOR("avx2")
#include "path.h"
AS_BEFORE
#endif
