/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/*
 * Goes before a learner's own program: counts each record and each update that the kernel refuses, also where the
 * program does not look at the result. labkit/bpf/losses.py reads the counts.
 *
 * BCC turns events.ringbuf_output(...) and counts.increment(...) into calls of the helpers below, and compiles the
 * result a second time. These macros take effect then, so they see what BCC itself wrote as well. Each evaluates its
 * arguments once and has the value of the helper. Only a refusal costs more than one comparison.
 */
#ifndef LABKIT_COUNTED_H
#define LABKIT_COUNTED_H

#define LABKIT_MAPS 64		/* maps with a row each; all others share the first row */
#define LABKIT_KINDS 4

enum labkit_refusal {
	LABKIT_NO_RECORD,	/* a ring buffer or a perf buffer was full, or nobody reads it */
	LABKIT_NO_ENTRY,	/* a map was full, or refused the key */
	LABKIT_RACE,		/* two CPUs made one entry at once: increment() drops the second count */
	LABKIT_NO_SLOT,		/* increment() found no entry, and BCC makes none in this kind of map */
};

BPF_PERCPU_ARRAY(labkit_refused, u64, LABKIT_MAPS * LABKIT_KINDS);

static __always_inline void labkit_count_refused(u32 map, u32 kind, u64 by)
{
	int slot = (map < LABKIT_MAPS ? map : 0) * LABKIT_KINDS + kind;
	u64 *count = labkit_refused.lookup(&slot);

	if (count)
		__sync_fetch_and_add(count, by);
}

/* BCC names a map by bpf_pseudo_fd(1, -N): it is the Nth that the program declares. Some calls have a cast before. */
#define LABKIT_NUMBER(map) LABKIT_NUMBER_(map)
#define LABKIT_NUMBER_(map) LABKIT_OF_##map
#define LABKIT_OF_bpf_pseudo_fd(type, fd) (-(fd))
#define LABKIT_NO_CAST(cast)

/* increment() declares _key, and _zleaf where it adds an entry: there, these are not what they are elsewhere. */
struct labkit_nothing { char none; };
extern struct labkit_nothing _key, _zleaf;
#define LABKIT_IS_INCREMENT(name) (!__builtin_types_compatible_p(__typeof__(name), struct labkit_nothing))

#define LABKIT_UPDATED(number, call) ({ \
	int labkit_result = call; \
	if (LABKIT_IS_INCREMENT(_zleaf)) /* it makes one: the lookup before it counted none */ \
		labkit_count_refused(number, LABKIT_NO_SLOT, -1); \
	if (labkit_result == -17 /* EEXIST */) { \
		if (LABKIT_IS_INCREMENT(_zleaf)) \
			labkit_count_refused(number, LABKIT_RACE, 1); \
	} else if (labkit_result) { \
		labkit_count_refused(number, LABKIT_NO_ENTRY, 1); \
	} \
	labkit_result; })

#define LABKIT_SENT(number, call) ({ \
	int labkit_result = call; \
	if (labkit_result) \
		labkit_count_refused(number, LABKIT_NO_RECORD, 1); \
	labkit_result; })

#define bpf_map_update_elem_(map, ...) LABKIT_UPDATED(LABKIT_NUMBER(map), bpf_map_update_elem_(map, __VA_ARGS__))
#define bpf_map_update_elem(map, ...) \
	LABKIT_UPDATED(LABKIT_NUMBER(LABKIT_NO_CAST map), bpf_map_update_elem(map, __VA_ARGS__))

#define bpf_map_lookup_elem_(map, key) ({ \
	void *labkit_found = bpf_map_lookup_elem_(map, key); \
	if (LABKIT_IS_INCREMENT(_key) && !labkit_found) \
		labkit_count_refused(LABKIT_NUMBER(map), LABKIT_NO_SLOT, 1); \
	labkit_found; })

#define bpf_ringbuf_output(map, ...) \
	LABKIT_SENT(LABKIT_NUMBER(LABKIT_NO_CAST map), bpf_ringbuf_output(map, __VA_ARGS__))
#define bpf_perf_event_output(context, map, ...) \
	LABKIT_SENT(LABKIT_NUMBER(LABKIT_NO_CAST map), bpf_perf_event_output(context, map, __VA_ARGS__))
#define bpf_ringbuf_reserve(map, ...) ({ \
	void *labkit_room = bpf_ringbuf_reserve(map, __VA_ARGS__); \
	if (!labkit_room) \
		labkit_count_refused(LABKIT_NUMBER(LABKIT_NO_CAST map), LABKIT_NO_RECORD, 1); \
	labkit_room; })

#endif
