# SPDX-License-Identifier: Apache-2.0
"""Panels: controls that measure and plot again. Each lesson builds its own from `Panel` and `controls`."""

from __future__ import annotations

from labkit.notebook.panel import controls
from labkit.notebook.panel.panel import Panel

__all__ = ["Panel", "controls"]
