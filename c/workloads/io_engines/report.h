/* SPDX-License-Identifier: Apache-2.0 */
/* What a run has used and found out, as JSON. */
#ifndef REPORT_H
#define REPORT_H

#include "usage.h"

void report(const struct engine *engine, const struct resources *used);

extern const char *const operation_names[], *const order_names[], *const cache_names[], *const durable_names[];

#endif
