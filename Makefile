# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
#
# The whole build of tidemark: one file, GNU make, no recursion. `make help` lists the targets.
#
# Sources are found by wildcard: a new file in src/<room>/, sim/, test/<room>/ or fuzz/ needs no
# edit here. All output is below $(BUILD). Two object trees are made from the same sources:
#   the product    $(B)/obj/     what is shipped
#   the test tree  $(B)/plants/  the same with -DTIDEMARK_PLANTS: switches that break one safety
#                                line each, so that tests can prove that they notice. Tests, the
#                                simulator and the fuzz targets link from it; the product never.
#
# Settings, all on the command line:
#   CC=gcc|clang       SAN=asan,ubsan|tsan       WERROR= (empty: warnings do not stop the build)
#   BUILD=folder       ROOMS="base seam log"     only these rooms (for work on one room)
#   V=1                show whole commands

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-builtin-variables
.DEFAULT_GOAL := all

BUILD ?= build
SAN ?=
WERROR ?= 1
PREFIX ?= /usr/local
DESTDIR ?=
PYTHON ?= python3
AR := ar
GOALS := $(or $(MAKECMDGOALS),all)
# All processors, unless the command line says otherwise.
ifeq (,$(filter -j% --jobs%,$(MAKEFLAGS)))
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif

# ---- Variants: one build folder for each set of compiler and flags -------------------------------

ifeq (default,$(origin CC))
CC := gcc
endif
CC ?= gcc
VARIANT := $(if $(filter clang%,$(notdir $(CC))),clang)
comma := ,
san_list := $(subst $(comma), ,$(SAN))
ifneq (,$(filter-out asan ubsan tsan,$(san_list)))
$(error SAN=$(SAN): only asan, ubsan (both together as asan,ubsan) and tsan are known)
endif
# Fuzzing and coverage choose their variant themselves, so they cannot share a command.
special := $(filter fuzz fuzz-all cover,$(GOALS))
ifneq (,$(special))
ifneq (,$(filter-out fuzz fuzz-all,$(GOALS)))
ifneq (cover,$(strip $(GOALS)))
$(error "make $(special)" builds with flags of its own: give it alone)
endif
endif
endif
ifneq (,$(filter fuzz fuzz-all,$(GOALS)))
override CC := clang
san_list := asan ubsan
VARIANT := fuzz
else ifneq (,$(filter cover,$(GOALS)))
VARIANT := cover
else ifneq (,$(san_list))
VARIANT := $(subst $() ,-,$(strip $(VARIANT) $(san_list)))
else
VARIANT := $(or $(VARIANT),release)
endif
B := $(BUILD)/$(VARIANT)
TIDEMARK := $(if $(filter release,$(VARIANT)),$(BUILD)/tidemark,$(B)/tidemark)

# ---- Flags ---------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wswitch-enum \
  -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wformat=2 -Wcast-qual -Wwrite-strings \
  -Wimplicit-fallthrough $(if $(WERROR),-Werror)

sanitize := $(if $(filter asan,$(san_list)),address) $(if $(filter ubsan,$(san_list)),undefined) \
  $(if $(filter tsan,$(san_list)),thread)
sanitize := $(subst $() ,$(comma),$(strip $(sanitize)))
# gcc's two libraries, when both are shared objects, disagree on where a report goes.
sanitize_flags := $(if $(sanitize),-fsanitize=$(sanitize) -fno-sanitize-recover=all \
  $(if $(filter-out clang%,$(notdir $(CC))),$(if $(filter address$(comma)undefined,$(sanitize)), \
  -static-libasan -static-libubsan)))
machine := $(shell uname -m)

HARDEN := -fPIE -fstack-protector-strong \
  $(if $(filter x86_64,$(machine)),-fstack-clash-protection -fcf-protection)
ifeq (cover,$(VARIANT))
  OPTIMIZE := -O0 -g --coverage
