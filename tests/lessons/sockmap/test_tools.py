# SPDX-License-Identifier: Apache-2.0
"""Lesson 09: right programs pass, typical wrong ones are refused, each in the case that shows its mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from judging import judged

from labkit.lessons.sockmap.tools import KINDS, REDIRECT

pytestmark = pytest.mark.bpf
HEADER = "#include <uapi/linux/bpf.h>"

REDIRECTED = """
BPF_SOCKHASH(sockets, u32, 64);
BPF_ARRAY(moved, u64, 1);

int send_message(struct sk_msg_md *msg)
{
	int slot = 0;
	u64 *sum = moved.lookup(&slot);
	u32 number = variant(), other = msg->remote_port, own = msg->local_port, key;
	int verdict;

	key = number == 2 ? own : number == 1 ? other : bpf_ntohl(other);	/* 2: itself; 1: not turned round */
	verdict = sockets.msg_redirect_hash(msg, &key, BPF_F_INGRESS);
	if (number == 3 && verdict != SK_PASS)
		return verdict;					/* nobody there: the send fails */
	if (sum && (verdict == SK_PASS || number == 4))		/* 4: counts what was not redirected, too */
		__sync_fetch_and_add(sum, number == 5 ? 1 : msg->size);
	return SK_PASS;
}
"""

KNOWN = """
BPF_SOCKHASH(sockets, u32, 64);
BPF_HASH(kinds, u32, u64);

int send_message(struct sk_msg_md *msg)
{
	u8 *data = msg->data, *end = msg->data_end;
	u32 number = variant(), key;
	u64 zero = 0, *count;

	if (data + 1 > end || (number == 2 && data + 2 > end))	/* 2: wants a second byte */
		return SK_PASS;
	key = number == 3 ? (u32)(s8)data[0] : number == 4 ? 'G' : data[0];
	count = kinds.lookup_or_try_init(&key, &zero);
	if (count)
		__sync_fetch_and_add(count, number == 5 ? msg->size : 1);
	return number == 1 ? SK_DROP : SK_PASS;
}
"""


def test_redirects(tmp_path: Path) -> None:
    told = judged(REDIRECT.judge, tmp_path, REDIRECTED, 5, before=HEADER)
    assert [each.case for each in told] == [
        "both ends in the map",
        "both ends in the map",
        "the other end is not in the map",
        "the other end is not in the map",
        "both ends in the map",
    ]
    assert len({each.hint for each in told[1:]}) == 4
    assert told[0].hint == told[1].hint  # both look for the wrong port


def test_kinds_of_messages(tmp_path: Path) -> None:
    told = judged(KINDS.judge, tmp_path, KNOWN, 5, before=HEADER)
    assert [each.case for each in told] == [
        "one kind",
        "messages of 1 byte",
        "a byte above 127",
        "several kinds",
        "one kind",
    ]
