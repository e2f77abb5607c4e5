// SPDX-License-Identifier: Apache-2.0
/* Acts that call functions which probes can be put on, and one that passes a USDT probe. */
#include "script.h"

#ifdef HAVE_SDT
#include <sys/sdt.h>
#endif

/* As in probes.c: each call stays a call, under this name. */
#define PROBE_ME __attribute__((noinline, noipa))
#define KEEP_THE_CALL() __asm__ volatile("")

long nap(long microseconds);
long fall(long depth, long rest_us);

PROBE_ME long nap(long microseconds)
{
	sleep_us(microseconds);
	return 2 * microseconds;
}

/* Calls itself until `depth` calls are open, rests there, and returns how many there were. */
PROBE_ME long fall(long depth, long rest_us)
{
	long below = 0;

	if (depth > 1)
		below = fall(depth - 1, rest_us);
	else
		sleep_us(rest_us);
	KEEP_THE_CALL();
	return below + 1;
}

static void perform_nap(const struct act *act, struct result *result)
{
	for (; result->done < act->times && !workload_stopped; result->done++)
		nap(act->arguments[0]);
}

static void perform_fall(const struct act *act, struct result *result)
{
	for (; result->done < act->times && !workload_stopped; result->done++)
		fall(act->arguments[0], act->arguments[1]);
}

/* Passes labkit:reply(id, status, path, bytes), with a path of as many letters as asked: "/abcdef..." */
static void perform_reply(const struct act *act, struct result *result)
{
#ifdef HAVE_SDT
	int64_t length = act->arguments[0];
	int32_t status = (int32_t)act->arguments[1];
	uint64_t bytes = (uint64_t)act->arguments[2];
	char path[128] = "";

	if (length < 0 || length >= (int64_t)sizeof(path))
		die("a path of %" PRId64 " letters", "Allowed: 0 to 127 letters.", length);
	for (int64_t i = 0; i < length; i++)
		path[i] = i ? (char)('a' + (i - 1) % 26) : '/';
	memset(path + length + 1, '#', sizeof(path) - (size_t)length - 1);	/* what follows the end is not the path's */
	for (; result->done < act->times && !workload_stopped; result->done++)
		DTRACE_PROBE4(labkit, reply, result->done, status, path, bytes);
	result->bytes = (int64_t)bytes * result->done;
#else
	(void)act;
	(void)result;
	unable("it was compiled without sys/sdt.h: run `sudo apt-get install systemtap-sdt-dev`, then `make -C c`");
#endif
}

const struct act_kind function_acts[] = {
	{ "nap", perform_nap, "N US: call nap(US)" },
	{ "fall", perform_fall, "N DEPTH US: call fall(DEPTH, US)" },
	{ "reply", perform_reply, "N LETTERS STATUS BYTES: pass the USDT probe labkit:reply" },
	{ NULL, NULL, NULL }
};
