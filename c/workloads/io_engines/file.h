/* SPDX-License-Identifier: Apache-2.0 */
/* The data file, whose descriptor is in engine.h. */
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

#endif
