/* SPDX-License-Identifier: MIT */
/*
 * The tick counter (TSC, cntvct) where it is invariant: the same pace on every
 * CPU, in every sleep state. Else the kernel's clocks.
 */
#include "clock.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <rondo/channel.h>
#include <rondo/detail/machine.h>

#include "os.h"

#define NS_PER_SECOND UINT64_C(1000000000)

/* Between the two pairs of a quick calibration, at least, and so many times the
 * width of their brackets, which an emulator or a busy host makes wide. */
#define CALIBRATION_NS 1000000
#define CALIBRATION_WIDTHS 250
#define PAIR_TRIES 16

#if defined(__x86_64__) && RONDO_HAVE_TICKS
static bool ticks_are_invariant(void)
{
	unsigned a = 0, b = 0, c = 0, d = 0;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d >> 8 & 1);
}

/* What the processor says of itself, or 0. */
static uint64_t ticks_frequency_told(void)
{
	unsigned denominator = 0, numerator = 0, crystal = 0, d = 0;

	if (!__get_cpuid(0x15, &denominator, &numerator, &crystal, &d) ||
	    !denominator || !numerator || !crystal)
		return 0;
	return (uint64_t)crystal * numerator / denominator;
}
#elif RONDO_HAVE_TICKS
static bool ticks_are_invariant(void)
{
	return true;
}

static uint64_t ticks_frequency_told(void)
{
	uint64_t frequency;

	__asm__("mrs %0, cntfrq_el0" : "=r"(frequency));
	return frequency;
}
#else
static bool ticks_are_invariant(void)
{
	return false;
}

static uint64_t ticks_frequency_told(void)
{
	return 0;
}

static uint64_t rondo_ticks_ordered(void)
{
	return 0;
}
#endif

uint32_t rondo_clock_choose(uint32_t asked)
{
	if (asked == RONDO_CLOCK_FASTEST && !ticks_are_invariant())
		return RONDO_CLOCK_MONOTONIC;
	return asked;
}

bool rondo_clock_in_sequence(uint32_t clock)
{
	return RONDO_HAVE_TICKS && clock == RONDO_CLOCK_FASTEST;
}

uint64_t rondo_clock_read(uint32_t clock)
{
	switch (clock) {
	case RONDO_CLOCK_FASTEST:
		return rondo_ticks_ordered();
	case RONDO_CLOCK_MONOTONIC:
		return (uint64_t)rondo_os_monotonic_ns();
	case RONDO_CLOCK_REALTIME:
		return (uint64_t)rondo_os_realtime_ns();
	default:
		return 0;
	}
}

/*
 * Another clock between two readings of this one; the narrowest of several such
 * brackets is one that nothing interrupted. Returns its width.
 */
static uint64_t pair_with(uint32_t clock, int64_t (*other)(void),
			  struct rondo_clock_pair *out)
{
	uint64_t narrowest = UINT64_MAX;

	out->ticks = 0;
	out->ns = 0;
	for (int i = 0; i < PAIR_TRIES; i++) {
		uint64_t before = rondo_clock_read(clock);
		uint64_t ns = (uint64_t)other();
		uint64_t width = rondo_clock_read(clock) - before;

		if (width < narrowest) {
			narrowest = width;
			out->ticks = before + width / 2;
			out->ns = ns;
		}
	}
	return narrowest;
}

void rondo_clock_pair(uint32_t clock, struct rondo_clock_pair *out)
{
	(void)pair_with(clock, rondo_os_realtime_ns, out);
}

/* A millisecond against CLOCK_MONOTONIC: good to some parts in 10^5. */
static uint64_t calibrate(void)
{
	struct rondo_clock_pair begin, end;
	uint64_t ticks, ns, first, last;

	first = pair_with(RONDO_CLOCK_FASTEST, rondo_os_monotonic_ns, &begin);
	do {
		last = pair_with(RONDO_CLOCK_FASTEST, rondo_os_monotonic_ns,
				 &end);
		ticks = end.ticks - begin.ticks;
		ns = end.ns - begin.ns;
	} while (ns < CALIBRATION_NS ||
		 ticks < CALIBRATION_WIDTHS * (first + last));
	return end.ticks > begin.ticks ?
		       ticks / ns * NS_PER_SECOND +
			       ticks % ns * NS_PER_SECOND / ns :
		       NS_PER_SECOND;
}

uint64_t rondo_clock_frequency(uint32_t clock)
{
	static uint64_t known; /* 0: not yet. Who comes second finds the same */
	uint64_t frequency;

	if (clock != RONDO_CLOCK_FASTEST || !RONDO_HAVE_TICKS)
		return NS_PER_SECOND;
	frequency = rondo_load_relaxed(&known);
	if (frequency)
		return frequency;
	frequency = ticks_frequency_told();
	if (!frequency)
		frequency = calibrate();
	rondo_store_relaxed(&known, frequency);
	return frequency;
}
