# For a Makefile: sets TWINE_OTR_CFLAGS, to be added when compiling, and TWINE_OTR_LIBS, to be added when linking.
#
#   CC and CFLAGS, set before, choose the archive; TWINE_OTR_TARGET names another folder in lib/.
#   TWINE_OTR_KEYS = expanded, or compact for less RAM and more time.
TWINE_OTR_DIR := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
TWINE_OTR_KEYS ?= expanded
ifndef TWINE_OTR_TARGET
TWINE_OTR_TARGET := $(subst ",,$(shell $(CC) $(CFLAGS) -E -P -DTWINE_OTR_PRINT_TARGET -x c \
    $(TWINE_OTR_DIR)/include/twine-otr-target.h))
endif
ifeq ($(wildcard $(TWINE_OTR_DIR)/lib/$(TWINE_OTR_TARGET)/libtwine-otr.a),)
$(error TWINE-OTR has no archive for $(CC) $(CFLAGS); TWINE_OTR_TARGET chooses one)
endif
TWINE_OTR_CFLAGS := -I$(TWINE_OTR_DIR)/include -DTWINE_OTR_ARCHIVE=$(subst .,_,$(subst -,_,$(TWINE_OTR_TARGET)))
TWINE_OTR_LIBS := -L$(TWINE_OTR_DIR)/lib/$(TWINE_OTR_TARGET) -ltwine-otr
ifeq ($(TWINE_OTR_KEYS),compact)
TWINE_OTR_CFLAGS += -DTWINE_OTR_KEYS_COMPACT
TWINE_OTR_LIBS := $(TWINE_OTR_LIBS)-compact
endif
