// SPDX-License-Identifier: Apache-2.0
/* What to do about an I/O that failed. Apart from the loop: what is never called is not in its way. */
#include "loop.h"

void fail_io(const struct slot *slot, int result)
{
	die("%s of %" PRId64 " bytes at %" PRIu64 ": %s",
	    result == -ENOSPC ? "Free some space, or choose another --folder." :
	    result == -EINVAL ? "With O_DIRECT, --block-bytes must be a multiple of the device's sector." :
	    result >= 0 ? "The file was cut short: let nobody else use the data folder, and run it again." :
	    result == -EOPNOTSUPP ? "Use --durable end: the file system may have no RWF_DSYNC." :
	    "Look at `dmesg`. Nothing of this run counts.",
	    set.operation == READ ? "read" : "write", set.block_bytes, slot->offset_bytes,
	    result < 0 ? strerror(-result) : "only a part was moved");
}
