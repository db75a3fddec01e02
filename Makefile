# nashost. `make help` lists the targets; CONTRIBUTING.md explains them.
MAKEFLAGS += --no-builtin-rules
BUILD ?= build
PIPELINE ?= pipeline.json
FUZZ_SECONDS ?= 20
ifeq ($(origin CC),default)
CC = gcc
endif
CFLAGS ?= -O3 -g
SANITIZED = $(findstring -fsanitize,$(CFLAGS))
# _FORTIFY_SOURCE needs an optimising build, and sanitizers do its work better.
HARDEN = $(if $(SANITIZED),,-fstack-protector-strong $(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-D_FORTIFY_SOURCE=2))
Q = $(if $(V),,@)

# ---- flags -------------------------------------------------------------------------------------
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
compiler = $(if $(findstring clang,$(CC)),clang,gcc)
ARCH := $(firstword $(subst -, ,$(MACHINE)))

# Any BLIS will do, but the host does its own threading: where the serial one is installed, it is
# compiled against and loaded, whichever one Debian's alternatives point to.
BLIS_SERIAL := $(wildcard /usr/lib/$(ARCH)-linux-gnu/blis-serial)
BLIS_CPPFLAGS := $(if $(BLIS_SERIAL),-isystem /usr/include/$(ARCH)-linux-gnu/blis-serial)
BLIS_LDFLAGS := $(if $(BLIS_SERIAL),-L$(BLIS_SERIAL) -Xlinker -rpath -Xlinker $(BLIS_SERIAL))

WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion
# No -march: an object runs on any machine of its architecture. No -ffast-math: results are the
# same at any thread count. Fused multiply-add only where a file asks for it, so that gcc and clang
# agree.
COMMON = -std=c17 -D_GNU_SOURCE $(WARN) $(CFLAGS) $(HARDEN) -fno-math-errno -fno-trapping-math \
         -ffp-contract=off -fvisibility=hidden -MMD -MP
CORE_FLAGS = $(COMMON) -fPIE -pthread -Icore -Icore/include $(BLIS_CPPFLAGS) $(CPPFLAGS)
TEST_FLAGS = $(CORE_FLAGS) -Itests/lib -isystem $(GENERATED)
# What is generated is not ours to keep free of warnings.
GENERATED = $(BUILD)/generated
PLUGIN_FLAGS = $(COMMON) -fPIC -Icore/include -isystem $(GENERATED) $(CPPFLAGS)
HOST_LDFLAGS = $(CFLAGS) -pie -pthread -Wl,-z,relro,-z,now $(BLIS_LDFLAGS) $(LDFLAGS)
HOST_LIBS = -ljansson -lblis -lz -lm
# A plugin is linked with what it uses and nothing of the host, which -z defs checks (but clang keeps
# its sanitizers in the program).
DEFS = $(if $(and $(SANITIZED),$(filter clang,$(compiler))),,-Wl,-z,defs)
PLUGIN_LDFLAGS = $(CFLAGS) -shared -Wl,-z,relro,-z,now -Wl,--as-needed $(DEFS) $(LDFLAGS)
PLUGIN_LIBS = -ljansson -lz -lm
# Further libraries of one plugin: LIBS_plugins/KIND/ID = -lpng
LIBS_plugins/hardware/xnnpack = -lXNNPACK -lpthreadpool
LIBS_plugins/search/bayesian = -llapacke
LIBS_plugins/score/naswot = -llapacke
LIBS_plugins/score/jacob_cov = -llapacke
LIBS_plugins/datasets/npy = -lzip
LIBS_plugins/datasets/image_folder = -lpng -ljpeg -lwebp
LIBS_plugins/datasets/image_list = $(LIBS_plugins/datasets/image_folder)
LIBS_plugins/datasets/tar = $(LIBS_plugins/datasets/image_folder) -larchive
LIBS_plugins/export/onnx = -lprotobuf-c
# The wrapper of MPI's compiler tells what it would run. Without it that plugin is left out.
MPICC ?= mpicc
MPI := $(shell $(MPICC) -show 2>/dev/null)
MPI_CPPFLAGS = $(patsubst -I%,-isystem %,$(filter -I% -D%,$(MPI)))
LIBS_plugins/cluster/mpi = $(filter -L% -l% -Wl%,$(MPI))
LEFT_OUT = $(if $(MPI),,plugins/cluster/mpi.c)
# A test or fuzzer that includes a plugin's source is linked with that plugin's libraries.
libs_of = $(foreach p,$(shell sed -n 's,^#include "../\(plugins/[^/]*/[^/."]*\).*,\1,p' $(1)),$(LIBS_$(p)))
# ONNX's format as C, which its plugin includes
ONNX_MODEL = $(GENERATED)/onnx.pb-c

