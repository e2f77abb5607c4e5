/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CRC32_H
#define CRC32_H

#include <stdint.h>

/* The CRC-32 of zip and zlib, bit by bit: slow and short. */
static inline uint32_t crc32(const char *bytes, uint64_t count)
{
	uint32_t crc = ~0u;

	for (uint64_t i = 0; i < count; i++) {
		crc ^= (unsigned char)bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

#endif
