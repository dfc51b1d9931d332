/* SPDX-License-Identifier: MIT */
/*
 * The algorithm of one ring, for Spin: what lib/ring.c, lib/producer.c and
 * lib/reader.c do to the words that they share, in every order in which those
 * steps can meet. docs/design.md explains the algorithm, this file checks it.
 * tests/model/run has the table of configurations, and runs them.
 *
 * Actors, each a process:
 *
 *   producer  a thread, or a signal handler, on the ring's own CPU. It may find
 *             itself on another CPU when it commits (MIGRATE).
 *   flusher   closes what is open: from the ring's CPU (as a foreign process
 *             does), or from elsewhere, by asking or by revoking.
 *   consumer  takes sub-buffers by exchange, copies those that stall, and at
 *             the end, when all is quiet, counts.
 *   killer    kills one producer or all of the process, at any step (KILL).
 *   freezer   stops all but one producer, at any step (SOLO).
 *
 * Inlines are named as the functions that they are. One step of a process is an
 * access to a shared word and what follows from it in that process alone.
 *
 * A sequence is two steps or more: the check, perhaps stores, the last store.
 * "running" names the thread of the ring's CPU whose sequence is under way.
 * Another sequence that begins on that CPU takes its place, so the first one
 * does not reach its last store; so does a fence. Real sequences are aborted
 * by less (any other instruction of that CPU), so more can happen here than
 * there.
 *
 * Room is counted in records: a sub-buffer holds C of equal length. off in the
 * head: 0 nothing is open, 1 the packet header, 1 + r with r records. Numbers
 * of sub-buffers start just before they wrap, both the head's and the wider
 * ones of slots. Memory is sequentially consistent.
 *
 * Claims that must hold cite an invariant of docs/design.md: HOLDS(I_once, ..).
 */

/* ---- what is modelled: flags of a configuration ---- */

#ifndef N
#define N 2 /* sub-buffers; the real ring has 4 or more */
#endif
#ifndef C
#define C 1 /* records in each */
#endif
#ifndef R
#define R 2 /* tries of each producer */
#endif
#ifndef R1
#define R1 R /* ... of the first one */
#endif
#ifndef P
#define P 2 /* producers */
#endif
#ifndef HERE
#define HERE 0 /* flushers on the ring's CPU, one flush each */
#endif
#ifndef ELSEWHERE
#define ELSEWHERE 0 /* flushers on other CPUs, one flush each */
#endif
#ifndef START
#define START RSEQ /* START=ATOMIC: no sequences, for good */
#endif
#ifndef GENS
#define GENS 4 /* gen counts up to here */
#endif
#ifndef PENDING_FULL
#define PENDING_FULL 7
#endif
#ifndef MAX_ABORTS
#define MAX_ABORTS 2 /* in a row, with STORM */
#endif
#ifndef BOUND
#define BOUND 4 /* turns of reserve's loop, with SOLO */
#endif
/*
 * OVERWRITE    a flight recorder: what nobody takes is written over
 * MIGRATE      a record may be committed on another CPU than its ring's
 * SQUASH       a committed record may be undone
 * DISCARD      an open record may be given up
 * TIME         clocks; CLOCK_OUTSIDE: sequences cannot read it
 * HINT         the fast path, which knows sub-buffer and pages by the hint
 * ASK          a flusher elsewhere asks first
 * STORM        aborts in a row lead out of the sequences
 * REFUSALS     refusals in their words: records, and bytes by parity
 * LOAN         what was taken stays on loan for a while
 * QUARANTINE   the consumer copies what stalls
 * IN_TURN      the consumer takes in order; else whatever is readable
 * KILL, SOLO   see above
 * TWIN=name    one thing is broken, on purpose: the run must fail
 */

#define NO_FENCE 1	   /* revoke: no fence between REVOKING and ATOMIC */
#define NO_FLUSH_LOCK 2	   /* revoke: several at a time */
#define NO_GEN 3	   /* move_back: gen stays */
#define GEN_LIES 4	   /* move_back: gen comes round, clock outside */
#define NO_CLAIM 5	   /* cross: the slot is not claimed */
#define CLAIM_AFTER 6	   /* cross: ... claimed after the head's move */
#define OPEN_AFTER 7	   /* cross: the slot says OPEN after the head left */
#define HINT_FIRST 8	   /* cross: hint stored before the head */
#define DELIVER_BELOW 9	   /* late: delivered at 0 and below */
#define CLOSER_IDLE 10	   /* closed: pending is not added */
#define LATE_IDLE 11	   /* late: a committer that makes it 0 goes away */
#define PLAIN_COMMIT 12	   /* commit: a handle of ATOMIC mode is not NEVER */
#define HANDS_PAGES_ON 13  /* quarantine: exchanged, spare when late is 0 */
#define NO_SPARE_CHECK 14  /* take: the spare may be on loan */
#define NO_EXCHANGE 15	   /* take: the page set stays in the slot */
#define DEAD_IS_STALLED 16 /* find_target: a dead claim is passed over */
#define OWN_SLOT 17	   /* find_target: the head's own slot too */
#define ANSWER_BY_SWAP 18  /* answer: a swap instead of a locked sequence */
#define REFUSE_BLIND 19	   /* refuse: not checked against the head */
#define ONE_COUNTER 20	   /* refuse: adds and sequences in one word */
#define GAP_IN_HEAD 21	   /* discard: a gap commits in the head */
#define ONE_LOOK 22	   /* quarantine: no second look at the slot */
#define HEAD_LAST 23	   /* look: the head after the slots */
#define NO_ABORT_BOUND 24  /* reserve: tries its sequence for ever */
#define WAIT_REVOKED 25	   /* reserve: leaves REVOKING to the flusher */
#define UNTOLD 30	   /* unmark: what the copy lacked is not counted */
#define COMPARE_LESS 26	   /* numbers compared by <, not by distance */
#define ADD_NOTHING_SEEN 27 /* closed: a closer that sees 0 goes away */
#define COMMIT_REVOKING 28 /* commit: takes REVOKING for RSEQ */
#define END_BEFORE_SWAP 29 /* flush: end stored before the swap */
#ifndef TWIN
#define TWIN 0
#endif

/* ---- words, as in detail/position.h ---- */

