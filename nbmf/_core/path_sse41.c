/* x86-64 with SSE4.1: Penryn and later. */
#include "cpu.h"
#if defined(NBMF_X86)
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define PATH sse41
#define PATH_SSE41
static int runs_here(void) { return (cpu_kinds() & CPU_SSE41) != 0; }
COMPILE_FOR("sse4.1")
#include "path.h"
AS_BEFORE
#endif
