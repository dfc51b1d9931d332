/* SPDX-License-Identifier: MIT */
/*
 * The memory object: its layout, what is granted of it, files, full disks, and
 * what is not accepted as one.
 */
#include "support/test.h"
#include "support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <rondo/rondo.h>

#include "config.h"
#include "control.h"
#include "memory.h"
#include "os.h"
#include "testpoint.h"

#define SIZE sizeof(struct rondo_config)

/* ---- layout ---- */

struct span {
	uint64_t begin, end;
};

static void assert_apart(const struct span *spans, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_true(spans[i].begin < spans[i].end);
		for (size_t j = 0; j < i; j++)
			assert_true(spans[i].begin >= spans[j].end ||
				    spans[i].end <= spans[j].begin);
	}
}

/* A superblock as create wrote it. */
static struct rondo_superblock superblock_of(struct rondo_channel *channel)
{
	struct rondo_superblock super;

	assert_int_equal(rondo_os_pread(rondo_channel_fd(channel), &super,
					sizeof(super), 0),
			 sizeof(super));
	return super;
}

/* All that one ring has: control page, tables, page sets. */
static size_t ring_spans(const struct rondo_superblock *super, uint64_t ring,
			 struct span *out)
{
	uint64_t sets = super->subbuf_count + super->spare_count;
	uint64_t page = super->rings_offset + ring * 4096;
	uint64_t table = super->tables_offset + ring * super->tables_stride;
	uint64_t pages = super->pages_offset + ring * super->pages_stride;
	uint64_t slots = table + super->slots_offset;
	uint64_t late = table + super->late_offset;
	uint64_t states = table + super->states_offset;

	out[0] = (struct span){page, page + sizeof(struct rondo_ring)};
	out[1] = (struct span){slots, slots + 8 * super->subbuf_count};
	out[2] = (struct span){late, late + 8 * sets};
	out[3] = (struct span){states, states + 8 * sets};
	out[4] = (struct span){pages, pages + sets * super->subbuf_bytes};
	return 5;
}

static void check_layout(const struct rondo_superblock *super)
{
	struct span spans[3 + 3 * 5];
	uint64_t ends = 0;
	size_t count = 3;

	spans[0] = (struct span){0, sizeof(*super)};
	spans[1] =
		(struct span){super->wait_offset,
			      super->wait_offset + sizeof(struct rondo_wait)};
	spans[2] = (struct span){super->catalog_offset,
				 super->catalog_offset + super->catalog_bytes};
	count += ring_spans(super, 0, spans + count);
	count += ring_spans(super, 1, spans + count);
	count += ring_spans(super, super->ring_count - 1, spans + count);
	assert_apart(spans, count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(spans[i].begin % 128, 0);
		if (spans[i].end > ends)
			ends = spans[i].end;
	}
	assert_int_equal(ends, super->total_bytes);
	assert_int_equal(super->wait_offset % 4096, 0);
	assert_int_equal(super->catalog_offset % 4096, 0);
	assert_int_equal(super->rings_offset % 4096, 0);
	assert_int_equal(super->pages_offset % rondo_os_page_bytes(), 0);
}

static void everything_has_a_place_of_its_own(void **state)
{
	static const uint32_t counts[] = {4, 8, 64, 128, 256, 1024};
	static const uint32_t spares[] = {1, 2, 63, 128, 1000};

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(counts); i++) {
		for (size_t j = 0; j < TEST_COUNT(spares); j++) {
			struct rondo_config config = {
				.size = SIZE,
				.subbuf_bytes = 65536,
				.subbuf_count = counts[i],
				.spare_count = spares[j],
			};
			struct rondo_channel *channel;
			struct rondo_superblock super;

			assert_int_equal(
				rondo_channel_create(&config, &channel), 0);
			super = superblock_of(channel);
			check_layout(&super);
			assert_int_equal(rondo_channel_destroy(channel), 0);
		}
	}
}

static void a_default_ring_costs_one_page_besides_its_sub_buffers(void **state)
{
	struct rondo_config complete;
	struct rondo_map few, more;
	uint64_t page_sets = 9 * (256 << 10);

	(void)state;
	assert_int_equal(rondo_config_complete(NULL, &complete, NULL), 0);
	/* As many more as leave what is rounded up the same. */
	assert_int_equal(rondo_memory_lay_out(&complete, 16, &few), 0);
	assert_int_equal(rondo_memory_lay_out(&complete, 32, &more), 0);
	assert_int_equal(more.bytes - few.bytes, 16 * (4096 + page_sets));
	assert_null(few.base);
	assert_null(few.rings);
}

