/* SPDX-License-Identifier: MIT */
// The public header as a C++ program uses it: records of its own types, from
// threads, inlined and called, and read back.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <rondo/rondo.h>

namespace
{

int failures;

void expect(bool so, const char *what)
{
	if (so)
		return;
	std::printf("not so: %s\n", what);
	failures++;
}

struct sample {
	std::uint64_t value;
	std::uint32_t thread;
	std::uint32_t step;
};

class channel
{
      public:
	explicit channel(const rondo_config &config)
	{
		expect(rondo_channel_create(&config, &handle_) == 0, "create");
	}
	channel(const channel &) = delete;
	channel &operator=(const channel &) = delete;
	~channel()
	{
		expect(rondo_channel_destroy(handle_) == 0, "destroy");
	}
	rondo_channel *get() const
	{
		return handle_;
	}

      private:
	rondo_channel *handle_ = nullptr;
};

std::uint16_t register_sample(const channel &to)
{
	rondo_field fields[3] = {};
	rondo_event_class sample_class = {};
	std::uint16_t id = 0;

	fields[0].name = "value";
	fields[0].type = RONDO_FIELD_U64;
	fields[1].name = "thread";
	fields[1].type = RONDO_FIELD_U32;
	fields[1].offset = offsetof(sample, thread);
	fields[2].name = "step";
	fields[2].type = RONDO_FIELD_U32;
	fields[2].offset = offsetof(sample, step);
	sample_class.size = sizeof(sample_class);
	sample_class.name = "cxx:sample";
	sample_class.fields = fields;
	sample_class.field_count = 3;
	sample_class.field_size = sizeof(fields[0]);
	expect(rondo_event_register(to.get(), &sample_class, &id) == 0,
	       "register");
	return id;
}

constexpr std::uint32_t threads = 3;
constexpr std::uint32_t steps = 2000;

void record(const channel &to, std::uint16_t id, std::uint32_t thread)
{
	for (std::uint32_t step = 0; step < steps; step++) {
		const sample filled = {step * UINT64_C(3), thread, step};
		rondo_record record;

		if (step % 2) {
			expect(rondo_write(to.get(), id, &filled,
					   sizeof(filled)) == 0,
			       "write");
		} else if (rondo_reserve(to.get(), id, sizeof(filled),
					 &record) == 0) {
			*static_cast<sample *>(record.data) = filled;
			expect(rondo_commit(&record) == 0, "commit");
			if (step % 100 == 0)
				(void)rondo_mark(&record);
		} else {
			expect(false, "reserve");
		}
	}
}

// How often each sample was seen; a view is as it is in C.
std::map<std::pair<std::uint32_t, std::uint32_t>, int>
read_back(const channel &from, std::uint16_t id)
{
	std::map<std::pair<std::uint32_t, std::uint32_t>, int> seen;
	rondo_consumer *consumer = nullptr;
	rondo_view view;

	expect(rondo_consumer_open(from.get(), &consumer) == 0, "open");
	while (rondo_consumer_take(consumer, &view) == 0) {
		rondo_item item = {};

		while (rondo_view_next(&view, &item) > 0) {
			sample found;

			expect(item.id == id, "its class");
			expect(item.bytes == sizeof(found), "its length");
			std::memcpy(&found, item.data, sizeof(found));
			expect(found.value == found.step * UINT64_C(3),
			       "its value");
			seen[{found.thread, found.step}]++;
		}
		expect(rondo_consumer_release(consumer, &view) == 0, "release");
	}
	expect(rondo_consumer_close(consumer) == 0, "close");
	return seen;
}

void threads_record_and_all_of_it_is_read_back()
{
	rondo_config config = {};
	config.size = sizeof(config);
	config.subbuf_bytes = 65536;
	config.subbuf_count = 16;
	config.name = "cxx";
	channel own(config);
	const std::uint16_t id = register_sample(own);
	std::vector<std::thread> running;

	for (std::uint32_t i = 0; i < threads; i++)
		running.emplace_back(record, std::cref(own), id, i);
	for (std::thread &thread : running)
		thread.join();
	expect(rondo_channel_flush(own.get()) > 0, "flush");
	const auto seen = read_back(own, id);
	expect(seen.size() == threads * steps, "every sample is there");
	for (const auto &one : seen)
		expect(one.second == 1, "once");
}

void a_config_that_is_wrong_is_refused_with_a_sentence()
{
	rondo_config config = {};
	const char *why = nullptr;

	config.size = sizeof(config);
	config.subbuf_count = 3;
	expect(rondo_config_check(&config, &why) == -EINVAL, "refused");
	expect(std::string(why).find("subbuf_count") == 0, "names the field");
}

} // namespace

int main()
{
	threads_record_and_all_of_it_is_read_back();
	a_config_that_is_wrong_is_refused_with_a_sentence();
	return failures != 0;
}
