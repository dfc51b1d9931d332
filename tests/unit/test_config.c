/* SPDX-License-Identifier: MIT */
/*
 * Configurations: each field's range, what is refused and how it is said, and
 * what a refusal leaves behind (nothing).
 */
#include "support/test.h"
#include "support/process.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <rondo/rondo.h>

#include "config.h"
#include "os.h"

/* One config that is wrong in one place. */
struct wrong {
	const char *field; /* that the sentence must begin with */
	int error;
	struct rondo_config config;
};

#define SIZE sizeof(struct rondo_config)
#define LONG_64 \
	"a name that is sixty-four bytes long, which is exactly one more "

static const struct wrong wrongs[] = {
	{"size: ", -EINVAL, {.size = 0}},
	{"size: ", -EINVAL, {.size = 4}},
	{"size: ", -EINVAL, {.size = SIZE - 4}},
	{"size: ", -E2BIG, {.size = UINT32_MAX}},
	{"flags: ", -EINVAL, {.size = SIZE, .flags = 0x20}},
	{"flags: ", -EINVAL, {.size = SIZE, .flags = 0x80000000u}},
	{"subbuf_bytes: ", -EINVAL, {.size = SIZE, .subbuf_bytes = 1}},
	{"subbuf_bytes: ", -EINVAL, {.size = SIZE, .subbuf_bytes = 2048}},
	{"subbuf_bytes: ", -EINVAL, {.size = SIZE, .subbuf_bytes = 4097}},
	{"subbuf_bytes: ", -EINVAL, {.size = SIZE, .subbuf_bytes = 12288}},
	{"subbuf_bytes: ",
	 -EINVAL,
	 {.size = SIZE, .subbuf_bytes = UINT64_C(1) << 31}},
	{"subbuf_bytes: ",
	 -EINVAL,
	 {.size = SIZE, .subbuf_bytes = UINT64_C(1) << 63}},
	{"subbuf_bytes: ", -EINVAL, {.size = SIZE, .subbuf_bytes = UINT64_MAX}},
	{"subbuf_count: ", -EINVAL, {.size = SIZE, .subbuf_count = 1}},
	{"subbuf_count: ", -EINVAL, {.size = SIZE, .subbuf_count = 2}},
	{"subbuf_count: ", -EINVAL, {.size = SIZE, .subbuf_count = 6}},
	{"subbuf_count: ", -EINVAL, {.size = SIZE, .subbuf_count = 65536}},
	{"subbuf_count: ", -EINVAL, {.size = SIZE, .subbuf_count = UINT32_MAX}},
	{"spare_count: ", -EINVAL, {.size = SIZE, .spare_count = 65528}},
	{"spare_count: ", -EINVAL, {.size = SIZE, .spare_count = UINT32_MAX}},
	{"record_max: ", -EINVAL, {.size = SIZE, .record_max = 262144}},
	{"record_max: ", -EINVAL, {.size = SIZE, .record_max = UINT32_MAX}},
	{"rings: ", -EINVAL, {.size = SIZE, .rings = 2}},
	{"clock: ", -EINVAL, {.size = SIZE, .clock = 4}},
	{"wake_subbufs: ", -EINVAL, {.size = SIZE, .wake_subbufs = 9}},
	{"name: ", -EINVAL, {.size = SIZE, .name = ""}},
	{"name: ", -EINVAL, {.size = SIZE, .name = "two\nlines"}},
	{"name: ", -EINVAL, {.size = SIZE, .name = "a \"quote\""}},
	{"name: ", -EINVAL, {.size = SIZE, .name = "back\\slash"}},
	{"name: ", -EINVAL, {.size = SIZE, .name = "caf\xc3\xa9"}},
	{"name: ", -EINVAL, {.size = SIZE, .name = "delete\x7f"}},
	{"name: ", -ENAMETOOLONG, {.size = SIZE, .name = LONG_64}},
	{"path: ", -EINVAL, {.size = SIZE, .path = ""}},
	/* 2^41 bytes of positions: a quarter of what a head can tell. */
	{"subbuf_count: ",
	 -EINVAL,
	 {.size = SIZE,
	  .subbuf_bytes = UINT64_C(1) << 30,
	  .subbuf_count = 2048}},
	/* Each field is fine, their product is not. */
	{"subbuf_bytes: ",
	 -EOVERFLOW,
	 {.size = SIZE,
	  .subbuf_bytes = UINT64_C(1) << 30,
	  .subbuf_count = 1024}},
	{"subbuf_bytes: ",
	 -EOVERFLOW,
	 {.size = SIZE,
	  .subbuf_bytes = UINT64_C(1) << 30,
	  .subbuf_count = 4,
	  .spare_count = 1024}},
};

