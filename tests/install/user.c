/* SPDX-License-Identifier: MIT */
/* What a user compiles against an installed rondo, as C and as C++. */
#include <string.h>

#include <rondo/rondo.h>

int main(void)
{
	static const char text[] = "hello";
	struct rondo_event_class greeting;
	struct rondo_channel *channel;
	uint16_t id;
	int error;

	memset(&greeting, 0, sizeof(greeting));
	greeting.size = sizeof(greeting);
	greeting.name = "user:greeting";
	error = rondo_channel_create(NULL, &channel);
	if (error)
		return 1;
	error = rondo_event_register(channel, &greeting, &id);
	if (!error)
		error = rondo_write(channel, id, text, sizeof(text));
	rondo_channel_destroy(channel);
	return error ? 2 : 0;
}
