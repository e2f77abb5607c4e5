// SPDX-License-Identifier: Apache-2.0
#include "buffers.h"
#include "rings.h"

#define COUNT 4096	/* a power of two */

static struct io_uring_buf_ring *provided;
static char *memory;
static uint16_t tail;
static unsigned int left;

static void *map(size_t bytes)
{
	void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (found == MAP_FAILED)
		die("mmap: %s", "Free memory: see `free -m`.", strerror(errno));
	return found;
}

char *buffer_at(unsigned int id)
{
	return memory + (size_t)id * input_bytes();
}

void buffer_taken(void)
{
	left--;
}

unsigned int buffers_left(void)
{
	return left;
}

void buffer_return(unsigned int id)
{
	struct io_uring_buf *slot = &provided->bufs[tail & (COUNT - 1)];

	slot->addr = (uint64_t)(uintptr_t)buffer_at(id);
	slot->len = (uint32_t)input_bytes();
	slot->bid = (uint16_t)id;
	tail++;
	left++;
	/* release: the slot is filled before the tail that covers it */
	__atomic_store_n(&provided->tail, tail, __ATOMIC_RELEASE);
}

void buffers_open(void)
{
	struct io_uring_buf_reg place = { .ring_entries = COUNT, .bgid = BUFFER_GROUP };

	provided = map(COUNT * sizeof(struct io_uring_buf));
	memory = map(COUNT * input_bytes());	/* a page that is never used costs nothing */
	place.ring_addr = (uint64_t)(uintptr_t)provided;
	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_PBUF_RING, &place, 1))
		unable("this kernel's io_uring has no rings of provided buffers (Linux 5.19 and later have): use --way uring");
	for (unsigned int id = 0; id < COUNT; id++)
		buffer_return(id);
}
