// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 04: functions to put probes on, called a known number of times.
 *
 *	probes --go --work step --calls 997	step(), which makes one system call, getppid
 *	probes --go --work nap --calls 5	nap(1000), nap(2000), nap(3000), nap(1000), ... microseconds
 *	probes --go --work hide --calls 23	functions of which the compiler leaves no call, or some calls only
 *	probes --go --work burn --seconds 2	CPU time in apple(), pear(), plum() and in the kernel, by known shares
 */
#include <fcntl.h>

#include "workload.h"

enum { WORK_STEP, WORK_NAP, WORK_HIDE, WORK_BURN };
static const char *const works[] = { "step", "nap", "hide", "burn", NULL };

static int work = WORK_STEP;
static int64_t calls = 997;
static int64_t nap_us = 1000;
static int64_t through_pointer = 7;
static double seconds = 1;
static int64_t apple_percent = 60;
static int64_t pear_percent = 25;
static int64_t plum_percent = 10;

static const struct option_row options[] = {
	OPTION_CHOICE("work", &work, works, "what to do"),
	OPTION_INTEGER("calls", &calls, 0, 1000000000, "calls", "of the function in question"),
	OPTION_INTEGER("nap-us", &nap_us, 1, 1000000, "microseconds", "nap: the shortest nap"),
	OPTION_INTEGER("through-pointer", &through_pointer, 0, 1000000000, "calls",
		       "hide: how many of the calls of half_hidden go through a pointer"),
	OPTION_REAL("seconds", &seconds, 0.01, 60, "s", "burn: CPU time to use"),
	OPTION_INTEGER("apple", &apple_percent, 0, 100, "%", "burn: share of apple()"),
	OPTION_INTEGER("pear", &pear_percent, 0, 100, "%", "burn: share of pear()"),
	OPTION_INTEGER("plum", &plum_percent, 0, 100, "%",
		       "burn: share of plum(), which pear() calls too; the rest is read_zeros(), in the kernel"),
	OPTIONS_END
};

/*
 * noinline: the compiler keeps each call of it a call. noipa: it also makes no copy for one caller, under another
 * name. The empty asm keeps a function's call from being the last thing in another, which would become a jump.
 */
#define PROBE_ME __attribute__((noinline, noipa))
#define KEEP_THE_CALL() __asm__ volatile("")

/* A function that calls nobody may do without a frame of its own, and then its caller is missing from every stack. */
#define KEEP_A_FRAME() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

/* ---- step ------------------------------------------------------------------------------------- */

/* show: step */
PROBE_ME long step(void)
{
	long parent = getppid();

	KEEP_THE_CALL();
	return parent;
}
/* show: end */

static int64_t work_step(void)
{
	int64_t done = 0;

	for (; done < calls && !workload_stopped; done++)
		step();
	return done;
}

/* ---- nap -------------------------------------------------------------------------------------- */

/* show: nap */
PROBE_ME long nap(long microseconds)
{
	sleep_us(microseconds);
	return 2 * microseconds;	/* something to see at the return */
}
/* show: end */

static int64_t work_nap(void)
{
	int64_t done = 0;

	for (; done < calls && !workload_stopped; done++)
		nap(nap_us * (1 + done % 3));
	return done;
}

/* ---- hide ------------------------------------------------------------------------------------- */

static volatile long sink;

/* show: hide */
PROBE_ME void visible(long value)
{
	sink += value;
}

/* Small and static: its body is put where the call was, and nothing of that name is left in the file. */
static inline __attribute__((always_inline)) void hidden(long value)
{
	sink -= value;
}

/* Not static, so other files might call it: a copy is kept under its name. The calls in this file have no use for it. */
extern void half_hidden(long value);
inline __attribute__((always_inline)) void half_hidden(long value)
{
	sink ^= value;
}
/* show: end */

static int64_t work_hide(void)
{
	void (*volatile pointer)(long) = half_hidden;	/* whom it points to is known only when it runs */
	int64_t done = 0;

	for (; done < calls && !workload_stopped; done++) {
		visible(done);
		hidden(done);
		if (done < through_pointer)
			pointer(done);
		else
			half_hidden(done);
	}
	return done;
}

