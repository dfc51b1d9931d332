/* SPDX-License-Identifier: MIT */
/*
 * A channel's memory object. Layout: include/rondo/abi.h. What is found in
 * somebody else's is copied out once and must equal what this library would
 * have laid out for the same geometry; nothing in it is believed.
 */
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rondo/detail/atomics.h>

#include "clock.h"
#include "config.h"
#include "os.h"

#define BLOCK UINT64_C(4096)	     /* of the layout, on every machine */
#define LARGEST_PAGE UINT64_C(65536) /* of the machines that run this */
#define HUGE_PAGE (UINT64_C(2) << 20)
#define GROUP UINT64_C(128) /* what shares no cache line */
#define RINGS_MAX 65537u

static const char magic[8] = "rondo";

/* ---- layout ---- */

/* The geometry in a superblock: what the same config always gives. */
#define GEOMETRY_BEGIN offsetof(struct rondo_superblock, layout)
#define GEOMETRY_BYTES \
	(offsetof(struct rondo_superblock, reason) - GEOMETRY_BEGIN)

static void copy_config(const struct rondo_config *complete,
			uint32_t ring_count, struct rondo_superblock *super)
{
	super->layout = RONDO_LAYOUT;
	super->header_bytes = sizeof(*super);
	super->subbuf_bytes = complete->subbuf_bytes;
	super->subbuf_count = complete->subbuf_count;
	super->spare_count = complete->spare_count;
	super->ring_count = ring_count;
	super->record_max = complete->record_max;
	super->record_header_bytes = rondo_config_header_bytes(complete);
	super->flags = complete->flags;
	super->rings = complete->rings;
	super->clock = complete->clock;
	super->wake_subbufs = complete->wake_subbufs;
	super->stall_ms = complete->stall_ms;
	super->flush_ms = complete->flush_ms;
}

/* Slots, late counters and states of one ring; returns the bytes they take. */
static uint64_t lay_out_table(struct rondo_superblock *super)
{
	uint64_t sets = (uint64_t)super->subbuf_count + super->spare_count;

	super->slots_offset = 0;
	super->late_offset =
		rondo_align(8 * (uint64_t)super->subbuf_count, GROUP);
	super->states_offset =
		super->late_offset + rondo_align(8 * sets, GROUP);
	return super->states_offset + rondo_align(8 * sets, GROUP);
}

/* Products are within 64 bits: rondo_config_check_rings has said so. */
static int lay_out(const struct rondo_config *complete, uint32_t ring_count,
		   struct rondo_superblock *super)
{
	uint64_t table, end, align = LARGEST_PAGE;
	int result = rondo_config_check_rings(complete, ring_count, NULL);

	if (result)
		return result;
	copy_config(complete, ring_count, super);
	super->wait_offset = BLOCK;
	super->catalog_offset = 2 * BLOCK;
	super->catalog_bytes = RONDO_CATALOG_BYTES;
	super->rings_offset = super->catalog_offset + super->catalog_bytes;
	end = super->rings_offset + ((uint64_t)ring_count << RONDO_RING_SHIFT);
	table = lay_out_table(super);
	if (table <= BLOCK - sizeof(struct rondo_ring)) {
		super->tables_offset =
			super->rings_offset + sizeof(struct rondo_ring);
		super->tables_stride = BLOCK;
	} else {
		super->tables_offset = end;
		super->tables_stride = rondo_align(table, BLOCK);
		end += ring_count * super->tables_stride;
	}
	if (complete->flags & RONDO_HUGE)
		align = HUGE_PAGE;
	super->pages_offset = rondo_align(end, align);
	super->pages_stride =
		((uint64_t)super->subbuf_count + super->spare_count) *
		super->subbuf_bytes;
	super->total_bytes =
		super->pages_offset + ring_count * super->pages_stride;
	return 0;
}

/* The map of memory that is, or will be, at base (null: nowhere yet). */
static void fill_map(const struct rondo_superblock *super, char *base,
		     struct rondo_map *map)
{
	struct rondo_packet packet = {.magic = RONDO_PACKET_MAGIC};