else ifneq (,$(sanitize))
  OPTIMIZE := -O1 -g -fno-omit-frame-pointer $(sanitize_flags)
else
  # Level 3 where the compiler knows it, else 2.
  fortify := $(shell echo '__GNUC__ __clang_major__' | $(CC) -E -P -x c - 2>/dev/null | \
    awk '/[0-9]/ { print ($$1 >= 12 || $$2 + 0 >= 14) ? 3 : 2 }')
  OPTIMIZE := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(fortify)
endif
ifeq (fuzz,$(VARIANT))
  OPTIMIZE += -fsanitize=fuzzer-no-link
endif

CFLAGS := -std=c17 $(WARNINGS) $(OPTIMIZE) $(HARDEN) -fno-common -ffile-prefix-map=$(CURDIR)=.
LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
LIBS := -lrocksdb -luv -lmicrohttpd -ljansson -lssl -lcrypto -lxxhash -lsodium -llzf -lm -lpthread
TEST_LIBS := -lcmocka

# Files that may name the allocator; all others go through base/memory.h.
ALLOCATES := src/base/memory.c src/real/%.c sim/heap.c
COMMIT := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)

# Flags that depend on where a source lives: $(call source_flags,path of the .c)
source_flags = -Isrc -I. \
  $(if $(filter src/real/%,$1),-D_GNU_SOURCE,-D_POSIX_C_SOURCE=200809L) \
  $(if $(filter src/% sim/%,$1),-include src/base/banned.h) \
  $(if $(filter $(ALLOCATES),$1),-DBANNED_ALLOCATION_FREE) \
  $(if $(filter src/real/% sim/main.c,$1),-DBANNED_IN_REAL) \
  $(if $(filter src/app/main.c sim/main.c,$1),-DTIDEMARK_COMMIT='"$(COMMIT)"')

# ---- Sources -------------------------------------------------------------------------------------

find_c = $(sort $(shell find $1 -name '*.c' 2>/dev/null))
ROOMS ?=
room_folders := $(if $(ROOMS),$(addprefix src/,$(ROOMS)),src)
test_folders := $(if $(ROOMS),$(addprefix test/,$(ROOMS)),test)

APP_MAIN := $(wildcard src/app/main.c)
LIB_SOURCES := $(filter-out src/app/main.c,$(call find_c,$(room_folders)))
SIM_MAIN := $(wildcard sim/main.c)
SIM_SOURCES := $(filter-out sim/main.c,$(call find_c,sim))
TEST_SOURCES := $(foreach c,$(call find_c,$(test_folders)),$(if $(filter test_%,$(notdir $c)),$c))
FUZZ_SOURCES := $(foreach c,$(call find_c,fuzz),$(if $(filter fuzz_%,$(notdir $c)),$c))
FUZZ_TARGETS := $(patsubst fuzz_%.c,%,$(notdir $(FUZZ_SOURCES)))
HEADERS := $(sort $(shell find src sim test -name '*.h' 2>/dev/null))

product = $(patsubst %.c,$(B)/obj/%.o,$1)
planted = $(patsubst %.c,$(B)/plants/%.o,$1)
TESTS := $(patsubst %.c,$(B)/%,$(TEST_SOURCES))
SIM := $(B)/sim
TEST_TREE_SOURCES := $(LIB_SOURCES) $(SIM_SOURCES) $(SIM_MAIN) $(TEST_SOURCES) test/main.c \
  $(FUZZ_SOURCES)
OBJECTS := $(call product,$(LIB_SOURCES) $(APP_MAIN)) $(call planted,$(TEST_TREE_SOURCES))

# ---- Building ------------------------------------------------------------------------------------

ifdef V
say = @:
Q :=
else
say = @printf '  %-5s %s\n'
Q := @
endif

.PHONY: all
all: $(TIDEMARK) ## build the server: build/tidemark (default)

.PHONY: lib tests
lib: $(B)/libtidemark.a ## compile all rooms, without linking the server
tests: $(TESTS) ## build the unit tests

