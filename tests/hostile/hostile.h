/* SPDX-License-Identifier: MIT */
/*
 * What the programs of this folder share: a channel's memory written down as a
 * fuzzer's input, what a view must be whatever stands in that memory, and a
 * strict reader of packets that shares nothing with the library's parser. What
 * is not as it must be ends the process, which is what fuzzers look for.
 */
#ifndef RONDO_TESTS_HOSTILE_H
#define RONDO_TESTS_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <rondo/rondo.h>

#include "map.h"

/* The entry that libFuzzer, AFL++ and replay.c call. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOSTILE_REQUIRE(condition)                                         \
	do {                                                               \
		if (!(condition)) {                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, \
				#condition);                               \
			abort();                                           \
		}                                                          \
	} while (0)

/* ---- inputs ---- */

/* What is left of an input; whoever takes more than there is gets zeroes. */
struct hostile_input {
	const uint8_t *data;
	size_t left;
};

uint64_t hostile_take(struct hostile_input *input, unsigned bytes);

/*
 * A channel's memory: its size in blocks of 4096 (16 bits), then chunks of
 * offset (32 bits), length (16 bits) and bytes. What no chunk names is 0.
 * A sealed memfd, or -1.
 */
int hostile_image_open(struct hostile_input *input);

/* The other way: bytes written to out, which has room for limit. */
size_t hostile_image_save(const void *memory, uint64_t bytes, uint8_t *out,
			  size_t limit);

/* ---- channels ---- */

/* Small, with a class of each kind registered; ids in order of registration. */
enum hostile_class {
	HOSTILE_NUMBER, /* u64 */
	HOSTILE_SHORT,	/* u32, u8: a C struct with padding */
	HOSTILE_STRING, /* u32, string */
	HOSTILE_BYTES,	/* u16 length, sequence, string */
	HOSTILE_CLASSES,
};

#define HOSTILE_OVERWRITE 1u
#define HOSTILE_FULL_HEADERS 2u
#define HOSTILE_KINDS 4u

struct rondo_config hostile_config(unsigned kind);
void hostile_register(struct rondo_channel *channel,
		      uint16_t ids[HOSTILE_CLASSES]);
/* One record of that class; what varies in it is drawn from random. */
int hostile_record(struct rondo_channel *channel,
		   const uint16_t ids[HOSTILE_CLASSES],
		   enum hostile_class which, uint64_t random);

/* ---- what comes out ---- */

/* The view lies where it may, and so does each of its items. Their count. */
uint64_t hostile_check_view(const struct rondo_map *map,
			    const struct rondo_view *view);

/* How a reader of CTF, who knows the classes alone, finds records. */
struct hostile_schema;

struct hostile_schema *hostile_schema_open(const struct rondo_map *map);
void hostile_schema_close(struct hostile_schema *schema);

/*
 * Records of a packet (header first) as such a reader finds them: a null why
 * when they lead from its header to its end, with times that never go back.
 */
struct hostile_packet {
	uint64_t begin, end; /* ticks */
	uint64_t bytes, content;
	uint64_t records; /* own ones not counted */
};
const char *hostile_read_packet(const struct hostile_schema *schema,
				const char *data, uint64_t bytes,
				struct hostile_packet *out);

/* All stream files of a trace. What is wrong with it, or null. */
const char *hostile_read_trace(const struct hostile_schema *schema,
			       const char *directory, uint64_t *out_records);

/* Files in it, then itself. */
void hostile_remove(const char *directory);

/* The lowest descriptor that is free: it moves when one leaks. */
int hostile_free_descriptor(void);

#endif