#define RSEQ 0
#define REVOKING 1
#define ATOMIC 2

#define EMPTY 0
#define CLAIMED 1
#define OPEN 2
#define READABLE 3

/* head: number | off:3 | pending:3 | gen:2 | mode:2 */
#define MODE(h) ((h) & 3)
#define GEN(h) (((h) >> 2) & 3)
#define PENDING(h) (((h) >> 4) & 7)
#define OFF(h) (((h) >> 7) & 7)
#define NUMBER(h) ((h) >> 10)
#define HEAD(number, off, pending, mode) \
	(((number) << 10) + ((off) << 7) + ((pending) << 4) + (mode))
#define ONE_PENDING 16
#define ONE_RECORD (128 + ONE_PENDING)
#define WITH_MODE(h, mode) ((h) - MODE(h) + (mode))
#define BUMP(h) ((h) - (GEN(h) << 2) + (((GEN(h) + 1) % GENS) << 2))

/* slot, hint: pages | state:2 | number:5 */
#define SLOT(pages, state, number) (((pages) << 7) + ((state) << 5) + (number))
#define PAGES(s) ((s) >> 7)
#define STATE(s) (((s) >> 5) & 3)
#define FULL(s) ((s) & 31)

/* A head's number wraps at NUMBERS, a slot's at FULLS. As in the real ring,
 * what is compared must not be further apart than half of NUMBERS: a slot that
 * is passed over keeps its number for two laps. */
#if N == 3
#define NUMBERS 15
#define FULLS 30
#elif N == 4
#define NUMBERS 28
#define FULLS 28
#else
#define NUMBERS 16
#define FULLS 32
#endif
#define FIRST (FULLS - 1)
#define AT(number) ((number) % N)
#define NEXT(number) (((number) + 1) % NUMBERS)

/* rondo_number_distance */
#define DISTANCE(a, b) \
	(TWIN == COMPARE_LESS -> \
		((a) % NUMBERS - (b) % NUMBERS) : \
		((a) - (b) + FULLS + NUMBERS / 2) % NUMBERS - NUMBERS / 2)
#define SLOT_IS(s, state, number) \
	(STATE(s) == (state) && DISTANCE(FULL(s), number) == 0)
/* rondo_ring_find */
#define IS_IN(s, number) \
	(SLOT_IS(s, OPEN, number) || SLOT_IS(s, CLAIMED, number))

#ifdef OVERWRITE
#define OVERWRITES true
#else
#define OVERWRITES false
#endif

#define PAGE_SETS (N + 1)
#define NONE 15

/* ---- shared memory ---- */

short head = HEAD(FIRST % NUMBERS, 0, 0, START);
short slot[N];
short late[PAGE_SETS];
byte end_of[PAGE_SETS];	   /* records, and HAS_GAP: an empty gap behind them */
byte number_of[PAGE_SETS]; /* as the packet header has it */
byte unit[PAGE_SETS * C];  /* a record's header: its number and state */
byte marked[PAGE_SETS];	   /* 1 + the number that quarantine copied; 0 none */
#ifdef QUARANTINE
byte told[PAGE_SETS]; /* records that the copy had, open ones too */
#endif
short hint;
byte limit;		   /* number of the sub-buffer whose limit it is */
bit asked, flush_lock;
byte refused, refused_bytes[2], aside;

#define HAS_GAP 8

/* A record's header. Its number stands for its time: what an earlier use of
 * the place left behind can be told. */
#define UNIT(number, state) (((number) << 2) + (state))
#define OPEN_RECORD 1
#define COMMITTED 2
#define GAP 3
#define PLACE(pages, off) ((pages) * C + (off) - 1)

/* The consumer's page sets. */
byte spare = N, loan = NONE;

byte running; /* the thread whose sequence is under way; 0: none */

/* ---- for the claims only ---- */

hidden byte I_once, I_own, I_pages, I_count, I_time, I_progress, I_alone;
#define HOLDS(invariant, claim) assert(invariant || (claim))

int delivered; /* a bit for each number */
byte committed, squashed, discarded, got, overwritten, abandoned, unseen;
byte ended, killed; /* a bit for each process */
byte solo;	    /* this one alone may run, and so often did it turn: */
byte turns_alone;
hidden byte h;	    /* counts within one step; */
hidden short distance; /* so does this */

#ifdef TIME
byte clock = 1, time_at[C + 2]; /* of what ends at an offset of the open one */
#endif

#ifdef KILL
#define MAY_RUN provided ((killed & (1 << _pid)) == 0)
#else
#ifdef SOLO
#define MAY_RUN provided (solo == 0 || solo == _pid)
#else
#define MAY_RUN
#endif
#endif

/* I-own: who writes there has a record open, or closes it, or is about to
 * open it by its claim. */
#define OWNS(pages, number) \
	((pages) != loan && \
	 (slot[AT(number)] == SLOT(pages, CLAIMED, number) || \
	  slot[AT(number)] == SLOT(pages, OPEN, number) || IS_HELD(pages)))

#if TWIN == HANDS_PAGES_ON
byte held = NONE; /* quarantined page set, until its late is 0 */
#define IS_HELD(pages) ((pages) == held)
#else
#define IS_HELD(pages) false
#endif

/* ---- the clock ---- */

/*
 * It counts moves of the head: all that matters of a time is which moves were
 * made before it was read.
 */
#ifdef TIME
#define READ_CLOCK now = clock
#define STAMP \
	HOLDS(I_time, now > time_at[OFF(seen)]); \
	clock++; \
	if \
	:: NUMBER(wanted) != NUMBER(seen) || OFF(seen) == 0 -> \
		time_at[OFF(wanted)] = now; \
		time_at[OFF(wanted) != 0] = now \
	:: else -> time_at[OFF(wanted)] = now \
	fi
#else
#define READ_CLOCK skip
#define STAMP skip
#endif

/* ---- moving the head: seen -> wanted ---- */

#define DONE 0
#define CHANGED 1
#define ABORTED 2
#define FAR 3
#define REFUSED 4

/* What a move has to store: bits of list. */
#define OPENS 1	 /* the slot that the head leaves says OPEN */
#define END 2	 /* how much is in it */
#define BEGIN 4	 /* packet header of the next */
#define RECORD 8 /* header of the record */
#define TIMED 16 /* (the move has a time) */