static void huge_pages_begin_where_huge_pages_do(void **state)
{
	struct rondo_config config = {.size = SIZE, .flags = RONDO_HUGE};
	struct rondo_config complete;
	struct rondo_map map;

	(void)state;
	assert_int_equal(rondo_config_complete(&config, &complete, NULL), 0);
	assert_int_equal(rondo_memory_lay_out(&complete, 3, &map), 0);
	assert_int_equal(map.pages_offset % (2 << 20), 0);
}

static void writers_of_different_classes_share_no_cache_line(void **state)
{
	static const size_t groups[] = {
		offsetof(struct rondo_ring, head),
		offsetof(struct rondo_ring, tally),
		offsetof(struct rondo_ring, aside),
		offsetof(struct rondo_ring, discarded),
		offsetof(struct rondo_ring, cursor),
		offsetof(struct rondo_ring, index),
		sizeof(struct rondo_ring),
	};

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(groups); i++) {
		assert_int_equal(groups[i] % 128, 0);
		assert_true(!i || groups[i] > groups[i - 1]);
	}
	assert_int_equal(offsetof(struct rondo_superblock, catalog_used) % 128,
			 0);
	assert_int_equal(offsetof(struct rondo_wait, consumer) % 128, 0);
	assert_true(offsetof(struct rondo_wait, consumer) > 0);
}

static void the_superblock_says_who_and_when(void **state)
{
	struct rondo_config config = {.size = SIZE, .name = "app"};
	struct rondo_channel *one, *two;
	struct rondo_superblock a, b;
	uint8_t boot[16];

	(void)state;
	assert_int_equal(rondo_channel_create(&config, &one), 0);
	assert_int_equal(rondo_channel_create(&config, &two), 0);
	a = superblock_of(one);
	b = superblock_of(two);
	rondo_os_boot_id(boot);
	assert_memory_equal(a.magic, "rondo\0\0\0", 8);
	assert_int_equal(a.layout, RONDO_LAYOUT);
	assert_int_equal(a.pid, getpid());
	assert_int_equal(a.pid_start, rondo_os_pid_start(a.pid));
	assert_memory_equal(a.boot_id, boot, 16);
	assert_string_equal(a.name, "app");
	assert_true(a.process[0] && a.host[0]);
	assert_memory_not_equal(a.uuid, b.uuid, 16);
	assert_int_equal(a.uuid[6] >> 4, 4);
	assert_int_equal(a.uuid[8] >> 6, 2);
	assert_true(a.clock_frequency > 0);
	assert_true(b.clock_base_ticks > a.clock_base_ticks);
	assert_true(b.clock_base_ns >= a.clock_base_ns);
	assert_int_equal(a.catalog_used, 0);
	rondo_channel_destroy(one);
	rondo_channel_destroy(two);
}

/* ---- what is granted ---- */

static uint64_t resident_pages(const struct rondo_map *map)
{
	static unsigned char vector[1 << 16];
	uint64_t page = rondo_os_page_bytes(), count = 0;

	assert_true(map->bytes / page <= sizeof(vector));
	assert_int_equal(mincore(map->base, map->bytes, vector), 0);
	for (uint64_t i = 0; i < map->bytes / page; i++)
		count += vector[i] & 1;
	return count;
}

static void pages_are_touched_at_first_use_or_all_at_once(void **state)
{
	struct rondo_config config = {.size = SIZE, .subbuf_bytes = 65536};
	struct rondo_channel *channel;
	struct rondo_stats stats;
	const struct rondo_map *map;

	(void)state;
	assert_int_equal(rondo_channel_create(&config, &channel), 0);
	map = &channel->control->map;
	assert_true(resident_pages(map) <
		    map->bytes / rondo_os_page_bytes() / 2);
	assert_int_equal(rondo_channel_stats(channel, &stats), 0);
	assert_int_equal(stats.granted, 0);
	rondo_channel_destroy(channel);

	config.flags = RONDO_PREFAULT;
	assert_int_equal(rondo_channel_create(&config, &channel), 0);
	map = &channel->control->map;
	if (!test_is_emulated())
		assert_int_equal(resident_pages(map),
				 map->bytes / rondo_os_page_bytes());
	assert_int_equal(rondo_channel_stats(channel, &stats), 0);
	assert_int_equal(stats.granted, RONDO_GRANTED_PREFAULT);
	rondo_channel_destroy(channel);
}

