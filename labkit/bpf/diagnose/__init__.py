# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a program, in words, as far as clang, its C and the kernel's own lists show it."""
