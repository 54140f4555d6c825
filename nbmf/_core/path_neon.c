/* ARM, 64 bits. */
#include "cpu.h"
#if defined(NBMF_ARM)
#define PATH neon
#define PATH_NEON
static int runs_here(void) { return 1; }
#include "path.h"
#endif