/* The first steps of a sequence: the CPU, the head, the clock. */
inline seq_check() {
	d_step {
		if
		:: head == seen ->
			running = _pid;
#ifndef CLOCK_OUTSIDE
			READ_CLOCK;
#endif
			result = DONE
		:: else ->
			running = 0;
			result = CHANGED
		fi
	}
}

/* Its last store. */
inline seq_store_head() {
	d_step {
		if
		:: result == DONE && running == _pid ->
			if
			:: list & TIMED -> STAMP
			:: else
			fi;
			head = wanted;
			running = 0
		:: result == DONE && running != _pid -> result = ABORTED
		:: else
		fi
	}
}

/* A store of a sequence happens only while the sequence does; of a swap's
 * list, in any case. */
#define STORE(which, what) \
	d_step { \
		if \
		:: result != DONE || !(list & which) -> skip \
		:: else -> \
			if \
			:: MODE(seen) == RSEQ && running != _pid -> \
				result = ABORTED \
			:: else -> what \
			fi \
		fi \
	}

/* rondo_move_end: how many records there are; where some are open, a gap */
#define CONTENT(h) (OFF(h) - 1 + (PENDING(h) != 0 -> HAS_GAP : 0))

#define STORE_OPENS \
	HOLDS(I_own, OWNS(PAGES(left), FULL(left))); \
	slot[AT(FULL(left))] = SLOT(PAGES(left), OPEN, FULL(left))

/* rondo_put_changed: what says already what it should is left alone. Decided
 * when the list is made. */
#define END_IF_CHANGED \
	(end_of[PAGES(left)] != CONTENT(seen)) * END

#define STORE_END \
	HOLDS(I_own, OWNS(PAGES(left), FULL(left))); \
	end_of[PAGES(left)] = CONTENT(seen)

#define STORE_BEGIN \
	HOLDS(I_own, OWNS(pages, number)); \
	number_of[pages] = number

#define STORE_RECORD \
	HOLDS(I_own, OWNS(pages, number)); \
	HOLDS(I_own, NUMBER(wanted) == number % NUMBERS); \
	HOLDS(I_own, 2 <= OFF(wanted) && OFF(wanted) <= 1 + C); \
	unit[PLACE(pages, OFF(wanted) - 1)] = UNIT(number, OPEN_RECORD)

inline store_list() {
	STORE(OPENS, STORE_OPENS);
	STORE(END, STORE_END);
	STORE(BEGIN, STORE_BEGIN);
	STORE(RECORD, STORE_RECORD)
}

inline move_in_sequence() {
#ifdef CLOCK_OUTSIDE
	d_step { READ_CLOCK };
#endif
	seq_check();
	if
	:: result == DONE ->
		store_list();
		seq_store_head()
	:: else
	fi
}

inline swap_head() {
	d_step {
		if
		:: head == seen ->
			if
			:: list & TIMED -> STAMP
			:: else
			fi;
			head = wanted;
			result = DONE
		:: else -> result = CHANGED
		fi
	}
}

inline move_by_swap() {
#ifdef TIME
	d_step { READ_CLOCK };
#endif
	swap_head()
}

/* A sequence that ends in a locked swap. Nothing of this CPU comes between its
 * steps, and what others do in between the swap finds out: one step. */
inline move_locked() {
	d_step {
		running = 0;
		READ_CLOCK;
		if
		:: head == seen ->
			if
			:: list & TIMED -> STAMP
			:: else
			fi;
			head = wanted;
			result = DONE
		:: else -> result = CHANGED
		fi
	}
}

/* Wanted is RSEQ again; on another CPU, or aborted, it stays ATOMIC. */
inline move_back_to_rseq() {
	if
	:: move_locked()
#ifdef MIGRATE
	:: wanted = WITH_MODE(wanted, ATOMIC);
		move_by_swap()
#endif
	fi
}

/* rondo_move_head */
inline move_head() {
	if
	:: MODE(seen) == RSEQ -> move_in_sequence()
	:: else ->
		if
		:: MODE(wanted) == RSEQ && MODE(seen) != RSEQ ->
			move_back_to_rseq()
		:: else -> move_by_swap()
		fi;
		store_list()
	fi
}

/* ---- slots ---- */

/* rondo_ring_open: left is its slot */
inline ring_open(number_) {
	d_step {
		left = slot[AT(number_)];
		if
		:: SLOT_IS(left, CLAIMED, number_) ->
			if
			:: TWIN != OPEN_AFTER ->
				left = SLOT(PAGES(left), OPEN, FULL(left));
				slot[AT(number_)] = left
			:: else
			fi;
			result = DONE
		:: SLOT_IS(left, OPEN, number_) -> result = DONE
		:: else -> result = CHANGED
		fi
	}
}

inline deliver(pages_, number_) {
	d_step {
		if
		:: TWIN != HANDS_PAGES_ON ||
		   slot[AT(number_)] == SLOT(pages_, OPEN, number_) ->
			HOLDS(I_once, slot[AT(number_)] ==
				      SLOT(pages_, OPEN, number_));
			HOLDS(I_once, late[pages_] == 0);
			HOLDS(I_once, ((delivered >> (number_)) & 1) == 0);
			delivered = delivered | (1 << (number_));
			slot[AT(number_)] = SLOT(pages_, READABLE, number_)
		:: else
		fi
	}
}

/* rondo_ring_late */
inline ring_late(pages_, number_, change) {
	d_step {
		late[pages_] = late[pages_] + (change);
		last = (late[pages_] == 0 ||
			(TWIN == DELIVER_BELOW && late[pages_] < 0)) &&
		       !(TWIN == LATE_IDLE && (change) < 0)
	};
	if
	:: last -> deliver(pages_, number_)
	:: else
	fi
}

/* rondo_ring_closed: left is the slot, seen the head that was replaced */
inline ring_closed() {
	if
	:: PENDING(seen) != 0 && TWIN != CLOSER_IDLE ->
		ring_late(PAGES(left), FULL(left), PENDING(seen))
	:: PENDING(seen) == 0 && TWIN != ADD_NOTHING_SEEN ->
		deliver(PAGES(left), FULL(left))
	:: else
	fi
}

