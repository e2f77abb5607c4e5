// SPDX-License-Identifier: Apache-2.0
/*
 * The barest loop that reads a file through io_uring: batches of 32 reads of
 * 4 KiB, with registered buffers, file and ring descriptor. It takes no time
 * stamps and keeps no statistics. What c/workloads/io_engines does more slowly
 * than this is the price of its measuring.
 *
 *	bare_uring FILE SECONDS		prints {"ios": N, "elapsed_s": S}
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32
#define BLOCK_BYTES 4096

static volatile sig_atomic_t time_is_up;

static void on_alarm(int signal_number)
{
	(void)signal_number;
	time_is_up = 1;
}

__attribute__((noreturn))
static void give_up(const char *what, int error)
{
	fprintf(stderr, "bare_uring: %s: %s\n", what, strerror(error));
	exit(1);
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The same flags as io_engines asks for, and the older ones where the kernel has no others. */
static void open_ring(struct io_uring *ring)
{
	unsigned int newest = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
	int error = io_uring_queue_init(BATCH, ring, newest);

	if (error == -EINVAL)
		error = io_uring_queue_init(BATCH, ring, 0);
	if (error)
		give_up("io_uring_setup", -error);
}

static void register_all(struct io_uring *ring, int file, char *buffers)
{
	struct iovec whole[BATCH];
	int error;

	for (int i = 0; i < BATCH; i++)
		whole[i] = (struct iovec){ buffers + i * BLOCK_BYTES, BLOCK_BYTES };
	error = io_uring_register_buffers(ring, whole, BATCH);
	if (!error)
		error = io_uring_register_files(ring, &file, 1);
	if (!error && io_uring_register_ring_fd(ring) != 1)
		error = -EINVAL;
	if (error)
		give_up("io_uring_register", -error);
}

static uint32_t *shuffled(uint32_t blocks)
{
	uint32_t *order = malloc(blocks * sizeof(*order));

	if (!order)
		give_up("malloc", ENOMEM);
	for (uint32_t i = 0; i < blocks; i++) {
		uint32_t other = (uint32_t)random() % (i + 1);

		order[i] = order[other];
		order[other] = i;
	}
	return order;
}

static uint64_t read_blocks(struct io_uring *ring, char *buffers, const uint32_t *order, uint32_t blocks)
{
	uint32_t next = 0;
	uint64_t ios = 0;

	while (!time_is_up) {
		struct io_uring_cqe *cqe;
		unsigned int head, ended = 0;

		for (int i = 0; i < BATCH; i++) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

			io_uring_prep_read_fixed(sqe, 0, buffers + i * BLOCK_BYTES, BLOCK_BYTES,
						 (uint64_t)order[next] * BLOCK_BYTES, i);
			sqe->flags |= IOSQE_FIXED_FILE;
			if (++next == blocks)
				next = 0;
		}
		io_uring_submit_and_wait(ring, BATCH);
		while (io_uring_cq_ready(ring) < BATCH)	/* a signal came first */
			io_uring_enter(ring->ring_fd, 0, BATCH, IORING_ENTER_GETEVENTS, NULL);
		io_uring_for_each_cqe(ring, head, cqe) {
			if (cqe->res != BLOCK_BYTES)
				give_up("read", cqe->res < 0 ? -cqe->res : EIO);
			ended++;
		}
		io_uring_cq_advance(ring, ended);
		ios += ended;
	}
	return ios;
}

int main(int argc, char **argv)
{
	struct itimerval timer = { 0 };
	struct io_uring ring;
	struct stat about;
	uint32_t blocks, *order;
	double seconds, start_s;
	char *buffers;
	uint64_t ios;
	int file;

	if (argc != 3 || !((seconds = atof(argv[2])) > 0))
		give_up("usage: bare_uring FILE SECONDS", EINVAL);
	file = open(argv[1], O_RDONLY | O_CLOEXEC | O_NOATIME);	/* as io_engines opens it */
	if (file < 0 || fstat(file, &about) || about.st_size < BLOCK_BYTES)
		give_up(argv[1], errno ? errno : EINVAL);
	blocks = (uint32_t)(about.st_size / BLOCK_BYTES);
	buffers = mmap(NULL, BATCH * BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		       -1, 0);
	if (buffers == MAP_FAILED)
		give_up("mmap", errno);
	order = shuffled(blocks);
	posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
	while (read(file, buffers, BATCH * BLOCK_BYTES) > 0)	/* into the page cache */
		;
	open_ring(&ring);
	register_all(&ring, file, buffers);

	timer.it_value.tv_sec = (time_t)seconds;
	timer.it_value.tv_usec = (suseconds_t)((seconds - (double)timer.it_value.tv_sec) * 1e6);
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &timer, NULL);
	start_s = now_s();
	ios = read_blocks(&ring, buffers, order, blocks);
	printf("{\"ios\": %" PRIu64 ", \"elapsed_s\": %.9f}\n", ios, now_s() - start_s);
	io_uring_queue_exit(&ring);
	return 0;
}
