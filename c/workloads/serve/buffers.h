/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of provided buffers: memory that the program gives to the kernel in
 * advance. A receive takes a buffer only when bytes have come, so a thousand
 * silent connections hold none.
 */
#ifndef BUFFERS_H
#define BUFFERS_H

#include <stddef.h>
#include <stdint.h>

#define BUFFER_GROUP 1

/* Registers the ring and fills it. Ends the program where the kernel has no such rings. */
void buffers_open(void);

char *buffer_at(unsigned int id);

/* The kernel has taken one; the program gives it back. */
void buffer_taken(void);
void buffer_return(unsigned int id);
unsigned int buffers_left(void);

#endif
