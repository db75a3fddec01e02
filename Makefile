# Placeholder while the house is being built: `make BUILD=build-me lib plugins tests`.
BUILD ?= build
CC ?= gcc
CFLAGS ?= -O3 -g
WARN = -Wall -Wextra -Wpedantic -Wshadow -Wconversion
CPPFLAGS += -Icore -Icore/include -D_GNU_SOURCE
ALL = -std=c17 $(WARN) $(CFLAGS) -fopenmp -fvisibility=hidden -MMD -MP
LIBSRC = $(filter-out core/cli/main.c,$(wildcard core/*/*.c))
LIBOBJ = $(LIBSRC:%.c=$(BUILD)/%.o)
LDLIBS = -ljansson -lblis -lz -lm -ldl -lpthread
PLUGINS = $(patsubst %.c,$(BUILD)/%.so,$(wildcard plugins/*/*.c))
TESTS = $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c))
.PHONY: lib plugins tests
lib: $(BUILD)/libnashost.a
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL) -c $< -o $@
$(BUILD)/libnashost.a: $(LIBOBJ)
	ar rcs $@ $^
plugins: $(PLUGINS)
$(BUILD)/plugins/%.so: plugins/%.c
	@mkdir -p $(@D)
	$(CC) -Icore/include -D_GNU_SOURCE $(ALL) -fPIC -shared $< -o $@ -ljansson -lz -lm
tests: $(TESTS)
$(BUILD)/tests/%: tests/%.c $(BUILD)/libnashost.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL) $< $(BUILD)/libnashost.a $(LDLIBS) -lcmocka -o $@
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
