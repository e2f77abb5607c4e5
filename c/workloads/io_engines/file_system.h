/* SPDX-License-Identifier: Apache-2.0 */
/* The name of the file system that the data file is on; its number if it has no name here. */
#ifndef FILE_SYSTEM_H
#define FILE_SYSTEM_H

const char *file_system_name(void);

#endif
