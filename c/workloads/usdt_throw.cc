// SPDX-License-Identifier: Apache-2.0
/*
 * Lesson 05: throws C++ exceptions of several types, as often as the options say. It has no probe of its own; the C++
 * library, libstdc++, has: throw, catch and rethrow.
 *
 *	usdt_throw --go --range 11 --runtime 7 --own 5
 */
#include <stdexcept>

#include "workload.h"

namespace {

struct out_of_luck {
	int64_t number;
};

int64_t range = 11;
int64_t runtime = 7;
int64_t own = 5;

const option_row options[] = {
	OPTION_INTEGER("range", &range, 0, 1000000, "throws", "how many std::out_of_range to throw"),
	OPTION_INTEGER("runtime", &runtime, 0, 1000000, "throws", "how many std::runtime_error, each thrown on once"),
	OPTION_INTEGER("own", &own, 0, 1000000, "throws", "how many of a type of its own"),
	OPTIONS_END
};

struct counts {
	int64_t thrown, caught, rethrown;
};

void throw_range(counts &counts)
{
	try {
		counts.thrown++;
		throw std::out_of_range("no such element");
	} catch (const std::exception &) {
		counts.caught++;
	}
}

/* Caught, thrown on, and caught again. */
void throw_runtime(counts &counts)
{
	try {
		try {
			counts.thrown++;
			throw std::runtime_error("the disk is on fire");
		} catch (const std::exception &) {
			counts.caught++;
			counts.rethrown++;
			throw;
		}
	} catch (const std::runtime_error &) {
		counts.caught++;
	}
}

void throw_own(counts &counts, int64_t number)
{
	try {
		counts.thrown++;
		throw out_of_luck{number};
	} catch (const out_of_luck &) {
		counts.caught++;
	}
}

} // namespace

int main(int argc, char **argv)
{
	counts counts = {};

	workload_begin(argc, argv, "Throws and catches C++ exceptions.", options);
	if (!workload_ready())
		return 0;

	for (int64_t i = 0; i < range && !workload_stopped; i++)
		throw_range(counts);
	for (int64_t i = 0; i < runtime && !workload_stopped; i++)
		throw_runtime(counts);
	for (int64_t i = 0; i < own && !workload_stopped; i++)
		throw_own(counts, i);

	json_open(nullptr, '{');
	json_integer("throw", counts.thrown);
	json_integer("catch", counts.caught);
	json_integer("rethrow", counts.rethrown);
	json_close('}');
	return workload_end();
}