static void a_refusal_names_its_field(void **state)
{
	(void)state;
	for (size_t i = 0; i < TEST_COUNT(wrongs); i++) {
		const struct wrong *wrong = &wrongs[i];
		const char *why = NULL;

		assert_int_equal(rondo_config_check(&wrong->config, &why),
				 wrong->error);
		assert_non_null(why);
		if (strncmp(why, wrong->field, strlen(wrong->field)))
			fail_msg("config %zu: %s is not in \"%s\"", i,
				 wrong->field, why);
		assert_int_equal(rondo_config_check(&wrong->config, NULL),
				 wrong->error);
		assert_int_equal(rondo_config_bytes(&wrong->config),
				 wrong->error);
	}
}

/* Refuses every wrong config once. */
static void refuse_all(void)
{
	for (size_t i = 0; i < TEST_COUNT(wrongs); i++) {
		struct rondo_channel *const untouched = (void *)&wrongs[i];
		struct rondo_channel *channel = untouched;

		errno = 1234;
		assert_int_equal(rondo_channel_create(&wrongs[i].config,
						      &channel),
				 wrongs[i].error);
		assert_ptr_equal(channel, untouched);
		assert_int_equal(errno, 1234);
	}
}

static void a_refused_config_leaves_nothing_behind(void **state)
{
	struct test_holdings before, after;

	(void)state;
	refuse_all();
	before = test_holdings();
	refuse_all();
	after = test_holdings();
	assert_int_equal(before.descriptors, after.descriptors);
	assert_int_equal(before.shared_maps, after.shared_maps);
	assert_int_equal(before.maps, after.maps);
}

static void all_defaults_are_those_of_the_header(void **state)
{
	struct rondo_config zero = {.size = sizeof(zero)}, out;
	const struct rondo_config *both[] = {NULL, &zero};
	const char *why = NULL;

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(both); i++) {
		memset(&out, 0xff, sizeof(out));
		assert_int_equal(rondo_config_complete(both[i], &out, &why), 0);
		assert_string_equal(why, "");
		assert_int_equal(out.size, sizeof(out));
		assert_int_equal(out.flags, 0);
		assert_int_equal(out.subbuf_bytes, 256 << 10);
		assert_int_equal(out.subbuf_count, 8);
		assert_int_equal(out.spare_count, 1);
		assert_int_equal(out.record_max, 2032);
		assert_int_equal(out.rings, RONDO_RINGS_BY_CPU);
		assert_int_equal(out.clock, RONDO_CLOCK_FASTEST);
		assert_int_equal(out.flush_ms, 0);
		assert_int_equal(out.wake_subbufs, 1);
		assert_int_equal(out.stall_ms, 100);
		assert_string_equal(out.name, "rondo");
		assert_null(out.path);
	}
	assert_int_equal(rondo_config_check(NULL, &why), 0);
	assert_string_equal(why, "");
}

