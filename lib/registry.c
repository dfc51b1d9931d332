/* SPDX-License-Identifier: MIT */
/*
 * All channels of the process: a list of entries to which is only ever added.
 * An entry of a destroyed channel is used again, never freed, so whoever walks
 * the list, in a signal handler or in a child of fork whose other threads
 * stopped anywhere, needs no lock and waits for nobody. There are as many
 * entries as there were channels at once.
 */
#include "registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <rondo/detail/atomics.h>

#include "os.h"

struct entry {
	struct entry *next;	      /* constant once it is in the list */
	struct rondo_channel *handle; /* null: free */
	struct rondo_control *control;
};

static struct entry *entries;
static uint32_t entries_lock; /* of those who add and remove */
static bool fork_handled;

static struct entry *first_entry(void)
{
	/* pairs(registered) acquire: the entry is written. */
	return rondo_load_acquire(&entries);
}

static struct rondo_channel *entry_handle(const struct entry *entry)
{
	/* pairs(registered) acquire: the control that goes with the handle. */
	return rondo_load_acquire(&entry->handle);
}

static void entry_set(struct entry *entry, struct rondo_control *control)
{
	rondo_store_relaxed(&entry->control, control);
	/* pairs(registered) release: the control, before its handle is found */
	rondo_store_release(&entry->handle, control->handle);
}

struct rondo_control *rondo_registry_find(const struct rondo_channel *channel)
{
	struct entry *entry;

	if (!channel)
		return NULL;
	for (entry = first_entry(); entry; entry = entry->next)
		if (entry_handle(entry) == channel)
			return rondo_load_relaxed(&entry->control);
	return NULL;
}

bool rondo_registry_is_inherited(const struct rondo_control *control)
{
	return control->forked || control->handle->magic != RONDO_MAGIC;
}

/* Whatever of this process still writes there writes to a copy from now on. */
static void make_private(const struct rondo_control *control)
{
	const struct rondo_map *map = &control->map;
	struct rondo_file_id now;
	bool same = !rondo_os_file_id(control->fd, &now) &&
		    now.device == control->file.device &&
		    now.inode == control->file.inode;

	/* Somebody may have closed the descriptor: then there is nothing to
	 * read, but still a place to write to. */
	if (!same ||
	    rondo_os_map_private_over(control->fd, map->base, map->bytes))
		rondo_os_map_private_over(-1, map->base, map->bytes);
}

/*
 * The child's handle: shut. What leads to memory stays, for fork may have been
 * called by a handler that interrupted a reserve or a commit: its child goes on
 * with either, in the copy, and stores into its own thread's struct rseq.
 */
static void inherit(struct rondo_control *control)
{
	control->forked = true;
	control->running = 0;
	control->flush_lock = 0;
	control->register_lock = 0;
	control->consumer_open = 0;
	make_private(control);
	*control->handle = control->inherited;
}

/* Whoever held the lock is another process's thread, or this one, which fork
 * interrupted: it only needs an entry to be either found or not. */
static void inherit_all(void)
{
	struct entry *entry;

	rondo_store_relaxed(&entries_lock, 0);
	for (entry = first_entry(); entry; entry = entry->next)
		if (entry_handle(entry))
			inherit(rondo_load_relaxed(&entry->control));
}

static int handle_forks(void)
{
	if (fork_handled)
		return 0;
	if (pthread_atfork(NULL, NULL, inherit_all))
		return -ENOMEM;
	fork_handled = true;
	return 0;
}

static struct entry *free_entry(void)
{
	struct entry *entry;

	for (entry = entries; entry; entry = entry->next)
		if (!rondo_load_relaxed(&entry->handle))
			return entry;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->next = entries;
	/* pairs(registered) release: next, before the entry is found. */
	rondo_store_release(&entries, entry);
	return entry;
}

int rondo_registry_add(struct rondo_control *control)
{
	struct entry *entry = NULL;
	int result;

	rondo_os_lock_word(&entries_lock);
	result = handle_forks();
	if (!result)
		entry = free_entry();
	if (entry)
		entry_set(entry, control);
	rondo_os_unlock_word(&entries_lock);
	return entry ? 0 : -ENOMEM;
}

void rondo_registry_remove(struct rondo_control *control)
{
	struct entry *entry;

	rondo_os_lock_word(&entries_lock);
	for (entry = entries; entry; entry = entry->next)
		if (rondo_load_relaxed(&entry->control) == control)
			rondo_store_relaxed(&entry->handle, NULL);
	rondo_os_unlock_word(&entries_lock);
}