/* No privilege, no allowance: what root had is gone for good. */
static int drop_to_nobody(void)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_MEMLOCK, &none))
		return -1;
	return getuid() == 0 ? setuid(65534) : 0;
}

/* A channel of this config is made, says that so much was granted, and works. */
static int record_with(const struct rondo_config *config, uint32_t granted)
{
	struct rondo_event_class class = {.size = sizeof(class),
					  .name = "test:empty",
					  .field_size =
						  sizeof(struct rondo_field)};
	struct rondo_channel *channel;
	struct rondo_stats stats;
	uint16_t id;

	TEST_CHILD_CHECK(!rondo_channel_create(config, &channel));
	TEST_CHILD_CHECK(!rondo_channel_stats(channel, &stats));
	TEST_CHILD_CHECK(stats.granted == granted);
	TEST_CHILD_CHECK(!rondo_event_register(channel, &class, &id));
	TEST_CHILD_CHECK(!rondo_write(channel, id, "12345678", 8));
	TEST_CHILD_CHECK(rondo_channel_flush(channel) == 1);
	TEST_CHILD_CHECK(!rondo_channel_destroy(channel));
	return 0;
}

static int record_without_locks(void *argument)
{
	struct rondo_config config = {.size = SIZE,
				      .subbuf_bytes = 65536,
				      .flags = RONDO_MLOCK | RONDO_PREFAULT};

	(void)argument;
	if (drop_to_nobody())
		return TEST_CHILD_SKIP;
	return record_with(&config, RONDO_GRANTED_PREFAULT);
}

static void a_refused_lock_is_told_and_nothing_else_changes(void **state)
{
	int status = test_in_child(record_without_locks, NULL);

	(void)state;
	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status, 0);
}

static void huge_pages_are_granted_or_not_and_the_channel_works(void **state)
{
	struct rondo_config config = {.size = SIZE, .flags = RONDO_HUGE};
	struct rondo_channel *channel;
	struct rondo_stats stats;

	(void)state;
	assert_int_equal(rondo_channel_create(&config, &channel), 0);
	assert_int_equal(rondo_channel_stats(channel, &stats), 0);
	assert_int_equal(stats.granted & ~RONDO_GRANTED_HUGE, 0);
	rondo_channel_destroy(channel);
}

static bool has_pages, asked_for_huge, asked_late;

static enum rondo_os_fate note_pages(const struct rondo_os_site *site,
				     int *out_error)
{
	(void)out_error;
	if (strstr(site->call, "SYS_fallocate") ||
	    strstr(site->call, "MADV_POPULATE_WRITE"))
		has_pages = true;
	if (strstr(site->call, "MADV_HUGEPAGE")) {
		asked_for_huge = true;
		asked_late = has_pages;
	}
	return RONDO_OS_CALL;
}

/* A page that is there stays small, whatever is asked for later. */
static void huge_pages_are_asked_for_before_any_page_is_there(void **state)
{
	struct rondo_config config = {.size = SIZE,
				      .subbuf_bytes = 65536,
				      .flags = RONDO_HUGE | RONDO_PREFAULT};
	struct rondo_channel *channel;

	(void)state;
	has_pages = asked_for_huge = asked_late = false;
	rondo_testpoint_os = note_pages;
	assert_int_equal(rondo_channel_create(&config, &channel), 0);
	rondo_testpoint_os = NULL;
	assert_true(asked_for_huge);
	assert_false(asked_late);
	assert_true(has_pages);
	rondo_channel_destroy(channel);
}

/* ---- files ---- */

struct folder {
	char path[256];
	char file[300];
};

static int folder_setup(void **state)
{
	static struct folder folder;

	if (test_directory(folder.path, sizeof(folder.path)))
		return -1;
	snprintf(folder.file, sizeof(folder.file), "%s/channel", folder.path);
	*state = &folder;
	return 0;
}

/* Fails when a test left anything there but the file. */
static int folder_teardown(void **state)
{
	struct folder *folder = *state;

	unlink(folder->file);
	return rmdir(folder->path);
}

