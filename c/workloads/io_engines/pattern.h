/* SPDX-License-Identifier: Apache-2.0 */
/* The content of the data file: a pattern that can be checked, word by word. */
#ifndef PATTERN_H
#define PATTERN_H

#include <stdbool.h>
#include <stdint.h>

/* Every 64-bit word of the file is made from the seed and its place: a block read from elsewhere cannot pass. */
static inline uint64_t pattern_word(uint64_t seed, uint64_t index)
{
	uint64_t word = index + seed * 0x9e3779b97f4a7c15ull;

	word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ull;
	word = (word ^ (word >> 27)) * 0x94d049bb133111ebull;
	return word ^ (word >> 31);
}

static inline void pattern_fill(char *buffer, uint64_t seed, uint64_t offset, uint64_t bytes)
{
	uint64_t *words = (uint64_t *)buffer;

	for (uint64_t i = 0; i < bytes / 8; i++)
		words[i] = pattern_word(seed, offset / 8 + i);
}

static inline bool pattern_holds(const char *buffer, uint64_t seed, uint64_t offset, uint64_t bytes)
{
	const uint64_t *words = (const uint64_t *)buffer;

	for (uint64_t i = 0; i < bytes / 8; i++) {
		if (words[i] != pattern_word(seed, offset / 8 + i))
			return false;
	}
	return true;
}

/* The sum of all words: it can be computed in any order. */
static inline uint64_t checksum(const char *buffer, uint64_t bytes)
{
	const uint64_t *words = (const uint64_t *)buffer;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < bytes / 8; i++)
		sum += words[i];
	return sum;
}

#endif
