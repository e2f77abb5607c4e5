// SPDX-License-Identifier: Apache-2.0
/* What to do about an I/O that ends early or fails. Apart from the loop: what is hardly called is not in its way. */
#include "engine.h"
#include "file_system.h"

#define MOST_TRIES 1000

uint64_t repeats;

bool ask_again(int error, uint32_t *tries)
{
	return (error == EINTR || error == EAGAIN) && ++*tries < MOST_TRIES;
}

ssize_t read_patiently(void *into, size_t bytes)
{
	uint32_t tries = 0;
	ssize_t got;

	do
		got = read(data_file, into, bytes);
	while (got < 0 && ask_again(errno, &tries));
	return got;
}

static const char *fix_of(int error)
{
	switch (error) {
	case 0:
		return "The file was cut short: let nobody else use the data folder, and run it again.";
	case ENOSPC:
		return "Free some space, or choose another --folder.";
	case EINVAL:
		return "With O_DIRECT, --block-bytes must be a multiple of the device's sector.";
	case EOPNOTSUPP:
		return "Use --durable end: the file system may have no RWF_DSYNC.";
	case EINTR:
	case EAGAIN:
		return "The file system never does it: choose a --folder or --file on another one.";
	default:
		return "Look at `dmesg`, or choose a --folder or --file on another file system. Nothing of this run counts.";
	}
}

void fail_at(uint64_t offset_bytes, int result)
{
	int error = -result;

	die("%s of %" PRId64 " bytes of %s%s (%s) at %" PRIu64 ": %s%s", fix_of(error),
	    set.operation == READ ? "read" : "write", set.block_bytes, set.file ? "" : "the data file in ",
	    set.file ? set.file : set.folder, file_system_name(), offset_bytes,
	    error ? strerror(error) : "the file ends before that",
	    error == EINTR || error == EAGAIN ? ", again and again" : "");
}