	memset(map, 0, sizeof(*map));
	map->bytes = super->total_bytes;
	map->catalog_bytes = super->catalog_bytes;
	map->tables_stride = super->tables_stride;
	map->slots_offset = super->slots_offset;
	map->late_offset = super->late_offset;
	map->states_offset = super->states_offset;
	map->pages_stride = super->pages_stride;
	map->pages_offset = super->pages_offset;
	map->subbuf_bytes = super->subbuf_bytes;
	map->order = (uint32_t)__builtin_ctzll(super->subbuf_bytes);
	map->count = super->subbuf_count;
	map->spares = super->spare_count;
	map->ring_count = super->ring_count;
	map->record_max = super->record_max;
	map->header_bytes = super->record_header_bytes;
	map->flags = super->flags;
	map->clock = super->clock;
	map->rings_by = super->rings;
	map->wake_subbufs = super->wake_subbufs;
	map->stall_ms = super->stall_ms;
	map->flush_ms = super->flush_ms;
	memcpy(map->uuid, super->uuid, sizeof(map->uuid));
	memcpy(packet.uuid, map->uuid, sizeof(map->uuid));
	memcpy(map->packet_start, &packet, sizeof(map->packet_start));
	if (!base)
		return;
	map->base = base;
	map->super = (struct rondo_superblock *)(void *)base;
	map->wait = (struct rondo_wait *)(void *)(base + super->wait_offset);
	map->catalog = base + super->catalog_offset;
	map->rings = base + super->rings_offset;
	map->tables = base + super->tables_offset;
	map->pages = base + super->pages_offset;
}

int rondo_memory_lay_out(const struct rondo_config *complete,
			 uint32_t ring_count, struct rondo_map *map)
{
	struct rondo_superblock super;
	int result;

	memset(&super, 0, sizeof(super));
	result = lay_out(complete, ring_count, &super);
	if (result)
		return result;
	fill_map(&super, NULL, map);
	return 0;
}

int64_t rondo_config_bytes(const struct rondo_config *config)
{
	struct rondo_config complete;
	struct rondo_map map;
	int result = rondo_config_complete(config, &complete, NULL);

	if (!result)
		result = rondo_memory_lay_out(&complete, rondo_os_cpu_ids() + 1,
					      &map);
	if (result)
		return result;
	/* And the handle's page. */
	return (int64_t)(map.bytes + rondo_os_page_bytes());
}

/* ---- creation ---- */

static int create_file(const char *path, uint64_t bytes)
{
	int result, fd = rondo_os_create(path);

	if (fd < 0)
		return fd;
	result = rondo_os_truncate(fd, bytes);
	/* A full disk is an error now, not a signal at some record. */
	if (!result)
		result = rondo_os_allocate(fd, 0, bytes);
	if (!result)
		return fd;
	rondo_os_close(fd);
	rondo_os_unlink(path);
	return result;
}

static int create_memfd(const char *name, uint64_t bytes)
{
	int result, fd = rondo_os_memfd(name);

	if (fd < 0)
		return fd;
	result = rondo_os_truncate(fd, bytes);
	if (!result)
		result = rondo_os_seal(fd);
	if (!result)
		return fd;
	rondo_os_close(fd);
	return result;
}

/* Whether the kernel gives shared memory huge pages when told to. */
static bool huge_is_possible(void)
{
	char text[128];

	if (rondo_os_read_file(
		    "/sys/kernel/mm/transparent_hugepage/shmem_enabled", text,
		    sizeof(text)) <= 0)
		return false;
	return !strstr(text, "[never]") && !strstr(text, "[deny]");
}

/* What the flags ask of the mapping, as far as it goes: huge first, since a page
 * that is there already stays as small as it is. */
static void prepare_pages(const struct rondo_config *complete,
			  struct rondo_control *control)
{
	const struct rondo_map *map = &control->map;

	if ((complete->flags & RONDO_HUGE) && !complete->path &&
	    !rondo_os_huge(map->pages, map->bytes - map->pages_offset) &&
	    huge_is_possible())
		control->granted |= RONDO_GRANTED_HUGE;
	if ((complete->flags & RONDO_PREFAULT) &&
	    !rondo_os_populate(control->fd, map->base, map->bytes))
		control->granted |= RONDO_GRANTED_PREFAULT;
	if ((complete->flags & RONDO_MLOCK) &&
	    !rondo_os_lock(map->base, map->bytes))
		control->granted |= RONDO_GRANTED_MLOCK;
}