/* ---- revoking, flushing ---- */

/* rondo_ring_help: REVOKING -> ATOMIC, on the ring's CPU */
inline ring_help() {
	d_step {
		running = 0;
		if
		:: head == seen -> head = WITH_MODE(seen, ATOMIC)
		:: else
		fi
	}
}

inline fence() {
	d_step {
		if
		:: TWIN != NO_FENCE -> running = 0
		:: else
		fi
	}
}

inline lock_flush() {
	atomic {
		(flush_lock == 0 || TWIN == NO_FLUSH_LOCK);
		flush_lock = 1
	}
}


/* Each swap follows its load at once: one that fails is one more turn. */
inline revoke() {
	do
	:: atomic {
		if
		:: MODE(head) == ATOMIC -> break
		:: MODE(head) == RSEQ ->
			head = WITH_MODE(BUMP(head), REVOKING)
		:: else
		fi
	   };
	   fence();
	   d_step {
		if
		:: MODE(head) == REVOKING -> head = WITH_MODE(head, ATOMIC)
		:: else
		fi
	   }
	od
}

#define NOTHING_IN(h) (OFF(h) <= 1)

/* The end is stored after the move: before it, others may still be at it. */
inline close_open(locked) {
	ring_open(NUMBER(seen));
	if
	:: result == DONE ->
		d_step {
			wanted = HEAD(NEXT(NUMBER(seen)), 0, 0, START) +
				 (GEN(seen) << 2);
			list = END_IF_CHANGED + TIMED;
			if
			:: TWIN == END_BEFORE_SWAP -> STORE_END
			:: else
			fi
		};
		if
		:: locked -> move_locked()
		:: !(locked) -> move_by_swap()
		fi;
		if
		:: result == DONE ->
			d_step {
				if
				:: (list & END) && TWIN != END_BEFORE_SWAP -> STORE_END
				:: else
				fi
			};
			ring_closed()
		:: else
		fi
	:: else
	fi
}

/* result: DONE, or CHANGED where it gives up */
#define FLUSH_TRIES 2
inline flush_here(locked) {
	tries = 0;
	do
	:: atomic {
		seen = head;
		if
		:: NOTHING_IN(seen) ->
			result = DONE;
			break
		:: !NOTHING_IN(seen) && (MODE(seen) == REVOKING ||
					 tries == FLUSH_TRIES) ->
			result = CHANGED;
			break
		:: else -> tries++
		fi
	   };
	   close_open(locked);
	   if
	   :: result == DONE -> break
	   :: else
	   fi
	od
}

/* Asks as often as it likes, and may give up at any time. */
inline ask_owner() {
	atomic {
		seen = head;
		result = CHANGED
	};
	if
	:: MODE(seen) == RSEQ && !NOTHING_IN(seen) ->
		do
		:: asked = 1;
		   hint = SLOT(0, 0, (NUMBER(seen) + FULLS - 1) % FULLS)
		:: atomic {
			NUMBER(head) != NUMBER(seen) ->
			result = DONE;
			break
		   }
		:: break
		od;
		asked = 0
	:: else
	fi
}

inline flush_revoked() {
	do
	:: atomic {
		seen = head;
		if
		:: NOTHING_IN(seen) -> break
		:: else
		fi
	   };
	   if
	   :: MODE(seen) != ATOMIC -> revoke()
	   :: else ->
		close_open(false);
		if
		:: result == DONE -> break
		:: else
		fi
	   fi
	od
}

proctype flusher(bit here) MAY_RUN {
	short seen, wanted, left;
	byte result = CHANGED, list, tries, now, pages, number;
	bit last;

	if
	:: here -> flush_here(true)
	:: else
	fi;
	if
	:: result != DONE && !NOTHING_IN(head) ->
		lock_flush();
#ifdef ASK
		ask_owner();
#endif
		if
		:: result != DONE -> flush_revoked()
		:: else
		fi;
		flush_lock = 0
	:: else
	fi;
	ended = ended | (1 << _pid)
}

/* ---- producer ---- */

/* rondo_ring_answer */
inline answer_if_asked() {
#ifdef ASK
	if
	:: asked ->
		asked = 0;
		flush_here(TWIN != ANSWER_BY_SWAP)
	:: else
	fi
#else
	skip
#endif
}

/* slot_lets_in: by state, and by how far the number wanted is from its own */
#define LETS_IN(s) \
	((STATE(s) == CLAIMED && distance >= 0) || \
	 (STATE(s) == EMPTY && distance > 0) || \
	 (STATE(s) == READABLE && distance > 0 && OVERWRITES))
#define IS_STALLED(s) \
	(STATE(s) == OPEN || (TWIN == DEAD_IS_STALLED && \
			      STATE(s) == CLAIMED && distance > 0))

/* result: DONE, or REFUSED: full, or stalled if all are */
inline find_target(first, slots) {
	k = 0;
	result = CHANGED;
	do
	:: atomic {
		result == CHANGED && k < (slots) ->
		word = slot[AT(first + k)];
		distance = DISTANCE(first + k, FULL(word));
		if
		:: IS_STALLED(word) -> k++
		:: !IS_STALLED(word) && LETS_IN(word) ->
			number = (FULL(word) + distance + FULLS) % FULLS;
			result = DONE
		:: else -> result = REFUSED
		fi
	   }
	:: atomic {
		result != CHANGED || k >= (slots) ->
		if
		:: result == CHANGED -> result = REFUSED
		:: else
		fi;
		break
	   }
	od
}

/* How many records of a page set are committed. */
inline count_committed(pages_, number_, content, sum) {
	h = 0;
	do
	:: h < (content) ->
		sum = sum + (unit[(pages_) * C + h] == UNIT(number_, COMMITTED));
		h++
	:: else -> break
	od
}

/* What quarantine has shipped is no loss. */
inline count_overwritten() {
	if
	:: STATE(word) == READABLE && marked[PAGES(word)] != 1 + FULL(word) ->
		count_committed(PAGES(word), FULL(word),
				end_of[PAGES(word)] & 7, overwritten)
	:: else
	fi
}

