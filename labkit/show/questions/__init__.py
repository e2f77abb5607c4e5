"""The exercises of all lessons by name ("01-q2"); each lesson's stand in the file of its stem."""

from __future__ import annotations

from . import capstone, hello, io_engines, maps, probes, sockmap, start, syscall_latency, uring, usdt, verifier
from .question import Hint, Question, names, number, text, whole

__all__ = ["QUESTIONS", "Hint", "Question", "names", "number", "text", "whole"]

QUESTIONS: dict[str, Question] = {
    **start.QUESTIONS,
    **capstone.QUESTIONS,
    **hello.QUESTIONS,
    **io_engines.QUESTIONS,
    **maps.QUESTIONS,
    **probes.QUESTIONS,
    **sockmap.QUESTIONS,
    **syscall_latency.QUESTIONS,
    **uring.QUESTIONS,
    **usdt.QUESTIONS,
    **verifier.QUESTIONS,
}
