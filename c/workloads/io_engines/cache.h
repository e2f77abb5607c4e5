/* SPDX-License-Identifier: Apache-2.0 */
/* What of the data file is in the page cache: emptied, filled, and looked at. */
#ifndef CACHE_H
#define CACHE_H

#include <stdint.h>

/* Takes the pages of this file, and of no other, out of the page cache; ends the program if some stay. */
void drop_cache(void);
void warm_cache(void);
int64_t count_resident_pages(void);	/* -1: the kernel does not say */

#endif