static void a_file_outlives_its_channel_and_can_be_attached(void **state)
{
	struct folder *folder = *state;
	struct rondo_config config = {.size = SIZE,
				      .subbuf_bytes = 65536,
				      .name = "on disk",
				      .path = folder->file};
	struct rondo_config in_force = {.size = SIZE};
	struct rondo_channel *channel;
	struct stat status;

	assert_int_equal(rondo_channel_attach_path(folder->file, &channel),
			 -ENOENT);
	assert_int_equal(rondo_channel_create(&config, &channel), 0);
	assert_int_equal(rondo_channel_config(channel, &in_force), 0);
	assert_string_equal(in_force.path, folder->file);
	assert_int_equal(stat(folder->file, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	/* Nothing is left to run out of space for. */
	assert_true((uint64_t)status.st_blocks * 512 >=
		    (uint64_t)status.st_size);
	assert_int_equal(rondo_channel_destroy(channel), 0);
	assert_int_equal(rondo_channel_attach_path(folder->file, &channel), 0);
	assert_int_equal(rondo_channel_config(channel, &in_force), 0);
	assert_string_equal(in_force.name, "on disk");
	assert_int_equal(rondo_channel_destroy(channel), 0);
	assert_int_equal(stat(folder->file, &status), 0);
}

#define POPULATE_WRITE 23 /* of madvise(2) */

/* argument: a path, or NULL. */
static int record_without_prefault(void *argument)
{
	const struct rondo_config config = {.size = SIZE,
					    .subbuf_bytes = 65536,
					    .flags = RONDO_PREFAULT,
					    .path = argument};

	if (test_refuse(SYS_madvise, 2, POPULATE_WRITE, ENOMEM))
		return TEST_CHILD_SKIP;
	return record_with(&config, 0);
}

/* As on Linux before 5.14. */
static int record_without_room(void *argument)
{
	const struct rondo_config config = {
		.size = SIZE, .subbuf_bytes = 65536, .flags = RONDO_PREFAULT};

	(void)argument;
	if (test_refuse(SYS_madvise, 2, POPULATE_WRITE, EINVAL) ||
	    test_refuse(SYS_fallocate, -1, 0, ENOSPC))
		return TEST_CHILD_SKIP;
	return record_with(&config, 0);
}

static void what_cannot_be_resident_is_told_and_the_channel_works(void **state)
{
	struct folder *folder = *state;
	int status = test_in_child(record_without_prefault, NULL);

	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status, 0);
	status = test_in_child(record_without_prefault, folder->file);
	assert_int_equal(status, 0);
	status = test_in_child(record_without_room, NULL);
	assert_int_equal(status, 0);
}

static void what_is_not_ours_is_not_touched(void **state)
{
	struct folder *folder = *state;
	struct rondo_config config = {.size = SIZE, .path = folder->file};
	struct rondo_channel *channel;
	struct test_holdings before, after;
	struct stat status;
	char target[310];
	int fd;

	before = test_holdings();
	fd = rondo_os_create(folder->file);
	assert_int_equal(rondo_os_write(fd, "mine", 4), 4);
	rondo_os_close(fd);
	assert_int_equal(rondo_channel_create(&config, &channel), -EEXIST);
	assert_int_equal(stat(folder->file, &status), 0);
	assert_int_equal(status.st_size, 4);
	unlink(folder->file);

	snprintf(target, sizeof(target), "%s.target", folder->file);
	assert_int_equal(symlink(target, folder->file), 0);
	assert_int_equal(rondo_channel_create(&config, &channel), -EEXIST);
	assert_int_equal(stat(target, &status), -1);
	unlink(folder->file);

	assert_int_equal(mkdir(folder->file, 0700), 0);
	assert_int_equal(rondo_channel_create(&config, &channel), -EEXIST);
	assert_int_equal(rondo_channel_attach_path(folder->file, &channel),
			 -EISDIR);
	rmdir(folder->file);

	snprintf(target, sizeof(target), "%s/missing/file", folder->path);
	config.path = target;
	assert_int_equal(rondo_channel_create(&config, &channel), -ENOENT);
	after = test_holdings();
	assert_int_equal(before.descriptors, after.descriptors);
	assert_int_equal(before.shared_maps, after.shared_maps);
}

/* A file system of 64 KiB that nobody else sees. */
static int mount_small(const char *path)
{
	if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return -1;
	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL))
		return -1;
	return mount("tmpfs", path, "tmpfs", 0, "size=64k");
}

