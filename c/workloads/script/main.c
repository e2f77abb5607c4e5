// SPDX-License-Identifier: Apache-2.0
/*
 * Acts as a script says, and reports what it did: the hidden workload on which a learner's program is tried.
 *
 *	script --go --script "main: pwrite 23 512, pwrite 5 0; thread: pwrite 11 100; child: badread 3"
 *
 * Actors are separated by ";", the acts of one by ",". An act is its name, how many times, and up to three numbers.
 * "thread" is one more thread, "child" one more process; they begin together, and "main" with them. The calls are those
 * of the script and no others: a count that differs from the report is wrong.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "script.h"

#define MOST_ACTORS 16

enum who { MAIN, THREAD, CHILD };
static const char *const who_names[] = { "main", "thread", "child", NULL };

struct actor {
	enum who who;
	int first_act, acts;
	pthread_t thread;
	pid_t child;
};

static const char *script;
static const struct option_row options[] = {
	OPTION_TEXT("script", &script, "WHO: ACT N ..., ACT N ...; WHO: ...", "what to do"),
	OPTIONS_END
};

static struct act acts[MOST_ACTS];
static struct actor actors[MOST_ACTORS];
static int act_count, actor_count;
static struct result *results;

static const struct act_kind *find_act(const char *name)
{
	static const struct act_kind *const tables[] = { process_acts, file_acts, function_acts, ring_acts };

	for (size_t table = 0; table < sizeof(tables) / sizeof(*tables); table++) {
		for (const struct act_kind *kind = tables[table]; kind->name; kind++) {
			if (!strcmp(kind->name, name))
				return kind;
		}
	}
	die("there is no act \"%s\"", "Look at the tables at the end of c/workloads/script/*.c.", name);
}

static void read_act(char *text)
{
	struct act *act = &acts[act_count];
	char *rest, *word = strtok_r(text, " ", &rest);

	if (!word || act_count == MOST_ACTS)
		die("the script has an empty act, or more than %d acts", "Give each act a name.", MOST_ACTS);
	act->name = word;
	act->perform = find_act(word)->perform;
	act->result = &results[act_count++];
	act->result->fd = -1;
	for (int number = -1; (word = strtok_r(NULL, " ", &rest)); number++) {
		char *end;
		int64_t value = strtoll(word, &end, 10);

		if (*end || number >= MOST_ARGUMENTS || (number < 0 && (value < 0 || value > 10000000)))
			die("act %s cannot take \"%s\"", "Allowed: a number of times, then up to three numbers.", act->name,
			    word);
		if (number < 0)
			act->times = value;
		else
			act->arguments[number] = value;
	}
}

static void read_actor(char *text)
{
	struct actor *actor = &actors[actor_count];
	char *rest, *acts_text = strchr(text, ':');

	if (!acts_text || actor_count == MOST_ACTORS)
		die("actor \"%s\" has no acts, or is one of more than %d", "Write it as \"main: pwrite 23 512\".", text,
		    MOST_ACTORS);
	*acts_text++ = '\0';
	text += strspn(text, " ");
	while (who_names[actor->who] && strcmp(who_names[actor->who], text))
		actor->who++;
	if (!who_names[actor->who])
		die("there is no actor \"%s\"", "Allowed: main, thread, child.", text);
	actor->first_act = act_count;
	for (char *act = strtok_r(acts_text, ",", &rest); act; act = strtok_r(NULL, ",", &rest))
		read_act(act);
	actor->acts = act_count - actor->first_act;
	actor_count++;
}

static void *perform_all(void *argument)
{
	const struct actor *actor = argument;

	for (int i = actor->first_act; i < actor->first_act + actor->acts; i++) {
		struct act *act = &acts[i];
		uint64_t start_ns;

		act->result->pid = getpid();
		act->result->tid = (int64_t)syscall(SYS_gettid);
		start_ns = now_ns();
		act->perform(act, act->result);
		act->result->elapsed_ns = now_ns() - start_ns;
	}
	return NULL;
}

static void begin(struct actor *actor)
{
	pid_t self = getpid();

	if (actor->who == THREAD && pthread_create(&actor->thread, NULL, perform_all, actor))
		die("no thread could be started", "Look at `ulimit -u`.");
	if (actor->who != CHILD)
		return;
	actor->child = fork();
	if (actor->child < 0)
		die("fork: %s", "Look at `ulimit -u` and `free -m`.", strerror(errno));
	if (actor->child == 0) {
		workload_die_with_parent(self);
		perform_all(actor);
		_exit(0);
	}
}

static void finish(struct actor *actor)
{
	int status = 0;

	if (actor->who == THREAD)
		pthread_join(actor->thread, NULL);
	if (actor->who != CHILD)
		return;
	while (waitpid(actor->child, &status, 0) < 0) {
		if (errno != EINTR)
			die("waitpid: %s", "Run it again.", strerror(errno));
	}
	if (status)
		die("a child of the script failed (status %d)", "Look at its message above.", status);
}

static void report(const struct actor *actor)
{
	for (int i = actor->first_act; i < actor->first_act + actor->acts; i++) {
		const struct act *act = &acts[i];
		const struct result *result = act->result;

		json_open(NULL, '{');
		json_text("who", who_names[actor->who]);
		json_text("act", act->name);
		json_integer("times", act->times);
		json_open("arguments", '[');
		for (int number = 0; number < MOST_ARGUMENTS; number++)
			json_integer(NULL, act->arguments[number]);
		json_close(']');
		json_integer("pid", result->pid);
		json_integer("tid", result->tid);
		json_integer("fd", result->fd);
		json_integer("done", result->done);
		json_integer("failed", result->failed);
		json_integer("bytes", result->bytes);
		json_integer("elapsed_ns", (int64_t)result->elapsed_ns);
		json_open("pids", '[');
		for (int64_t number = 0; number < result->pid_count; number++)
			json_integer(NULL, result->pids[number]);
		json_close(']');
		json_close('}');
	}
}

int main(int argc, char **argv)
{
	char *text, *rest;

	if (argc == 3 && !strcmp(argv[1], "--exit"))
		return be_run(argv[2]);

	workload_begin(argc, argv, "Acts as a script says, and reports what it did.", options);
	results = mmap(NULL, MOST_ACTS * sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	text = strdup(script ? script : "main: getppid 23");
	if (results == MAP_FAILED || !text)
		die("no memory: %s", "Look at `free -m`.", strerror(errno));
	for (char *actor = strtok_r(text, ";", &rest); actor; actor = strtok_r(NULL, ";", &rest))
		read_actor(actor);
	if (!workload_ready())
		return 0;

	for (int i = 0; i < actor_count; i++)
		begin(&actors[i]);
	for (int i = 0; i < actor_count; i++) {
		if (actors[i].who == MAIN)
			perform_all(&actors[i]);
	}
	for (int i = 0; i < actor_count; i++)
		finish(&actors[i]);

	json_open(NULL, '{');
	json_integer("pid", getpid());
	json_open("acts", '[');
	for (int i = 0; i < actor_count; i++)
		report(&actors[i]);
	json_close(']');
	json_close('}');
	free(text);
	return workload_end();
}
