// SPDX-License-Identifier: Apache-2.0
#include "json.h"

static bool needs_comma;

static void json_text_raw(const char *text)
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

static void json_key(const char *key)
{
	if (needs_comma)
		printf(", ");
	needs_comma = true;
	if (key) {
		json_text_raw(key);
		printf(": ");
	}
}

void json_open(const char *key, char bracket)
{
	json_key(key);
	putchar(bracket);
	needs_comma = false;
}

void json_close(char bracket)
{
	putchar(bracket);
	needs_comma = true;
}

void json_integer(const char *key, int64_t value)
{
	json_key(key);
	printf("%" PRId64, value);
}

void json_unsigned(const char *key, uint64_t value)
{
	json_key(key);
	printf("%" PRIu64, value);
}

void json_real(const char *key, double value)
{
	json_key(key);
	printf("%.9g", value);
}

void json_bool(const char *key, bool value)
{
	json_key(key);
	fputs(value ? "true" : "false", stdout);
}

void json_text(const char *key, const char *text)
{
	json_key(key);
	json_text_raw(text);
}

void json_histogram(const char *key, const struct histogram *histogram)
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