static int create_on_a_full_disk(void *argument)
{
	const struct folder *folder = argument;
	struct rondo_config config = {.size = SIZE, .path = folder->file};
	struct rondo_channel *channel = NULL;
	struct test_holdings before, after;
	struct stat status;

	if (mount_small(folder->path))
		return TEST_CHILD_SKIP;
	TEST_CHILD_CHECK(rondo_channel_create(&config, &channel) == -ENOSPC);
	before = test_holdings();
	TEST_CHILD_CHECK(rondo_channel_create(&config, &channel) == -ENOSPC);
	after = test_holdings();
	TEST_CHILD_CHECK(!channel);
	TEST_CHILD_CHECK(stat(folder->file, &status) == -1);
	TEST_CHILD_CHECK(before.descriptors == after.descriptors);
	TEST_CHILD_CHECK(before.shared_maps == after.shared_maps);
	return 0;
}

static void a_full_disk_is_an_error_at_creation(void **state)
{
	int status = test_in_child(create_on_a_full_disk, *state);

	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status, 0);
}

static int create_beyond_limits(void *argument)
{
	const struct folder *folder = argument;
	const struct rlimit small = {65536, 65536};
	struct rondo_config config = {.size = SIZE};
	struct rondo_channel *channel;
	struct stat status;

	TEST_CHILD_CHECK(!setrlimit(RLIMIT_FSIZE, &small));
	TEST_CHILD_CHECK(rondo_channel_create(&config, &channel) == -EFBIG);
	config.path = folder->file;
	TEST_CHILD_CHECK(rondo_channel_create(&config, &channel) == -EFBIG);
	TEST_CHILD_CHECK(stat(folder->file, &status) == -1);
	return 0;
}

static void a_file_limit_is_an_error_at_creation(void **state)
{
	assert_int_equal(test_in_child(create_beyond_limits, *state), 0);
}

static int create_without_descriptors(void *argument)
{
	struct rondo_channel *channel;
	struct rlimit limit;
	int fd = dup(0);

	(void)argument;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)fd;
	close(fd);
	TEST_CHILD_CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	TEST_CHILD_CHECK(rondo_channel_create(NULL, &channel) == -EMFILE);
	limit.rlim_cur = limit.rlim_max;
	TEST_CHILD_CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	TEST_CHILD_CHECK(!rondo_channel_create(NULL, &channel));
	TEST_CHILD_CHECK(!rondo_channel_destroy(channel));
	return 0;
}

static void no_descriptor_left_is_an_error_at_creation(void **state)
{
	(void)state;
	assert_int_equal(test_in_child(create_without_descriptors, NULL), 0);
}

/* One system call that fails in the middle of create. */
struct failure {
	struct rondo_config config;
	long call;
	int argument; /* see test_refuse */
	unsigned value, error;
};

#define HANDLE_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

static struct failure failures[] = {
	{{.size = SIZE}, SYS_memfd_create, -1, 0, EMFILE},
	{{.size = SIZE}, SYS_ftruncate, -1, 0, ENOMEM},
	{{.size = SIZE}, SYS_fcntl, 1, F_ADD_SEALS, EPERM},
	{{.size = SIZE}, SYS_mmap, 3, MAP_SHARED | MAP_NORESERVE, ENOMEM},
	{{.size = SIZE}, SYS_mmap, 3, HANDLE_FLAGS, ENOMEM},
	/* With a file. */
	{{.size = SIZE, .path = ""}, SYS_ftruncate, -1, 0, EPERM},
	{{.size = SIZE, .path = ""}, SYS_fallocate, -1, 0, EIO},
	{{.size = SIZE, .path = ""},
	 SYS_mmap,
	 3,
	 MAP_SHARED | MAP_NORESERVE,
	 ENOMEM},
	{{.size = SIZE, .path = ""}, SYS_mmap, 3, HANDLE_FLAGS, ENOMEM},
};

static int fail_in_the_middle(void *argument)
{
	const struct failure *failure = argument;
	struct rondo_channel *channel = NULL;
	struct test_holdings before, after;
	struct stat status;

	/* What is done once a process is done. */
	TEST_CHILD_CHECK(!rondo_channel_create(NULL, &channel));
	TEST_CHILD_CHECK(!rondo_channel_destroy(channel));
	before = test_holdings();
	if (test_refuse(failure->call, failure->argument, failure->value,
			failure->error))
		return TEST_CHILD_SKIP;
	channel = NULL;
	TEST_CHILD_CHECK(rondo_channel_create(&failure->config, &channel) ==
			 -(int)failure->error);
	TEST_CHILD_CHECK(!channel);
	after = test_holdings();
	TEST_CHILD_CHECK(before.descriptors == after.descriptors);
	TEST_CHILD_CHECK(before.shared_maps == after.shared_maps);
	if (failure->config.path)
		TEST_CHILD_CHECK(stat(failure->config.path, &status) == -1);
	return 0;
}