# `make test` and `make run` install what is missing before the first compiler call.
install_groups := $(if $(filter test,$(GOALS)),build test,$(if $(filter run,$(GOALS)),build run))
.PHONY: deps
deps: ## install what building, running and testing needs (Debian)
	@scripts/install-deps $(addprefix --group ,$(or $(install_groups),build run test))
$(OBJECTS): | $(if $(install_groups),deps)

# Two files that change only when what they hold does: the flags (objects depend on it) and the list
# of sources (archives do, so that the object of a removed source leaves them).
.PHONY: always
$(B)/flags: text = $(CC) $(CFLAGS) $(LDFLAGS) $(LIBS)
$(B)/sources: text = $(LIB_SOURCES) : $(SIM_SOURCES)
$(B)/flags $(B)/sources: always
	@mkdir -p $(@D); printf '%s\n' '$(text)' >$@.new; \
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(B)/obj/%.o: %.c $(B)/flags Makefile
	$(say) CC $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(call source_flags,$<) -MMD -MP -c -o $@ $<

$(B)/plants/%.o: %.c $(B)/flags Makefile
	$(say) CCT $<
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -DTIDEMARK_PLANTS $(call source_flags,$<) -MMD -MP -c -o $@ $<

define archive
$(say) AR $@
@mkdir -p $(@D); rm -f $@
$(Q)$(AR) rcsD $@ $(filter %.o,$^)
endef

$(B)/libtidemark.a: $(call product,$(LIB_SOURCES)) $(B)/sources
	$(archive)
$(B)/plants/libtidemark.a: $(call planted,$(LIB_SOURCES)) $(B)/sources
	$(archive)
$(B)/plants/libsim.a: $(call planted,$(SIM_SOURCES)) $(B)/sources
	$(archive)

define link
$(say) LD $@
@mkdir -p $(@D)
$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^)
endef

$(TIDEMARK): $(B)/obj/src/app/main.o $(B)/libtidemark.a
	$(link) $(LIBS)

# The order of the archives matters: libsim.a first, so that its heap replaces base/memory.c's
# (a member of an archive is only pulled in while its symbols are still missing).
$(TESTS): $(B)/%: $(B)/plants/%.o $(B)/plants/test/main.o \
  $(B)/plants/libsim.a $(B)/plants/libtidemark.a
	$(link) $(LIBS) $(TEST_LIBS)

$(SIM): $(B)/plants/sim/main.o $(B)/plants/libsim.a $(B)/plants/libtidemark.a
	$(link) $(LIBS)

-include $(OBJECTS:.o=.d)

# ---- Checks --------------------------------------------------------------------------------------

SEEDS ?= $(if $(SEED),$(SEED)..$(SEED),1..200)
sim_options = $(if $(WORKLOAD),--workload $(WORKLOAD))
CHECK_SEEDS := 1..200
CHECK_CLUSTER_SEEDS := 1..150
CHECK_PAIR_SEEDS := 1..50

export BUILD CC
export HEADER_FLAGS := -std=c17 $(WARNINGS)
export BUILD_VARIANT := $(B)
export TIDEMARK_BIN := $(TIDEMARK)
# For scripts/sanitizers.py, which sees to it that no report is overlooked.
export TIDEMARK_SANITIZE := $(if $(sanitize),$(san_list))
export TIDEMARK_SANITIZE_FLAGS := $(strip $(sanitize_flags))

# The sanitizers add variables of their own to the objects, so there only the sources are judged.
style := scripts/check-style $(if $(sanitize),,--objects $(B)/obj/src)

