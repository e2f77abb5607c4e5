// SPDX-License-Identifier: Apache-2.0
/* Acts that start processes and wait for their end. */
#include <limits.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "script.h"

int be_run(const char *code)
{
	return atoi(code);
}

static void start(struct result *result, void (*child)(int64_t), int64_t argument)
{
	pid_t pid = fork();

	if (pid == 0) {
		child(argument);
		_exit(127);
	}
	if (pid < 0)
		die("fork: %s", "Look at `ulimit -u` and `free -m`.", strerror(errno));
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (result->pid_count < MOST_PIDS)
		result->pids[result->pid_count++] = pid;
	result->done++;
}

static void exec_self(int64_t code)
{
	char text[24], *arguments[] = { (char *)"script", (char *)"--exit", text, NULL }, *environment[] = { NULL };

	snprintf(text, sizeof(text), "%" PRId64, code);
	execve("/proc/self/exe", arguments, environment);
}

static void exec_nothing(int64_t code)
{
	char *arguments[] = { (char *)"nothing", NULL };

	execve("/nonexistent/labkit", arguments, arguments + 1);
	_exit((int)code);
}

static void just_exit(int64_t code)
{
	_exit((int)code);
}

static void die_by_signal(int64_t number)
{
	kill(getpid(), (int)number);
}

static void repeat(const struct act *act, struct result *result, void (*child)(int64_t))
{
	for (int64_t i = 0; i < act->times; i++)
		start(result, child, act->arguments[0]);
}

static void perform_run(const struct act *act, struct result *result)
{
	repeat(act, result, exec_self);
}

static void perform_miss(const struct act *act, struct result *result)
{
	repeat(act, result, exec_nothing);
}

static void perform_fork(const struct act *act, struct result *result)
{
	repeat(act, result, just_exit);
}

static void perform_killed(const struct act *act, struct result *result)
{
	repeat(act, result, die_by_signal);
}

static void perform_getppid(const struct act *act, struct result *result)
{
	for (; result->done < act->times && !workload_stopped; result->done++)
		syscall(SYS_getppid);
}

const struct act_kind process_acts[] = {
	{ "run", perform_run, "N CODE: fork, and run a program that exits with CODE" },
	{ "miss", perform_miss, "N CODE: fork, fail to run a program, exit with CODE" },
	{ "fork", perform_fork, "N CODE: fork, exit with CODE" },
	{ "killed", perform_killed, "N SIGNAL: fork, end by a signal" },
	{ "getppid", perform_getppid, "N: call getppid()" },
	{ NULL, NULL, NULL }
};