static void whatever_fails_at_creation_leaves_nothing(void **state)
{
	struct folder *folder = *state;

	for (size_t i = 0; i < TEST_COUNT(failures); i++) {
		int status;

		if (failures[i].config.path)
			failures[i].config.path = folder->file;
		status = test_in_child(fail_in_the_middle, &failures[i]);
		if (status == TEST_CHILD_SKIP)
			skip();
		if (status)
			fail_msg("failure %zu", i);
	}
}

static int fail_attaching(void *argument)
{
	struct rondo_channel *channel, *attached = NULL;
	struct test_holdings before, after;

	(void)argument;
	TEST_CHILD_CHECK(!rondo_channel_create(NULL, &channel));
	if (test_refuse(SYS_mmap, 3, HANDLE_FLAGS, ENOMEM))
		return TEST_CHILD_SKIP;
	before = test_holdings();
	TEST_CHILD_CHECK(rondo_channel_attach(rondo_channel_fd(channel),
					      &attached) == -ENOMEM);
	TEST_CHILD_CHECK(!attached);
	after = test_holdings();
	TEST_CHILD_CHECK(before.descriptors == after.descriptors);
	TEST_CHILD_CHECK(before.shared_maps == after.shared_maps);
	return 0;
}

static void what_fails_at_attaching_leaves_nothing(void **state)
{
	int status = test_in_child(fail_attaching, NULL);

	(void)state;
	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status, 0);
}

/* A file system that cannot reserve gets a byte in each block instead. */
static int create_without_fallocate(void *argument)
{
	const struct folder *folder = argument;
	struct rondo_config config = {
		.size = SIZE, .subbuf_bytes = 65536, .path = folder->file};
	struct rondo_channel *channel;
	struct stat status;

	if (test_refuse(SYS_fallocate, -1, 0, EOPNOTSUPP))
		return TEST_CHILD_SKIP;
	TEST_CHILD_CHECK(!rondo_channel_create(&config, &channel));
	TEST_CHILD_CHECK(!stat(folder->file, &status));
	TEST_CHILD_CHECK((uint64_t)status.st_blocks * 512 >=
			 (uint64_t)status.st_size);
	TEST_CHILD_CHECK(!rondo_channel_destroy(channel));
	return 0;
}

static void room_is_reserved_even_where_it_cannot_be(void **state)
{
	int status = test_in_child(create_without_fallocate, *state);

	if (status == TEST_CHILD_SKIP)
		skip();
	assert_int_equal(status, 0);
}

/* ---- attaching ---- */

