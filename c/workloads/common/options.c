// SPDX-License-Identifier: Apache-2.0
#include <getopt.h>
#include <stdarg.h>

#include "options.h"

int64_t option_cpu = -1;
bool option_go;

static const struct option_row common_options[] = {
	OPTION_INTEGER("cpu", &option_cpu, -1, CPU_SETSIZE - 1, "CPU", "run on this CPU only; -1: on any"),
	OPTION_FLAG("go", &option_go, "start at once, without \"ready\" and \"go\""),
	OPTIONS_END
};

void die(const char *what, const char *fix, ...)
{
	va_list arguments;

	va_start(arguments, fix);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, what, arguments);
	fprintf(stderr, "\n%s\n", fix);
	va_end(arguments);
	exit(1);
}

void unable(const char *reason, ...)
{
	va_list arguments;

	va_start(arguments, reason);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, reason, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(77);
}

static void option_print_allowed(FILE *out, const struct option_row *row)
{
	switch (row->kind) {
	case KIND_INTEGER:
	case KIND_BYTES:
		fprintf(out, "%.0f to %.0f %s", row->low, row->high, row->unit);
		break;
	case KIND_REAL:
		fprintf(out, "%g to %g %s", row->low, row->high, row->unit);
		break;
	case KIND_CHOICE:
		for (int i = 0; row->choices[i]; i++)
			fprintf(out, "%s%s", i ? ", " : "", row->choices[i]);
		break;
	case KIND_TEXT:
		fputs(row->unit, out);
		break;
	case KIND_FLAG:
	case KIND_END:
		break;
	}
}

static void option_print_default(FILE *out, const struct option_row *row)
{
	switch (row->kind) {
	case KIND_INTEGER:
	case KIND_BYTES:
		fprintf(out, "; default %" PRId64, *(const int64_t *)row->value);
		break;
	case KIND_REAL:
		fprintf(out, "; default %g", *(const double *)row->value);
		break;
	case KIND_CHOICE:
		fprintf(out, "; default %s", row->choices[*(const int *)row->value]);
		break;
	case KIND_TEXT:
		if (*(const char *const *)row->value)
			fprintf(out, "; default %s", *(const char *const *)row->value);
		break;
	case KIND_FLAG:
	case KIND_END:
		break;
	}
}

static void options_help(const char *about, const struct option_row *rows)
{
	const struct option_row *tables[] = { rows, common_options };

	printf("usage: %s [OPTION]...\n\n%s\n\n", program_invocation_short_name, about);
	for (int t = 0; t < 2; t++) {
		for (const struct option_row *row = tables[t]; row->kind != KIND_END; row++) {
			printf("  --%-22s %s", row->name, row->help);
			if (row->kind != KIND_FLAG) {
				printf("\n    %-22s ", "");
				option_print_allowed(stdout, row);
				option_print_default(stdout, row);
			}
			putchar('\n');
		}
	}
	printf("  --%-22s show this\n", "help");
}

__attribute__((noreturn))
static void option_refuse(const struct option_row *row, const char *given)
{
	fprintf(stderr, "%s: --%s cannot be \"%s\"\nAllowed: ", program_invocation_short_name, row->name, given);
	option_print_allowed(stderr, row);
	fputc('\n', stderr);
	exit(1);
}

/* 4k, 4K, 4KiB -> 4096; empty -> 1; anything else -> 0 */
static int64_t option_multiplier(const char *suffix)
{
	static const char letters[] = "kmg";
	char letter = (char)(*suffix | 0x20);	/* to lower case */

	if (*suffix == '\0')
		return 1;
	for (int i = 0; letters[i]; i++) {
		if (letter == letters[i] && (!suffix[1] || !strcmp(suffix + 1, "iB")))
			return INT64_C(1) << (10 * (i + 1));
	}
	return 0;
}

static void option_set(const struct option_row *row, const char *given)
{
	char *end = NULL;
	double real;
	int64_t integer, multiplier = 1;

	errno = 0;
	switch (row->kind) {
	case KIND_FLAG:
		*(bool *)row->value = true;
		return;
	case KIND_TEXT:
		*(const char **)row->value = given;
		return;
	case KIND_CHOICE:
		for (int i = 0; row->choices[i]; i++) {
			if (!strcmp(given, row->choices[i])) {
				*(int *)row->value = i;
				return;
			}
		}
		option_refuse(row, given);
	case KIND_REAL:
		real = strtod(given, &end);
		if (errno || end == given || *end || !(real >= row->low && real <= row->high))
			option_refuse(row, given);
		*(double *)row->value = real;
		return;
	case KIND_INTEGER:
	case KIND_BYTES:
		integer = strtoll(given, &end, 10);
		if (row->kind == KIND_BYTES && end != given)
			multiplier = option_multiplier(end);
		else if (*end)
			multiplier = 0;
		if (errno || end == given || !multiplier || __builtin_mul_overflow(integer, multiplier, &integer) ||
		    (double)integer < row->low || (double)integer > row->high)
			option_refuse(row, given);
		*(int64_t *)row->value = integer;
		return;
	case KIND_END:
		return;
	}
}

void options_parse(int argc, char **argv, const char *about, const struct option_row *rows)
{
	const struct option_row *tables[] = { rows, common_options };
	const struct option_row *known[64];
	struct option names[64 + 2];
	int count = 0, index = 0, found;

	memset(names, 0, sizeof(names));
	for (int t = 0; t < 2; t++) {
		for (const struct option_row *row = tables[t]; row->kind != KIND_END && count < 64; row++) {
			names[count].name = row->name;
			names[count].has_arg = row->kind == KIND_FLAG ? no_argument : required_argument;
			known[count++] = row;
		}
	}
	names[count].name = "help";

	opterr = 0;
	while ((found = getopt_long(argc, argv, ":", names, &index)) != -1) {
		if (found == ':')
			die("%s needs a value", "Write it after the name, as in --seconds 2.", argv[optind - 1]);
		if (found != 0)
			die("there is no option %s", "Run it with --help for the list.", argv[optind - 1]);
		if (index == count) {
			options_help(about, rows);
			exit(0);
		}
		option_set(known[index], optarg);
	}
	if (optind < argc)
		die("\"%s\" is not an option", "Options begin with --; run it with --help for the list.", argv[optind]);
}
