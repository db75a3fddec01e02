# The plugins that tests load; the Makefile includes this. The tests find them in the folders
# bad_plugins and toy_plugins beside their own program. They are built without sanitizers and
# coverage, as a stranger's plugin would be.
TEST_PLUGIN_FLAGS := -Icore/include -std=c17 -O1 -g -fPIC -shared -Wall -Wextra -fvisibility=hidden

# For tests of the loader: one source, many variants, most of them broken on purpose.
variant-good       :=
variant-magic      := -DMAGIC=0x12345678u
variant-newer      := -DMAJOR=2
variant-older      := -DMAJOR=0
variant-small      := '-DSIZE=offsetof(nas_plugin,vtable)'
variant-large      := '-DSIZE=sizeof(nas_plugin)+64'
variant-kind       := -DKIND=NAS_KIND_SEARCH
variant-no_kind    := -DKIND=99
variant-id         := '-DID="other"'
variant-bad_id     := '-DID="Sample"'
variant-no_entry   := -DENTRY=some_other_function
variant-null       := '-DDESCRIPTOR=(void)&plugin,NULL'
variant-undefined  := -DUNDEFINED
variant-fail       := -DFAIL
variant-silent     := -DFAIL_SILENTLY
variant-fast_math  := -ffast-math
variant-rounding   := -DROUNDING
variant-signal     := -DSIGNAL
variant-locale     := -DCREATE_LOCALE
variant-offset     := -DOFFSET=3
variant-default    := '-DFALLBACK="30"'
variant-vtable     := -DVTABLE_SIZE=8
variant-version    := -DVERSION=NULL
variant-function   := -DFUNCTION=NULL
variant-needy      := -DMORE_OPTIONS
variant-dataset    := -DKIND=NAS_KIND_DATASET '-DID="t-dataset"'
variant-search     := -DKIND=NAS_KIND_SEARCH '-DID="t-search"'
variant-hardware   := -DKIND=NAS_KIND_HARDWARE '-DID="t-hardware"'
variant-score      := -DKIND=NAS_KIND_SCORE '-DID="t-score"'
variant-export     := -DKIND=NAS_KIND_EXPORT '-DID="t-export"'

BAD := $(patsubst variant-%,$(BUILD)/tests/bad_plugins/%.so,$(filter variant-%,$(.VARIABLES)))
$(BAD): $(BUILD)/tests/bad_plugins/%.so: tests/bad_plugins/sample.c tests/plugins.mk \
		$(wildcard core/include/nashost/*.h)
	$(call link,$(TEST_PLUGIN_FLAGS) $(variant-$*) $< -lm)

# One plugin of each kind that works, on a problem so small that a whole run takes a second.
TOYS := $(patsubst %.c,$(BUILD)/%.so,$(wildcard tests/toy_plugins/*.c))
$(TOYS): $(BUILD)/%.so: %.c $(wildcard core/include/nashost/*.h core/include/nashost/kit/*.h) \
		$(KIT_PLAIN)
	$(call link,$(TEST_PLUGIN_FLAGS) -D_GNU_SOURCE $< $(KIT_PLAIN) -lm)

# Makes a program's allocations or its input and output fail: tests/lib/faults.c explains it.
FAULTS := $(BUILD)/tests/lib/faults.so
$(FAULTS): tests/lib/faults.c
	$(call link,-std=c17 -D_GNU_SOURCE -O1 -g -fPIC -shared -Wall -Wextra $< -ldl)

TEST_PLUGINS := $(BAD) $(TOYS) $(FAULTS)