#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* A memfd that begins with this superblock. */
static int forge(const void *super, size_t super_bytes, uint64_t bytes,
		 int seals)
{
	int fd = rondo_os_memfd("forged");

	assert_true(fd >= 0);
	assert_int_equal(rondo_os_truncate(fd, bytes), 0);
	if (super_bytes > bytes)
		super_bytes = bytes;
	assert_int_equal(rondo_os_pwrite(fd, super, super_bytes, 0),
			 super_bytes);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* What attaching to a forgery gives; nothing may stay behind. */
static int attach_forged(const struct rondo_superblock *super, uint64_t bytes,
			 int seals)
{
	struct rondo_channel *const untouched = (void *)1;
	struct rondo_channel *channel = untouched;
	int fd = forge(super, sizeof(*super), bytes, seals);
	int result = rondo_channel_attach(fd, &channel);

	if (result)
		assert_ptr_equal(channel, untouched);
	else
		assert_int_equal(rondo_channel_destroy(channel), 0);
	assert_int_equal(rondo_os_close(fd), 0);
	return result;
}

static struct rondo_superblock sound_superblock(void)
{
	struct rondo_config config = {.size = SIZE, .subbuf_bytes = 65536};
	struct rondo_channel *channel;
	struct rondo_superblock super;

	assert_int_equal(rondo_channel_create(&config, &channel), 0);
	super = superblock_of(channel);
	rondo_channel_destroy(channel);
	return super;
}

/* Any value of these within its range makes another, sound, channel. */
static bool is_free(size_t offset)
{
	static const struct span fields[] = {
		{offsetof(struct rondo_superblock, record_max),
		 offsetof(struct rondo_superblock, record_header_bytes)},
		{offsetof(struct rondo_superblock, flags),
		 offsetof(struct rondo_superblock, wait_offset)},
		{offsetof(struct rondo_superblock, wake_subbufs),
		 offsetof(struct rondo_superblock, uuid)},
	};

	for (size_t i = 0; i < TEST_COUNT(fields); i++)
		if (offset >= fields[i].begin && offset < fields[i].end)
			return true;
	return false;
}

static void each_damaged_field_of_the_geometry_is_noticed(void **state)
{
	const struct rondo_superblock sound = sound_superblock();
	struct test_holdings before, after;

	(void)state;
	assert_int_equal(attach_forged(&sound, sound.total_bytes, ALL_SEALS),
			 0);
	before = test_holdings();
	for (size_t at = 0; at < offsetof(struct rondo_superblock, uuid);
	     at++) {
		for (int bit = 0; bit < 9; bit++) {
			struct rondo_superblock damaged = sound;
			int result;

			((uint8_t *)&damaged)[at] ^=
				bit < 8 ? (uint8_t)(1u << bit) : 0xff;
			result = attach_forged(&damaged, sound.total_bytes,
					       ALL_SEALS);
			if (is_free(at) && !result)
				continue;
			assert_int_equal(result, -EPROTO);
		}
	}
	after = test_holdings();
	assert_int_equal(before.descriptors, after.descriptors);
	assert_int_equal(before.shared_maps, after.shared_maps);
}

static void a_field_out_of_its_range_is_noticed(void **state)
{
	const struct rondo_superblock sound = sound_superblock();
	struct rondo_superblock damaged[15];
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(damaged); i++)
		damaged[i] = sound;
	damaged[count++].flags = 0x20;
	damaged[count++].clock = 4;
	damaged[count++].rings = 2;
	damaged[count++].reason = RONDO_MODE_EXTRA_RING;
	damaged[count++].record_max = 65536;
	damaged[count++].record_max = 0;
	damaged[count++].wake_subbufs = 9;
	damaged[count++].wake_subbufs = 0;
	damaged[count++].stall_ms = 0;
	damaged[count++].ring_count = UINT32_MAX;
	damaged[count].ring_count = 65537; /* too many for so many sets */
	damaged[count++].subbuf_count = 32768;
	damaged[count++].catalog_used = sound.catalog_bytes + 1;
	memset(damaged[count++].name, 'x', sizeof(sound.name));
	memset(damaged[count++].process, 'x', sizeof(sound.process));
	memset(damaged[count++].host, 'x', sizeof(sound.host));
	assert_int_equal(count, TEST_COUNT(damaged));
	for (size_t i = 0; i < count; i++)
		assert_int_equal(attach_forged(&damaged[i], sound.total_bytes,
					       ALL_SEALS),
				 -EPROTO);
}

static void a_wrong_size_or_a_missing_seal_is_noticed(void **state)
{
	const struct rondo_superblock sound = sound_superblock();
	const uint64_t sizes[] = {1,
				  100,
				  sizeof(sound) - 1,
				  sizeof(sound),
				  4096,
				  sound.total_bytes - 4096,
				  sound.total_bytes - 1,
				  sound.total_bytes + 1,
				  sound.total_bytes + 4096};
	const int seals[] = {0,
			     F_SEAL_SHRINK,
			     F_SEAL_GROW,
			     F_SEAL_SEAL,
			     F_SEAL_SEAL | F_SEAL_GROW,
			     F_SEAL_SEAL | F_SEAL_SHRINK};

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(sizes); i++)
		assert_int_equal(attach_forged(&sound, sizes[i], ALL_SEALS),
				 -EPROTO);
	for (size_t i = 0; i < TEST_COUNT(seals); i++)
		assert_int_equal(attach_forged(&sound, sound.total_bytes,
					       seals[i]),
				 -EPROTO);
	assert_int_equal(attach_forged(&sound, sound.total_bytes,
				       F_SEAL_SHRINK | F_SEAL_GROW),
			 0);
}

