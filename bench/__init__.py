# SPDX-License-Identifier: Apache-2.0
"""`make bench`: the lab measured against what a user would take instead; docs/performance.md explains each figure.

One small file a family (io, trace, events, sockmap, ui, frames). Each stands on the experiments and on
`labkit.stats.trial`; nothing in labkit knows of it.
"""
