# SPDX-License-Identifier: Apache-2.0
"""Will a program load on other kernels? Each one is booted in an emulated machine and asked.

Nothing is imported here: `guest` runs in the emulated machine, where importing pandas takes a minute.
"""
