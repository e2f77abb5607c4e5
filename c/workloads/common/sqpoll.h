/* SPDX-License-Identifier: Apache-2.0 */
/* How long the submitting thread of io_uring looks at an empty ring before it sleeps. A test sets another time. */
#ifndef SQPOLL_H
#define SQPOLL_H

#ifndef SQPOLL_IDLE_MS
#define SQPOLL_IDLE_MS 1000
#endif

#endif