inline claim() {
	d_step {
		if
		:: word == SLOT(PAGES(word), CLAIMED, number) -> result = DONE
		:: else ->
			if
			:: slot[AT(number)] == word ->
				count_overwritten();
				slot[AT(number)] =
					SLOT(PAGES(word), CLAIMED, number);
				result = DONE
			:: else -> result = CHANGED
			fi
		fi
	}
}

inline store_hint() {
#ifdef HINT
	limit = number;
	hint = SLOT(pages, 0, number);
#endif
	skip
}

inline cross_to() {
	d_step {
		pages = PAGES(word);
		wanted = HEAD(number % NUMBERS, 2, 1,
			      (MODE(seen) == RSEQ -> RSEQ : START));
		list = BEGIN + RECORD + TIMED;
		if
		:: closes ->
			list = list + END_IF_CHANGED +
				(MODE(seen) == RSEQ && STATE(left) == CLAIMED &&
				 TWIN != OPEN_AFTER) * OPENS
		:: else
		fi
	};
	if
	:: TWIN == HINT_FIRST -> hint = SLOT(pages, 0, number)
	:: else
	fi;
	move_head();
	if
	:: result == DONE ->
		if
		:: TWIN == CLAIM_AFTER -> claim()
		:: TWIN == OPEN_AFTER && closes ->
			left = SLOT(PAGES(left), OPEN, FULL(left));
			slot[AT(FULL(left))] = left
		:: else
		fi;
		store_hint();
		if
		:: closes -> ring_closed()
		:: else
		fi;
		result = DONE
	:: else
	fi
}

/* No room in the head's sub-buffer for one more. */
#define NO_ROOM(h) \
	(OFF(h) == 0 || OFF(h) == 1 + C || PENDING(h) >= PENDING_FULL)

inline refuse_aside() {
	d_step {
		if
		:: TWIN == ONE_COUNTER ->
			refused++;
			refused_bytes[refused & 1] =
				refused_bytes[1 - (refused & 1)] + 1
		:: else -> aside++
		fi;
		result = REFUSED
	}
}

/* rondo_ring_refuse: of this head, or decide again. In a sequence: the bytes
 * that belong to the next count, then the count. */
inline refuse() {
	list = 0;
	if
	:: MODE(seen) == RSEQ ->
		d_step {
			if
			:: head == seen || TWIN == REFUSE_BLIND ->
				HOLDS(I_count, NO_ROOM(head));
				running = _pid;
				k = refused;
				result = REFUSED
			:: else -> result = CHANGED
			fi
		};
#ifdef REFUSALS
		d_step {
			if
			:: result == REFUSED && running == _pid ->
				refused_bytes[1 - (k & 1)] =
					refused_bytes[k & 1] + 1
			:: else
			fi
		};
#endif
		d_step {
			if
			:: result == REFUSED && running == _pid ->
				refused = k + 1;
				running = 0
			:: else -> result = ABORTED
			fi
		}
	:: else ->
		d_step {
			result = (head == seen || TWIN == REFUSE_BLIND ->
				REFUSED : CHANGED);
			HOLDS(I_count, result == CHANGED || NO_ROOM(head))
		};
		if
		:: result == REFUSED -> refuse_aside()
		:: else
		fi
	fi
}

/* In rseq mode the sequence says OPEN: nobody but this CPU's crossings changes
 * the slot that the head is in. */
inline find_left() {
	if
	:: MODE(seen) != RSEQ -> ring_open(NUMBER(seen))
	:: else ->
		d_step {
			left = slot[AT(NUMBER(seen))];
			result = (IS_IN(left, NUMBER(seen)) -> DONE : CHANGED)
		}
	fi
}

/* The head's own slot is no target: its claim would look like a dead one. */
inline cross() {
	closes = OFF(seen) != 0;
	find_target(NUMBER(seen) + closes,
		    N - (closes && TWIN != OWN_SLOT));
	if
	:: result == REFUSED -> refuse()
	:: else ->
		if
		:: TWIN != NO_CLAIM && TWIN != CLAIM_AFTER -> claim()
		:: else
		fi;
		if
		:: result == DONE && closes -> find_left()
		:: else
		fi;
		if
		:: result == DONE -> cross_to()
		:: else
		fi
	fi
}

inline reserve_here() {
	d_step {
		word = slot[AT(NUMBER(seen))];
		pages = PAGES(word);
		number = FULL(word);
		wanted = seen + ONE_RECORD;
		list = RECORD + TIMED;
		closes = 0;
		result = (IS_IN(word, NUMBER(seen)) -> DONE : CHANGED)
	};
	if
	:: result == DONE ->
#ifdef HINT
		hint = SLOT(pages, 0, number); /* heal_hint */
#endif
		move_head()
	:: else
	fi
}

/*
 * rondo_fast_reserve, and reserve_by_swap in atomic mode. "hint - wanted <
 * span" holds when the record fits and the hint is of this sub-buffer, and also
 * when it does not fit and the hint is of the next.
 */
inline reserve_fast() {
	atomic {
		seen = head;
		wanted = seen + ONE_RECORD;
		list = RECORD + TIMED;
		closes = 0
	};
	atomic {
		pages = PAGES(hint);
		number = FULL(hint);
		if
		:: MODE(seen) != REVOKING && PENDING(seen) < PENDING_FULL &&
		   DISTANCE(number, NUMBER(seen)) == (OFF(seen) > C) ->
			result = DONE
		:: else -> result = FAR
		fi
	};
	if
	:: result == DONE ->
		/* A limit of the next sub-buffer lets in times that this
		 * one's records cannot tell. */
		d_step {
			HOLDS(I_time, head != seen ||
				      DISTANCE(limit, NUMBER(seen)) <= 0)
		};
		move_head()
	:: else
	fi
}

/* Aborts in a row: out of the sequences, or refused. */
inline give_way() {
	if
	:: atomic {
		flush_lock == 0 ->
		flush_lock = 1
	   };
	   revoke();
	   flush_lock = 0;
	   result = CHANGED
	:: flush_lock != 0 -> refuse_aside()
	fi
}

#define IN_STORM (aborts == MAX_ABORTS && MODE(seen) != ATOMIC)

inline count_abort() {
#ifdef STORM
	if
	:: result == ABORTED && aborts < MAX_ABORTS &&
	   TWIN != NO_ABORT_BOUND ->
		aborts++
	:: else
	fi
#else
	skip
#endif
}

