/* kind: context | type: PERF_EVENT
 * The helper wants the context itself. */
#include <uapi/linux/ptrace.h>
#include <uapi/linux/bpf_perf_event.h>
BPF_PERF_OUTPUT(events);

int rejected(struct bpf_perf_event_data *ctx)
{
	u64 now = bpf_ktime_get_ns();

	events.perf_submit((char *)ctx + 8, &now, sizeof(now)); /* rejected here */
	return 0;
}
