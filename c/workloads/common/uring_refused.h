/* SPDX-License-Identifier: Apache-2.0 */
/* Why io_uring_setup failed, in words, and what would help. */
#ifndef URING_REFUSED_H
#define URING_REFUSED_H

#include "workload.h"

/* `asked` names the options that need a newer kernel, or is empty. Ends the program with status 77. */
__attribute__((noreturn))
static inline void uring_refused(int error, const char *asked)
{
	FILE *sysctl = fopen("/proc/sys/kernel/io_uring_disabled", "re");
	int disabled = 0;

	if (sysctl && fscanf(sysctl, "%d", &disabled) != 1)
		disabled = 0;
	if (error == EPERM && disabled)
		unable("io_uring is switched off here (kernel.io_uring_disabled is %d): "
		       "run `sysctl -w kernel.io_uring_disabled=0` as root", disabled);
	if (error == EPERM)
		unable("io_uring_setup is refused, by a seccomp filter or a security module: "
		       "allow it in the container's seccomp profile (--security-opt seccomp=unconfined)");
	if (error == ENOSYS)
		unable("this kernel has no io_uring (5.1 and later have), or a seccomp filter hides it: "
		       "allow io_uring_setup in the container's seccomp profile");
	if (error == EINVAL || error == ENOTSUP)
		unable("this kernel is too old for what was asked of io_uring%s: leave the option out", asked);
	if (error == ENOMEM)
		unable("no locked memory for the rings: raise `ulimit -l`, or run as root");
	unable("io_uring_setup: %s", strerror(error));
}

#endif
