// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <sys/prctl.h>

#include "workload.h"

volatile sig_atomic_t workload_stopped;

void sleep_us(int64_t microseconds)
{
	struct timespec span = { microseconds / 1000000, microseconds % 1000000 * 1000 };

	nanosleep(&span, NULL);
}

static void workload_on_signal(int signal_number)
{
	(void)signal_number;
	workload_stopped = 1;
}

void workload_die_with_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		die("prctl: %s", "Report this: Linux has known PR_SET_PDEATHSIG since 2.1.57.", strerror(errno));
	if (getppid() != parent)	/* it ended before we asked */
		_exit(1);
}

void workload_pin(int cpu, const char *option)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (!sched_setaffinity(0, sizeof(set), &set))
		return;
	if (errno != EINVAL)
		die("sched_setaffinity: %s", "Run it outside of the filter that refuses the call.", strerror(errno));
	die("%s %d: %s", "Run `nproc --all` and `taskset -p $$` to see which CPUs there are and which you may use.",
	    option, cpu, strerror(errno));
}

void workload_begin(int argc, char **argv, const char *about, const struct option_row *rows)
{
	struct sigaction action;

	options_parse(argc, argv, about, rows);
	workload_die_with_parent(getppid());
	if (option_cpu >= 0)
		workload_pin((int)option_cpu, "--cpu");
	/* No SA_RESTART: a blocking call returns, so the loop sees the flag. The second signal kills. */
	memset(&action, 0, sizeof(action));
	action.sa_handler = workload_on_signal;
	action.sa_flags = SA_RESETHAND;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool workload_ready(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN, .revents = 0 };
	sigset_t ours, before;
	char letter = 0;
	char line[4];
	size_t length = 0;

	if (option_go)
		return !workload_stopped;
	if (puts("ready") < 0 || fflush(stdout))
		return false;

	/* Signals arrive only inside ppoll, so none is lost between looking at the flag and waiting. */
	sigemptyset(&ours);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGINT);
	sigprocmask(SIG_BLOCK, &ours, &before);
	while (!workload_stopped && letter != '\n') {
		if (ppoll(&input, 1, NULL, &before) < 0)
			continue;
		if (read(STDIN_FILENO, &letter, 1) <= 0)
			break;
		if (length < sizeof(line))
			line[length++] = letter;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);

	if (workload_stopped || length == 0)
		return false;
	if (length != 3 || memcmp(line, "go\n", 3))
		die("something other than \"go\" came on stdin", "Write \"go\" and a newline, or start it with --go.");
	return true;
}

int workload_end(void)
{
	if (putchar('\n') == EOF || fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "%s: cannot write the result: %s\n", program_invocation_short_name, strerror(errno));
		return 1;
	}
	return 0;
}
