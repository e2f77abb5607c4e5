/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command-line options from one table: names, units, defaults and allowed
 * values, used for parsing, for checking and for --help alike. Also die() and
 * unable(), the two ways for a workload to give up.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_kind { KIND_END, KIND_INTEGER, KIND_BYTES, KIND_REAL, KIND_FLAG, KIND_TEXT, KIND_CHOICE };

struct option_row {
	enum option_kind kind;
	const char *name;
	void *value;			/* holds the default until the option is read */
	double low, high;
	const char *unit;
	const char *help;
	const char *const *choices;	/* ends with NULL */
};

/* value is an int64_t * */
#define OPTION_INTEGER(name, value, low, high, unit, help) { KIND_INTEGER, name, value, low, high, unit, help, NULL }
/* value is an int64_t *; "4096", "4k" and "4KiB" are the same */
#define OPTION_BYTES(name, value, low, high, help) { KIND_BYTES, name, value, low, high, "bytes", help, NULL }
/* value is a double * */
#define OPTION_REAL(name, value, low, high, unit, help) { KIND_REAL, name, value, low, high, unit, help, NULL }
/* value is a bool * */
#define OPTION_FLAG(name, value, help) { KIND_FLAG, name, value, 0, 0, NULL, help, NULL }
/* value is a const char ** */
#define OPTION_TEXT(name, value, unit, help) { KIND_TEXT, name, value, 0, 0, unit, help, NULL }
/* value is an int *: the index of the choice */
#define OPTION_CHOICE(name, value, choices, help) { KIND_CHOICE, name, value, 0, 0, NULL, help, choices }
#define OPTIONS_END { KIND_END, NULL, NULL, 0, 0, NULL, NULL, NULL }

#ifdef __cplusplus
extern "C" {
#endif

/* The options that every workload has. */
extern int64_t option_cpu;
extern bool option_go;

/* Says what failed (a format, with its arguments at the end), then how to fix it. Ends the program with status 1. */
__attribute__((format(printf, 1, 3), noreturn))
void die(const char *what, const char *fix, ...);

/* Says on one line why this machine cannot do it, and what would help: status 77. */
__attribute__((format(printf, 1, 2), noreturn))
void unable(const char *reason, ...);
void options_parse(int argc, char **argv, const char *about, const struct option_row *rows);

#ifdef __cplusplus
}
#endif

#endif
