// SPDX-License-Identifier: Apache-2.0
/* Every byte is known in advance, and no two messages of a run are alike. */
#include "load.h"

/* The length is a prime: a message that is lost, doubled or of another connection shifts the rest. */
#define PATTERN_BYTES 1048583

static char pattern[PATTERN_BYTES + MOST_MESSAGE_BYTES];
static char answer[MOST_ANSWER_BYTES];
static size_t answer_length;
static uint64_t chance_state;

uint64_t chance(void)
{
	chance_state ^= chance_state >> 12;
	chance_state ^= chance_state << 25;
	chance_state ^= chance_state >> 27;
	return chance_state * 0x2545F4914F6CDD1Dull;
}

void messages_open(void)
{
	chance_state = (uint64_t)set.seed;
	answer_length = http_answer(answer, (size_t)set.message_bytes);
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i < PATTERN_BYTES ? (char)(chance() >> 32) : pattern[i - PATTERN_BYTES];
}

const char *request_bytes(uint32_t connection, uint64_t number, size_t *length)
{
	if (set.protocol == PROTOCOL_HTTP) {
		*length = sizeof(http_request) - 1;
		return http_request;
	}
	*length = (size_t)set.message_bytes;
	return pattern + (connection * 7919ull + number * 104729ull) % PATTERN_BYTES;
}

const char *answer_bytes(uint32_t connection, uint64_t number, size_t *length)
{
	if (set.protocol == PROTOCOL_ECHO)
		return request_bytes(connection, number, length);
	*length = answer_length;
	return answer;
}

int64_t differences(const char *got, const char *due, size_t length)
{
	int64_t wrong = 0;

	if (!memcmp(got, due, length))
		return 0;
	for (size_t i = 0; i < length; i++)
		wrong += got[i] != due[i];
	return wrong;
}
