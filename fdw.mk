# The PostgreSQL module, by PGXS.  Run by the Makefile from build/MODE/fdw, where the objects land:
#
#     make -C build/release/fdw -f ../../../fdw.mk all
#
# PGXS takes this file's folder as the source folder (VPATH), hence it stands at the root.

PG_CONFIG ?= pg_config
# The folder that holds this file, without the slash at its end. Relative as it was given, so that the
# dependency files hold wherever the checkout is moved to.
TOP := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))

ifeq ($(CURDIR),$(abspath $(TOP)))
$(error run plain make: it calls fdw.mk from a build folder, so that no object lands beside the sources)
endif

MODULE_big = dynamo_fdw
PGFILEDESC = "dynamo_fdw - foreign tables on a Dynamo-style store"
EXTENSION = dynamo_fdw
DATA = $(patsubst $(TOP)/%,%,$(wildcard $(TOP)/sql/dynamo_fdw--*.sql))

SOURCES := $(patsubst $(TOP)/%,%,$(sort $(shell find $(TOP)/fdw $(TOP)/shared -name '*.c')))
OBJS = $(SOURCES:.c=.o)

# PostgreSQL 15 exports every symbol; only what PostgreSQL looks up by name may be seen.
PG_CPPFLAGS = -I$(TOP) -I$(shell $(PG_CONFIG) --includedir) -MMD -MP \
	-DPGDLLEXPORT='__attribute__((visibility("default")))'
PG_CFLAGS = -fvisibility=hidden -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -Wno-cast-function-type -Wno-declaration-after-statement \
	$(if $(WERROR),-Werror) $(SANITIZE)
SHLIB_LINK = -lpq -lssl -lcrypto -lsodium $(SANITIZE)

# Bitcode for the JIT would double the build and speed nothing up: the module is not inlined anywhere.
override with_llvm = no

REGRESS_OPTS = --inputdir=$(TOP)/test --outputdir=$(TOP)/build/regress
REGRESS = $(patsubst $(TOP)/test/sql/%.sql,%,$(sort $(wildcard $(TOP)/test/sql/*.sql)))

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(PGXS),)
$(error $(PG_CONFIG) not found: run test/install-packages, or set PG_CONFIG)
endif
include $(PGXS)

# PostgreSQL tells with which flags it was built itself, which for gcc are some that clang does not have.
ifneq ($(findstring clang,$(CC)),)
override CFLAGS += -Wno-ignored-attributes -Wno-unknown-warning-option -Wno-ignored-optimization-argument \
	-Wno-unused-command-line-argument
endif

$(shell mkdir -p $(sort $(dir $(OBJS))))
# Other flags make other objects.
$(OBJS): $(TOP)/fdw.mk
-include $(OBJS:.o=.d)

.PHONY: syntax $(SOURCES:%=syntax/%)
syntax: $(SOURCES:%=syntax/%)
$(SOURCES:%=syntax/%): syntax/%:
	$(CC) $(CFLAGS) $(CPPFLAGS) -fsyntax-only $(TOP)/$*
