/* Any processor: C without instructions of a kind. */
#define PATH plain
static int runs_here(void) { return 1; }
#include "path.h"
