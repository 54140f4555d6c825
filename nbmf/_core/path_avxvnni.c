/* x86-64 with AVX-VNNI: Alder Lake and later. */
#include "cpu.h"
#if defined(NBMF_X86)
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define PATH avxvnni
#define PATH_AVXVNNI
static int runs_here(void) { return (cpu_kinds() & CPU_AVXVNNI) != 0; }
COMPILE_FOR("avx2,avxvnni")
#include "path.h"
AS_BEFORE
#endif
