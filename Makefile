# The attribution extension, built with PGXS:
#     make && make install && make installcheck       (PG_CONFIG names the server's pg_config)
# `make help` lists the tests and checks, which install what they need themselves.

EXTENSION = attribution
MODULE_big = attribution
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" attribution.control)

# The pg_regress tests, in order: sql/NAME.sql and expected/NAME.out.
REGRESS = \
	rules \
	attribute \
	types \
	explain \
	overrides \
	security \
	errors \
	decisions \
	keeping \
	dead_letters \
	touch_index \
	gathering \
	path_models \
	models \
	ingest \
	enrichment \
	one_big_table \
	checkout

# The isolation tests: test/isolation/specs/NAME.spec and test/isolation/expected/NAME.out.
ISOLATION = ingest remembered rule_owner visibility runs reconcile retention reinstalls prepared altered moved touch_index broken_chain
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=output_iso

# Goals that need no pg_config to begin with, as they may have to install PostgreSQL first.
check_goals = help list-regress demo demo-checkout bench bench-day check check-lint check-unit check-mutants check-fuzz check-regress check-pgtap \
	check-dump check-worker check-replication check-standby check-cron check-worlds check-models check-enrichment check-schedules check-chaos check-ingest check-bridge check-kafka check-checkout check-replay check-data \
	check-versions
goals := $(or $(MAKECMDGOALS),all)

ifneq ($(filter-out $(check_goals),$(goals)),)

core_objects = $(patsubst %.cpp,%.o,$(wildcard src/core/*.cpp))
server_objects = $(patsubst %.cpp,%.o,$(wildcard src/pg/*.cpp src/touch/*.cpp src/engine/*.cpp src/entry/*.cpp))
OBJS = $(core_objects) $(server_objects)

install_script = $(EXTENSION)--$(EXTVERSION).sql
DATA_built = $(install_script)
DATA = $(wildcard sql/upgrade/*.sql)
EXTRA_CLEAN = $(OBJS:.o=.d) .build-flags*

PG_CONFIG ?= pg_config
# ASSERTS=1 turns on our assertions and, in the server's macros, PostgreSQL's; a packaged server supports that.
asserts = $(if $(filter 1,$(ASSERTS)),-DUSE_ASSERT_CHECKING,-DNDEBUG)
# -isystem: warnings are for our code, not for the server's headers.
# Before version 16 the server's headers leave entry points as hidden as all else.
export_entry_points = -DPGDLLEXPORT='__attribute__((visibility("default")))'
PG_CPPFLAGS = -Isrc $(asserts) $(export_entry_points) -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CXXFLAGS = -std=c++20 -Wall -Wextra -Werror -fvisibility=hidden -fvisibility-inlines-hidden
# PGXS links with the C compiler.
SHLIB_LINK += -lstdc++ -Wl,--version-script=src/exports.map
# No bitcode: the server never inlines these functions, and PGXS would compile it with other flags.
override with_llvm = no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# The core sees the defines of the build, but no include path other than src.
core_cppflags = -Isrc $(filter -D%,$(CPPFLAGS))

$(core_objects): %.o: %.cpp .build-flags
	$(CXX) $(CXXFLAGS) $(core_cppflags) -MMD -MP -c -o $@ $<

$(server_objects): %.o: %.cpp .build-flags
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

-include $(OBJS:.o=.d)

# Touched only when the compiler, the flags, the server or the list of sources differ from the last build's.
build_flags = $(CXX) $(CXXFLAGS) $(CPPFLAGS) $(SHLIB_LINK) $(VERSION) $(OBJS)
.build-flags: force
	$(file >$@.new,$(build_flags))
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(shlib): .build-flags src/exports.map

# The directory is a prerequisite too: a part that was removed must not live on in the script.
$(install_script): $(sort $(wildcard sql/install/*.sql)) sql/install attribution.control
	cat $(filter %.sql,$^) > $@.tmp
	mv $@.tmp $@

.PHONY: force
endif

ifneq ($(filter $(check_goals),$(goals)),)
.PHONY: $(check_goals)

help:
	@echo 'make, make install, make installcheck   as for any PGXS extension; ASSERTS=1 turns assertions on'
	@echo 'make demo             a tour on a throw-away server: a week of events from Kafka to decisions, today live, a report'
	@echo 'make demo-checkout    clicks and checkouts of a shop, attributed live: producer, Kafka, kafka-bridge, PostgreSQL'
	@echo 'make bench            the figures of bench/results.md, measured anew; bench/run NAME .. measures some'
	@echo 'make bench-day        a day of a big publisher: twenty minutes, 60 GB of disk; a hundredth of it with DAY_SCALE=100'
	@echo 'make check            all of these, with what they need installed first:'
	@echo '  check-lint            layering, exported symbols, format, clang-tidy, shellcheck, pgspot'
	@echo '  check-unit            unit tests of the core, with sanitizers'
	@echo '  check-mutants         seeded faults in the core, which the unit tests must find'
	@echo '  check-fuzz            the page format of touch indexes and its search; messages to kafka-bridge; longer with test/fuzz/run --seconds 3600'
	@echo '  check-regress         pg_regress and isolation tests'
	@echo '  check-pgtap           pgTAP'
	@echo '  check-dump            rules, decisions and a backlog survive pg_dump and restore'
	@echo '  check-worker          the background worker: what wakes it, errors, databases dropped under it'
	@echo '  check-replication     conversions that logical replication applies; prepared transactions'
	@echo '  check-standby         a standby that is promoted in the middle of the load'
	@echo '  check-cron            schedules that the real pg_cron runs'
	@echo '  check-worlds          random worlds against the plain SQL oracle'
	@echo '  check-models          models over whole paths against an oracle, and known answers'
	@echo '  check-enrichment      random dimension tables, looked up, against an oracle'
	@echo '  check-schedules       random schedules of changes and runs against the oracle on what is left'
	@echo '  check-chaos           exactly once under fire: 25 faults; 1,000 with test/chaos/run --faults 1000'
	@echo '  check-ingest          staged rows are moved once while processes are killed; more with test/ingest/run --faults 100'
	@echo '  check-bridge          kafka-bridge: unit tests, and 12 faults; 50 with kafka-bridge/tests/faults/run on a server of its own'
	@echo '  check-checkout        a shop'\''s events end to end, with bridge, worker and ingestion killed, against a plain query; real ones'
	@echo '  check-replay          two hours of real events through Kafka at 20 times their speed, which takes six minutes; not part of make check'
	@echo '  check-kafka           kafka-bridge on a real Kafka from Maven Central: transactions, compaction, times, topics, TLS, SCRAM, restarts'
	@echo '  check-data            known answers on public data; ATTRIBUTION_DATA names its directory'
	@echo 'make check-versions   build and tests on other PostgreSQL versions, each in a directory of its own'

list-regress:
	@echo $(REGRESS)

demo:
	demo/run

demo-checkout:
	demo/checkout

bench:
	bench/run

bench-day:
	bench/day/run

check:
	test/check

check-versions:
	test/versions/run

$(filter-out check-versions,$(filter check-%,$(check_goals))): check-%:
	test/check $*
endif
