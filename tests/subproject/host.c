/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include <rondo/rondo.h>

int main(void)
{
	struct rondo_channel *channel;

	if (rondo_channel_create(NULL, &channel))
		return 1;
	rondo_channel_destroy(channel);
	return 0;
}