/* ---- burn ------------------------------------------------------------------------------------- */

enum { APPLE, PEAR, PLUM, KERNEL, FRUITS };
static uint64_t used_ns[FRUITS];
static int zeros;

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static inline __attribute__((always_inline)) void spin(int64_t rounds)
{
	for (int64_t i = 0; i < rounds; i++)
		sink += i;
}

PROBE_ME static void apple(int64_t rounds)
{
	KEEP_A_FRAME();
	spin(rounds);
}

PROBE_ME static void plum(int64_t rounds)
{
	KEEP_A_FRAME();
	spin(rounds);
}

PROBE_ME static void pear(int64_t rounds)
{
	plum(rounds / 5);
	spin(rounds - rounds / 5);
	KEEP_THE_CALL();
}

PROBE_ME static void read_zeros(int64_t times)
{
	static char buffer[1 << 16];

	for (int64_t i = 0; i < times; i++) {
		if (read(zeros, buffer, sizeof(buffer)) != sizeof(buffer))
			die("read: %s", "Check that /dev/zero is the device of that name.", strerror(errno));
	}
}

/* Turns of different lengths: turns that were all alike could keep step with the ticks of a sampling timer. */
static int64_t some_rounds(void)
{
	static uint32_t random = 1;

	random = random * 1664525 + 1013904223;
	return 100000 + random % 200000;
}

/* Whoever is furthest behind its share goes next, for a few hundred microseconds. */
static int64_t work_burn(void)
{
	const int64_t kernel_percent = 100 - apple_percent - pear_percent - plum_percent;
	const int64_t shares[FRUITS] = { apple_percent, pear_percent, plum_percent, kernel_percent };
	uint64_t start_ns = cpu_ns(), before_ns = start_ns, after_ns;
	int64_t done = 0;

	for (; (double)(before_ns - start_ns) < seconds * 1e9 && !workload_stopped; done++) {
		int64_t rounds = some_rounds();
		int next = APPLE;
		double furthest = -1e18;

		for (int fruit = 0; fruit < FRUITS; fruit++) {
			double behind = (double)(before_ns - start_ns) * (double)shares[fruit] / 100 -
					(double)used_ns[fruit];

			if (shares[fruit] && behind > furthest) {
				furthest = behind;
				next = fruit;
			}
		}
		switch (next) {
		case APPLE: apple(rounds); break;
		case PEAR: pear(rounds); break;
		case PLUM: plum(rounds); break;
		case KERNEL: read_zeros(rounds / 2000); break;
		}
		after_ns = cpu_ns();
		used_ns[next] += after_ns - before_ns;
		before_ns = after_ns;
	}
	return done;
}

/* ----------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
	static int64_t (*const table[])(void) = {
		[WORK_STEP] = work_step,
		[WORK_NAP] = work_nap,
		[WORK_HIDE] = work_hide,
		[WORK_BURN] = work_burn,
	};
	uint64_t start_ns, elapsed_ns;
	int64_t done;

	workload_begin(argc, argv, "Calls functions for probes to see.", options);
	if (apple_percent + pear_percent + plum_percent > 100)
		die("the shares are more than the whole",
		    "Pass --apple, --pear and --plum that add up to 100 at most.");
	zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (zeros < 0)
		die("open /dev/zero: %s", "Check that /dev/zero exists.", strerror(errno));
	if (!workload_ready())
		return 0;

	start_ns = now_ns();
	done = table[work]();
	elapsed_ns = now_ns() - start_ns;

	json_open(NULL, '{');
	json_integer("calls", done);
	json_real("elapsed_s", (double)elapsed_ns / 1e9);
	if (work == WORK_HIDE)
		json_integer("through_pointer", through_pointer < done ? through_pointer : done);
	if (work == WORK_BURN) {
		json_integer("apple_ns", (int64_t)used_ns[APPLE]);
		json_integer("pear_ns", (int64_t)used_ns[PEAR]);
		json_integer("plum_ns", (int64_t)used_ns[PLUM]);
		json_integer("kernel_ns", (int64_t)used_ns[KERNEL]);
	}
	json_close('}');
	return workload_end();
}
