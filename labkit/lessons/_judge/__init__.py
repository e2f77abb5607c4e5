# SPDX-License-Identifier: Apache-2.0
"""Try a learner's own program on hidden work: shared by the lessons in which learners write kernel code."""
