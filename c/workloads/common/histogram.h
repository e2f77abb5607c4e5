/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of durations with a fixed relative error.
 *
 * Between each power of two and the next lie 64 buckets of equal width. A
 * bucket is therefore never wider than 1/64 of the values in it, and its middle
 * is at most 0.8 % away from any of them. Values below 128 have a bucket each.
 *
 * Recording is a shift, an add and no division: cheap enough for a million
 * times per second. Two histograms are merged by adding; averaging percentiles
 * would be wrong.
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_OCTAVE_BITS	6
#define HISTOGRAM_OCTAVE	(1u << HISTOGRAM_OCTAVE_BITS)
#define HISTOGRAM_BUCKETS	((64 - HISTOGRAM_OCTAVE_BITS + 1) * HISTOGRAM_OCTAVE)

struct histogram {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t min_ns;	/* meaningless while count is 0 */
	uint64_t max_ns;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/*
 * The top seven bits of the value name the bucket: the first of them is always
 * 1 and gives the octave by its place, the other six give the bucket within it.
 */
static inline unsigned int histogram_index(uint64_t ns)
{
	unsigned int shift;

	if (ns < 2 * HISTOGRAM_OCTAVE)
		return ns;
	shift = 63 - __builtin_clzll(ns) - HISTOGRAM_OCTAVE_BITS;
	return shift * HISTOGRAM_OCTAVE + (unsigned int)(ns >> shift);
}

/* The smallest value that falls into this bucket. */
static inline uint64_t histogram_low_ns(unsigned int index)
{
	unsigned int shift;

	if (index < 2 * HISTOGRAM_OCTAVE)
		return index;
	shift = index / HISTOGRAM_OCTAVE - 1;
	return (uint64_t)(HISTOGRAM_OCTAVE + index % HISTOGRAM_OCTAVE) << shift;
}

static inline void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->buckets[histogram_index(ns)]++;
	histogram->sum_ns += ns;
	if (histogram->count++ == 0 || ns < histogram->min_ns)
		histogram->min_ns = ns;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
}

static inline void histogram_merge(struct histogram *into, const struct histogram *from)
{
	if (from->count == 0)
		return;
	if (into->count == 0 || from->min_ns < into->min_ns)
		into->min_ns = from->min_ns;
	if (from->max_ns > into->max_ns)
		into->max_ns = from->max_ns;
	into->count += from->count;
	into->sum_ns += from->sum_ns;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

#endif
