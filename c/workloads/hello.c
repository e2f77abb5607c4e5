// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 01: something simple and countable for a first probe to see.
 *
 *	hello --go				runs a program 23 times
 *	hello --go --open /etc/hostname --times 7
 *						opens that file 7 times
 *	hello --go --getppid 1000000		makes that many getppid() calls
 *
 * The program that it runs is itself, with --child: nothing else is needed.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "workload.h"

static int64_t runs = 23;
static int64_t interval_us;
static int64_t times = 1;
static int64_t getppid_calls;
static int64_t calls_per_s;
static const char *child_name = "hello-child";
static const char *open_path;

static const struct option_row options[] = {
	OPTION_INTEGER("runs", &runs, 0, 100000, "runs", "number of programs to run, one after another"),
	OPTION_TEXT("name", &child_name, "up to 15 characters", "what the program that is run calls itself"),
	OPTION_TEXT("open", &open_path, "a path", "instead: open this file and close it"),
	OPTION_INTEGER("times", &times, 0, 1000000, "times", "how often to open it"),
	OPTION_INTEGER("getppid", &getppid_calls, 0, 10000000000, "calls", "instead: number of getppid() calls"),
	OPTION_INTEGER("calls-per-s", &calls_per_s, 0, 100000000, "calls/s",
		       "how fast to make them; 0: as fast as it can"),
	OPTION_INTEGER("interval-us", &interval_us, 0, 10000000, "microseconds", "rest between two runs or opens"),
	OPTIONS_END
};

/* The program that is run. Its name is set after exec, which resets it. */
static int be_the_child(const char *name)
{
	prctl(PR_SET_NAME, name);
	return 0;
}

/* Runs this very program as "NAME --child" and returns its process id, or -1 when it failed. */
static pid_t run_child(const char *self)
{
	char *const arguments[] = { (char *)child_name, "--child", NULL };
	char *const environment[] = { NULL };
	int status;
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_NAME, child_name);
		execve(self, arguments, environment);
		_exit(127);
	}
	if (child < 0)
		return -1;
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return status == 0 ? child : -1;
}

static int work_runs(void)
{
	pid_t *pids = calloc((size_t)runs + 1, sizeof(*pids));
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int64_t done = 0;
	uint64_t start_ns, elapsed_ns;
	int status = 0;

	if (!pids || length < 0)
		die("cannot find this program's own file: %s", "Mount /proc, or free memory.", strerror(errno));
	self[length] = '\0';
	if (!workload_ready())
		goto out;

	start_ns = now_ns();
	while (done < runs && !workload_stopped) {
		pid_t child = run_child(self);

		if (child < 0)
			die("run %" PRId64 " of %s failed", "Look at `ulimit -u` and `free -m`.", done + 1, self);
		pids[done++] = child;
		if (interval_us)
			sleep_us(interval_us);
	}
	elapsed_ns = now_ns() - start_ns;

	json_open(NULL, '{');
	json_integer("runs", done);
	json_real("elapsed_s", (double)elapsed_ns / 1e9);
	json_open("child_pids", '[');
	for (int64_t i = 0; i < done; i++)
		json_integer(NULL, pids[i]);
	json_close(']');
	json_close('}');
	status = workload_end();
out:
	free(pids);
	return status;
}

static int work_opens(void)
{
	int64_t done = 0;
	uint64_t start_ns, elapsed_ns;

	if (access(open_path, R_OK))
		die("--open %s: %s", "Name a file that exists and that you may read.", open_path, strerror(errno));
	if (!workload_ready())
		return 0;

	start_ns = now_ns();
	while (done < times && !workload_stopped) {
		int file = open(open_path, O_RDONLY | O_CLOEXEC);

		if (file < 0)
			die("open %s: %s", "Keep the file in place while this runs.", open_path, strerror(errno));
		close(file);
		done++;
		if (interval_us)
			sleep_us(interval_us);
	}
	elapsed_ns = now_ns() - start_ns;

	json_open(NULL, '{');
	json_integer("opens", done);
	json_real("elapsed_s", (double)elapsed_ns / 1e9);
	json_close('}');
	return workload_end();
}

static int work_getppid(void)
{
	int64_t done = 0;
	uint64_t start_ns, elapsed_ns;

	if (!workload_ready())
		return 0;

	start_ns = now_ns();
	while (done < getppid_calls && !workload_stopped) {
		int64_t batch = getppid_calls - done < 100 ? getppid_calls - done : 100;

		for (int64_t i = 0; i < batch; i++)
			getppid();
		done += batch;
		/* Too early? Look at the clock until it is time: a sleep would make bursts. */
		while (calls_per_s && !workload_stopped &&
		       (double)(now_ns() - start_ns) * 1e-9 * (double)calls_per_s < (double)done)
			;
	}
	elapsed_ns = now_ns() - start_ns;

	json_open(NULL, '{');
	json_integer("calls", done);
	json_real("elapsed_s", (double)elapsed_ns / 1e9);
	json_close('}');
	return workload_end();
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--child"))
		return be_the_child(argv[0]);

	workload_begin(argc, argv, "Runs a program, opens a file or makes system calls, as often as you say.", options);
	if (strlen(child_name) > 15)
		die("--name cannot be \"%s\"", "Allowed: up to 15 characters.", child_name);
	if (getppid_calls)
		return work_getppid();
	if (open_path)
		return work_opens();
	return work_runs();
}