static void the_limits_themselves_are_accepted(void **state)
{
	const struct rondo_config rights[] = {
		{.size = SIZE, .subbuf_bytes = 65536, .subbuf_count = 4},
		{.size = SIZE,
		 .subbuf_bytes = UINT64_C(1) << 30,
		 .subbuf_count = 4},
		{.size = SIZE, .subbuf_bytes = 65536, .subbuf_count = 32768},
		{.size = SIZE, .subbuf_bytes = 65536, .spare_count = 65527},
		{.size = SIZE, .wake_subbufs = 8},
		{.size = SIZE,
		 .flags = RONDO_OVERWRITE | RONDO_PREFAULT | RONDO_MLOCK |
			  RONDO_HUGE | RONDO_NO_RSEQ},
		{.size = SIZE, .record_max = 1},
		{.size = SIZE, .stall_ms = UINT32_MAX, .flush_ms = UINT32_MAX},
		{.size = SIZE, .name = &LONG_64[1]},
		{.size = SIZE, .rings = RONDO_RINGS_BY_CONCURRENCY},
		{.size = SIZE, .clock = RONDO_CLOCK_NONE},
	};

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(rights); i++) {
		struct rondo_config out;
		const char *why = "";
		int result = rondo_config_complete(&rights[i], &out, &why);

		if (result)
			fail_msg("config %zu: %d, %s", i, result, why);
	}
}

static void the_largest_record_leaves_room_for_header_and_tail(void **state)
{
	struct rondo_config config = {.size = SIZE, .subbuf_bytes = 65536};
	struct rondo_config out;

	(void)state;
	config.record_max = 65536 - 128 - 16 - 16;
	assert_int_equal(rondo_config_complete(&config, &out, NULL), 0);
	assert_int_equal(rondo_config_header_bytes(&out), 16);
	config.record_max++;
	assert_int_equal(rondo_config_complete(&config, &out, NULL), -EINVAL);
	config.record_max = 2032;
	assert_int_equal(rondo_config_complete(&config, &out, NULL), 0);
	assert_int_equal(rondo_config_header_bytes(&out), 8);
	config.record_max = 2033;
	assert_int_equal(rondo_config_complete(&config, &out, NULL), 0);
	assert_int_equal(rondo_config_header_bytes(&out), 16);
}

static void a_sub_buffer_is_at_least_a_page(void **state)
{
	struct rondo_config config = {.size = SIZE};

	(void)state;
	config.subbuf_bytes = rondo_os_page_bytes();
	assert_int_equal(rondo_config_check(&config, NULL), 0);
	config.subbuf_bytes /= 2;
	assert_int_equal(rondo_config_check(&config, NULL), -EINVAL);
}

static void a_smaller_struct_means_zero_for_what_it_lacks(void **state)
{
	struct rondo_config config, out;

	(void)state;
	memset(&config, 0xff, sizeof(config));
	config.size = offsetof(struct rondo_config, subbuf_count);
	config.flags = RONDO_OVERWRITE;
	config.subbuf_bytes = 65536;
	assert_int_equal(rondo_config_complete(&config, &out, NULL), 0);
	assert_int_equal(out.flags, RONDO_OVERWRITE);
	assert_int_equal(out.subbuf_bytes, 65536);
	assert_int_equal(out.subbuf_count, 8);
	assert_string_equal(out.name, "rondo");
	assert_null(out.path);
}

static void a_larger_struct_is_fine_when_what_is_unknown_is_zero(void **state)
{
	struct {
		struct rondo_config config;
		unsigned char later[32];
	} newer;
	const char *why;

	(void)state;
	memset(&newer, 0, sizeof(newer));
	newer.config.size = sizeof(newer);
	newer.config.subbuf_count = 16;
	assert_int_equal(rondo_config_check(&newer.config, &why), 0);
	for (size_t i = 0; i < sizeof(newer.later); i++) {
		newer.later[i] = 1;
		assert_int_equal(rondo_config_check(&newer.config, &why),
				 -E2BIG);
		assert_int_equal(strncmp(why, "size: ", 6), 0);
		newer.later[i] = 0;
	}
}

