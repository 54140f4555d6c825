/* ARM with products of bytes: Apple silicon, Graviton 2 and later. */
#include "cpu.h"
#if defined(NBMF_ARM)
#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__clang__)
#define DOT_PRODUCTS "dotprod"
#else
#define DOT_PRODUCTS "arch=armv8.2-a+dotprod"
#endif
#define PATH neon_dot
#define PATH_NEON_DOT
static int runs_here(void) { return has_dot_products(); }
COMPILE_FOR(DOT_PRODUCTS)
#include "path.h"
AS_BEFORE
#endif