CHECK_STEPS = \
  'layers: scripts/check-layers' \
  'layers-self: scripts/check-layers --self-test' \
  'headers: scripts/check-headers' \
  'style: $(style)' \
  'style-self: scripts/check-style --self-test' \
  'requirements: scripts/check-requirements' \
  'requirements-self: scripts/check-requirements --self-test' \
  $(if $(sanitize),'sanitizers-self: scripts/sanitizers.py --self-test') \
  'unit: scripts/run-unit $(TESTS)' \
  'sim: $(SIM) run --seeds $(CHECK_SEEDS)' \
  'sim-cluster: $(SIM) cluster --seeds $(CHECK_CLUSTER_SEEDS)' \
  'sim-pair: $(SIM) cluster --copies 2 --seeds $(CHECK_PAIR_SEEDS)' \
  'sim-seeds: $(SIM) seeds $(sort $(wildcard test/seeds/*.txt))'
check_needs := $(TIDEMARK) $(TESTS) $(SIM)
syntax := $(if $(sanitize),,clang-syntax)

.PHONY: check
check: $(check_needs) ## the one door, two minutes: build, layers, headers, style, unit, 200 seeds
	@scripts/run-steps --results $(B)/results $(CHECK_STEPS)

.PHONY: test
test: deps $(check_needs) $(syntax) ## install what is missing, check, integration tests
	@scripts/run-steps --results $(B)/results $(CHECK_STEPS) 'integration: test/integration/run'

.PHONY: layers headers style unit integration
layers: ## who includes whom (src/LAYERS)
	@scripts/check-layers
headers: ## each header compiles alone
	@scripts/check-headers
style: $(filter $(B)/obj/%,$(OBJECTS)) ## sizes, banned functions, globals, links: the ratchet
	@$(style)
unit: $(TESTS) ## unit tests (ROOM=log: one room; FILTER=text: by name)
	@scripts/run-unit $(if $(FILTER),--filter '$(FILTER)') \
	  $(if $(ROOM),$(filter $(B)/test/$(ROOM)/%,$(TESTS)),$(TESTS))
integration: $(TIDEMARK) $(SIM) ## only the integration tests (T=name: one of them)
	@test/integration/run $(T)

# The other compiler's warnings, without its code: each file is parsed by clang once after a change.
clang_ok := $(patsubst %.c,$(BUILD)/clang-syntax/%.ok,$(TEST_TREE_SOURCES) $(APP_MAIN))
.PHONY: clang-syntax
clang-syntax: $(clang_ok) ## all warnings of clang over all sources
$(BUILD)/clang-syntax/%.ok: %.c Makefile | $(if $(install_groups),deps)
	$(say) CLANG $<
	@mkdir -p $(@D)
	$(Q)clang -fsyntax-only -std=c17 $(WARNINGS) -DTIDEMARK_PLANTS $(call source_flags,$<) \
	  -MMD -MP -MT $@ -MF $(@:.ok=.d) $<
	@touch $@
ifneq (,$(filter test clang-syntax,$(GOALS)))
-include $(clang_ok:.ok=.d)
endif

.PHONY: sim sim-cluster crash plants soak
sim: $(SIM) ## simulation: SEED=n (one seed with its trace) or SEEDS=1..1000, WORKLOAD=name
	$(SIM) run --seeds $(SEEDS) $(sim_options) $(if $(SEED),--trace)
sim-cluster: $(SIM) ## simulation of copies: SEED=n (with its trace) or SEEDS=1..100, COPIES=3
	$(SIM) cluster --seeds $(SEEDS) $(if $(COPIES),--copies $(COPIES)) $(if $(SEED),--trace)
crash: $(SIM) ## crash at every I/O operation of the crash scripts (SCRIPT=name: one of them)
	$(SIM) crash $(if $(SCRIPT),--script $(SCRIPT))
plants: $(SIM) ## each planted bug must be caught
	$(SIM) plants
SOAK_SEEDS ?= 1..100000
SOAK_CLUSTER_SEEDS ?= 1..20000
soak: $(SIM) $(TIDEMARK) ## hours of it: many seeds, all crash points, planted bugs, kill -9 storms
	$(SIM) run --seeds $(SOAK_SEEDS)
	$(SIM) cluster --seeds $(SOAK_CLUSTER_SEEDS)
	set -e; for copies in 2 4 5; do \
	  $(SIM) cluster --copies $$copies --seeds $(SOAK_CLUSTER_SEEDS); done
	$(SIM) crash
	$(SIM) plants
	test/integration/run --soak

