# SPDX-License-Identifier: Apache-2.0
"""Other kernels than the one that runs: Debian's own as packages, and emulated machines that boot them."""
