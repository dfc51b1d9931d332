# SPDX-License-Identifier: MIT
# What an alloc_trace holds: awk -f summary.awk TEXT complaints=1 COMPLAINTS, the
# output and the standard error of babeltrace2 --no-delta. With -v plain=MS and
# -v recorded=MS, the times of a run without and with recording.
complaints {
	# Tracer discarded N events ... / may have discarded
	if (match($0, /[Tt]racer discarded [0-9]+ event/)) {
		split(substr($0, RSTART, RLENGTH), word, " ")
		lost += word[3]
	} else if (NF) {
		other++
		print "babeltrace2: " $0
	}
	next
}

{
	at = index($0, " alloc_trace:")
	if (!at)
		next
	# The event's name, and its fields from "{" on, two words apart.
	count = split(substr($0, at + 13), word, /[ ,]+/)
	name = word[1]
	records++
	for (first = 2; word[first] != "}"; first++)
		;
	first += 2 # the payload's first name
}

name == "malloc:" {
	sizes[word[first + 2]]++
	callers[word[first + 8]]++
	next
}

name == "free:" {
	next
}

name == "module:" {
	records--
	path = $0
	sub(/.*path = "/, "", path)
	sub(/" }$/, "", path)
	base = number(word[first + 2])
	for (i = 1; i <= modules; i++)
		if (module_base[i] == base)
			next
	modules++
	module_base[modules] = base
	module_bytes[modules] = word[first + 5]
	module_path[modules] = path
	next
}

name == "realloc_begin:" || name == "skipped:" {
	next
}

{
	size = 1
	for (i = first; i < count; i += 3) {
		if (word[i] == "size" || word[i] == "count")
			size *= word[i + 2]
		if (word[i] == "caller")
			callers[word[i + 2]]++
	}
	sizes[size]++
}

# Exact up to 53 bits, as much as an address has.
function number(hex,    i, value)
{
	value = 0
	hex = toupper(hex)
	for (i = 3; i <= length(hex); i++)
		value = value * 16 + index("123456789ABCDEF", substr(hex, i, 1))
	return value
}

function place(hex,    i, value, file)
{
	value = number(hex)
	for (i = 1; i <= modules; i++)
		if (value >= module_base[i] &&
		    value < module_base[i] + module_bytes[i]) {
			file = module_path[i]
			sub(/.*\//, "", file)
			return sprintf("%s  %s+0x%x", hex, file,
				value - module_base[i])
		}
	return hex
}

# The five largest, largest first; text is what stands behind each.
function top(counts, is_caller,    i, key, best)
{
	for (i = 0; i < 5; i++) {
		best = ""
		for (key in counts)
			if (best == "" || counts[key] > counts[best] ||
			    (counts[key] == counts[best] && key < best))
				best = key
		if (best == "")
			return
		printf "  %9d  %s\n", counts[best],
			is_caller ? place(best) : best " bytes"
		delete counts[best]
	}
}

END {
	printf "\nrecords:  %d\n", records
	printf "lost:     %d\n", lost
	if (recorded > 0) {
		printf "records/s: %d, in the recorded program\n",
			1000 * records / recorded
		printf "overhead: %.1f %% (%.3f s recorded, %.3f s not)\n",
			100 * (recorded - plain) / plain, recorded / 1000,
			plain / 1000
	}
	print "\nmost frequent sizes"
	top(sizes, 0)
	print "most frequent callers"
	top(callers, 1)
	exit records == 0 || other > 0
}
