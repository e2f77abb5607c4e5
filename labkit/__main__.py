# SPDX-License-Identifier: Apache-2.0
"""`python -m labkit` is the command `labkit`."""

from labkit.cli import main

raise SystemExit(main())