static void fill_identity(const struct rondo_config *complete,
			  const struct rondo_control *control,
			  struct rondo_superblock *super)
{
	struct rondo_clock_pair pair;

	super->reason = control->reason;
	rondo_os_random(super->uuid, sizeof(super->uuid));
	super->uuid[6] = (super->uuid[6] & 0x0f) | 0x40; /* version 4: random */
	super->uuid[8] = (super->uuid[8] & 0x3f) | 0x80;
	rondo_os_boot_id(super->boot_id);
	super->pid = rondo_os_pid();
	super->pid_start = rondo_os_pid_start(super->pid);
	super->clock_frequency = rondo_clock_frequency(complete->clock);
	rondo_clock_pair(complete->clock, &pair);
	super->clock_base_ticks = pair.ticks;
	super->clock_base_ns = pair.ns;
	strncpy(super->name, complete->name, sizeof(super->name) - 1);
	rondo_os_process_name(super->process, sizeof(super->process));
	rondo_os_host_name(super->host, sizeof(super->host));
}

static int map_whole(int fd, const struct rondo_superblock *super, bool as_copy,
		     struct rondo_control *control)
{
	void *base;
	int result = rondo_os_file_id(fd, &control->file);

	if (!result)
		result = as_copy ?
				 rondo_os_map_copy(fd, super->total_bytes,
						   &base) :
				 rondo_os_map(fd, 0, super->total_bytes, &base);
	if (result)
		return result;
	fill_map(super, base, &control->map);
	memcpy(control->name, super->name, sizeof(control->name));
	control->fd = fd;
	return 0;
}

int rondo_memory_create(const struct rondo_config *complete,
			struct rondo_control *control)
{
	struct rondo_superblock super;
	char *path = NULL;
	int fd, result;

	memset(&super, 0, sizeof(super));
	result = lay_out(complete, rondo_os_cpu_ids() + 1, &super);
	if (result)
		return result;
	fill_identity(complete, control, &super);
	if (complete->path) {
		path = strdup(complete->path);
		if (!path)
			return -ENOMEM;
	}
	fd = path ? create_file(path, super.total_bytes) :
		    create_memfd(complete->name, super.total_bytes);
	result = fd < 0 ? fd : map_whole(fd, &super, false, control);
	if (result) {
		if (fd >= 0)
			rondo_os_close(fd);
		if (fd >= 0 && path)
			rondo_os_unlink(path);
		free(path);
		return result;
	}
	control->path = path;
	control->granted = 0;
	prepare_pages(complete, control);
	memcpy(control->map.super, &super, sizeof(super)); /* magic is 0 */
	return 0;
}

static uint64_t magic_word(void)
{
	uint64_t word;

	memcpy(&word, magic, sizeof(word));
	return word;
}

static uint64_t *magic_at(const struct rondo_map *map)
{
	return (uint64_t *)(void *)map->super->magic;
}

void rondo_memory_publish(const struct rondo_control *control)
{
	/* pairs(created) release: superblock and rings are written before
	 * anybody finds the magic. */
	rondo_store_release(magic_at(&control->map), magic_word());
}

/* ---- attaching ---- */

static void config_of(const struct rondo_superblock *super,
		      struct rondo_config *out)
{
	memset(out, 0, sizeof(*out));
	out->size = sizeof(*out);
	out->flags = super->flags;
	out->subbuf_bytes = super->subbuf_bytes;
	out->subbuf_count = super->subbuf_count;
	out->spare_count = super->spare_count;
	out->record_max = super->record_max;
	out->rings = super->rings;
	out->clock = super->clock;
	out->flush_ms = super->flush_ms;
	out->wake_subbufs = super->wake_subbufs;
	out->stall_ms = super->stall_ms;
	out->name = super->name;
}

static bool ends(const char *text, size_t bytes)
{
	return memchr(text, 0, bytes) != NULL;
}

