/* SPDX-License-Identifier: Apache-2.0 */
/* The data file, whose descriptor is in engine.h, and what of it is in the page cache. */
#ifndef FILE_H
#define FILE_H

#include <stdint.h>

extern int64_t file_bytes_wanted;	/* what --file-bytes would be if there were room */
extern int64_t resident_pages;		/* of the file in the page cache before the run; -1: nobody can say */

/* Makes the data file, or opens the one that --file names. */
void open_file(void);

/* Brings it into the state that --cache asks for. The buffers must be there. */
void prepare_file(void);

/* What O_DIRECT asks of offsets and sizes, and of addresses in memory; 1 if --cache is not direct. */
struct alignment {
	int64_t file_bytes, memory_bytes;
};

struct alignment direct_alignment(void);

/* Takes the pages of this file, and of no other, out of the page cache; ends the program if some stay (cache.c). */
void drop_cache(void);
void warm_cache(void);
int64_t count_resident_pages(void);	/* -1: the kernel does not say */

const char *file_system_name(void);

#endif
