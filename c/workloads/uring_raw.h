/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring by hand: three system calls, two rings, no library.
 *
 * The process and the kernel share memory. In it lie
 *
 *	the submission ring	indices of entries; we write its tail, the kernel its head
 *	the entries (sqe)	what is to be done; we fill them in
 *	the completion ring	results (cqe); the kernel writes its tail, we its head
 *
 * Each ring has one writer for the tail and one for the head, so no lock is
 * needed, only order. Two rules, the same for both sides and both rings:
 *
 *	release		First fill the slot, then store the new tail (or: first read the
 *			slot, then store the new head). A release store guarantees that
 *			a reader of the new number also sees what was done before it.
 *	acquire		First load the other side's number, then touch the slots it
 *			covers. An acquire load guarantees that the second does not come
 *			before the first.
 *
 * On x86-64 both are plain instructions; on aarch64 they are stlr and ldar. The
 * compiler, too, may reorder: C11 atomics hold back both.
 *
 * Heads and tails only grow and wrap at 2^32; `number & mask` is the slot. The
 * functions have the names of liburing's with "raw" instead of "io_uring".
 */
#ifndef URING_RAW_H
#define URING_RAW_H

#include <errno.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sqpoll.h"

typedef _Atomic uint32_t shared_number;

struct raw_ring {
	int fd;
	uint32_t flags;				/* that it was set up with */

	shared_number *sq_head, *sq_tail, *sq_flags;
	uint32_t *sq_array;			/* slot of the ring -> index of the entry */
	uint32_t sq_mask, sq_entries;
	struct io_uring_sqe *sqes;
	uint32_t filled_tail;			/* our own count of entries filled in; published later */

	shared_number *cq_head, *cq_tail;
	uint32_t cq_mask, cq_entries;
	struct io_uring_cqe *cqes;

	uint64_t enter_calls, wakeup_calls;

	void *rings;
	size_t rings_bytes, sqes_bytes;
};

static inline void raw_queue_exit(struct raw_ring *ring)
{
	if (ring->sqes != MAP_FAILED)
		munmap(ring->sqes, ring->sqes_bytes);
	if (ring->rings != MAP_FAILED)
		munmap(ring->rings, ring->rings_bytes);
	close(ring->fd);
}

