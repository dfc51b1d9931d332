/* SPDX-License-Identifier: MIT */
/*
 * See refuse.h.
 */
#include "refuse.h"

#include <errno.h>
#include <stddef.h>

#include "os.h"

struct refuse refuse;

int __real_rondo_os_fence(int cpu);
int __real_rondo_os_affinity(struct rondo_os_affinity *out);
int __real_rondo_os_pin(int cpu);
int __real_rondo_os_cpu_cheap(void);
bool __real_rondo_os_lives(uint32_t pid, uint32_t start);
int64_t __real_rondo_os_splice(int from, int64_t *from_offset, int to,
			       uint64_t bytes);
int __real_rondo_os_pipe(int fds[2]);
void *__real_calloc(size_t count, size_t bytes);
int __real_posix_memalign(void **out, size_t alignment, size_t bytes);

int __wrap_rondo_os_fence(int cpu);
int __wrap_rondo_os_affinity(struct rondo_os_affinity *out);
int __wrap_rondo_os_pin(int cpu);
int __wrap_rondo_os_cpu_cheap(void);
bool __wrap_rondo_os_lives(uint32_t pid, uint32_t start);
int64_t __wrap_rondo_os_splice(int from, int64_t *from_offset, int to,
			       uint64_t bytes);
int __wrap_rondo_os_pipe(int fds[2]);
void *__wrap_calloc(size_t count, size_t bytes);
int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes);

void refuse_nothing(void)
{
	refuse = (struct refuse){.fence = false};
}

int __wrap_rondo_os_fence(int cpu)
{
	int result = refuse.fence ? -EPERM : __real_rondo_os_fence(cpu);

	if (refuse.at_fence)
		refuse.at_fence();
	return result;
}

int __wrap_rondo_os_affinity(struct rondo_os_affinity *out)
{
	return refuse.affinity ? -EPERM : __real_rondo_os_affinity(out);
}

int __wrap_rondo_os_pin(int cpu)
{
	return refuse.pin ? -EINVAL : __real_rondo_os_pin(cpu);
}

int __wrap_rondo_os_cpu_cheap(void)
{
	return refuse.cpu ? -1 : __real_rondo_os_cpu_cheap();
}

bool __wrap_rondo_os_lives(uint32_t pid, uint32_t start)
{
	if (refuse.at_lives)
		refuse.at_lives();
	return __real_rondo_os_lives(pid, start);
}

int64_t __wrap_rondo_os_splice(int from, int64_t *from_offset, int to,
			       uint64_t bytes)
{
	if (refuse.splice && --refuse.splice == 0)
		return refuse.splice_says;
	return __real_rondo_os_splice(from, from_offset, to, bytes);
}

int __wrap_rondo_os_pipe(int fds[2])
{
	return refuse.pipe ? -EMFILE : __real_rondo_os_pipe(fds);
}

static bool fails(void)
{
	return refuse.memory && --refuse.memory == 0;
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails() ? NULL : __real_calloc(count, bytes);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes)
{
	return fails() ? ENOMEM : __real_posix_memalign(out, alignment, bytes);
}
