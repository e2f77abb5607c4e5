/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes one JSON object on one line of stdout: what a workload found out.
 *
 *	json_open(NULL, '{');
 *	json_integer("runs", 23);
 *	json_open("child_pids", '[');
 *	json_integer(NULL, 4711);
 *	json_close(']');
 *	json_close('}');
 *
 * The key is NULL inside an array and for the outermost object.
 */
#ifndef JSON_H
#define JSON_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "histogram.h"

static bool json_needs_comma;

static inline void json_text_raw(const char *text)
{
	putchar('"');
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			printf("\\%c", *c);
		else if (*c < 0x20 || *c > 0x7e)
			printf("\\u%04x", *c);
		else
			putchar(*c);
	}
	putchar('"');
}

static inline void json_key(const char *key)
{
	if (json_needs_comma)
		printf(", ");
	json_needs_comma = true;
	if (key) {
		json_text_raw(key);
		printf(": ");
	}
}

static inline void json_open(const char *key, char bracket)
{
	json_key(key);
	putchar(bracket);
	json_needs_comma = false;
}

static inline void json_close(char bracket)
{
	putchar(bracket);
	json_needs_comma = true;
}

static inline void json_integer(const char *key, int64_t value)
{
	json_key(key);
	printf("%" PRId64, value);
}

static inline void json_unsigned(const char *key, uint64_t value)
{
	json_key(key);
	printf("%" PRIu64, value);
}

static inline void json_real(const char *key, double value)
{
	json_key(key);
	printf("%.9g", value);
}

static inline void json_bool(const char *key, bool value)
{
	json_key(key);
	fputs(value ? "true" : "false", stdout);
}

static inline void json_text(const char *key, const char *text)
{
	json_key(key);
	json_text_raw(text);
}

/* {"buckets": [[low_ns, count], ...], "count": N, "sum_ns": S, "min_ns": A, "max_ns": B}; empty buckets are left out. */
static inline void json_histogram(const char *key, const struct histogram *histogram)
{
	json_open(key, '{');
	json_open("buckets", '[');
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (histogram->buckets[i] == 0)
			continue;
		json_open(NULL, '[');
		json_integer(NULL, (int64_t)histogram_low_ns(i));
		json_integer(NULL, (int64_t)histogram->buckets[i]);
		json_close(']');
	}
	json_close(']');
	json_integer("count", (int64_t)histogram->count);
	json_integer("sum_ns", (int64_t)histogram->sum_ns);
	json_integer("min_ns", (int64_t)(histogram->count ? histogram->min_ns : 0));
	json_integer("max_ns", (int64_t)histogram->max_ns);
	json_close('}');
}

#endif