inline count_turn() {
#ifdef SOLO
	if
	:: solo == _pid ->
		turns_alone++;
		HOLDS(I_progress, turns_alone <= BOUND)
	:: else
	fi
#else
	skip
#endif
}

inline reserve() {
	aborts = 0;
	result = CHANGED;
#ifdef HINT
	reserve_fast();
#endif
	do
	:: result == DONE || result == REFUSED -> break
	:: else ->
		answer_if_asked();
		atomic {
			seen = head;
			count_turn()
		};
		if
#ifdef STORM
		:: IN_STORM ->
			aborts = 0;
			give_way()
#endif
		:: !IN_STORM && MODE(seen) == REVOKING ->
			if
			:: TWIN != WAIT_REVOKED -> ring_help()
			:: else
			fi;
			result = CHANGED
		:: !IN_STORM && MODE(seen) != REVOKING && !NO_ROOM(seen) ->
			reserve_here()
		:: !IN_STORM && MODE(seen) != REVOKING && NO_ROOM(seen) ->
			cross()
		fi;
		count_abort()
	od
}

/* store_state; unseen: quarantine has already copied it as open */
inline store_state(state) {
	d_step {
		HOLDS(I_own, OWNS(pages, number));
		unit[PLACE(pages, OFF(mine) - 1)] = UNIT(number, state);
		if
		:: state == COMMITTED ->
			committed++;
			unseen = unseen + (marked[pages] == 1 + number)
		:: else -> discarded++
		fi
	}
}

/* While the head is in the record's sub-buffer, by its mode's means. */
inline commit_in_head() {
	atomic {
		seen = head;
		wanted = seen - ONE_PENDING;
		list = 0;
		result = (NUMBER(seen) == NUMBER(mine) && PENDING(seen) != 0 ->
			DONE : CHANGED)
	};
	if
	:: result == DONE && MODE(seen) == ATOMIC &&
	   !(TWIN == PLAIN_COMMIT && seen == mine && !away) ->
		swap_head()
	:: result == DONE && !away &&
	   (MODE(seen) == RSEQ ||
	    (MODE(seen) == REVOKING && TWIN == COMMIT_REVOKING) ||
	    (MODE(seen) == ATOMIC && TWIN == PLAIN_COMMIT && seen == mine)) ->
		seq_check();
		seq_store_head()
	:: else -> result = CHANGED
	fi
}

inline commit_late() {
	ring_late(pages, number, -1)
}

inline commit() {
	store_state(COMMITTED);
	commit_in_head();
	if
	:: result != DONE -> commit_late()
	:: else
	fi
}

/* gen tells who read head and clock before a backward move that there was one;
 * where the clock is read outside of sequences, it must not come round. */
#ifdef CLOCK_OUTSIDE
#define CLOCK_IN_SEQUENCE 0
#else
#define CLOCK_IN_SEQUENCE 1
#endif
#define GEN_WOULD_LIE(h) \
	(TWIN != GEN_LIES && GEN(h) == GENS - 1 && \
	 (MODE(h) == ATOMIC || !CLOCK_IN_SEQUENCE))

/* Only what is last before the head goes back. less: how many open ones. */
inline move_back(less) {
	do
	:: atomic {
		seen = head;
		list = 0;
		wanted = (TWIN == NO_GEN -> seen : BUMP(seen)) - (1 << 7) -
			 (less) * ONE_PENDING;
		if
		:: NUMBER(seen) != NUMBER(mine) || OFF(seen) != OFF(mine) ||
		   PENDING(seen) < (less) || GEN_WOULD_LIE(seen) ||
		   (away && MODE(seen) != ATOMIC) ->
			result = CHANGED;
			break
		:: else
		fi
	   };
	   if
	   :: MODE(seen) == REVOKING -> ring_help()
	   :: else ->
		move_head();
		if
		:: result == DONE -> break
		:: else
		fi
	   fi
	od
}

/* What is not last becomes a gap, and commits late: so the closer sees it
 * pending, and lets no content end inside of it. */
inline discard() {
	move_back(1);
	if
	:: result == DONE -> discarded++
	:: else ->
		store_state(GAP);
		result = CHANGED;
		if
		:: TWIN == GAP_IN_HEAD -> commit_in_head()
		:: else
		fi;
		if
		:: result != DONE -> commit_late()
		:: else
		fi
	fi
}

inline squash() {
	move_back(0);
	if
	:: result == DONE -> squashed++
	:: else
	fi
}

proctype producer() MAY_RUN {
	short seen, wanted, word, left, mine;
	byte tried, result, list, k, tries, aborts, now, pages, number;
	bit closes, away, last;

	do
	:: tried < (_pid == 1 -> R1 : R) ->
		if
#ifdef REFUSALS
		:: refuse_aside() /* too big */
#endif
		:: reserve()
		fi;
		if
		:: result == DONE ->
			mine = wanted;
#ifdef MIGRATE
			if
			:: away = 0
			:: away = 1
			fi;
#endif
			if
			:: commit();
#ifdef SQUASH
			   if
			   :: squash()
			   :: skip
			   fi
#endif
#ifdef DISCARD
			:: discard()
#endif
			fi
		:: else
		fi;
progress:	d_step {
			tried++;
			seen = 0;
			wanted = 0;
			word = 0;
			left = 0;
			mine = 0;
			result = 0;
			list = 0;
			k = 0;
			tries = 0;
			aborts = 0;
			now = 0;
			pages = 0;
			number = 0;
			closes = 0;
			away = 0;
			last = 0
		}
	:: else -> break
	od;
	ended = ended | (1 << _pid)
}

/* ---- consumer ---- */

/* Of processes 1 to P + HERE + ELSEWHERE, all have ended or were killed. */
#define OTHERS ((1 << (1 + P + HERE + ELSEWHERE)) - 2)
#define QUIET (((ended | killed) & OTHERS) == OTHERS)

#define IS_MARKED(s) (marked[PAGES(s)] == 1 + FULL(s))
#define TAKEABLE(i) \
	(STATE(slot[i]) == READABLE && !IS_MARKED(slot[i]))
#define UNMARKABLE(i) \
	(STATE(slot[i]) == READABLE && IS_MARKED(slot[i]))
