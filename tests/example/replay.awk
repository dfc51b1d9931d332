# SPDX-License-Identifier: MIT
# Replays babeltrace2's text of an alloc_trace, in the order of its times: no
# address is allocated twice without a free between, none is freed that is not
# allocated. Prints what is wrong; exit status 1 then. With -v inherited=1
# blocks may be freed that were allocated before the trace began (in a child of
# fork, by its parent).
function wrong(what)
{
	print NR ": " what ": " $0
	bad++
}

function field(name,    at, rest)
{
	at = index($0, " " name " = ")
	if (!at)
		return ""
	rest = substr($0, at + length(name) + 4)
	match(rest, /^[^ ,]*/)
	return substr(rest, 1, RLENGTH)
}

function allocate(address)
{
	if (address == "0x0")
		return
	if (live[address])
		wrong("allocated twice")
	live[address] = 1
}

function give_up(address)
{
	if (address == "0x0")
		return
	if (!live[address] && !(inherited && !(address in live)))
		wrong("freed and not allocated")
	live[address] = 0
}

/ alloc_trace:free: / {
	give_up(field("ptr"))
	next
}

/ alloc_trace:realloc_begin: / {
	give_up(field("old"))
	begun[field("tid")] = field("old")
	next
}

/ alloc_trace:realloc(array)?: / {
	allocate(field("result"))
	if (field("old") != "0x0" && begun[field("tid")] != field("old"))
		wrong("a realloc that did not begin")
	# It failed: the old block is what it was.
	if (field("result") == "0x0" && field("size") != 0)
		allocate(field("old"))
	next
}

/ alloc_trace:(malloc|calloc|aligned_alloc|posix_memalign|memalign|p?valloc): / {
	allocate(field("result"))
	next
}

END {
	if (!NR) {
		print "nothing to replay"
		bad = 1
	}
	exit bad > 0
}