/* Returns 0 or -errno. -ENOTSUP: a kernel before 5.4, which maps the two rings apart. */
static inline int raw_queue_init(uint32_t entries, struct raw_ring *ring, uint32_t flags)
{
	struct io_uring_params params = { .flags = flags, .sq_thread_idle = SQPOLL_IDLE_MS };
	size_t sq_bytes, cq_bytes;
	char *base;
	int error;

	memset(ring, 0, sizeof(*ring));
	ring->rings = ring->sqes = MAP_FAILED;
	ring->flags = flags;
	ring->fd = (int)syscall(SYS_io_uring_setup, entries, &params);
	if (ring->fd < 0)
		return -errno;
	error = ENOTSUP;
	if (!(params.features & IORING_FEAT_SINGLE_MMAP))
		goto out;

	/* The kernel has filled in where in the shared memory everything lies. */
	sq_bytes = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
	cq_bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	ring->rings_bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
	ring->rings = mmap(NULL, ring->rings_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
			   IORING_OFF_SQ_RING);
	if (ring->rings == MAP_FAILED) {
		error = errno;
		goto out;
	}
	ring->sqes_bytes = params.sq_entries * sizeof(struct io_uring_sqe);
	ring->sqes = mmap(NULL, ring->sqes_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
			  IORING_OFF_SQES);
	if (ring->sqes == MAP_FAILED) {
		error = errno;
		goto out;
	}

	base = ring->rings;
	ring->sq_head = (shared_number *)(base + params.sq_off.head);
	ring->sq_tail = (shared_number *)(base + params.sq_off.tail);
	ring->sq_flags = (shared_number *)(base + params.sq_off.flags);
	ring->sq_mask = *(uint32_t *)(base + params.sq_off.ring_mask);
	ring->sq_array = (uint32_t *)(base + params.sq_off.array);
	ring->sq_entries = params.sq_entries;
	ring->cq_head = (shared_number *)(base + params.cq_off.head);
	ring->cq_tail = (shared_number *)(base + params.cq_off.tail);
	ring->cq_mask = *(uint32_t *)(base + params.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(base + params.cq_off.cqes);
	ring->cq_entries = params.cq_entries;
	return 0;
out:
	raw_queue_exit(ring);
	return -error;
}

/* The next entry to fill in, or NULL when all are taken. Nothing is visible to the kernel yet. */
static inline struct io_uring_sqe *raw_get_sqe(struct raw_ring *ring)
{
	/* acquire: the kernel has read an entry before it moved the head over it; only then may we write there. */
	uint32_t head = atomic_load_explicit(ring->sq_head, memory_order_acquire);
	uint32_t slot = ring->filled_tail & ring->sq_mask;

	if (ring->filled_tail - head == ring->sq_entries)
		return NULL;
	ring->sq_array[slot] = slot;	/* any entry may be in any slot; we keep them side by side */
	ring->filled_tail++;
	return memset(&ring->sqes[slot], 0, sizeof(struct io_uring_sqe));
}

/* Shows the filled entries to the kernel and returns how many there are. */
static inline uint32_t raw_publish(struct raw_ring *ring)
{
	/* Only we write this tail: no order is needed to read it back. */
	uint32_t published = atomic_load_explicit(ring->sq_tail, memory_order_relaxed);

	/* release: the entries are complete in memory before the tail that covers them. */
	atomic_store_explicit(ring->sq_tail, ring->filled_tail, memory_order_release);
	return ring->filled_tail - published;
}

/* The one system call of every day: take `submit` entries, wait until `wait` results are there. */
static inline int raw_enter(struct raw_ring *ring, uint32_t submit, uint32_t wait, uint32_t flags)
{
	long result = syscall(SYS_io_uring_enter, ring->fd, submit, wait, flags, NULL, 0);

	ring->enter_calls++;
	return result < 0 ? -errno : (int)result;
}

/* Submits what was filled in. Returns 0 or -errno. */
static inline int raw_submit(struct raw_ring *ring)
{
	uint32_t count = raw_publish(ring);
	int taken;

	if (!(ring->flags & IORING_SETUP_SQPOLL)) {
		for (; count; count -= (uint32_t)taken) {
			taken = raw_enter(ring, count, 0, 0);
			if (taken < 0 && taken != -EINTR)
				return taken;
			if (taken < 0)
				taken = 0;
		}
		return 0;
	}
	/*
	 * A kernel thread reads the tail. Before it goes to sleep it sets a flag and
	 * looks at the tail once more; we store the tail, then look at the flag. For
	 * one of the two to notice the other, neither may swap its two steps. Acquire
	 * and release allow a store to sink below a later load; a full fence does not.
	 */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(ring->sq_flags, memory_order_relaxed) & IORING_SQ_NEED_WAKEUP) {
		ring->wakeup_calls++;
		taken = raw_enter(ring, 0, 0, IORING_ENTER_SQ_WAKEUP);
		if (taken < 0 && taken != -EINTR)
			return taken;
	}
	return 0;
}

/* The oldest result, or NULL when there is none. It stays the kernel's until raw_cqe_seen(). */
static inline struct io_uring_cqe *raw_peek_cqe(struct raw_ring *ring)
{
	uint32_t head = atomic_load_explicit(ring->cq_head, memory_order_relaxed);	/* only we write it */
	/* acquire: the result is read after the tail that covers it. */
	uint32_t tail = atomic_load_explicit(ring->cq_tail, memory_order_acquire);

	return head == tail ? NULL : &ring->cqes[head & ring->cq_mask];
}

/* Waits until there is a result. Returns 0 or -errno. */
static inline int raw_wait_cqe(struct raw_ring *ring, struct io_uring_cqe **cqe)
{
	int result;

	while (!(*cqe = raw_peek_cqe(ring))) {
		result = raw_enter(ring, 0, 1, IORING_ENTER_GETEVENTS);
		if (result < 0 && result != -EINTR)
			return result;
	}
	return 0;
}

/* Gives the slot of the oldest result back to the kernel. */
static inline void raw_cqe_seen(struct raw_ring *ring)
{
	uint32_t head = atomic_load_explicit(ring->cq_head, memory_order_relaxed);

	/* release: we have read the result before the head moves over it and the kernel may write there again. */
	atomic_store_explicit(ring->cq_head, head + 1, memory_order_release);
}

#endif
