/* SPDX-License-Identifier: MIT */
/*
 * Ports: read-copy-update by liburcu's bulletproof flavour, whose readers
 * register themselves and may be signal handlers. The pointer itself is moved
 * with our own atomics, which say the same and which thread sanitizer sees.
 */
#include <rondo/channel.h>

#include <urcu/urcu-bp.h>

#include <rondo/detail/atomics.h>

#include "os.h"

/* Thread sanitizer does not see a grace period: told here what one orders. */
#if defined(__SANITIZE_THREAD__)
#define PORT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PORT_SANITIZED 1
#endif
#endif
#ifdef PORT_SANITIZED
#include <sanitizer/tsan_interface.h>
#else
#define __tsan_acquire(address) ((void)(address))
#define __tsan_release(address) ((void)(address))
#endif

struct rondo_channel *rondo_port_enter(struct rondo_port *port)
{
	urcu_bp_read_lock();
	/* pairs(port) acquire: the channel as it was when it was published. */
	return rondo_load_acquire(&port->channel);
}

void rondo_port_leave(struct rondo_port *port)
{
	__tsan_release(port);
	urcu_bp_read_unlock();
}

struct rondo_channel *rondo_port_publish(struct rondo_port *port,
					 struct rondo_channel *channel)
{
	/* pairs(port) release: the channel, before it is found. */
	struct rondo_channel *before = rondo_exchange(&port->channel, channel);

	/*
	 * The only thread of a process waits for nobody. A child of fork must
	 * not: liburcu remembers readers that were the parent's threads.
	 */
	if (rondo_os_threads() != 1)
		urcu_bp_synchronize_rcu();
	__tsan_acquire(port);
	return before;
}