/* Closed, and somebody has yet to commit in it. */
#define STALLED(i) \
	(STATE(slot[i]) == OPEN && !IS_MARKED(slot[i]) && \
	 DISTANCE(FULL(slot[i]), NUMBER(head)) < 0)

/* I-once, I-alone: what is taken is whole. */
inline check_taken() {
	h = 0;
	HOLDS(I_alone, number_of[PAGES(word)] == FULL(word));
	do
	:: h < (end_of[PAGES(word)] & 7) ->
		HOLDS(I_once,
		      unit[PAGES(word) * C + h] ==
				UNIT(FULL(word), COMMITTED) ||
		      unit[PAGES(word) * C + h] == UNIT(FULL(word), GAP));
		HOLDS(I_alone, h + 1 != end_of[PAGES(word)] ||
			       unit[PAGES(word) * C + h] !=
				UNIT(FULL(word), GAP));
		h++
	:: else -> break
	od;
	count_committed(PAGES(word), FULL(word), end_of[PAGES(word)] & 7, got)
}

/* Page sets that go to the producers carry nothing, so that states differ by
 * what matters. */
inline wipe(pages_) {
	h = 0;
	number_of[pages_] = 0;
	marked[pages_] = 0;
	do
	:: h < C ->
		unit[(pages_) * C + h] = 0;
		h++
	:: else -> break
	od
}

/* take_slot: the swap */
inline take_slot(i) {
	d_step {
		word = slot[i];
		check_taken();
		if
		:: spare == NONE -> slot[i] = SLOT(loan, EMPTY, FULL(word))
		:: else ->
			slot[i] = SLOT((TWIN == NO_EXCHANGE -> PAGES(word) :
							       spare),
				       EMPTY, FULL(word));
			loan = PAGES(word);
			spare = NONE
		fi
	}
}

/* rondo_reader_release */
inline release() {
	d_step {
		wipe(loan);
		spare = loan;
		loan = NONE;
		word = 0
	}
}

#ifdef LOAN
#define TAKE(i) \
	atomic { \
		TAKEABLE(i) && (loan == NONE || TWIN == NO_SPARE_CHECK) -> \
		take_slot(i) \
	}
#else
#define TAKE(i) \
	atomic { \
		TAKEABLE(i) -> \
		take_slot(i); \
		release() \
	}
#endif

/* unmark: its writers are done; it was shipped. In atomic mode the copy may
 * have come between a move and its header: then more was committed than was
 * told. */
inline unmark(i) {
	d_step {
		word = slot[i];
		k = 0;
		count_committed(PAGES(word), FULL(word),
				end_of[PAGES(word)] & 7, k);
		abandoned = abandoned + (k > told[PAGES(word)] &&
					 TWIN != UNTOLD ->
			k - told[PAGES(word)] : 0);
		told[PAGES(word)] = 0;
		wipe(PAGES(word));
		slot[i] = SLOT(PAGES(word), EMPTY, FULL(word));
		word = 0;
		k = 0
	}
}

/* ship_stalled: what the copy says is committed goes out; what it says is open
 * does not, whatever becomes of it */
inline ship_stalled() {
	h = 0;
	told[PAGES(word)] = 0;
	do
	:: h < C ->
		told[PAGES(word)] = told[PAGES(word)] +
			(copy[h] == UNIT(FULL(word), COMMITTED)) +
			(copy[h] == UNIT(FULL(word), OPEN_RECORD));
		if
		:: copy[h] == UNIT(FULL(word), COMMITTED) -> got++
		:: else ->
			abandoned = abandoned +
				(copy[h] == UNIT(FULL(word), OPEN_RECORD));
			unseen = unseen +
				(unit[PAGES(word) * C + h] ==
				 UNIT(FULL(word), COMMITTED))
		fi;
		copy[h] = 0;
		h++
	:: else -> break
	od
}

/* Where it stands, word by word; the slot stays as it is, marked. */
inline quarantine(i) {
	do
	:: atomic {
		k < C ->
		copy[k] = unit[PAGES(word) * C + k];
		k++
	   }
	:: atomic {
		k == C ->
		if
		:: slot[i] == word || TWIN == ONE_LOOK ->
			ship_stalled();
#if TWIN == HANDS_PAGES_ON
			held = PAGES(word);
			slot[i] = SLOT(spare, EMPTY, FULL(word));
			spare = NONE;
#endif
			marked[PAGES(word)] = 1 + FULL(word)
		:: else
		fi;
		k = 0;
		word = 0;
		break
	   }
	od
}

#if TWIN == HANDS_PAGES_ON
#define MAY_QUARANTINE (spare != NONE)
#else
#define MAY_QUARANTINE true
#endif
#define QUARANTINE_SLOT(i) \
	atomic { \
		STALLED(i) && MAY_QUARANTINE -> \
		word = slot[i] \
	}; \
	quarantine(i)

/* Attached to what a dead process left: nobody else moves this head. */
inline flush_dead() {
	atomic {
		seen = head;
		close_open(false)
	}
}

/*
 * rondo_reader_look and rondo_reader_take: the head, then the slots. Below the
 * head, what is neither OPEN nor READABLE never will be; the oldest of the
 * others is next in turn.
 */
inline look_at(i) {
	atomic {
		word = slot[i];
		if
		:: (STATE(word) == READABLE || STATE(word) == OPEN) &&
		   (TWIN == HEAD_LAST ||
		    DISTANCE(FULL(word), NUMBER(seen)) < 0) &&
		   (oldest == 0 || DISTANCE(FULL(word), FULL(oldest)) < 0) ->
			oldest = word
		:: else
		fi;
		word = 0
	}
}

inline take_in_turn() {
	atomic {
		seen = head;
		oldest = 0
	};
	look_at(0);
	look_at(1);
	look_at(2 % N);
	look_at(3 % N);
	atomic {
		if
		:: TWIN == HEAD_LAST -> seen = head
		:: else
		fi;
		if
		:: oldest == 0 -> cursor = NUMBER(seen)
		:: else
		fi;
		if
		:: oldest != 0 && STATE(oldest) == READABLE &&
		   slot[AT(FULL(oldest))] == oldest ->
			/* Else it is late: behind what was taken before. */
			HOLDS(I_time, DISTANCE(FULL(oldest), cursor) >= 0);
			cursor = NEXT(FULL(oldest));
			take_slot(AT(FULL(oldest)));
			release()
		:: else
		fi;
		seen = 0;
		oldest = 0
	}
}

