// SPDX-License-Identifier: Apache-2.0
/* The name of the file system that the data file is on. */
#include <linux/magic.h>
#include <sys/statfs.h>

#include "engine.h"
#include "file_system.h"

const char *file_system_name(void)
{
	static const struct { uint32_t magic; const char *name; } known[] = {
		{ EXT4_SUPER_MAGIC, "ext4" }, { XFS_SUPER_MAGIC, "xfs" }, { BTRFS_SUPER_MAGIC, "btrfs" },
		{ TMPFS_MAGIC, "tmpfs" }, { RAMFS_MAGIC, "ramfs" }, { OVERLAYFS_SUPER_MAGIC, "overlayfs" },
		{ F2FS_SUPER_MAGIC, "f2fs" }, { NFS_SUPER_MAGIC, "nfs" }, { FUSE_SUPER_MAGIC, "fuse" },
		{ V9FS_MAGIC, "9p" }, { 0x2fc12fc1, "zfs" },
	};
	static char number[32];
	struct statfs about;

	if (fstatfs(data_file, &about))
		return "unknown";
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].magic == (uint32_t)about.f_type)
			return known[i].name;
	}
	snprintf(number, sizeof(number), "0x%x", (uint32_t)about.f_type);
	return number;
}
