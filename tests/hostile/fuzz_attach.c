/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: attaching to a memory. Input: its image (hostile.h). What is
 * let in can be asked for everything.
 */
#include "hostile.h"

#include <string.h>
#include <unistd.h>

#include "control.h"
#include "ring.h"

static void ask_everything(struct rondo_channel *channel)
{
	const struct rondo_map *map = &channel->control->map;
	struct rondo_config config = {.size = sizeof(config)};
	struct rondo_stats stats;
	const char *why = NULL;

	HOSTILE_REQUIRE(rondo_channel_config(channel, &config) == 0);
	HOSTILE_REQUIRE(strnlen(config.name, 64) < 64);
	HOSTILE_REQUIRE(config.subbuf_bytes << 2 <= map->bytes);
	HOSTILE_REQUIRE(rondo_config_check(&config, &why) == 0);
	HOSTILE_REQUIRE(rondo_channel_stats(channel, &stats) == 0);
	for (uint32_t i = 0; i < map->ring_count; i++) {
		HOSTILE_REQUIRE(rondo_ring_stats(channel, i, &stats) == 0);
		HOSTILE_REQUIRE(stats.open_bytes <= map->subbuf_bytes);
		(void)rondo_ring_check(channel->control, i, &why);
		HOSTILE_REQUIRE(why);
	}
	HOSTILE_REQUIRE(rondo_ring_stats(channel, map->ring_count, &stats) ==
			-ENOENT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int before = hostile_free_descriptor();
	struct hostile_input input = {data, size};
	struct rondo_channel *channel = NULL;
	int fd = hostile_image_open(&input);
	int result = rondo_channel_attach(fd, &channel);

	HOSTILE_REQUIRE(result == 0 || (result == -EPROTO && !channel));
	if (!result) {
		ask_everything(channel);
		HOSTILE_REQUIRE(rondo_channel_destroy(channel) == 0);
	}
	close(fd);
	HOSTILE_REQUIRE(hostile_free_descriptor() == before);
	return 0;
}