#define ALL_KILLED ((killed & OTHERS) == OTHERS)

#define NOTHING_AT(i) \
	(!TAKEABLE(i) && !UNMARKABLE(i) && !(IS_QUARANTINE && STALLED(i)))
#ifdef QUARANTINE
#define IS_QUARANTINE true
#else
#define IS_QUARANTINE false
#endif

/* ---- what must hold when all is quiet ---- */

/* Nobody can tell what a copy lacked whose page set was never delivered, or was
 * overwritten before it was looked at again. */
#define MAY_BE_UNTOLD (killed || OVERWRITES)

inline check_quiet() {
	d_step {
		word = 0; /* records in the ring */
		k = 0;
		do
		:: k < N ->
			HOLDS(I_once, killed || STATE(slot[k]) != OPEN ||
				      DISTANCE(FULL(slot[k]), NUMBER(head)) == 0);
			if
			:: IS_IN(slot[k], NUMBER(head)) && OFF(head) > 1 ->
				count_committed(PAGES(slot[k]), FULL(slot[k]),
						OFF(head) - 1, word)
			:: else
			fi;
			k++
		:: else -> break
		od;
		HOLDS(I_count, got + word + squashed + overwritten + unseen ==
			       committed);
		HOLDS(I_count, unseen <= abandoned || MAY_BE_UNTOLD);
		HOLDS(I_count, killed ||
			       committed + refused + aside + discarded ==
				R1 + (P - 1) * R);
#ifdef REFUSALS
		HOLDS(I_count, refused_bytes[refused & 1] == refused);
#endif
		HOLDS(I_progress, killed || MODE(head) != REVOKING);
		k = 0;
		do
		:: k < PAGE_SETS ->
			HOLDS(I_once, killed || late[k] ==
				(PAGES(slot[AT(NUMBER(head))]) == k ->
					-PENDING(head) : 0));
			HOLDS(I_pages,
			      (spare == k) + (loan == k) +
			      (PAGES(slot[0]) == k) + (PAGES(slot[1]) == k) +
			      (N > 2 && PAGES(slot[2 % N]) == k) +
			      (N > 3 && PAGES(slot[3 % N]) == k) == 1);
			k++
		:: else -> break
		od
	}
}

/* All was taken: there is room everywhere, whatever claims are dead. */
inline check_room() {
	d_step {
		seen = head;
		closes = OFF(seen) != 0;
		k = 0;
		do
		:: k < N - closes ->
			word = slot[AT(NUMBER(seen) + closes + k)];
			distance = DISTANCE(NUMBER(seen) + closes + k,
					    FULL(word));
			HOLDS(I_progress, killed ||
				(LETS_IN(word) && !IS_STALLED(word)));
			k++
		:: else -> break
		od
	}
}

proctype consumer() MAY_RUN {
	short seen, wanted, word, left;
	byte k, list, result, now, pages, number, copy[C];
	bit last, closes;

#ifdef IN_TURN
	byte cursor = FIRST;
	short oldest;
#endif

	do
#ifdef IN_TURN
	:: take_in_turn()
#else
	:: TAKE(0)
	:: TAKE(1)
#if N > 2
	:: TAKE(2)
#endif
#if N > 3
	:: TAKE(3)
#endif
#endif
#ifdef LOAN
	:: atomic {
		loan != NONE ->
		release()
	   }
#endif
#ifdef QUARANTINE
	:: QUARANTINE_SLOT(0)
	:: QUARANTINE_SLOT(1)
#if N > 2
	:: QUARANTINE_SLOT(2)
#endif
#if N > 3
	:: QUARANTINE_SLOT(3)
#endif
	:: atomic { UNMARKABLE(0) -> unmark(0) }
	:: atomic { UNMARKABLE(1) -> unmark(1) }
#if N > 2
	:: atomic { UNMARKABLE(2) -> unmark(2) }
#endif
#if N > 3
	:: atomic { UNMARKABLE(3) -> unmark(3) }
#endif
#endif
#if TWIN == HANDS_PAGES_ON
	:: atomic {
		held != NONE && late[held] == 0 ->
		spare = held;
		held = NONE
	   }
#endif
#ifdef KILL
	:: QUIET && ALL_KILLED && !NOTHING_IN(head) -> flush_dead()
#endif
	:: QUIET && loan == NONE && NOTHING_AT(0) && NOTHING_AT(1) &&
	   NOTHING_AT(2 % N) && NOTHING_AT(3 % N) &&
	   !(ALL_KILLED && !NOTHING_IN(head)) ->
		break
	od;
	check_quiet();
	check_room();
	ended = ended | (1 << _pid)
}

#ifdef KILL
/* A thread that dies, or all of them with their process. */
proctype killer() {
	if
	:: killed = OTHERS & ~ended
	:: killed = (1 << 1) & ~ended
	:: skip
	fi;
	timeout;
	HOLDS(I_progress, ((ended | killed) & (OTHERS * 2 + 2)) ==
			  OTHERS * 2 + 2)
}
#endif

#ifdef SOLO
/* All others stop for ever, wherever they are: the one that is left ends. When
 * nothing can run any more, it has. */
proctype freezer() {
	byte who;

	select(who : 1 .. P);
	solo = who;
	timeout;
	HOLDS(I_progress, ended & (1 << who))
}
#endif

init {
	atomic {
		byte i;

		for (i : 0 .. N - 1) {
			slot[AT(FIRST + i)] =
				SLOT(i, EMPTY, (FIRST + i - N + FULLS) % FULLS)
		};
		hint = SLOT(0, 0, FIRST - 1);
		limit = FIRST - 1;
		i = 0;
		do
		:: i < P ->
			run producer();
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < HERE ->
			run flusher(true);
			i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < ELSEWHERE ->
			run flusher(false);
			i++
		:: else -> break
		od;
		run consumer();
#ifdef KILL
		run killer();
#endif
#ifdef SOLO
		run freezer()
#endif
	}
}