# The library that draws the report's charts goes into the program, and from there into each report.
CHART_JS ?= /usr/share/javascript/chart.js/chart.min.js

# ---- what is built -----------------------------------------------------------------------------
# The inner loops are compiled once for each instruction set and picked at run time. Their vectors
# never cross a file, so how vectors are passed (psabi) does not matter.
KERNELS = $(wildcard core/nn/kernels.c)
KERNEL_FLAGS = -ffp-contract=fast -Wno-psabi
ISAS = base $(if $(filter x86_64,$(ARCH)),avx2 avx512)
ISA_avx2 = -mavx2 -mfma
ISA_avx512 = -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mprefer-vector-width=512

MAIN = core/cli/main.c
LIBSRC = $(filter-out $(MAIN) $(KERNELS) $(KITSRC),$(wildcard core/*/*.c))
# What plugins and the host share: it knows nothing of the host, and a plugin may be linked with it.
KITSRC = $(wildcard core/kit/*.c)
KIT = $(BUILD)/libnashost-kit.a
# Strangers' plugins know nothing of sanitizers and coverage: theirs is built without.
INSTRUMENTED = $(SANITIZED)$(findstring --coverage,$(CFLAGS))
KIT_PLAIN := $(if $(INSTRUMENTED),$(BUILD)/plain/libnashost-kit.a,$(KIT))
# The files that the program holds: what it writes for its users, and what its report is made of.
EMBEDDED := $(sort $(wildcard templates/*.json templates/*/* core/stages/page/*))
LIBNAMES = $(LIBSRC:.c=.o) core/base/embedded_files.o $(if $(KERNELS),$(ISAS:%=core/nn/kernels_%.o))
LIB = $(BUILD)/libnashost.a
# The same sources in double precision, to check gradients against finite differences; without the
# stages, which pass the engine's numbers to plugins, and those are in single precision.
LIB_DOUBLE = $(BUILD)/double/libnashost.a
LIBOBJ = $(LIBNAMES:%=$(BUILD)/%)
KITOBJ = $(KITSRC:%.c=$(BUILD)/%.o)
LIBOBJ_DOUBLE = $(patsubst %,$(BUILD)/double/%,$(filter-out core/run/% core/stages/% core/cli/%,$(LIBNAMES)))
# A plugin is a file, KIND/ID.c, or all files of a folder, KIND/ID/, in which one is ID.c.
PLUGIN_FILES = $(patsubst %.c,$(BUILD)/%,$(filter-out $(LEFT_OUT),$(wildcard plugins/*/*.c)))
PLUGIN_FOLDERS = $(sort $(patsubst %/,$(BUILD)/%,$(dir $(wildcard plugins/*/*/*.c))))
PLUGINS = $(PLUGIN_FILES:=.so) $(PLUGIN_FOLDERS:=.so)
PART_OBJECTS = $(patsubst %.c,$(BUILD)/%.o,$(wildcard plugins/*/*/*.c))
# For a test that holds one file of a folder, and so needs the others.
PARTS = $(BUILD)/plugins/parts.a
TESTS = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/test_*.c))
BENCHES = $(patsubst %.c,$(BUILD)/%,$(wildcard bench/*/*.c))
FUZZERS = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz_*.c))
HOST = $(BUILD)/nashost
TEST_PLUGINS = # deliberately bad ones, and toys that work, from tests/plugins.mk

.PHONY: all lib plugins tests fuzzers benches FORCE
all: $(HOST) $(KIT_PLAIN) plugins $(if $(filter build,$(BUILD)),nashost)
lib: $(LIB)
plugins: $(PLUGINS)
-include tests/plugins.mk
tests: $(TESTS) $(TEST_PLUGINS)
fuzzers: $(FUZZERS)
benches: $(BENCHES) ## build the programs that bench/search runs

# ---- how ---------------------------------------------------------------------------------------
# Everything is made again when a flag changes.
FLAGS_STAMP = $(BUILD)/flags
ALL_FLAGS = $(CC) $(CORE_FLAGS) $(PLUGIN_FLAGS) $(HOST_LDFLAGS) $(PLUGIN_LDFLAGS) \
            $(KERNEL_FLAGS) $(ISA_avx2) $(ISA_avx512)
$(FLAGS_STAMP): FORCE
	@scripts/install-deps --check build $(compiler)
	@mkdir -p $(@D)
	@echo '$(ALL_FLAGS)' | cmp -s - $@ || echo '$(ALL_FLAGS)' >$@

define compile # flags
@mkdir -p $(@D)
$(if $(V),,@echo "  CC    $@")
$(Q)$(CC) $(1) $(EXTRA) -c $< -o $@
endef
# By a temporary name: overwriting a mapped file crashes the process that runs it.
define link # arguments
@mkdir -p $(@D)
$(if $(V),,@echo "  LINK  $@")
$(Q)$(CC) $(1) -o $@.new && mv -f $@.new $@
endef

$(BUILD)/double/% $(BUILD)/tests/test_grad_%: private EXTRA += -DNAS_DOUBLE
$(BUILD)/core/%.o: core/%.c $(FLAGS_STAMP)
	$(call compile,$(CORE_FLAGS))
$(BUILD)/double/core/%.o: core/%.c $(FLAGS_STAMP)
	$(call compile,$(CORE_FLAGS))
$(BUILD)/core/nn/kernels_%.o: $(KERNELS) $(FLAGS_STAMP)
	$(call compile,$(CORE_FLAGS) $(KERNEL_FLAGS) $(ISA_$*) -DNAS_ISA=$*)
$(BUILD)/double/core/nn/kernels_%.o: $(KERNELS) $(FLAGS_STAMP)
	$(call compile,$(CORE_FLAGS) $(KERNEL_FLAGS) $(ISA_$*) -DNAS_ISA=$*)
$(BUILD)/core/base/embedded_files.c: scripts/embed $(EMBEDDED) $(CHART_JS)
	@mkdir -p $(@D)
	@scripts/embed $(EMBEDDED) chart.js=$(CHART_JS) >$@.new && mv -f $@.new $@
$(BUILD)/core/base/embedded_files.o $(BUILD)/double/core/base/embedded_files.o: \
		$(BUILD)/core/base/embedded_files.c $(FLAGS_STAMP)
	$(call compile,$(CORE_FLAGS))
$(BUILD)/core/kit/%.o: core/kit/%.c $(FLAGS_STAMP)
	$(call compile,$(PLUGIN_FLAGS))
$(BUILD)/plain/%: private override CFLAGS = -O2 -g
$(BUILD)/plain/core/kit/%.o: core/kit/%.c $(FLAGS_STAMP)
	$(call compile,$(PLUGIN_FLAGS))
$(BUILD)/plugins/cluster/mpi.o: private override CPPFLAGS += $(MPI_CPPFLAGS)
$(BUILD)/plugins/%.o: plugins/%.c $(FLAGS_STAMP)
	$(call compile,$(PLUGIN_FLAGS))
$(BUILD)/tests/%.o: tests/%.c $(FLAGS_STAMP)
	$(call compile,$(TEST_FLAGS))
# The system's description of ONNX's format, as C.
ONNX_PROTO ?= /usr/include/onnx/onnx.proto
$(ONNX_MODEL).c: $(ONNX_PROTO) $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(Q)protoc-c --proto_path=$(<D) --c_out=$(@D) $<
$(ONNX_MODEL).h: $(ONNX_MODEL).c ;
$(ONNX_MODEL).o: $(ONNX_MODEL).c
	$(call compile,$(PLUGIN_FLAGS) -w)
$(filter $(BUILD)/plugins/export/onnx/%,$(PART_OBJECTS)) $(BUILD)/tests/test_export_onnx.o: $(ONNX_MODEL).h
$(BUILD)/plugins/export/onnx.so $(BUILD)/tests/test_export_onnx: $(ONNX_MODEL).o

$(BUILD)/bench/%.o: bench/%.c $(FLAGS_STAMP)
	$(call compile,$(CORE_FLAGS))

$(LIB): $(LIBOBJ)
$(LIB_DOUBLE): $(LIBOBJ_DOUBLE)
$(KIT): $(KITOBJ)
$(BUILD)/plain/libnashost-kit.a: $(KITSRC:%.c=$(BUILD)/plain/%.o)
$(PARTS): $(PART_OBJECTS)
$(LIB) $(LIB_DOUBLE) $(sort $(KIT) $(KIT_PLAIN)) $(PARTS):
	@rm -f $@ && $(AR) qcs $@ $^
$(HOST): $(BUILD)/$(MAIN:.c=.o) $(LIB) $(KIT)
	$(call link,$(HOST_LDFLAGS) $^ $(HOST_LIBS))
nashost: $(HOST)
	@cp $< $@.new && mv -f $@.new $@
$(PLUGIN_FILES:=.so): %.so: %.o
$(foreach p,$(PLUGIN_FOLDERS),$(eval $(p).so: $(filter $(p)/%,$(PART_OBJECTS))))
$(PLUGINS): $(BUILD)/%.so: $(KIT)
	$(call link,$(PLUGIN_LDFLAGS) $(filter %.o,$^) $(KIT) $(LIBS_$*) $(PLUGIN_LIBS))
$(filter $(BUILD)/tests/test_grad_%,$(TESTS)): %: %.o $(LIB_DOUBLE) $(KIT)
	$(call link,$(HOST_LDFLAGS) $^ $(HOST_LIBS) -lcmocka)
$(filter-out $(BUILD)/tests/test_grad_%,$(TESTS)): %: %.o $(PARTS) $(LIB) $(KIT)
	$(call link,$(HOST_LDFLAGS) $^ $(call libs_of,$(@:$(BUILD)/%=%).c) $(HOST_LIBS) -lcmocka)
$(BENCHES): %: %.o $(LIB) $(KIT)
	$(call link,$(HOST_LDFLAGS) $^ $(HOST_LIBS))
$(FUZZERS): %: %.o $(PARTS) $(LIB) $(KIT)
	$(call link,$(HOST_LDFLAGS) -fsanitize=fuzzer $^ $(call libs_of,$(@:$(BUILD)/%=%).c) $(HOST_LIBS))
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- run and test ------------------------------------------------------------------------------
# Sub-makes use every core, unless make was given a -j itself.
MAKE_ALL = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
.PHONY: run cloud test check check-engines bench clang asan tsan coverage fuzz-smoke torture
run: ## install what is missing, build, run PIPELINE (pipeline.json) with ARGS
	@scripts/install-deps $(compiler) build run
	+@$(MAKE_ALL) all
	$(if $(filter build,$(BUILD)),./nashost,$(HOST)) run $(PIPELINE) $(ARGS)
cloud: ## install what is missing, build, fetch a network trained on ImageNet, port it with 250 labels
	@scripts/install-deps $(compiler) build run cloud
	+@$(MAKE_ALL) all
	@scripts/fetch-cloud-network build/cloud/efficientnet-lite0.pth
	./nashost import build/cloud/efficientnet-lite0.pth --out build/cloud/efficientnet-lite0.safetensors
	./nashost run pipelines/cloud-fashion-mnist.json $(ARGS)
test: ## install what is missing, build, run every test
	@scripts/install-deps $(compiler) build test
	+@$(MAKE_ALL) check
check: ## build and run every test, or those in TESTS_ONLY="rng space"
	@scripts/install-deps --check test
	+@$(MAKE_ALL) all tests
	@tests/run $(BUILD) $(TESTS_ONLY)
bench: ## time training and evaluating beside PyTorch of Debian; ARGS as in bench/peers/compare.py
	@scripts/install-deps --check bench
	+@$(MAKE_ALL) all
	@bench/peers/compare.py --nashost $(if $(filter build,$(BUILD)),./nashost,$(HOST)) $(ARGS)
# Subnets of each of seven spaces.
LITERT_SUBNETS ?= 6
check-engines: ## exported subnets by onnxruntime, ncnn, a C compiler, LiteRT and Vela, the long run
	@scripts/install-deps build run engines
	@scripts/python-env
	+@$(MAKE_ALL) all
	@NASHOST=$(abspath $(HOST)) NASHOST_PLUGIN_DIR=$(abspath $(BUILD)/plugins) \
	 tests/export_engines.sh --subnets 20 --images 1000 $(ARGS)
	@NASHOST=$(abspath $(HOST)) NASHOST_PLUGIN_DIR=$(abspath $(BUILD)/plugins) \
	 tests/export_litert.sh --subnets $(LITERT_SUBNETS) --images 500

SANITIZE = -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all
clang: ## build with clang, run every test
	+@$(MAKE_ALL) BUILD=build-clang CC=clang check
asan: ## the tests under the address, leak and undefined-behaviour sanitizers
	+@$(MAKE_ALL) BUILD=build-asan \
	 CFLAGS="$(SANITIZE) -fsanitize=address,undefined,float-cast-overflow" check
# Only what was built here is watched: BLIS and Jansson know nothing of the sanitizer.
tsan: ## the tests at two threads under the thread sanitizer
	+@OMP_NUM_THREADS=2 TSAN_OPTIONS="ignore_noninstrumented_modules=1 $$TSAN_OPTIONS" \
	 $(MAKE_ALL) BUILD=build-tsan CC=clang CFLAGS="$(SANITIZE) -fsanitize=thread" check
# Tests kill programs while they write their counts: a line whose count is damaged is left out.
coverage: ## the tests with line and branch coverage
	@scripts/install-deps --check coverage
	@find build-coverage -name '*.gcda' -delete 2>/dev/null || true
	+@$(MAKE_ALL) BUILD=build-coverage CFLAGS="-O0 -g --coverage" check
	@gcovr -r . --object-directory build-coverage -f core/ -f plugins/ --exclude-unreachable-branches \
	 --gcov-ignore-parse-errors --print-summary --csv build-coverage/coverage.csv >build-coverage/summary
	@awk -F, 'NR > 1 { printf "%-40s lines %5.1f %%  branches %5.1f %%\n", $$1, 100 * $$4, 100 * $$7 }' \
	 build-coverage/coverage.csv
	@cat build-coverage/summary
fuzz-smoke: ## every fuzzer for FUZZ_SECONDS (20)
	+@$(MAKE_ALL) BUILD=build-fuzz CC=clang \
	 CFLAGS="$(SANITIZE) -fsanitize=fuzzer-no-link,address,undefined" fuzzers
	@tests/run-fuzzers build-fuzz $(FUZZ_SECONDS)

torture: ## try for an hour to break it, and table what it survived: tests/torture
	+@$(MAKE_ALL) all tests
	@tests/torture $(BUILD)

# ---- install -----------------------------------------------------------------------------------
# The program finds its plugins, spaces and profiles in ../lib/nashost, so that the whole may be moved.
PREFIX ?= /usr/local
BIN_DIR = $(DESTDIR)$(PREFIX)/bin
LIB_DIR = $(DESTDIR)$(PREFIX)/lib
HOME_DIR = $(LIB_DIR)/nashost
SDK_DIR = $(DESTDIR)$(PREFIX)/include/nashost
MAN_DIR = $(DESTDIR)$(PREFIX)/share/man/man1
COMPLETION_DIR = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
VERSION = $(shell sed -n 's/.*NASHOST_VERSION "\(.*\)".*/\1/p' core/base/version.h)
# What errors and commands point to lies beside the plugins as it does here.
HOME_PROGRAMS := $(wildcard tools/*) scripts/pth-to-safetensors
HOME_DATA := $(wildcard spaces/* pipelines/* docs/*.md docs/*.py) \
             $(filter-out %.c %.h,$(wildcard plugins/*/*/*))
HEADERS := $(patsubst core/include/nashost/%,%,$(wildcard core/include/nashost/*.h core/include/nashost/kit/*.h))
.PHONY: install uninstall
install: all ## install under PREFIX (/usr/local), in DESTDIR
	@scripts/man-page $(HOST) >$(BUILD)/nashost.1
	@sed 's#"build/plugins/#"plugins/#' plugins.json >$(BUILD)/plugins.json.installed
	install -D -m 755 $(HOST) "$(BIN_DIR)/nashost"
	for f in $(PLUGINS:$(BUILD)/%=%); do install -D -m 755 $(BUILD)/$$f "$(HOME_DIR)/$$f" || exit 1; done
	for f in $(HOME_DATA); do install -D -m 644 $$f "$(HOME_DIR)/$$f" || exit 1; done
	for f in $(HOME_PROGRAMS); do install -D -m 755 $$f "$(HOME_DIR)/$$f" || exit 1; done
	install -m 644 $(BUILD)/plugins.json.installed "$(HOME_DIR)/plugins.json"
	install -d "$(SDK_DIR)"
	install -m 644 core/include/nashost/*.h "$(SDK_DIR)"
	install -d "$(SDK_DIR)/kit"
	install -m 644 core/include/nashost/kit/*.h "$(SDK_DIR)/kit"
	install -D -m 644 $(KIT_PLAIN) "$(LIB_DIR)/libnashost-kit.a"
	install -d "$(LIB_DIR)/pkgconfig"
	sed 's#@PREFIX@#$(PREFIX)#; s#@VERSION@#$(VERSION)#' scripts/nashost.pc.in >"$(LIB_DIR)/pkgconfig/nashost.pc"
	install -D -m 644 $(BUILD)/nashost.1 "$(MAN_DIR)/nashost.1"
	install -D -m 644 scripts/nashost.bash "$(COMPLETION_DIR)/nashost"
# The quotes matter: a prefix with a blank must not name two folders.
uninstall: ## remove what install installed there
	for f in $(PLUGINS:$(BUILD)/%=%) $(HOME_DATA) $(HOME_PROGRAMS) plugins.json; do rm -f "$(HOME_DIR)/$$f"; done
	for f in $(HEADERS); do rm -f "$(SDK_DIR)/$$f"; done
	for d in "$(HOME_DIR)" "$(SDK_DIR)"; do [ ! -d "$$d" ] || find "$$d" -depth -type d -empty -delete; done
	rm -f "$(BIN_DIR)/nashost" "$(LIB_DIR)/libnashost-kit.a" "$(LIB_DIR)/pkgconfig/nashost.pc"
	rm -f "$(MAN_DIR)/nashost.1"
	rm -f "$(COMPLETION_DIR)/nashost"

# ---- care --------------------------------------------------------------------------------------
FORMATTED = $(wildcard core/*/*.[ch] core/include/nashost/*.h core/include/nashost/kit/*.h \
              plugins/*/*.[ch] plugins/*/*/*.[ch] tests/*.[ch] tests/*/*.[ch] bench/*/*.[ch] \
              templates/plugin/*.c)
LINTED = $(wildcard core/*/*.c tests/*.c)
TIDY = xargs -P$(shell nproc) -n1 sh -c \
       'clang-tidy --quiet "$$1" -- $(filter-out -MMD -MP,$(1)) -include scripts/lint.h 2>/dev/null' tidy
.PHONY: lint lint-house lint-tidy lint-cppcheck format format-check clean help
lint: lint-house lint-tidy lint-cppcheck ## clang-tidy, cppcheck, and the rules of the house
lint-house:
	@scripts/check-house
lint-tidy: $(ONNX_MODEL).h
	@scripts/install-deps --check lint
	@printf '%s\n' $(LINTED) | $(call TIDY,$(TEST_FLAGS) -DNAS_ISA=base)
	@printf '%s\n' $(filter-out $(LEFT_OUT),$(wildcard plugins/*/*.c plugins/*/*/*.c)) | \
	 $(call TIDY,$(PLUGIN_FLAGS) $(MPI_CPPFLAGS))
lint-cppcheck:
	@scripts/install-deps --check lint
	@cppcheck -q -j$(shell nproc) --std=c17 --enable=warning,performance,portability \
	 --inline-suppr --error-exitcode=1 -Icore -Icore/include -DNAS_ISA=base core plugins
format: ## clang-format every C file
	@clang-format -i $(FORMATTED)
format-check: ## fail if a file is not formatted
	@clang-format --dry-run -Werror $(FORMATTED)
clean: ## remove everything that was built
	rm -rf build build-* nashost nashost.new
help:
	@echo "make: build ./nashost and every plugin (BUILD=$(BUILD) CC=$(CC) V=1 shows commands)"
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/make \1: \2/p' Makefile