# ---- Fuzzing (clang) -----------------------------------------------------------------------------

RUNS ?= 1000000
FUZZ_PROGRAMS := $(FUZZ_TARGETS:%=$(B)/fuzz/fuzz_%)
$(FUZZ_PROGRAMS): $(B)/fuzz/%: $(B)/plants/fuzz/%.o $(B)/plants/libsim.a $(B)/plants/libtidemark.a
	$(link) -fsanitize=fuzzer $(LIBS)

# New inputs go to $(B)/corpus; what is worth keeping is copied to fuzz/corpus/<target>/ by hand.
define fuzz_one
mkdir -p $(B)/corpus/$1 $(B)/artifacts; \
$(B)/fuzz/fuzz_$1 -runs=$(RUNS) -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
  -artifact_prefix=$(B)/artifacts/$1- $(if $(wildcard fuzz/$1.dict),-dict=fuzz/$1.dict) \
  $(B)/corpus/$1 $(wildcard fuzz/corpus/$1)
endef

.PHONY: fuzz fuzz-all
ifneq (,$(filter fuzz,$(GOALS)))
ifeq (,$(filter $(T),$(FUZZ_TARGETS)))
$(error make fuzz T=name: name is one of: $(or $(FUZZ_TARGETS),(there are no fuzz targets)))
endif
endif
fuzz: $(B)/fuzz/fuzz_$(T) ## fuzz one decoder: T=name RUNS=1000000
	$(call fuzz_one,$(T))
fuzz-all: $(FUZZ_PROGRAMS) ## fuzz every decoder, one after the other
	$(foreach t,$(FUZZ_TARGETS),echo '== $t'; $(call fuzz_one,$t);)

# ---- The rest ------------------------------------------------------------------------------------

.PHONY: run bench cover tags format format-check tidy install uninstall clean help
run: deps $(TIDEMARK) ## install what is missing, build, serve ./data on 127.0.0.1 in the foreground
	@exec $(TIDEMARK) server --bind 127.0.0.1 --dir ./data $(ARGS)

BENCH ?= run
bench: $(TIDEMARK) ## measure against peers on this machine: BENCH=run|copies|restart|save|memory
	bench/$(BENCH) $(ARGS)

cover: $(TESTS) $(SIM) ## line coverage of src/ by unit tests and 200 seeds
	@find $(B) -name '*.gcda' -delete
	@scripts/run-unit $(TESTS)
	@$(SIM) run --seeds $(CHECK_SEEDS)
	@scripts/cover-report $(B)/plants/src

tags: ## ctags and cscope-like index of all C sources
	ctags -f tags -R src sim test fuzz

FORMATTED = $(sort $(shell find src sim test fuzz -name '*.[ch]' 2>/dev/null))
format: ## lay out all C sources with clang-format
	clang-format -i $(FORMATTED)
format-check: ## show what `make format` would change
	clang-format --dry-run -Werror $(FORMATTED)
tidy: ## clang-tidy over the rooms (advice, not a gate)
	$(foreach c,$(LIB_SOURCES) $(APP_MAIN),clang-tidy --quiet $c -- -std=c17 $(call source_flags,$c);)

install: $(TIDEMARK) ## install to $(DESTDIR)$(PREFIX)
	install -D -m 755 $(TIDEMARK) $(DESTDIR)$(PREFIX)/bin/tidemark
	install -D -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/tidemark/LICENSE
	install -D -m 644 NOTICE $(DESTDIR)$(PREFIX)/share/doc/tidemark/NOTICE
uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/tidemark
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/tidemark

clean: ## remove all build output
	rm -rf $(BUILD)

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | sort | expand -t 16
