# Builds everything that is not a PostgreSQL module, and hands the module to fdw.mk.
#
# Each mode has a build folder of its own, build/MODE, so that a sanitizer build never mixes with a
# release build.  `make help` lists the targets.  On a fresh machine run test/install-packages first
# (`make demo` and `make check` do it by themselves).

MODE ?= release
ROOT := $(CURDIR)
BUILD := build/$(MODE)
PG_CONFIG := $(shell test/pg-config)
prefix ?= /usr/local
bindir ?= $(prefix)/bin

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

# ---- compilers and flags -------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := $(if $(filter fuzz,$(MODE)),clang,gcc)
endif
# Another version writes other lines.
CLANG_FORMAT ?= clang-format-14

OPTIMIZE ?= -O2
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
	-Wno-unused-parameter -Werror=implicit-function-declaration -Werror=incompatible-pointer-types \
	-Werror=int-conversion $(if $(WERROR),-Werror)
# In a table whose rows are named, gcc takes what a row leaves out for meant, as it is; clang does not.
IS_CLANG := $(findstring clang,$(CC))
WARNINGS += $(if $(IS_CLANG),-Wno-missing-field-initializers)
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=2
SANITIZE :=
ifeq ($(MODE),asan)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined
endif
ifeq ($(MODE),tsan)
SANITIZE := -fsanitize=thread
endif
ifeq ($(MODE),coverage)
SANITIZE := --coverage
OPTIMIZE := -O0
endif
ifeq ($(MODE),fuzz)
SANITIZE := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
OPTIMIZE := -O1
endif
ifneq ($(SANITIZE),)
HARDENING :=
endif

PACKAGES := rocksdb libuv libsodium openssl libpq
LIBS := -lrocksdb -luv -lsodium -lssl -lcrypto -lpq -lpthread -lm
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)

# Nothing that a build writes down names where the checkout lies: it may be moved or copied with it.
CPPFLAGS += -I. $(PKG_CFLAGS)
CFLAGS += -std=gnu11 -D_GNU_SOURCE $(OPTIMIZE) -g -fno-omit-frame-pointer $(WARNINGS) $(HARDENING) \
	$(SANITIZE)
LDFLAGS += $(SANITIZE) -Wl,-z,relro -Wl,-z,now -Wl,--as-needed

# The daemon's objects are position independent as an executable's are; the extension's are made by
# fdw.mk, from the same shared/ sources, for a shared library.  The two sets are never linked together.
COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) -fPIE -MMD -MP -c $< -o $@
# Renamed into place: what runs keeps its file, and nobody starts a half-written one.
LINK = $(CC) $(LDFLAGS) -pie -o $@.new

# One short line a file; V=1 shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

# ---- what there is -------------------------------------------------------------------------------

# Every source below a folder, however deep.
below = $(sort $(shell find $(1) -name '*.c'))