static void what_is_no_channel_is_refused(void **state)
{
	struct rondo_channel *const untouched = (void *)1;
	struct rondo_channel *channel = untouched;
	struct test_holdings before, after;
	char noise[4096];
	int fds[8], pipe_ends[2], count = 0;

	(void)state;
	before = test_holdings();
	memset(noise, 0xa5, sizeof(noise));
	assert_int_equal(rondo_os_pipe(pipe_ends), 0);
	fds[count++] = pipe_ends[0];
	fds[count++] = pipe_ends[1];
	fds[count++] = rondo_os_open("/dev/null", O_RDWR, 0);
	fds[count++] = rondo_os_open("/", O_RDONLY | O_DIRECTORY, 0);
	fds[count++] = rondo_os_open("/proc/self/exe", O_RDONLY, 0);
	fds[count++] = rondo_os_eventfd();
	fds[count++] = rondo_os_memfd("empty");
	fds[count++] = forge(noise, sizeof(noise), 65536, ALL_SEALS);
	for (int i = 0; i < count; i++) {
		assert_true(fds[i] >= 0);
		assert_int_equal(rondo_channel_attach(fds[i], &channel),
				 -EPROTO);
		rondo_os_close(fds[i]);
	}
	assert_int_equal(rondo_channel_attach(-1, &channel), -EBADF);
	assert_int_equal(rondo_channel_attach_path("/dev/null", &channel),
			 -EPROTO);
	assert_int_equal(rondo_channel_attach_path("/nowhere/at/all", &channel),
			 -ENOENT);
	assert_ptr_equal(channel, untouched);
	after = test_holdings();
	assert_int_equal(before.descriptors, after.descriptors);
	assert_int_equal(before.shared_maps, after.shared_maps);
}

static void a_channel_that_may_not_be_written_is_refused(void **state)
{
	static const int modes[] = {O_RDONLY, O_WRONLY};
	struct rondo_channel *channel, *attached;
	char path[64];

	(void)state;
	assert_int_equal(rondo_channel_create(NULL, &channel), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d",
		 rondo_channel_fd(channel));
	for (size_t i = 0; i < TEST_COUNT(modes); i++) {
		int fd = rondo_os_open(path, modes[i], 0);

		assert_true(fd >= 0);
		assert_int_equal(rondo_channel_attach(fd, &attached), -EACCES);
		rondo_os_close(fd);
	}
	rondo_channel_destroy(channel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_has_a_place_of_its_own),
		cmocka_unit_test(
			a_default_ring_costs_one_page_besides_its_sub_buffers),
		cmocka_unit_test(huge_pages_begin_where_huge_pages_do),
		cmocka_unit_test(
			writers_of_different_classes_share_no_cache_line),
		cmocka_unit_test(the_superblock_says_who_and_when),
		cmocka_unit_test(pages_are_touched_at_first_use_or_all_at_once),
		cmocka_unit_test(
			a_refused_lock_is_told_and_nothing_else_changes),
		cmocka_unit_test(
			huge_pages_are_granted_or_not_and_the_channel_works),
		cmocka_unit_test(
			huge_pages_are_asked_for_before_any_page_is_there),
		cmocka_unit_test_setup_teardown(
			a_file_outlives_its_channel_and_can_be_attached,
			folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
			what_cannot_be_resident_is_told_and_the_channel_works,
			folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(what_is_not_ours_is_not_touched,
						folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
			a_full_disk_is_an_error_at_creation, folder_setup,
			folder_teardown),
		cmocka_unit_test_setup_teardown(
			a_file_limit_is_an_error_at_creation, folder_setup,
			folder_teardown),
		cmocka_unit_test_setup_teardown(
			whatever_fails_at_creation_leaves_nothing, folder_setup,
			folder_teardown),
		cmocka_unit_test(what_fails_at_attaching_leaves_nothing),
		cmocka_unit_test_setup_teardown(
			room_is_reserved_even_where_it_cannot_be, folder_setup,
			folder_teardown),
		cmocka_unit_test(no_descriptor_left_is_an_error_at_creation),
		cmocka_unit_test(each_damaged_field_of_the_geometry_is_noticed),
		cmocka_unit_test(a_field_out_of_its_range_is_noticed),
		cmocka_unit_test(a_wrong_size_or_a_missing_seal_is_noticed),
		cmocka_unit_test(what_is_no_channel_is_refused),
		cmocka_unit_test(a_channel_that_may_not_be_written_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
