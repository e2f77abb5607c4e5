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

#ifdef __cplusplus
extern "C" {
#endif

void json_open(const char *key, char bracket);
void json_close(char bracket);
void json_integer(const char *key, int64_t value);
void json_unsigned(const char *key, uint64_t value);
void json_real(const char *key, double value);
void json_bool(const char *key, bool value);
void json_text(const char *key, const char *text);

/* {"buckets": [[low_ns, count], ...], "count": N, "sum_ns": S, "min_ns": A, "max_ns": B}; empty buckets are left out. */
void json_histogram(const char *key, const struct histogram *histogram);

#ifdef __cplusplus
}
#endif

#endif