# What shared/ has with a socket in it: linked by what really sends, never by what only decides.
LINK_SRC := shared/wire/link.c shared/wire/gate.c
SHARED_SRC := $(filter-out $(LINK_SRC),$(call below,shared))
ENGINE_SRC := $(call below,node/engine)
NODE_SRC := $(filter-out node/main.c $(ENGINE_SRC),$(call below,node))
UNIT_SRC := $(filter %_test.c,$(call below,test/unit))
UNIT_HELP_SRC := $(filter-out $(UNIT_SRC),$(call below,test/unit/stages test/unit/causality))
# Fixtures of what does, beside their tests.
UNIT_DOES_HELP_SRC := $(filter-out $(UNIT_SRC),$(call below,$(wildcard $(addprefix test/unit/node/,config rocks server host console))))
UNIT_DECIDES_SRC := $(filter-out %/link_test.c %/gate_test.c,$(filter test/unit/shared/% test/unit/causality/% test/unit/node/engine/%,$(UNIT_SRC)))
TEST_LIB_SRC := $(wildcard test/lib/*.c)
SIM_SRC := $(wildcard test/sim/*.c)
SCALE_SRC := $(wildcard test/scale/*.c)
FUZZ_SRC := $(wildcard test/fuzz/*_fuzz.c)
BENCH_SRC := $(wildcard test/bench/*.c)
FDW_SRC := $(call below,fdw)

object = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
TEST_LIB := $(BUILD)/libtest.a
UNIT_HELP_LIB := $(BUILD)/libunit.a
# What only decides: the simulator, the scale programs and the unit tests of these folders link this
# and libsodium alone, so that a clock, a socket or the disk in a step module is refused by name.
DECIDES := $(BUILD)/libengine.a $(BUILD)/libshared.a
DECIDES_LIBS := -lsodium -lm
# The whole daemon.
DOES := $(BUILD)/libnode.a $(BUILD)/libengine.a $(BUILD)/liblink.a $(BUILD)/libshared.a

NODE_BIN := $(if $(wildcard node/main.c),$(BUILD)/bin/dynamo_node)
UNIT_BIN := $(patsubst test/%.c,$(BUILD)/%,$(UNIT_SRC))
UNIT_DECIDES_BIN := $(patsubst test/%.c,$(BUILD)/%,$(UNIT_DECIDES_SRC))
UNIT_DOES_BIN := $(filter-out $(UNIT_DECIDES_BIN),$(UNIT_BIN))
SIM_BIN := $(if $(SIM_SRC),$(BUILD)/bin/dynamo_sim)
SCALE_BIN := $(patsubst test/scale/%.c,$(BUILD)/bin/%,$(SCALE_SRC))
FUZZ_BIN := $(patsubst test/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))
REPLAY_BIN := $(patsubst test/fuzz/%_fuzz.c,$(BUILD)/replay/%,$(FUZZ_SRC))
BENCH_BIN := $(patsubst test/bench/%.c,$(BUILD)/bin/bench_%,$(BENCH_SRC))
ALL_SRC := $(SHARED_SRC) $(LINK_SRC) $(ENGINE_SRC) $(NODE_SRC) node/main.c $(UNIT_SRC) $(UNIT_HELP_SRC) \
	$(UNIT_DOES_HELP_SRC) $(TEST_LIB_SRC) $(SIM_SRC) $(SCALE_SRC) \
	$(wildcard test/fuzz/*.c) $(BENCH_SRC)

# ---- the product ---------------------------------------------------------------------------------

.PHONY: all node extension unit-tests simulator replays benches
all: node stage

node: $(NODE_BIN)
unit-tests: $(UNIT_BIN)
simulator: $(SIM_BIN) $(SCALE_BIN)
replays: $(REPLAY_BIN)
benches: $(BENCH_BIN)

# A clear word instead of a page of missing headers.
.PHONY: packages-present
packages-present:
	@pkg-config --exists $(PACKAGES) 2>/dev/null || { \
	  echo "make: development packages are missing; run test/install-packages" >&2; exit 1; }

$(BUILD)/obj/%.o: %.c | packages-present
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE)

# Archives are made anew, so that the object of a deleted source does not linger in them.
define archive
$(call say,AR,$@)
@mkdir -p $(@D)
@rm -f $@
$(Q)$(AR) crs $@ $^
endef
$(BUILD)/libshared.a: $(call object,$(SHARED_SRC)); $(archive)
$(BUILD)/liblink.a: $(call object,$(LINK_SRC)); $(archive)
$(BUILD)/libengine.a: $(call object,$(ENGINE_SRC)); $(archive)
$(BUILD)/libnode.a: $(call object,$(NODE_SRC)); $(archive)
$(BUILD)/libunit.a: $(call object,$(UNIT_HELP_SRC)); $(archive)
$(BUILD)/libfixtures.a: $(call object,$(UNIT_DOES_HELP_SRC)); $(archive)
$(BUILD)/libtest.a: $(call object,$(TEST_LIB_SRC)); $(archive)

$(BUILD)/bin/dynamo_node: $(call object,node/main.c) $(DOES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK) $^ $(LIBS) && mv $@.new $@

$(UNIT_DECIDES_BIN): $(BUILD)/unit/%: $(BUILD)/obj/test/unit/%.o $(UNIT_HELP_LIB) $(TEST_LIB) $(DECIDES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK) $^ -lcmocka $(DECIDES_LIBS) && mv $@.new $@

$(UNIT_DOES_BIN): $(BUILD)/unit/%: $(BUILD)/obj/test/unit/%.o $(BUILD)/libfixtures.a $(UNIT_HELP_LIB) \
		$(TEST_LIB) $(DOES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK) $^ -lcmocka $(LIBS) && mv $@.new $@

$(BUILD)/bin/dynamo_sim: $(call object,$(SIM_SRC)) $(TEST_LIB) $(DECIDES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK) $^ $(DECIDES_LIBS) && mv $@.new $@

$(SCALE_BIN): $(BUILD)/bin/%: $(BUILD)/obj/test/scale/%.o $(TEST_LIB) $(DECIDES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK) $^ $(DECIDES_LIBS) && mv $@.new $@

$(BUILD)/replay/%: $(BUILD)/obj/test/fuzz/%_fuzz.o $(BUILD)/obj/test/fuzz/replay_main.o \
		$(TEST_LIB) $(DOES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK) $^ $(LIBS) && mv $@.new $@

$(BUILD)/fuzz/%: $(BUILD)/obj/test/fuzz/%.o $(TEST_LIB) $(DOES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK) -fsanitize=fuzzer $^ $(LIBS) && mv $@.new $@

$(BUILD)/bin/bench_%: $(BUILD)/obj/test/bench/%.o $(DOES)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK) $^ $(LIBS) && mv $@.new $@

.SECONDARY:
-include $(patsubst %.c,$(BUILD)/obj/%.d,$(ALL_SRC))

# A server that is not built for it hangs with the address sanitizer, so the extension gets only the
# one for undefined behaviour; its shared/ half is in the unit tests under both.
FDW_SANITIZE := $(if $(filter asan,$(MODE)),-fsanitize=undefined -fno-sanitize-recover=undefined)

# PGXS runs in a folder of its own so that its objects, made with other flags, stay apart from ours.
FDW_MAKE = $(MAKE) --no-print-directory $(if $(V),,-s) -C $(BUILD)/fdw \
	-f $(shell realpath -m --relative-to=$(BUILD)/fdw fdw.mk) PG_CONFIG=$(PG_CONFIG) \
	SANITIZE='$(FDW_SANITIZE)' $(if $(WERROR),WERROR=1) $(if $(IS_CLANG),CC='$(CC)')
extension: | packages-present
ifneq ($(FDW_SRC),)
	@mkdir -p $(BUILD)/fdw
	$(call say,PGXS,$(BUILD)/fdw)
	+$(Q)$(FDW_MAKE) all
endif

# What a compiler has to say, without what building costs: make syntax CC=clang WERROR=1.
SYNTAX := $(addprefix syntax/,$(ALL_SRC))
.PHONY: syntax $(SYNTAX)
syntax: $(SYNTAX)
	@mkdir -p $(BUILD)/fdw
	+$(Q)$(FDW_MAKE) syntax

$(SYNTAX): syntax/%:
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fsyntax-only $*

.PHONY: install uninstall stage
install: all
	install -d '$(DESTDIR)$(bindir)'
	install -m 755 $(BUILD)/bin/dynamo_node '$(DESTDIR)$(bindir)/dynamo_node'
	+$(FDW_MAKE) install

uninstall:
	rm -f '$(DESTDIR)$(bindir)/dynamo_node'
	+$(FDW_MAKE) uninstall

# The extension as it would be installed, for a private PostgreSQL to find through extension_destdir.
stage: extension
ifneq ($(FDW_SRC),)
	+$(Q)$(FDW_MAKE) install DESTDIR='$(ROOT)/$(BUILD)/stage' >/dev/null
endif

# ---- tests ---------------------------------------------------------------------------------------

.PHONY: check check-trixie installcheck demo demo-stop bench trouble heal soak sim sim-bugs fuzz fuzz-seeds asan tsan lint
check:
	@test/check

# The same on Debian 13, as root; TRIXIE="build regress" for some parts of it.
check-trixie:
	@test/trixie $(TRIXIE)

installcheck:
	test/check --installcheck

demo:
	@test/demo

demo-stop:
	@test/demo --stop

bench:
	test/install-packages build bench
	+$(MAKE) --no-print-directory all benches
	test/bench/run $(BENCH)

# Needs what tests of real clusters need; black holes only as root.
trouble:
	test/install-packages build test
	+$(MAKE) --no-print-directory all
	test/bench/trouble $(TROUBLE)

heal:
	test/install-packages build test
	+$(MAKE) --no-print-directory all
	test/bench/heal $(HEAL)

# The simulator on N seeds, or on one seed with a trace: SEEDS=1000, SEED=17 TRACE=1.
SEEDS ?= 300
sim: simulator
	$(SIM_BIN) $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(if $(TRACE),--trace)

# Gossip among up to 1,000 nodes: the table and the plot in test/scale/README.md.
.PHONY: gossip-scale
gossip-scale: $(SCALE_BIN)
	$(BUILD)/bin/gossip_scale --svg test/scale/gossip_scale.svg

# What a change of nodes moves, and how even it leaves the loads: the tables in docs/ring.md.
.PHONY: claim-tables
claim-tables: $(SCALE_BIN)
	$(BUILD)/bin/claim_tables

# What one document of the topology costs at sizes that no test cluster has.
.PHONY: topology-scale
topology-scale: $(SCALE_BIN)
	$(BUILD)/bin/topology_scale

# The simulator built with each patch in test/sim/bugs: a checker that finds nothing proves nothing.
sim-bugs: simulator
	@test/sim-bugs $(BUG)

# Each fuzz target for FUZZ_SECONDS, starting from the corpus that `make check` replays.
FUZZ_SECONDS ?= 60
ifeq ($(MODE),fuzz)
fuzz: $(FUZZ_BIN)
	@set -e; for target in $(FUZZ_BIN); do \
	  name=$$(basename $$target _fuzz); found=build/fuzz/found/$$name; \
	  mkdir -p $$found test/fuzz/corpus/$$name; echo "== $$name"; \
	  $$target -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -rss_limit_mb=2048 -timeout=10 \
	    -print_final_stats=1 -artifact_prefix=build/fuzz/crash-$$name- \
	    $$found test/fuzz/corpus/$$name; \
	done
else
fuzz:
	+$(MAKE) MODE=fuzz fuzz
endif

# The corpora that come from encoders, anew: when a format has changed, today's decoders refuse what
# is there. The tests that build one of each write them; inputs that once crashed are kept.
SEED_TESTS := $(addprefix $(BUILD)/unit/,$(addprefix shared/,wire/message_test wire/chunk_test data/object_test \
	data/context_test data/update_test) node/engine/engine_test)
fuzz-seeds: $(SEED_TESTS)
	rm -f $(foreach name,message chunk object context update frames,test/fuzz/corpus/$(name)/seed_*)
	@set -e; for test in $(SEED_TESTS); do FUZZ_SEEDS=test/fuzz/corpus $$test; done

asan tsan:
	test/check --sanitizer $@

soak: all simulator benches
	test/check --soak

lint:
	@test/lint

.PHONY: format coverage compile_commands.json
C_FILES = $(shell find shared node fdw test -name '*.[ch]')
format:
	$(CLANG_FORMAT) -i $(C_FILES)

coverage:
	test/check --coverage

compile_commands.json: | packages-present
	test/compile-commands '$(CC) $(CPPFLAGS) $(CFLAGS)' $(ALL_SRC) -- \
	  '$(CC) -I$(ROOT) -I$(shell $(PG_CONFIG) --includedir-server) -I$(shell $(PG_CONFIG) --includedir)' \
	  $(FDW_SRC) > $@

# ---- the rest ------------------------------------------------------------------------------------

.PHONY: clean help
clean:
	@if [ -e build/demo/state ]; then test/demo --stop; fi
	@if [ -e build/cluster/state ]; then test/cluster down; fi
	rm -rf build compile_commands.json

help:
	@echo 'make                  the daemon and the extension, in build/release'
	@echo 'make demo             install what is missing, build, run a cluster and a tour of it'
	@echo 'make demo-stop        stop what the demo left running'
	@echo 'make check            install what is missing, build, run every test'
	@echo 'make check-trixie     (TRIXIE="build regress") the same in a Debian 13 tree that it makes; as root'
	@echo 'make install          daemon, extension, control file (DESTDIR, prefix, PG_CONFIG)'
	@echo 'make installcheck     pg_regress on a cluster of its own'
	@echo 'make bench            (BENCH="limits kv sql") medians and ratios beside etcd, Redis and postgres_fdw'
	@echo 'make trouble          (TROUBLE="stall drain hour") what clients see while nodes die, and when they are back'
	@echo 'make heal             (HEAL="wiped cut differences") time and bytes until replicas are equal again'
	@echo 'make sim              simulator: SEEDS=1000, or SEED=17 TRACE=1'
	@echo 'make topology-scale   what a topology of 1,000 members costs to take up'
	@echo 'make gossip-scale     gossip among up to 1,000 nodes in virtual time: a table and a plot'
	@echo 'make claim-tables     what a change of nodes moves and how even it leaves the loads: two tables'
	@echo 'make sim-bugs         the simulator must catch each planted bug (BUG=name for one)'
	@echo 'make fuzz             libFuzzer on every decoder (FUZZ_SECONDS=60 each)'
	@echo 'make fuzz-seeds       the fuzz corpora that come from encoders, anew'
	@echo 'make asan, make tsan  unit tests, simulator and a cluster test under the sanitizers'
	@echo 'make soak             a minute of overload, then the simulator until interrupted'
	@echo 'make coverage         lines covered by unit tests and simulator'
	@echo 'make syntax           compiles without writing anything (CC=clang WERROR=1)'
	@echo 'make lint             the rules of the house that a script can keep'
	@echo 'make format           clang-format on every source'
	@echo 'make compile_commands.json   for clangd and friends'
	@echo 'make clean            stop what runs from build/, remove build/'
	@echo
	@echo 'MODE=asan|tsan|coverage|fuzz builds into build/MODE; WERROR=1 makes warnings errors; V=1 shows commands.'