static void many_rings_may_be_too_many_for_a_hint(void **state)
{
	struct rondo_config config = {.size = SIZE, .subbuf_bytes = 65536};
	struct rondo_config out;
	const char *why = "";

	(void)state;
	config.subbuf_count = 1024;
	config.spare_count = 1024;
	assert_int_equal(rondo_config_complete(&config, &out, NULL), 0);
	/* 2^11 sets a ring: 2^21 with 1024 rings, one more than can be told */
	assert_int_equal(rondo_config_check_rings(&out, 1023, &why), 0);
	assert_int_equal(rondo_config_check_rings(&out, 1024, &why),
			 -EOVERFLOW);
	assert_int_equal(strncmp(why, "subbuf_count: ", 14), 0);
}

static void a_tebibyte_of_sub_buffers_is_the_most(void **state)
{
	struct rondo_config config = {.size = SIZE,
				      .subbuf_bytes = UINT64_C(1) << 30,
				      .subbuf_count = 128,
				      .spare_count = 128};
	struct rondo_config out;
	const char *why = "";

	(void)state;
	assert_int_equal(rondo_config_complete(&config, &out, NULL), 0);
	assert_int_equal(rondo_config_check_rings(&out, 4, &why), 0);
	assert_int_equal(rondo_config_check_rings(&out, 5, &why), -EOVERFLOW);
	assert_int_equal(strncmp(why, "subbuf_bytes: ", 14), 0);
}

static void a_path_may_not_be_longer_than_paths_are(void **state)
{
	struct rondo_config config = {.size = SIZE};
	char *path = malloc(PATH_MAX + 1);
	const char *why;

	(void)state;
	assert_non_null(path);
	memset(path, 'x', PATH_MAX);
	path[PATH_MAX] = 0;
	config.path = path;
	assert_int_equal(rondo_config_check(&config, &why), -ENAMETOOLONG);
	assert_int_equal(strncmp(why, "path: ", 6), 0);
	path[PATH_MAX - 1] = 0;
	assert_int_equal(rondo_config_check(&config, &why), 0);
	free(path);
}

static void what_it_costs_is_what_it_takes(void **state)
{
	const struct rondo_config configs[] = {
		{.size = SIZE},
		{.size = SIZE,
		 .subbuf_bytes = 65536,
		 .subbuf_count = 64,
		 .spare_count = 64},
		{.size = SIZE, .subbuf_bytes = 65536, .subbuf_count = 1024},
		{.size = SIZE, .flags = RONDO_HUGE},
	};

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(configs); i++) {
		int64_t bytes = rondo_config_bytes(&configs[i]);
		struct rondo_channel *channel;
		struct rondo_config in_force = {.size = SIZE};
		struct rondo_stats stats;
		int64_t pages, page = (int64_t)rondo_os_page_bytes();

		assert_int_equal(rondo_channel_create(&configs[i], &channel),
				 0);
		/* The file and the handle. */
		assert_int_equal(
			bytes, rondo_os_size(rondo_channel_fd(channel)) + page);
		rondo_channel_config(channel, &in_force);
		rondo_channel_stats(channel, &stats);
		pages = (int64_t)stats.rings *
			(in_force.subbuf_count + in_force.spare_count);
		assert_true(bytes >= pages * (int64_t)in_force.subbuf_bytes);
		assert_int_equal(rondo_channel_destroy(channel), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refusal_names_its_field),
		cmocka_unit_test(a_refused_config_leaves_nothing_behind),
		cmocka_unit_test(all_defaults_are_those_of_the_header),
		cmocka_unit_test(the_limits_themselves_are_accepted),
		cmocka_unit_test(
			the_largest_record_leaves_room_for_header_and_tail),
		cmocka_unit_test(a_sub_buffer_is_at_least_a_page),
		cmocka_unit_test(a_smaller_struct_means_zero_for_what_it_lacks),
		cmocka_unit_test(
			a_larger_struct_is_fine_when_what_is_unknown_is_zero),
		cmocka_unit_test(many_rings_may_be_too_many_for_a_hint),
		cmocka_unit_test(a_tebibyte_of_sub_buffers_is_the_most),
		cmocka_unit_test(a_path_may_not_be_longer_than_paths_are),
		cmocka_unit_test(what_it_costs_is_what_it_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