/*
 * A copy of a superblock is one that rondo_memory_create can have written:
 * recomputed from the fields that were given, the others are the same.
 * (A given field that is 0 gets its default, and so is not the same.)
 */
static bool is_sound(const struct rondo_superblock *super, uint64_t size)
{
	struct rondo_superblock again;
	struct rondo_config config, complete;

	if (memcmp(super->magic, magic, sizeof(magic)) ||
	    super->layout != RONDO_LAYOUT || super->total_bytes != size ||
	    super->ring_count < 2 || super->ring_count > RINGS_MAX ||
	    super->reason >= RONDO_MODE_EXTRA_RING ||
	    super->catalog_used > super->catalog_bytes ||
	    !ends(super->name, sizeof(super->name)) ||
	    !ends(super->process, sizeof(super->process)) ||
	    !ends(super->host, sizeof(super->host)))
		return false;
	config_of(super, &config);
	if (rondo_config_complete(&config, &complete, NULL))
		return false;
	memset(&again, 0, sizeof(again));
	if (lay_out(&complete, super->ring_count, &again))
		return false;
	return !memcmp((const char *)super + GEOMETRY_BEGIN,
		       (const char *)&again + GEOMETRY_BEGIN, GEOMETRY_BYTES);
}

/* By reading, not by mapping: a file may end before its superblock does. */
static int read_superblock(int fd, struct rondo_superblock *out)
{
	int64_t size = rondo_os_size(fd), got;

	if (size < 0)
		return (int)size;
	got = rondo_os_pread(fd, out, sizeof(*out), 0);
	if (got < 0)
		return got == -EBADF ? -EACCES : (int)got; /* not for reading */
	/* What may shrink later would kill its reader then. */
	if (got != (int64_t)sizeof(*out) || !rondo_os_sealed(fd) ||
	    !is_sound(out, (uint64_t)size))
		return -EPROTO;
	return 0;
}

const char *rondo_memory_why(int fd)
{
	struct rondo_superblock super;
	int64_t size = rondo_os_size(fd);

	if (rondo_os_pread(fd, &super, sizeof(super), 0) !=
		    (int64_t)sizeof(super) ||
	    memcmp(super.magic, magic, sizeof(magic)))
		return "not a rondo channel";
	if (super.layout != RONDO_LAYOUT)
		return "a channel of another version's layout";
	if (super.total_bytes != (uint64_t)size)
		return "not the whole of a channel: its size is another";
	return "damaged: what it says of itself makes no sense";
}

int rondo_memory_attach(int fd, bool as_copy, struct rondo_control *control)
{
	struct rondo_superblock super;
	int result = read_superblock(fd, &super);

	if (!result)
		result = map_whole(fd, &super, as_copy, control);
	if (result)
		return result;
	control->path = NULL;
	control->granted = 0;
	control->reason = super.reason;
	/* pairs(created) acquire: what was written before the magic. */
	if (rondo_load_acquire(magic_at(&control->map)) == magic_word())
		return 0;
	rondo_os_unmap(control->map.base, control->map.bytes);
	return -EPROTO;
}

/* ---- the end ---- */

void rondo_memory_destroy(struct rondo_control *control, bool keep_file)
{
	rondo_os_unmap(control->map.base, control->map.bytes);
	rondo_os_close(control->fd);
	if (control->path && !keep_file)
		rondo_os_unlink(control->path);
	free(control->path);
	control->path = NULL;
	control->fd = -1;
}

/* As far as both boots have a name. */
static bool is_of_another_boot(const struct rondo_superblock *super)
{
	static const uint8_t unknown[sizeof(super->boot_id)];
	uint8_t boot[sizeof(super->boot_id)];

	rondo_os_boot_id(boot);
	return memcmp(boot, unknown, sizeof(boot)) &&
	       memcmp(super->boot_id, unknown, sizeof(boot)) &&
	       memcmp(super->boot_id, boot, sizeof(boot));
}

bool rondo_memory_creator_lives(const struct rondo_map *map)
{
	const struct rondo_superblock *super = map->super;

	return rondo_os_lives(
		       rondo_load_relaxed(&super->pid),
		       (uint32_t)rondo_load_relaxed(&super->pid_start)) &&
	       !is_of_another_boot(super);
}
