/* SPDX-License-Identifier: MIT */
/*
 * Packets made by hand: what a sub-buffer holds, without a ring.
 */
#ifndef RONDO_TESTS_SUPPORT_PACKET_H
#define RONDO_TESTS_SUPPORT_PACKET_H

#include <rondo/abi.h>
#include <rondo/detail/position.h>
#include <string.h>

#define PACKET_BYTES 8192u

struct packet {
	union {
		struct rondo_packet header;
		char data[PACKET_BYTES];
	};
	uint32_t header_bytes;
	uint64_t next;	  /* offset of the next record */
	uint64_t content; /* exact end of the last */
};

static inline void packet_begin(struct packet *packet, const uint8_t uuid[16],
				uint32_t header_bytes, uint64_t time)
{
	memset(packet, 0, sizeof(*packet));
	packet->header.magic = RONDO_PACKET_MAGIC;
	memcpy(packet->header.uuid, uuid, 16);
	packet->header.timestamp_begin = time;
	packet->header_bytes = header_bytes;
	packet->next = RONDO_PACKET_BYTES;
	packet->content = packet->next;
}

/* Returns the offset of the record's header. */
static inline uint64_t packet_put(struct packet *packet, uint16_t id,
				  uint64_t time, const void *data,
				  uint32_t bytes)
{
	uint64_t at = packet->next;
	uint64_t words[2] = {id | (uint64_t)bytes << 32, time};

	if (packet->header_bytes == 8)
		words[0] = (time & RONDO_COMPACT_TIME_MASK) |
			   (uint64_t)((bytes + 7) / 8) << 40 |
			   (uint64_t)id << 48;
	memcpy(packet->data + at, words, packet->header_bytes);
	memcpy(packet->data + at + packet->header_bytes, data, bytes);
	packet->content = at + packet->header_bytes + bytes;
	packet->next = rondo_align(packet->content, packet->header_bytes);
	return at;
}

/* Completes the header; the bytes that the packet occupies. */
static inline uint64_t packet_end(struct packet *packet, uint64_t time)
{
	uint64_t bytes = rondo_align(packet->content, 4096);

	packet->header.timestamp_end = time;
	packet->header.content_bits = packet->content * 8;
	packet->header.packet_bits = bytes * 8;
	return bytes;
}

#endif
