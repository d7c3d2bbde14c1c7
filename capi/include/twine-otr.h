/*
 * TWINE-OTR: authenticated encryption for devices too small or too slow for AES.
 *
 * Made by `cargo xtask capi header`; do not edit. SPDX-License-Identifier: Apache-2.0 OR MIT
 *
 * WHAT TO TAKE
 * - twine128_sealer and twine128_opener: nonces that are counted, limits, each message opened once, states that outlive a restart.
 *   Most want these.
 * - twine128_pieces: one message that is sealed in pieces. twine128_chunk_sealer and twine128_chunk_opener: long messages in chunks,
 *   so that nobody holds more than a chunk.
 * - twine128_otr_ctx: the mode alone, without counting:
 *
 *     twine128_otr_ctx ctx = TWINE128_OTR_CTX_INIT;
 *     if (twine128_otr_init(&ctx, key) != TWINE_OTR_OK) { ... }
 *     if (twine128_otr_seal(&ctx, nonce, ad, ad_len, buf, len, tag) != TWINE_OTR_OK) { ... }
 *     if (twine128_otr_open(&ctx, nonce, ad, ad_len, buf, len, tag) != TWINE_OTR_OK) { ... }
 *     twine128_otr_clear(&ctx);
 *
 * - twine128_ctx: the block cipher alone.
 * All of it is there with 80-bit keys (twine80_...), and with serial or combined processing of associated data (twine128_serial_...,
 * twine128_combined_...). The two ends must have the same. What a program does not call is not linked.
 *
 * A KEY THAT OUTLIVES A RESTART: WHO STORES WHAT WHEN
 * The library makes states of 32 bytes; the caller stores them, in two places, the state in place
 * twine_otr_state_sequence(state) % 2. For a sealer (an opener is alike):
 *
 *     once, with the key       erase the key that was there before, if any;
 *                              first_state -> state: store it, then the key
 *                                |
 *     at each start            restore(states of both places)
 *                                |   nothing can be sealed: TWINE_OTR_ERR_NOT_RESERVED
 *                                v
 *     when few are reserved,   begin_reserve(blocks) -> state
 *     at a time that suits       |   store it so that it survives a loss of power; read it back
 *                                |   a loss of power up to here: the state before holds, or this one; both are right
 *                                v
 *                              confirm(what was read)
 *                                |
 *                                v
 *     any time                 seal, seal, seal ... until TWINE_OTR_ERR_NOT_RESERVED: begin_reserve once more
 *                                |                    TWINE_OTR_ERR_LIMIT: a new key
 *                                v
 *     before an orderly stop   suspend -> state: store it
 *
 * - A loss of power costs what was reserved and not used; it repeats no nonce. Choose the step as limit / starts that the key shall
 *   last for, and at least the blocks of the longest message: with the limit 2^20 and a step of 2^6 blocks 16384 starts, and a write
 *   for each 64 blocks. suspend costs a write and no block.
 * - A state is used once: never two sealers of one state, never one from an older copy (a backup). A memory that loses what it confirmed
 *   repeats nonces. If both states are lost, take a new key; never first_state again.
 * - The first state of a new key may lie where the newest state of the old one was. If the old key were still stored, a loss of power before the
 *   new one is would bring back its state before, and repeat nonces. So erase it first, or give each key places of its own.
 * - States are not secret, but others must not change them. They have a sum against damage.
 * examples/node.c does all of this for both directions.
 *
 * LIMITS. Sealers and openers keep them; with contexts, the caller must:
 * - A nonce must never repeat under a key: the plaintexts, and forgeries, would be lost to an attacker. It has 56 bits:
 *   use a counter that survives a reset; random nonces repeat after about 2^28 messages.
 * - At most 2^20 blocks under a key keep an attacker's advantage under 2^-21. Every message that is sealed counts, and
 *   every one that fails to open: one block, and the blocks of 8 bytes of the message and of the associated data, each at
 *   least one. twine_otr_count_blocks counts so. 128-bit keys are no different in this from 80-bit ones.
 * - The tag has 64 bits: one attempt to forge succeeds with probability 2^-64.
 * Two sealers of one key must have different fixed parts, and have twice the limit between them.
 *
 * CONVENTIONS
 * - Every pointer to data may be null if its length is 0. A null pointer with a length is an error, as is a null context,
 *   nonce, tag or key.
 * - Lengths are in bytes unless said otherwise.
 * - Buffers need no alignment. They are changed in place, and must not overlap what the function says; this is checked.
 * - Functions that return int return 0 (TWINE_OTR_OK) or one of the negative numbers below. Check it.
 * - A sealer, an opener and the like are contexts too, in what follows.
 * - A context belongs to the caller and needs no allocator. Declare it with its initialiser, as TWINE128_OTR_CTX_INIT, and
 *   give it its key by its init function. Refused are contexts with the initialiser, zero ones, cleared ones, those of
 *   another type or key size, those whose init failed or has not ended, and random bytes, but for an accident of probability
 *   2^-64. NOT detected is memory that still holds an initialised context of the same type: old stack memory that becomes a
 *   context without initialiser may hold one, with its old key. So clear every context and copy of one, and use the
 *   initialiser.
 * - After a call neither keys nor message nor tag are left on the stack: what used them there erases it. Registers, and what an
 *   interrupt handler has saved of them meanwhile, are not erased.
 * - Threads and interrupt handlers may use one context of the mode or the block cipher at the same time, as long as none initialises
 *   or clears it. Sealers, openers, pieces and chunks change with each call: no two threads may use one at the same time, and a call in an
 *   interrupt handler that interrupts another one gets TWINE_OTR_ERR_CONTEXT. **Init, first_state, restore and clear do not notice a call that
 *   they interrupt**: a handler must not call them then, but may set a flag. There is no global state.
 * - Contexts may be declared ahead, by their tags: struct twine128_sealer;
 * - On Cortex-M no call takes more than 1280 bytes of stack, nor the init of a context more than 512. What a program links takes from 6 KB of
 *   flash (a context, to seal) to 16 KB (a sealer and an opener with states). Flash, RAM and stack of each function are in the README, with
 *   the command that measures them.
 * - Time and memory accesses depend on lengths and on whether a message is authentic, never on keys or data.
 */
#ifndef TWINE_OTR_H
#define TWINE_OTR_H


#include <stddef.h>
#include <stdint.h>

/* The version of the header, which is that of the library. */
#define TWINE_OTR_VERSION "0.1.0"
#define TWINE_OTR_VERSION_MAJOR 0
#define TWINE_OTR_VERSION_MINOR 1
#define TWINE_OTR_VERSION_PATCH 0

/* How long an expanded key is depends on the processor. One size for all would take a kilobyte of RAM too much on the
 * smallest; so the same conditions choose it here and in the library. */
#if defined(__i386__) || defined(_M_IX86)
#define TWINE_OTR_ON_X86
#elif defined(__x86_64__) || (defined(_M_X64) && !defined(_M_ARM64EC))
#define TWINE_OTR_ON_X86_64
#elif defined(__aarch64__) || defined(_M_ARM64) || defined(_M_ARM64EC)
#define TWINE_OTR_ON_AARCH64
#elif defined(__wasm32__)
#define TWINE_OTR_ON_WASM32
#endif
#if (defined(UINTPTR_MAX) && UINTPTR_MAX > 0xffffffffu) || (defined(__UINTPTR_MAX__) && __UINTPTR_MAX__ > 0xffffffffu)
#define TWINE_OTR_ON_64_BITS
#endif

/* To be defined if the library was built with --cfg twine_keys="compact": round keys take less RAM and more time. Contexts
 * have another size then. Define it for all files that include this header: a file that sets up a key does not link if it differs from the library in
 * this, but a file that only declares a context is not noticed. */
#ifdef TWINE_OTR_KEYS_COMPACT
#define twine128_otr_init twine128_otr_init_compact
#define twine128_sealer_init twine128_sealer_init_compact
#define twine128_sealer_first_state twine128_sealer_first_state_compact
#define twine128_sealer_restore twine128_sealer_restore_compact
#define twine128_opener_init twine128_opener_init_compact
#define twine128_opener_first_state twine128_opener_first_state_compact
#define twine128_opener_restore twine128_opener_restore_compact
#define twine128_chunk_sealer_init twine128_chunk_sealer_init_compact
#define twine128_chunk_opener_init twine128_chunk_opener_init_compact
#define twine80_otr_init twine80_otr_init_compact
#define twine80_sealer_init twine80_sealer_init_compact
#define twine80_sealer_first_state twine80_sealer_first_state_compact
#define twine80_sealer_restore twine80_sealer_restore_compact
#define twine80_opener_init twine80_opener_init_compact
#define twine80_opener_first_state twine80_opener_first_state_compact
#define twine80_opener_restore twine80_opener_restore_compact
#define twine80_chunk_sealer_init twine80_chunk_sealer_init_compact
#define twine80_chunk_opener_init twine80_chunk_opener_init_compact
#define twine128_serial_otr_init twine128_serial_otr_init_compact
#define twine128_serial_sealer_init twine128_serial_sealer_init_compact
#define twine128_serial_sealer_first_state twine128_serial_sealer_first_state_compact
#define twine128_serial_sealer_restore twine128_serial_sealer_restore_compact
#define twine128_serial_opener_init twine128_serial_opener_init_compact
#define twine128_serial_opener_first_state twine128_serial_opener_first_state_compact
#define twine128_serial_opener_restore twine128_serial_opener_restore_compact
#define twine128_serial_chunk_sealer_init twine128_serial_chunk_sealer_init_compact
#define twine128_serial_chunk_opener_init twine128_serial_chunk_opener_init_compact
#define twine80_serial_otr_init twine80_serial_otr_init_compact
#define twine80_serial_sealer_init twine80_serial_sealer_init_compact
#define twine80_serial_sealer_first_state twine80_serial_sealer_first_state_compact
#define twine80_serial_sealer_restore twine80_serial_sealer_restore_compact
#define twine80_serial_opener_init twine80_serial_opener_init_compact
#define twine80_serial_opener_first_state twine80_serial_opener_first_state_compact
#define twine80_serial_opener_restore twine80_serial_opener_restore_compact
#define twine80_serial_chunk_sealer_init twine80_serial_chunk_sealer_init_compact
#define twine80_serial_chunk_opener_init twine80_serial_chunk_opener_init_compact
#define twine128_combined_otr_init twine128_combined_otr_init_compact
#define twine128_combined_sealer_init twine128_combined_sealer_init_compact
#define twine128_combined_sealer_first_state twine128_combined_sealer_first_state_compact
#define twine128_combined_sealer_restore twine128_combined_sealer_restore_compact
#define twine128_combined_opener_init twine128_combined_opener_init_compact
#define twine128_combined_opener_first_state twine128_combined_opener_first_state_compact
#define twine128_combined_opener_restore twine128_combined_opener_restore_compact
#define twine128_combined_chunk_sealer_init twine128_combined_chunk_sealer_init_compact
#define twine128_combined_chunk_opener_init twine128_combined_chunk_opener_init_compact
#define twine80_combined_otr_init twine80_combined_otr_init_compact
#define twine80_combined_sealer_init twine80_combined_sealer_init_compact
#define twine80_combined_sealer_first_state twine80_combined_sealer_first_state_compact
#define twine80_combined_sealer_restore twine80_combined_sealer_restore_compact
#define twine80_combined_opener_init twine80_combined_opener_init_compact
#define twine80_combined_opener_first_state twine80_combined_opener_first_state_compact
#define twine80_combined_opener_restore twine80_combined_opener_restore_compact
#define twine80_combined_chunk_sealer_init twine80_combined_chunk_sealer_init_compact
#define twine80_combined_chunk_opener_init twine80_combined_chunk_opener_init_compact
#define twine128_init twine128_init_compact
#define twine80_init twine80_init_compact
#endif

/* Contexts that are refused until their init function has succeeded:
 *     twine128_otr_ctx ctx = TWINE128_OTR_CTX_INIT;
 */
#define TWINE128_OTR_CTX_INIT {{0}}
#define TWINE128_SEALER_INIT {{0}}
#define TWINE128_PIECES_INIT {{0}}
#define TWINE128_OPENER_INIT {{0}}
#define TWINE128_CHUNK_SEALER_INIT {{0}}
#define TWINE128_CHUNK_OPENER_INIT {{0}}
#define TWINE80_OTR_CTX_INIT {{0}}
#define TWINE80_SEALER_INIT {{0}}
#define TWINE80_PIECES_INIT {{0}}
#define TWINE80_OPENER_INIT {{0}}
#define TWINE80_CHUNK_SEALER_INIT {{0}}
#define TWINE80_CHUNK_OPENER_INIT {{0}}
#define TWINE128_SERIAL_OTR_CTX_INIT {{0}}
#define TWINE128_SERIAL_SEALER_INIT {{0}}
#define TWINE128_SERIAL_PIECES_INIT {{0}}
#define TWINE128_SERIAL_OPENER_INIT {{0}}
#define TWINE128_SERIAL_CHUNK_SEALER_INIT {{0}}
#define TWINE128_SERIAL_CHUNK_OPENER_INIT {{0}}
#define TWINE80_SERIAL_OTR_CTX_INIT {{0}}
#define TWINE80_SERIAL_SEALER_INIT {{0}}
#define TWINE80_SERIAL_PIECES_INIT {{0}}
#define TWINE80_SERIAL_OPENER_INIT {{0}}
#define TWINE80_SERIAL_CHUNK_SEALER_INIT {{0}}
#define TWINE80_SERIAL_CHUNK_OPENER_INIT {{0}}
#define TWINE128_COMBINED_OTR_CTX_INIT {{0}}
#define TWINE128_COMBINED_SEALER_INIT {{0}}
#define TWINE128_COMBINED_PIECES_INIT {{0}}
#define TWINE128_COMBINED_OPENER_INIT {{0}}
#define TWINE128_COMBINED_CHUNK_SEALER_INIT {{0}}
#define TWINE128_COMBINED_CHUNK_OPENER_INIT {{0}}
#define TWINE80_COMBINED_OTR_CTX_INIT {{0}}
#define TWINE80_COMBINED_SEALER_INIT {{0}}
#define TWINE80_COMBINED_PIECES_INIT {{0}}
#define TWINE80_COMBINED_OPENER_INIT {{0}}
#define TWINE80_COMBINED_CHUNK_SEALER_INIT {{0}}
#define TWINE80_COMBINED_CHUNK_OPENER_INIT {{0}}
#define TWINE128_CTX_INIT {{0}}
#define TWINE80_CTX_INIT {{0}}

/* Marks a function whose return value must be used. */
#if defined(__GNUC__) || defined(__clang__)
#define TWINE_OTR_MUST_CHECK __attribute__((warn_unused_result))
#else
#define TWINE_OTR_MUST_CHECK
#endif

/**
 * Success.
 */
#define TWINE_OTR_OK 0

/**
 * An argument is not as documented: a null pointer where there must be none, a null pointer with a length, a length that
 * no object can have, a limit out of range, or regions that overlap and must not.
 */
#define TWINE_OTR_ERR_ARGUMENT (-1)

/**
 * The context, sealer, opener or message in pieces is not initialised, has been cleared, or is in use by a call that this one interrupts.
 */
#define TWINE_OTR_ERR_CONTEXT (-2)

/**
 * The tag is wrong: the message, its tag, its associated data, the nonce or the key is not what was sealed. An opener has counted a
 * failure.
 */
#define TWINE_OTR_ERR_AUTHENTICATION (-3)

/**
 * The message would pass the limit of blocks under this key: take a new key. A shorter message may still fit. Or a message in pieces
 * would be longer than it was begun for, or a stream is at its end.
 */
#define TWINE_OTR_ERR_LIMIT (-4)

/**
 * More must be reserved first: store and confirm a state. For an opener this also means a genuine message whose counter is not
 * reserved: another copy can be opened then.
 */
#define TWINE_OTR_ERR_NOT_RESERVED (-5)

/**
 * The message was opened before.
 */
#define TWINE_OTR_ERR_REPLAYED (-6)

/**
 * The message is older than the replay window reaches, or than strict order allows.
 */
#define TWINE_OTR_ERR_TOO_OLD (-7)

/**
 * The fixed part of the nonce is not the opener's.
 */
#define TWINE_OTR_ERR_OTHER_SENDER (-8)

/**
 * As many attempts as may fail have failed under this key: take a new key.
 */
#define TWINE_OTR_ERR_FAILURES (-9)

/**
 * The last chunk was sealed or opened: nothing can follow it.
 */
#define TWINE_OTR_ERR_FINISHED (-10)

/**
 * A piece before the last one is not a multiple of TWINE_OTR_PAIR_SIZE bytes, or the last one is empty.
 */
#define TWINE_OTR_ERR_PIECE (-11)

/**
 * No stored state was found: the bytes were erased, written in part, or read wrongly.
 */
#define TWINE_OTR_ERR_STATE_DAMAGED (-12)

/**
 * The stored state is of another kind or of another fixed part of the nonce, or it is not the one that is to be confirmed: that which was given last.
 */
#define TWINE_OTR_ERR_STATE_OTHER (-13)

/**
 * The stored state is of another key or another way to process associated data.
 */
#define TWINE_OTR_ERR_STATE_KEY (-14)

/**
 * The stored state has another limit.
 */
#define TWINE_OTR_ERR_STATE_LIMIT (-15)

/**
 * The last chunk of the stream was not opened: it was cut short, or more of it is to come.
 */
#define TWINE_OTR_ERR_INCOMPLETE (-16)

/**
 * Bytes of a key of 80 bits.
 */
#define TWINE80_KEY_SIZE 10

/**
 * Bytes of a key of 128 bits.
 */
#define TWINE128_KEY_SIZE 16

/**
 * Bytes of a block.
 */
#define TWINE_BLOCK_SIZE 8

/**
 * Bytes of a nonce.
 */
#define TWINE_OTR_NONCE_SIZE 7

/**
 * Bytes of a tag.
 */
#define TWINE_OTR_TAG_SIZE 8

/**
 * Bytes of the fixed part of a counted nonce. The counter takes the other three.
 */
#define TWINE_OTR_FIXED_SIZE 4

/**
 * Bytes of a stored state.
 */
#define TWINE_OTR_STATE_SIZE 32

/**
 * Bytes of the header of a stream.
 */
#define TWINE_OTR_STREAM_HEADER_SIZE 16

/**
 * Bytes of a pair of blocks: pieces of a message but the last one are multiples of it.
 */
#define TWINE_OTR_PAIR_SIZE 16

/**
 * Blocks under a key, 2^20: an attacker's advantage stays below 2^-21.
 */
#define TWINE_OTR_BLOCK_LIMIT_DEFAULT 1048576

/**
 * Blocks under a key at most, 2^24: an advantage of up to 2^-13.4.
 */
#define TWINE_OTR_BLOCK_LIMIT_MAX 16777216

/**
 * Blocks under the key of a segment of a stream, 2^16: 512 KiB.
 */
#define TWINE_OTR_BLOCK_LIMIT_SEGMENT 65536

/**
 * Attempts to open that may fail under a key, 2^20.
 */
#define TWINE_OTR_FAILURE_LIMIT_DEFAULT 1048576

/**
 * The widest replay window: this many counters below the newest one.
 */
#define TWINE_OTR_WINDOW_MAX 64

#if (defined(TWINE_OTR_ON_X86) || defined(TWINE_OTR_ON_X86_64) || defined(TWINE_OTR_ON_AARCH64))
/**
 * Words of 8 bytes in a context: the expanded key of the vector instructions, or the portable one.
 */
#define TWINE_OTR_CTX_WORDS 193
#endif

#if (!defined(TWINE_OTR_KEYS_COMPACT) && (defined(TWINE_OTR_ON_64_BITS) || defined(TWINE_OTR_ON_WASM32)) && !(defined(TWINE_OTR_ON_X86) || defined(TWINE_OTR_ON_X86_64) || defined(TWINE_OTR_ON_AARCH64)))
/**
 * Words of 8 bytes in a context: the expanded key of 64-bit processors without vector instructions that are used here.
 */
#define TWINE_OTR_CTX_WORDS 146
#endif

#if (!defined(TWINE_OTR_KEYS_COMPACT) && !(defined(TWINE_OTR_ON_64_BITS) || defined(TWINE_OTR_ON_WASM32)) && !(defined(TWINE_OTR_ON_X86) || defined(TWINE_OTR_ON_X86_64) || defined(TWINE_OTR_ON_AARCH64)))
/**
 * Words of 8 bytes in a context: the expanded key of 32-bit processors.
 */
#define TWINE_OTR_CTX_WORDS 74
#endif

#if (defined(TWINE_OTR_KEYS_COMPACT) && !(defined(TWINE_OTR_ON_X86) || defined(TWINE_OTR_ON_X86_64) || defined(TWINE_OTR_ON_AARCH64)))
/**
 * Words of 8 bytes in a context: the compact key.
 */
#define TWINE_OTR_CTX_WORDS 20
#endif

/**
 * Words of 8 bytes in a sealer.
 */
#define TWINE_OTR_SEALER_WORDS (TWINE_OTR_CTX_WORDS + 5)

/**
 * Words of 8 bytes in a message in pieces.
 */
#define TWINE_OTR_PIECES_WORDS 8

/**
 * Words of 8 bytes in an opener.
 */
#define TWINE_OTR_OPENER_WORDS (TWINE_OTR_CTX_WORDS + 11)

/**
 * Words of 8 bytes in a sealer of chunks.
 */
#define TWINE_OTR_CHUNK_SEALER_WORDS (TWINE_OTR_CTX_WORDS + 9)

/**
 * Words of 8 bytes in an opener of chunks.
 */
#define TWINE_OTR_CHUNK_OPENER_WORDS (TWINE_OTR_CTX_WORDS + 10)

/**
 * A key of TWINE-OTR, expanded.
 *
 * To be declared by the caller, on the stack or elsewhere, and used only through the functions `twine128_otr_*`. It holds
 * no pointers: a copy by assignment or memcpy works like the original, and has to be cleared like it.
 * TWINE128_OTR_CTX_INIT makes one that is refused until it is initialised.
 */
typedef struct twine128_otr_ctx {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine128_otr_ctx;

/**
 * As twine128_otr_ctx, with a key of 80 bits.
 */
typedef struct twine80_otr_ctx {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine80_otr_ctx;

/**
 * A key that seals messages, each under a nonce of its own, and no more blocks than its limit.
 *
 * To be declared by the caller, and used only through the functions `twine128_sealer_*`. It holds no pointers and may be moved, but
 * **not copied**: the copy would have the same nonces. So no process that has one may fork and use it in both, and no machine that has one
 * may be resumed twice from a snapshot. Threads must not use one at the same time; a call in an interrupt handler
 * that interrupts another call gets TWINE_OTR_ERR_CONTEXT. TWINE128_SEALER_INIT makes one that is refused until it is initialised.
 */
typedef struct twine128_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_SEALER_WORDS];
} twine128_sealer;

/**
 * The blocks of a key that has a sealer.
 */
typedef struct twine_otr_sealer_counts {
    /**
     * Blocks that were sealed; after a restart also those that were reserved.
     */
    uint32_t used_blocks;
    /**
     * Blocks that can still be sealed under this key.
     */
    uint32_t remaining_blocks;
    /**
     * Blocks that can be sealed before more must be reserved.
     */
    uint32_t reserved_blocks;
} twine_otr_sealer_counts;

/**
 * A message that is sealed in pieces. **Not to be copied**: two ends of one message have one nonce. TWINE128_PIECES_INIT makes one that is
 * refused until it is begun.
 */
typedef struct twine128_pieces {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_PIECES_WORDS];
} twine128_pieces;

/**
 * As twine128_sealer, with a key of 80 bits.
 */
typedef struct twine80_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_SEALER_WORDS];
} twine80_sealer;

/**
 * As twine128_pieces, with a key of 80 bits.
 */
typedef struct twine80_pieces {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_PIECES_WORDS];
} twine80_pieces;

/**
 * A key that opens what one sealer seals: each message once, and only so many attempts that fail.
 *
 * As twine128_sealer, for the functions twine128_opener_*, with TWINE128_OPENER_INIT. A copy would open a message again.
 */
typedef struct twine128_opener {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_OPENER_WORDS];
} twine128_opener;

/**
 * What was opened with a key that has an opener, and may be.
 */
typedef struct twine_otr_opener_counts {
    /**
     * Blocks of all attempts; after a restart also those that were reserved.
     */
    uint32_t used_blocks;
    /**
     * Blocks that can still be opened under this key.
     */
    uint32_t remaining_blocks;
    /**
     * Blocks that can be opened before more must be reserved; 0 if the failures that were reserved are used up.
     */
    uint32_t reserved_blocks;
    /**
     * Attempts that have failed; after a restart also those that were reserved.
     */
    uint32_t failures;
    /**
     * Attempts that may still fail.
     */
    uint32_t remaining_failures;
    /**
     * What comes after the greatest counter that was opened. Counters between two that were opened belong to messages that are lost, or late.
     */
    uint32_t next_counter;
    /**
     * How many counters beyond the greatest one known to be genuine can be opened before more must be reserved.
     */
    uint32_t reserved_messages;
} twine_otr_opener_counts;

/**
 * As twine128_opener, with a key of 80 bits.
 */
typedef struct twine80_opener {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_OPENER_WORDS];
} twine80_opener;

/**
 * A stream of chunks that is sealed. As twine128_sealer, for the functions twine128_chunk_sealer_*, with TWINE128_CHUNK_SEALER_INIT.
 */
typedef struct twine128_chunk_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_SEALER_WORDS];
} twine128_chunk_sealer;

/**
 * A stream of chunks that is opened. As twine128_sealer, for the functions twine128_chunk_opener_*, with TWINE128_CHUNK_OPENER_INIT.
 */
typedef struct twine128_chunk_opener {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_OPENER_WORDS];
} twine128_chunk_opener;

/**
 * As twine128_chunk_sealer, with a key of 80 bits.
 */
typedef struct twine80_chunk_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_SEALER_WORDS];
} twine80_chunk_sealer;

/**
 * As twine128_chunk_opener, with a key of 80 bits.
 */
typedef struct twine80_chunk_opener {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_OPENER_WORDS];
} twine80_chunk_opener;

/**
 * A key of the block cipher TWINE-128, expanded. As twine128_otr_ctx, with TWINE128_CTX_INIT, for the
 * functions twine128_*_blocks.
 */
typedef struct twine128_ctx {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine128_ctx;

/**
 * A key of the block cipher TWINE-80, expanded. As twine128_otr_ctx, with TWINE80_CTX_INIT, for the
 * functions twine80_*_blocks.
 */
typedef struct twine80_ctx {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine80_ctx;

/**
 * As twine128_otr_ctx, with serial processing.
 */
typedef struct twine128_serial_otr_ctx {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine128_serial_otr_ctx;

/**
 * As twine128_sealer, with serial processing.
 */
typedef struct twine128_serial_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_SEALER_WORDS];
} twine128_serial_sealer;

/**
 * As twine128_pieces, with serial processing.
 */
typedef struct twine128_serial_pieces {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_PIECES_WORDS];
} twine128_serial_pieces;

/**
 * As twine128_opener, with serial processing.
 */
typedef struct twine128_serial_opener {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_OPENER_WORDS];
} twine128_serial_opener;

/**
 * As twine128_chunk_sealer, with serial processing.
 */
typedef struct twine128_serial_chunk_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_SEALER_WORDS];
} twine128_serial_chunk_sealer;

/**
 * As twine128_chunk_opener, with serial processing.
 */
typedef struct twine128_serial_chunk_opener {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_OPENER_WORDS];
} twine128_serial_chunk_opener;

/**
 * As twine128_otr_ctx, with a key of 80 bits and serial processing.
 */
typedef struct twine80_serial_otr_ctx {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine80_serial_otr_ctx;

/**
 * As twine128_sealer, with a key of 80 bits and serial processing.
 */
typedef struct twine80_serial_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_SEALER_WORDS];
} twine80_serial_sealer;

/**
 * As twine128_pieces, with a key of 80 bits and serial processing.
 */
typedef struct twine80_serial_pieces {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_PIECES_WORDS];
} twine80_serial_pieces;

/**
 * As twine128_opener, with a key of 80 bits and serial processing.
 */
typedef struct twine80_serial_opener {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_OPENER_WORDS];
} twine80_serial_opener;

/**
 * As twine128_chunk_sealer, with a key of 80 bits and serial processing.
 */
typedef struct twine80_serial_chunk_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_SEALER_WORDS];
} twine80_serial_chunk_sealer;

/**
 * As twine128_chunk_opener, with a key of 80 bits and serial processing.
 */
typedef struct twine80_serial_chunk_opener {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_OPENER_WORDS];
} twine80_serial_chunk_opener;

/**
 * As twine128_otr_ctx, with combined processing.
 */
typedef struct twine128_combined_otr_ctx {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine128_combined_otr_ctx;

/**
 * As twine128_sealer, with combined processing.
 */
typedef struct twine128_combined_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_SEALER_WORDS];
} twine128_combined_sealer;

/**
 * As twine128_pieces, with combined processing.
 */
typedef struct twine128_combined_pieces {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_PIECES_WORDS];
} twine128_combined_pieces;

/**
 * As twine128_opener, with combined processing.
 */
typedef struct twine128_combined_opener {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_OPENER_WORDS];
} twine128_combined_opener;

/**
 * As twine128_chunk_sealer, with combined processing.
 */
typedef struct twine128_combined_chunk_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_SEALER_WORDS];
} twine128_combined_chunk_sealer;

/**
 * As twine128_chunk_opener, with combined processing.
 */
typedef struct twine128_combined_chunk_opener {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_OPENER_WORDS];
} twine128_combined_chunk_opener;

/**
 * As twine128_otr_ctx, with a key of 80 bits and combined processing.
 */
typedef struct twine80_combined_otr_ctx {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine80_combined_otr_ctx;

/**
 * As twine128_sealer, with a key of 80 bits and combined processing.
 */
typedef struct twine80_combined_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_SEALER_WORDS];
} twine80_combined_sealer;

/**
 * As twine128_pieces, with a key of 80 bits and combined processing.
 */
typedef struct twine80_combined_pieces {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_PIECES_WORDS];
} twine80_combined_pieces;

/**
 * As twine128_opener, with a key of 80 bits and combined processing.
 */
typedef struct twine80_combined_opener {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_OPENER_WORDS];
} twine80_combined_opener;

/**
 * As twine128_chunk_sealer, with a key of 80 bits and combined processing.
 */
typedef struct twine80_combined_chunk_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_SEALER_WORDS];
} twine80_combined_chunk_sealer;

/**
 * As twine128_chunk_opener, with a key of 80 bits and combined processing.
 */
typedef struct twine80_combined_chunk_opener {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_OPENER_WORDS];
} twine80_combined_chunk_opener;

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/**
 * Counts the blocks of a message against the limit of 2^20 under a key: one for the message, and the blocks of 8 bytes of the
 * message and of its associated data, each at least one. A message that fails to open counts as much as one that is sealed.
 *
 * @param[in] ad_len  The length of the associated data in bytes.
 * @param[in] len     The length of the message in bytes.
 * @return The blocks, at least 3.
 */
TWINE_OTR_MUST_CHECK
uint64_t twine_otr_count_blocks(size_t ad_len,
                                size_t len);

/**
 * The number of a state, modulo 2^24: of two states of a key, the later one has the greater number. With two places, a state belongs in place
 * number % 2.
 *
 * @param[in] state  The state of a sealer or an opener, 32 bytes; it is not checked.
 * @return The number; 0 if the pointer is null.
 */
TWINE_OTR_MUST_CHECK
uint32_t twine_otr_state_sequence(const uint8_t state[32]);

/**
 * Initialises a context with a key.
 *
 * A context that is already initialised may be initialised again, with the same or another key. From the first write on it is
 * refused, until all of the new key is there: so an interrupt handler or a fault between finds no context of mixed keys.
 *
 * @param[out] ctx  The context. Its contents before do not matter; it must not overlap the key.
 * @param[in]  key  The key, 16 bytes. They are copied: the caller may erase them afterwards.
 * @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT if a pointer is null or misaligned or the two overlap. The context, whatever
 *         it was, is refused then, and its first 8 bytes are zero.
 */
TWINE_OTR_MUST_CHECK
int twine128_otr_init(struct twine128_otr_ctx *ctx,
                      const uint8_t key[16]);

/**
 * Encrypts a message where it lies, and makes the tag that authenticates it and its associated data.
 *
 * The nonce must never be used again under this key: use a counter that survives a reset. See the limits above.
 *
 * @param[in]     ctx     An initialised context.
 * @param[in]     nonce   The nonce, 7 bytes. The receiver needs it too; it is not secret.
 * @param[in]     ad      The associated data: authenticated, not encrypted. May be null if ad_len is 0.
 * @param[in]     ad_len  Its length in bytes.
 * @param[in,out] buf     The message; afterwards the ciphertext, of the same length. May be null if len is 0. It must not
 *                        overlap ad, tag or *ctx.
 * @param[in]     len     Its length in bytes.
 * @param[out]    tag     The tag, 8 bytes. It must not overlap buf or *ctx.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written: buf is still
 *         the plaintext and must not be sent.
 */
TWINE_OTR_MUST_CHECK
int twine128_otr_seal(const struct twine128_otr_ctx *ctx,
                      const uint8_t nonce[7],
                      const uint8_t *ad,
                      size_t ad_len,
                      uint8_t *buf,
                      size_t len,
                      uint8_t tag[8]);

/**
 * Decrypts a message where it lies, if its tag is right. If not, the buffer is zero afterwards.
 *
 * The tag is compared in constant time.
 *
 * @param[in]     ctx     An initialised context.
 * @param[in]     nonce   The nonce that the message was sealed with, 7 bytes.
 * @param[in]     ad      The associated data that the message was sealed with. May be null if ad_len is 0.
 * @param[in]     ad_len  Its length in bytes.
 * @param[in,out] buf     The ciphertext; afterwards the message, of the same length, or zeros. May be null if len is 0. It
 *                        must not overlap ad or *ctx.
 * @param[in]     len     Its length in bytes.
 * @param[in]     tag     The tag, 8 bytes.
 * @return TWINE_OTR_OK; TWINE_OTR_ERR_AUTHENTICATION if the tag is wrong; TWINE_OTR_ERR_ARGUMENT; or TWINE_OTR_ERR_CONTEXT.
 *         On any of these errors buf is zero, unless buf and len themselves were refused, or buf overlaps *ctx: then nothing
 *         has been written. If buf overlaps ad, what they share is zero too.
 */
TWINE_OTR_MUST_CHECK
int twine128_otr_open(const struct twine128_otr_ctx *ctx,
                      const uint8_t nonce[7],
                      const uint8_t *ad,
                      size_t ad_len,
                      uint8_t *buf,
                      size_t len,
                      const uint8_t tag[8]);

/**
 * Erases a context. It has to be initialised before it can be used again; until then it is refused.
 *
 * The compiler cannot leave this out, unlike a memset before the end of a scope.
 *
 * @param[out] ctx  The context, initialised or not, or a copy of one, at any alignment. Null is allowed, and does nothing.
 */
void twine128_otr_clear(struct twine128_otr_ctx *ctx);

/**
 * As twine128_otr_init, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK int twine80_otr_init(struct twine80_otr_ctx *ctx, const uint8_t key[10]);

/**
 * As twine128_otr_seal, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_otr_seal(const struct twine80_otr_ctx *ctx,
                     const uint8_t nonce[7],
                     const uint8_t *ad,
                     size_t ad_len,
                     uint8_t *buf,
                     size_t len,
                     uint8_t tag[8]);

/**
 * As twine128_otr_open, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_otr_open(const struct twine80_otr_ctx *ctx,
                     const uint8_t nonce[7],
                     const uint8_t *ad,
                     size_t ad_len,
                     uint8_t *buf,
                     size_t len,
                     const uint8_t tag[8]);

/**
 * As twine128_otr_clear, with a key of 80 bits.
 */
void twine80_otr_clear(struct twine80_otr_ctx *ctx);

/**
 * Makes a sealer of a key that nothing was sealed under and that ends with this sealer: one that was agreed on after the start.
 *
 * **Never for a key that is there again after a restart**: nonces would repeat. See twine128_sealer_restore.
 *
 * @param[out] sealer       The sealer. Its contents before do not matter; it must not overlap key or fixed.
 * @param[in]  key          The key, 16 bytes. They are copied: the caller may erase them afterwards.
 * @param[in]  fixed        The first 4 bytes of each nonce. They tell apart the users of one key, or its directions.
 * @param[in]  block_limit  The blocks that may be sealed under the key, TWINE_OTR_BLOCK_LIMIT_DEFAULT as a rule, at most
 *                          TWINE_OTR_BLOCK_LIMIT_MAX.
 * @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT: the sealer, whatever it was, is refused then, and its first 8 bytes are zero.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_init(struct twine128_sealer *sealer,
                         const uint8_t key[16],
                         const uint8_t fixed[4],
                         uint32_t block_limit);

/**
 * Makes the first state of a key that is to be stored and that nothing was ever sealed under. To be called and stored once, when the
 * device gets the key, and never in the place of a state that is lost: take a new key then. **Erase the key that was there before, if any,
 * before the state is stored**: the newest state of that key may lie in its place.
 *
 * @param[out] sealer       Memory to work in; cleared afterwards.
 * @param[in]  key          As of twine128_sealer_init.
 * @param[in]  fixed        As of twine128_sealer_init.
 * @param[in]  block_limit  As of twine128_sealer_init.
 * @param[out] state        The state, 32 bytes. It must not overlap *sealer.
 * @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT, and then no state has been written.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_first_state(struct twine128_sealer *sealer,
                                const uint8_t key[16],
                                const uint8_t fixed[4],
                                uint32_t block_limit,
                                uint8_t state[32]);

/**
 * Makes a sealer of a key that is stored, from the newest of its states. Nothing can be sealed before a state is stored and confirmed:
 * see twine128_sealer_begin_reserve.
 *
 * @param[out] sealer       As of twine128_sealer_init. It must not overlap states either.
 * @param[in]  key          As of twine128_sealer_init.
 * @param[in]  fixed        As of twine128_sealer_init; the one of the states.
 * @param[in]  block_limit  As of twine128_sealer_init; the one of the states.
 * @param[in]  states       What the places of the states hold, 32 bytes each, one after the other. All but the newest state of this
 *                          key may be damaged, older, or of another key.
 * @param[in]  count        How many places there are, not bytes.
 * @return TWINE_OTR_OK; TWINE_OTR_ERR_ARGUMENT; or TWINE_OTR_ERR_STATE_DAMAGED, _OTHER, _KEY or _LIMIT, what comes closest to the state
 *         that is missing. After an error the sealer, whatever it was, is refused, and its first 8 bytes are zero.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_restore(struct twine128_sealer *sealer,
                            const uint8_t key[16],
                            const uint8_t fixed[4],
                            uint32_t block_limit,
                            const uint8_t *states,
                            size_t count);

/**
 * Encrypts a message where it lies under the next nonce, and makes the tag that authenticates it and its associated data.
 *
 * @param[in,out] sealer  The sealer.
 * @param[in]     ad      The associated data: authenticated, not encrypted. May be null if ad_len is 0.
 * @param[in]     ad_len  Its length in bytes.
 * @param[in,out] buf     The message; afterwards the ciphertext, of the same length. May be null if len is 0. It must not
 *                        overlap ad, nonce, tag or *sealer.
 * @param[in]     len     Its length in bytes.
 * @param[out]    nonce   The nonce, 7 bytes: the fixed part, then the counter, big-endian. The receiver needs the counter; it is not
 *                        secret. It must not overlap buf, tag or *sealer.
 * @param[out]    tag     The tag, 8 bytes. It must not overlap buf, nonce or *sealer.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT, TWINE_OTR_ERR_CONTEXT, TWINE_OTR_ERR_LIMIT or TWINE_OTR_ERR_NOT_RESERVED, and then
 *         nothing has been written and no nonce is used: buf is still the plaintext and must not be sent.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_seal(struct twine128_sealer *sealer,
                         const uint8_t *ad,
                         size_t ad_len,
                         uint8_t *buf,
                         size_t len,
                         uint8_t nonce[7],
                         uint8_t tag[8]);

/**
 * Writes the nonce that the next message gets, for example to put its counter into associated data.
 *
 * @param[in]  sealer  The sealer.
 * @param[out] nonce   The nonce, 7 bytes. It must not overlap *sealer.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_next_nonce(const struct twine128_sealer *sealer,
                               uint8_t nonce[7]);

/**
 * Writes how many blocks were sealed, and can be.
 *
 * @param[in]  sealer  The sealer.
 * @param[out] counts  The counts. They must not overlap *sealer.
 * @return As twine128_sealer_next_nonce.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_count(const struct twine128_sealer *sealer,
                          struct twine_otr_sealer_counts *counts);

/**
 * Makes the state that is to be stored so that `blocks` from here on, or what the limit leaves, can be sealed. It reserves
 * nothing before twine128_sealer_confirm; until then messages can be sealed with what was reserved before.
 *
 * With two places, the state belongs in place twine_otr_state_sequence(state) % 2: so the newest one is never overwritten.
 *
 * @param[in,out] sealer  The sealer.
 * @param[in]     blocks  How many: a restart without twine128_sealer_suspend costs those of them that were not used.
 * @param[out]    state   The state, 32 bytes. It must not overlap *sealer.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_begin_reserve(struct twine128_sealer *sealer,
                                  uint32_t blocks,
                                  uint8_t state[32]);

/**
 * Reserves what a state says. **Only when it is stored so that it survives a loss of power**; best with the bytes that were read back
 * from where it is stored.
 *
 * @param[in,out] sealer  The sealer.
 * @param[in]     state   The state that twine128_sealer_begin_reserve gave last, 32 bytes. It must not overlap *sealer.
 * @return TWINE_OTR_OK; TWINE_OTR_ERR_ARGUMENT; TWINE_OTR_ERR_CONTEXT; or TWINE_OTR_ERR_STATE_DAMAGED, _OTHER, _KEY or _LIMIT if the bytes
 *         are not the state that was given last. After an error nothing more is reserved.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_confirm(struct twine128_sealer *sealer,
                            const uint8_t state[32]);

/**
 * Ends and clears a sealer and makes its state, for an orderly stop: a sealer that is restored from it skips nothing. To be stored as that of
 * twine128_sealer_begin_reserve.
 *
 * @param[in,out] sealer  The sealer.
 * @param[out]    state   The state, 32 bytes. It must not overlap *sealer.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_suspend(struct twine128_sealer *sealer,
                            uint8_t state[32]);

/**
 * Begins a message that is sealed in pieces, so that the sender need not hold it whole. The receiver must: for longer messages see
 * twine128_chunk_sealer_init. Its nonce and the blocks of max_len bytes are used, whatever becomes of it.
 *
 * @param[in,out] sealer   The sealer. It is free for other messages between pieces.
 * @param[out]    pieces   The message. It must not overlap anything else.
 * @param[in]     ad       As of twine128_sealer_seal.
 * @param[in]     ad_len   Its length in bytes.
 * @param[in]     max_len  The most bytes of the message.
 * @param[out]    nonce    As of twine128_sealer_seal.
 * @return As twine128_sealer_seal.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_begin_pieces(struct twine128_sealer *sealer,
                                 struct twine128_pieces *pieces,
                                 const uint8_t *ad,
                                 size_t ad_len,
                                 size_t max_len,
                                 uint8_t nonce[7]);

/**
 * Encrypts a piece that is not the last one where it lies.
 *
 * @param[in,out] sealer  The sealer that has begun the message, where it was then. One at another address is refused with
 *                        TWINE_OTR_ERR_CONTEXT; that it still has the same key is **not** seen.
 * @param[in,out] pieces  The message.
 * @param[in,out] buf     The piece; afterwards its ciphertext. It must not overlap *sealer or *pieces.
 * @param[in]     len     Its length in bytes, a multiple of TWINE_OTR_PAIR_SIZE, and less than what is left of max_len.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT, TWINE_OTR_ERR_CONTEXT, TWINE_OTR_ERR_PIECE or TWINE_OTR_ERR_LIMIT, and then nothing has
 *         been written, and another piece can take the place of this one.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_update_pieces(struct twine128_sealer *sealer,
                                  struct twine128_pieces *pieces,
                                  uint8_t *buf,
                                  size_t len);

/**
 * Encrypts the last piece where it lies, makes the tag of the message, and clears *pieces.
 *
 * @param[in,out] sealer  As of twine128_sealer_update_pieces.
 * @param[in,out] pieces  The message.
 * @param[in,out] buf     The piece; afterwards its ciphertext. It must not overlap *sealer, *pieces or tag.
 * @param[in]     len     Its length in bytes, at most what is left of max_len, and not 0 unless the whole message is empty.
 * @param[out]    tag     The tag, 8 bytes. It must not overlap *sealer or *pieces.
 * @return As twine128_sealer_update_pieces.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_finalize_pieces(struct twine128_sealer *sealer,
                                    struct twine128_pieces *pieces,
                                    uint8_t *buf,
                                    size_t len,
                                    uint8_t tag[8]);

/**
 * Erases a sealer, without a state. As twine128_otr_clear.
 */
void twine128_sealer_clear(struct twine128_sealer *sealer);

/**
 * Erases a message in pieces, to give it up. As twine128_otr_clear.
 */
void twine128_pieces_clear(struct twine128_pieces *pieces);

/**
 * As twine128_sealer_init, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_sealer_init(struct twine80_sealer *sealer,
                        const uint8_t key[10],
                        const uint8_t fixed[4],
                        uint32_t block_limit);

/**
 * As twine128_sealer_first_state, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_sealer_first_state(struct twine80_sealer *sealer,
                               const uint8_t key[10],
                               const uint8_t fixed[4],
                               uint32_t block_limit,
                               uint8_t state[32]);

/**
 * As twine128_sealer_restore, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_sealer_restore(struct twine80_sealer *sealer,
                           const uint8_t key[10],
                           const uint8_t fixed[4],
                           uint32_t block_limit,
                           const uint8_t *states,
                           size_t count);

/**
 * As twine128_sealer_seal, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_sealer_seal(struct twine80_sealer *sealer,
                        const uint8_t *ad,
                        size_t ad_len,
                        uint8_t *buf,
                        size_t len,
                        uint8_t nonce[7],
                        uint8_t tag[8]);

/**
 * As twine128_sealer_next_nonce, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_sealer_next_nonce(const struct twine80_sealer *sealer,
                              uint8_t nonce[7]);

/**
 * As twine128_sealer_count, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_sealer_count(const struct twine80_sealer *sealer,
                         struct twine_otr_sealer_counts *counts);

/**
 * As twine128_sealer_begin_reserve, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_sealer_begin_reserve(struct twine80_sealer *sealer,
                                 uint32_t blocks,
                                 uint8_t state[32]);

/**
 * As twine128_sealer_confirm, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_sealer_confirm(struct twine80_sealer *sealer,
                           const uint8_t state[32]);

/**
 * As twine128_sealer_suspend, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK int twine80_sealer_suspend(struct twine80_sealer *sealer, uint8_t state[32]);

/**
 * As twine128_sealer_begin_pieces, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_sealer_begin_pieces(struct twine80_sealer *sealer,
                                struct twine80_pieces *pieces,
                                const uint8_t *ad,
                                size_t ad_len,
                                size_t max_len,
                                uint8_t nonce[7]);

/**
 * As twine128_sealer_update_pieces, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_sealer_update_pieces(struct twine80_sealer *sealer,
                                 struct twine80_pieces *pieces,
                                 uint8_t *buf,
                                 size_t len);

/**
 * As twine128_sealer_finalize_pieces, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_sealer_finalize_pieces(struct twine80_sealer *sealer,
                                   struct twine80_pieces *pieces,
                                   uint8_t *buf,
                                   size_t len,
                                   uint8_t tag[8]);

/**
 * As twine128_sealer_clear, with a key of 80 bits.
 */
void twine80_sealer_clear(struct twine80_sealer *sealer);

/**
 * As twine128_pieces_clear, with a key of 80 bits.
 */
void twine80_pieces_clear(struct twine80_pieces *pieces);

/**
 * Makes an opener of a key that nothing was opened under and that ends with this opener.
 *
 * **Never for a key that is there again after a restart**: it would accept every replay. See twine128_opener_restore.
 *
 * @param[out] opener         The opener. Its contents before do not matter; it must not overlap key or fixed.
 * @param[in]  key            The key, 16 bytes. They are copied: the caller may erase them afterwards.
 * @param[in]  fixed          The first 4 bytes of the sealer's nonces.
 * @param[in]  block_limit    The blocks that may be opened under the key, those of attempts that fail too:
 *                            TWINE_OTR_BLOCK_LIMIT_DEFAULT as a rule, at most TWINE_OTR_BLOCK_LIMIT_MAX.
 * @param[in]  failure_limit  The attempts that may fail, TWINE_OTR_FAILURE_LIMIT_DEFAULT as a rule.
 * @param[in]  window         How many counters below the newest one are accepted, once each: 0 for strict order, at most
 *                            TWINE_OTR_WINDOW_MAX.
 * @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT: the opener, whatever it was, is refused then, and its first 8 bytes are zero.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_init(struct twine128_opener *opener,
                         const uint8_t key[16],
                         const uint8_t fixed[4],
                         uint32_t block_limit,
                         uint32_t failure_limit,
                         uint32_t window);

/**
 * Makes the first state of a key that is to be stored and that nothing was ever opened under. As twine128_sealer_first_state, and with
 * what twine128_opener_init takes; the window is not stored.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_first_state(struct twine128_opener *opener,
                                const uint8_t key[16],
                                const uint8_t fixed[4],
                                uint32_t block_limit,
                                uint32_t failure_limit,
                                uint8_t state[32]);

/**
 * Makes an opener of a key that is stored, from the newest of its states. Nothing can be opened before a state is stored and confirmed:
 * see twine128_opener_begin_reserve. With what twine128_opener_init takes, and the states of twine128_sealer_restore.
 *
 * @return As twine128_sealer_restore.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_restore(struct twine128_opener *opener,
                            const uint8_t key[16],
                            const uint8_t fixed[4],
                            uint32_t block_limit,
                            uint32_t failure_limit,
                            uint32_t window,
                            const uint8_t *states,
                            size_t count);

/**
 * Decrypts a message where it lies, if its nonce is new and its tag right. If not, the buffer is zero afterwards.
 *
 * Replays and limits are decided from the nonce and the lengths alone, and count as nothing. An attempt that is not refused so counts its
 * blocks, and one that fails a failure.
 *
 * @param[in,out] opener  The opener.
 * @param[in]     nonce   The nonce of the message, 7 bytes: the fixed part, then the counter, big-endian.
 * @param[in]     ad      The associated data that the message was sealed with. May be null if ad_len is 0. It must not overlap *opener.
 * @param[in]     ad_len  Its length in bytes.
 * @param[in,out] buf     The ciphertext; afterwards the message, of the same length, or zeros. May be null if len is 0. It
 *                        must not overlap ad or *opener.
 * @param[in]     len     Its length in bytes.
 * @param[in]     tag     The tag, 8 bytes.
 * @return TWINE_OTR_OK; TWINE_OTR_ERR_AUTHENTICATION; TWINE_OTR_ERR_REPLAYED, _TOO_OLD or _OTHER_SENDER; TWINE_OTR_ERR_NOT_RESERVED;
 *         TWINE_OTR_ERR_LIMIT; TWINE_OTR_ERR_FAILURES; TWINE_OTR_ERR_ARGUMENT; or TWINE_OTR_ERR_CONTEXT. On any of these errors buf is
 *         zero, unless buf and len themselves were refused, or buf overlaps *opener: then nothing has been written.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_open(struct twine128_opener *opener,
                         const uint8_t nonce[7],
                         const uint8_t *ad,
                         size_t ad_len,
                         uint8_t *buf,
                         size_t len,
                         const uint8_t tag[8]);

/**
 * Writes what was opened and can be. As twine128_sealer_count.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_count(const struct twine128_opener *opener,
                          struct twine_otr_opener_counts *counts);

/**
 * Makes the state that is to be stored so that the next `messages` counters and `blocks` from here on, or what the limit leaves, can be
 * opened. As twine128_sealer_begin_reserve: it reserves nothing before twine128_opener_confirm.
 *
 * A restart without twine128_opener_suspend refuses the messages that were reserved, and costs the blocks that were not used and as large a
 * part of the failures. So reserve few messages, such as 16, and at least the blocks of the longest one.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_begin_reserve(struct twine128_opener *opener,
                                  uint32_t messages,
                                  uint32_t blocks,
                                  uint8_t state[32]);

/**
 * Reserves what a state says, when it is stored. As twine128_sealer_confirm.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_confirm(struct twine128_opener *opener,
                            const uint8_t state[32]);

/**
 * Ends and clears an opener and makes its state, for an orderly stop: an opener that is restored from it refuses what is late, and
 * nothing else. As twine128_sealer_suspend.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_suspend(struct twine128_opener *opener,
                            uint8_t state[32]);

/**
 * Erases an opener, without a state. As twine128_otr_clear.
 */
void twine128_opener_clear(struct twine128_opener *opener);

/**
 * As twine128_opener_init, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_opener_init(struct twine80_opener *opener,
                        const uint8_t key[10],
                        const uint8_t fixed[4],
                        uint32_t block_limit,
                        uint32_t failure_limit,
                        uint32_t window);

/**
 * As twine128_opener_first_state, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_opener_first_state(struct twine80_opener *opener,
                               const uint8_t key[10],
                               const uint8_t fixed[4],
                               uint32_t block_limit,
                               uint32_t failure_limit,
                               uint8_t state[32]);

/**
 * As twine128_opener_restore, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_opener_restore(struct twine80_opener *opener,
                           const uint8_t key[10],
                           const uint8_t fixed[4],
                           uint32_t block_limit,
                           uint32_t failure_limit,
                           uint32_t window,
                           const uint8_t *states,
                           size_t count);

/**
 * As twine128_opener_open, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_opener_open(struct twine80_opener *opener,
                        const uint8_t nonce[7],
                        const uint8_t *ad,
                        size_t ad_len,
                        uint8_t *buf,
                        size_t len,
                        const uint8_t tag[8]);

/**
 * As twine128_opener_count, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_opener_count(const struct twine80_opener *opener,
                         struct twine_otr_opener_counts *counts);

/**
 * As twine128_opener_begin_reserve, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_opener_begin_reserve(struct twine80_opener *opener,
                                 uint32_t messages,
                                 uint32_t blocks,
                                 uint8_t state[32]);

/**
 * As twine128_opener_confirm, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_opener_confirm(struct twine80_opener *opener,
                           const uint8_t state[32]);

/**
 * As twine128_opener_suspend, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK int twine80_opener_suspend(struct twine80_opener *opener, uint8_t state[32]);

/**
 * As twine128_opener_clear, with a key of 80 bits.
 */
void twine80_opener_clear(struct twine80_opener *opener);

/**
 * Begins a stream: one long message in chunks, each with a tag, so that nobody ever holds more than a chunk. Chunks may have any
 * lengths that a segment can hold. A chunk that was changed, dropped, repeated or moved does not open, and the end cannot be missing.
 *
 * A stream that is interrupted, as by a restart, cannot go on: the message begins again as a new stream.
 *
 * @param[out] sealer         The sealer. Its contents before do not matter; it must not overlap key or header.
 * @param[in]  key            The key, 16 bytes, for streams alone, and for 2^20 of them.
 * @param[in]  header         What makes this stream differ from all others under the key, 16 bytes, sent before the first chunk:
 *                            random ones, or 8 bytes of the sender and a counter. **A header must never come back**, not after a restart
 *                            either: store that it is used before the first chunk is sealed.
 * @param[in]  segment_limit  The blocks under the key of a segment, and so of a chunk: TWINE_OTR_BLOCK_LIMIT_SEGMENT as a rule. The opener
 *                            must have the same one.
 * @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT: the sealer, whatever it was, is refused then, and its first 8 bytes are zero.
 */
TWINE_OTR_MUST_CHECK
int twine128_chunk_sealer_init(struct twine128_chunk_sealer *sealer,
                               const uint8_t key[16],
                               const uint8_t header[16],
                               uint32_t segment_limit);

/**
 * Encrypts a chunk that is not the last one where it lies, and makes its tag.
 *
 * @param[in,out] sealer  The sealer.
 * @param[in]     ad      The associated data of the chunk. May be null if ad_len is 0. It must not overlap *sealer.
 * @param[in]     ad_len  Its length in bytes.
 * @param[in,out] buf     The chunk; afterwards its ciphertext. May be null if len is 0. It must not overlap ad, tag or *sealer.
 * @param[in]     len     Its length in bytes.
 * @param[out]    tag     The tag, 8 bytes. It must not overlap buf or *sealer.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT, TWINE_OTR_ERR_CONTEXT, TWINE_OTR_ERR_LIMIT or TWINE_OTR_ERR_FINISHED, and then nothing
 *         has been written, and another chunk can be sealed.
 */
TWINE_OTR_MUST_CHECK
int twine128_chunk_sealer_seal(struct twine128_chunk_sealer *sealer,
                               const uint8_t *ad,
                               size_t ad_len,
                               uint8_t *buf,
                               size_t len,
                               uint8_t tag[8]);

/**
 * Encrypts the last chunk where it lies, and makes its tag. As twine128_chunk_sealer_seal.
 */
TWINE_OTR_MUST_CHECK
int twine128_chunk_sealer_seal_last(struct twine128_chunk_sealer *sealer,
                                    const uint8_t *ad,
                                    size_t ad_len,
                                    uint8_t *buf,
                                    size_t len,
                                    uint8_t tag[8]);

/**
 * Erases a sealer of chunks. As twine128_otr_clear.
 */
void twine128_chunk_sealer_clear(struct twine128_chunk_sealer *sealer);

/**
 * Begins to open a stream. Two openers of one stream open it twice: whoever must not, notes the headers that he has seen.
 *
 * @param[out] opener         The opener. Its contents before do not matter; it must not overlap key or header.
 * @param[in]  key            The key, 16 bytes.
 * @param[in]  header         The header that was received, 16 bytes.
 * @param[in]  segment_limit  As of the sealer.
 * @param[in]  failure_limit  The attempts that may fail in the whole stream, TWINE_OTR_FAILURE_LIMIT_DEFAULT as a rule.
 * @return As twine128_chunk_sealer_init.
 */
TWINE_OTR_MUST_CHECK
int twine128_chunk_opener_init(struct twine128_chunk_opener *opener,
                               const uint8_t key[16],
                               const uint8_t header[16],
                               uint32_t segment_limit,
                               uint32_t failure_limit);

/**
 * Decrypts the next chunk, which is not the last one, where it lies. If it is not the next one, or its tag is wrong, the buffer is zero
 * afterwards, and another copy of the chunk can be tried. A chunk that is opened is genuine and in its place; that the message ends
 * there is known only from twine128_chunk_opener_check_complete.
 *
 * @param[in,out] opener  The opener.
 * @param[in]     ad      The associated data of the chunk. May be null if ad_len is 0. It must not overlap *opener.
 * @param[in]     ad_len  Its length in bytes.
 * @param[in,out] buf     The ciphertext; afterwards the chunk, or zeros. May be null if len is 0. It must not overlap ad or *opener.
 * @param[in]     len     Its length in bytes.
 * @param[in]     tag     The tag, 8 bytes.
 * @return TWINE_OTR_OK; TWINE_OTR_ERR_AUTHENTICATION; TWINE_OTR_ERR_FINISHED; TWINE_OTR_ERR_LIMIT, also if the blocks of failed attempts
 *         would pass the limit; TWINE_OTR_ERR_FAILURES; TWINE_OTR_ERR_ARGUMENT; or TWINE_OTR_ERR_CONTEXT. On any of these errors buf is
 *         zero, unless buf and len themselves were refused, or buf overlaps *opener: then nothing has been written.
 */
TWINE_OTR_MUST_CHECK
int twine128_chunk_opener_open(struct twine128_chunk_opener *opener,
                               const uint8_t *ad,
                               size_t ad_len,
                               uint8_t *buf,
                               size_t len,
                               const uint8_t tag[8]);

/**
 * Decrypts the last chunk where it lies. As twine128_chunk_opener_open.
 */
TWINE_OTR_MUST_CHECK
int twine128_chunk_opener_open_last(struct twine128_chunk_opener *opener,
                                    const uint8_t *ad,
                                    size_t ad_len,
                                    uint8_t *buf,
                                    size_t len,
                                    const uint8_t tag[8]);

/**
 * Checks that the last chunk was opened, and so all of them. **To be called when nothing more comes**: a stream for which it fails was cut
 * short.
 *
 * @param[in] opener  The opener.
 * @return TWINE_OTR_OK; TWINE_OTR_ERR_INCOMPLETE if the last chunk was not opened; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT.
 */
TWINE_OTR_MUST_CHECK
int twine128_chunk_opener_check_complete(const struct twine128_chunk_opener *opener);

/**
 * Erases an opener of chunks. As twine128_otr_clear.
 */
void twine128_chunk_opener_clear(struct twine128_chunk_opener *opener);

/**
 * As twine128_chunk_sealer_init, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_chunk_sealer_init(struct twine80_chunk_sealer *sealer,
                              const uint8_t key[10],
                              const uint8_t header[16],
                              uint32_t segment_limit);

/**
 * As twine128_chunk_sealer_seal, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_chunk_sealer_seal(struct twine80_chunk_sealer *sealer,
                              const uint8_t *ad,
                              size_t ad_len,
                              uint8_t *buf,
                              size_t len,
                              uint8_t tag[8]);

/**
 * As twine128_chunk_sealer_seal_last, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_chunk_sealer_seal_last(struct twine80_chunk_sealer *sealer,
                                   const uint8_t *ad,
                                   size_t ad_len,
                                   uint8_t *buf,
                                   size_t len,
                                   uint8_t tag[8]);

/**
 * As twine128_chunk_sealer_clear, with a key of 80 bits.
 */
void twine80_chunk_sealer_clear(struct twine80_chunk_sealer *sealer);

/**
 * As twine128_chunk_opener_init, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_chunk_opener_init(struct twine80_chunk_opener *opener,
                              const uint8_t key[10],
                              const uint8_t header[16],
                              uint32_t segment_limit,
                              uint32_t failure_limit);

/**
 * As twine128_chunk_opener_open, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_chunk_opener_open(struct twine80_chunk_opener *opener,
                              const uint8_t *ad,
                              size_t ad_len,
                              uint8_t *buf,
                              size_t len,
                              const uint8_t tag[8]);

/**
 * As twine128_chunk_opener_open_last, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_chunk_opener_open_last(struct twine80_chunk_opener *opener,
                                   const uint8_t *ad,
                                   size_t ad_len,
                                   uint8_t *buf,
                                   size_t len,
                                   const uint8_t tag[8]);

/**
 * As twine128_chunk_opener_check_complete, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_chunk_opener_check_complete(const struct twine80_chunk_opener *opener);

/**
 * As twine128_chunk_opener_clear, with a key of 80 bits.
 */
void twine80_chunk_opener_clear(struct twine80_chunk_opener *opener);

/**
 * Initialises a context of the block cipher with a key.
 *
 * A block cipher is a building block: it neither hides that blocks are equal nor authenticates them. To protect messages use
 * twine128_otr_seal, and never use a key for both.
 *
 * @param[out] ctx  The context. Its contents before do not matter; it must not overlap the key.
 * @param[in]  key  The key, 16 bytes. They are copied: the caller may erase them afterwards.
 * @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT if a pointer is null or misaligned or the two overlap. The context, whatever
 *         it was, is refused then, and its first 8 bytes are zero.
 */
TWINE_OTR_MUST_CHECK
int twine128_init(struct twine128_ctx *ctx,
                  const uint8_t key[16]);

/**
 * Encrypts blocks where they lie, each by itself. Many in one call take less time than as many calls.
 *
 * @param[in]     ctx    An initialised context.
 * @param[in,out] buf    The blocks, 8 bytes each, one after the other. May be null if count is 0. They must not overlap *ctx.
 * @param[in]     count  How many blocks, not bytes.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written.
 */
TWINE_OTR_MUST_CHECK
int twine128_encrypt_blocks(const struct twine128_ctx *ctx,
                            uint8_t *buf,
                            size_t count);

/**
 * Decrypts blocks where they lie, each by itself. As twine128_encrypt_blocks.
 */
TWINE_OTR_MUST_CHECK
int twine128_decrypt_blocks(const struct twine128_ctx *ctx,
                            uint8_t *buf,
                            size_t count);

/**
 * Erases a context of the block cipher. As twine128_otr_clear.
 */
void twine128_clear(struct twine128_ctx *ctx);

/**
 * As twine128_init, with a key of 80 bits (10 bytes).
 */
TWINE_OTR_MUST_CHECK int twine80_init(struct twine80_ctx *ctx, const uint8_t key[10]);

/**
 * As twine128_encrypt_blocks, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_encrypt_blocks(const struct twine80_ctx *ctx,
                           uint8_t *buf,
                           size_t count);

/**
 * As twine128_decrypt_blocks, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_decrypt_blocks(const struct twine80_ctx *ctx,
                           uint8_t *buf,
                           size_t count);

/**
 * As twine128_clear, with a key of 80 bits.
 */
void twine80_clear(struct twine80_ctx *ctx);

/**
 * As twine128_otr_init, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_otr_init(struct twine128_serial_otr_ctx *ctx,
                             const uint8_t key[16]);

/**
 * As twine128_otr_seal, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_otr_seal(const struct twine128_serial_otr_ctx *ctx,
                             const uint8_t nonce[7],
                             const uint8_t *ad,
                             size_t ad_len,
                             uint8_t *buf,
                             size_t len,
                             uint8_t tag[8]);

/**
 * As twine128_otr_open, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_otr_open(const struct twine128_serial_otr_ctx *ctx,
                             const uint8_t nonce[7],
                             const uint8_t *ad,
                             size_t ad_len,
                             uint8_t *buf,
                             size_t len,
                             const uint8_t tag[8]);

/**
 * As twine128_otr_clear, with serial processing.
 */
void twine128_serial_otr_clear(struct twine128_serial_otr_ctx *ctx);

/**
 * As twine128_sealer_init, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_sealer_init(struct twine128_serial_sealer *sealer,
                                const uint8_t key[16],
                                const uint8_t fixed[4],
                                uint32_t block_limit);

/**
 * As twine128_sealer_first_state, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_sealer_first_state(struct twine128_serial_sealer *sealer,
                                       const uint8_t key[16],
                                       const uint8_t fixed[4],
                                       uint32_t block_limit,
                                       uint8_t state[32]);

/**
 * As twine128_sealer_restore, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_sealer_restore(struct twine128_serial_sealer *sealer,
                                   const uint8_t key[16],
                                   const uint8_t fixed[4],
                                   uint32_t block_limit,
                                   const uint8_t *states,
                                   size_t count);

/**
 * As twine128_sealer_seal, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_sealer_seal(struct twine128_serial_sealer *sealer,
                                const uint8_t *ad,
                                size_t ad_len,
                                uint8_t *buf,
                                size_t len,
                                uint8_t nonce[7],
                                uint8_t tag[8]);

/**
 * As twine128_sealer_next_nonce, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_sealer_next_nonce(const struct twine128_serial_sealer *sealer,
                                      uint8_t nonce[7]);

/**
 * As twine128_sealer_count, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_sealer_count(const struct twine128_serial_sealer *sealer,
                                 struct twine_otr_sealer_counts *counts);

/**
 * As twine128_sealer_begin_reserve, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_sealer_begin_reserve(struct twine128_serial_sealer *sealer,
                                         uint32_t blocks,
                                         uint8_t state[32]);

/**
 * As twine128_sealer_confirm, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_sealer_confirm(struct twine128_serial_sealer *sealer,
                                   const uint8_t state[32]);

/**
 * As twine128_sealer_suspend, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_sealer_suspend(struct twine128_serial_sealer *sealer,
                                   uint8_t state[32]);

/**
 * As twine128_sealer_begin_pieces, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_sealer_begin_pieces(struct twine128_serial_sealer *sealer,
                                        struct twine128_serial_pieces *pieces,
                                        const uint8_t *ad,
                                        size_t ad_len,
                                        size_t max_len,
                                        uint8_t nonce[7]);

/**
 * As twine128_sealer_update_pieces, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_sealer_update_pieces(struct twine128_serial_sealer *sealer,
                                         struct twine128_serial_pieces *pieces,
                                         uint8_t *buf,
                                         size_t len);

/**
 * As twine128_sealer_finalize_pieces, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_sealer_finalize_pieces(struct twine128_serial_sealer *sealer,
                                           struct twine128_serial_pieces *pieces,
                                           uint8_t *buf,
                                           size_t len,
                                           uint8_t tag[8]);

/**
 * As twine128_sealer_clear, with serial processing.
 */
void twine128_serial_sealer_clear(struct twine128_serial_sealer *sealer);

/**
 * As twine128_pieces_clear, with serial processing.
 */
void twine128_serial_pieces_clear(struct twine128_serial_pieces *pieces);

/**
 * As twine128_opener_init, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_opener_init(struct twine128_serial_opener *opener,
                                const uint8_t key[16],
                                const uint8_t fixed[4],
                                uint32_t block_limit,
                                uint32_t failure_limit,
                                uint32_t window);

/**
 * As twine128_opener_first_state, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_opener_first_state(struct twine128_serial_opener *opener,
                                       const uint8_t key[16],
                                       const uint8_t fixed[4],
                                       uint32_t block_limit,
                                       uint32_t failure_limit,
                                       uint8_t state[32]);

/**
 * As twine128_opener_restore, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_opener_restore(struct twine128_serial_opener *opener,
                                   const uint8_t key[16],
                                   const uint8_t fixed[4],
                                   uint32_t block_limit,
                                   uint32_t failure_limit,
                                   uint32_t window,
                                   const uint8_t *states,
                                   size_t count);

/**
 * As twine128_opener_open, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_opener_open(struct twine128_serial_opener *opener,
                                const uint8_t nonce[7],
                                const uint8_t *ad,
                                size_t ad_len,
                                uint8_t *buf,
                                size_t len,
                                const uint8_t tag[8]);

/**
 * As twine128_opener_count, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_opener_count(const struct twine128_serial_opener *opener,
                                 struct twine_otr_opener_counts *counts);

/**
 * As twine128_opener_begin_reserve, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_opener_begin_reserve(struct twine128_serial_opener *opener,
                                         uint32_t messages,
                                         uint32_t blocks,
                                         uint8_t state[32]);

/**
 * As twine128_opener_confirm, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_opener_confirm(struct twine128_serial_opener *opener,
                                   const uint8_t state[32]);

/**
 * As twine128_opener_suspend, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_opener_suspend(struct twine128_serial_opener *opener,
                                   uint8_t state[32]);

/**
 * As twine128_opener_clear, with serial processing.
 */
void twine128_serial_opener_clear(struct twine128_serial_opener *opener);

/**
 * As twine128_chunk_sealer_init, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_chunk_sealer_init(struct twine128_serial_chunk_sealer *sealer,
                                      const uint8_t key[16],
                                      const uint8_t header[16],
                                      uint32_t segment_limit);

/**
 * As twine128_chunk_sealer_seal, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_chunk_sealer_seal(struct twine128_serial_chunk_sealer *sealer,
                                      const uint8_t *ad,
                                      size_t ad_len,
                                      uint8_t *buf,
                                      size_t len,
                                      uint8_t tag[8]);

/**
 * As twine128_chunk_sealer_seal_last, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_chunk_sealer_seal_last(struct twine128_serial_chunk_sealer *sealer,
                                           const uint8_t *ad,
                                           size_t ad_len,
                                           uint8_t *buf,
                                           size_t len,
                                           uint8_t tag[8]);

/**
 * As twine128_chunk_sealer_clear, with serial processing.
 */
void twine128_serial_chunk_sealer_clear(struct twine128_serial_chunk_sealer *sealer);

/**
 * As twine128_chunk_opener_init, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_chunk_opener_init(struct twine128_serial_chunk_opener *opener,
                                      const uint8_t key[16],
                                      const uint8_t header[16],
                                      uint32_t segment_limit,
                                      uint32_t failure_limit);

/**
 * As twine128_chunk_opener_open, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_chunk_opener_open(struct twine128_serial_chunk_opener *opener,
                                      const uint8_t *ad,
                                      size_t ad_len,
                                      uint8_t *buf,
                                      size_t len,
                                      const uint8_t tag[8]);

/**
 * As twine128_chunk_opener_open_last, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_chunk_opener_open_last(struct twine128_serial_chunk_opener *opener,
                                           const uint8_t *ad,
                                           size_t ad_len,
                                           uint8_t *buf,
                                           size_t len,
                                           const uint8_t tag[8]);

/**
 * As twine128_chunk_opener_check_complete, with serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_serial_chunk_opener_check_complete(const struct twine128_serial_chunk_opener *opener);

/**
 * As twine128_chunk_opener_clear, with serial processing.
 */
void twine128_serial_chunk_opener_clear(struct twine128_serial_chunk_opener *opener);

/**
 * As twine128_otr_init, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_otr_init(struct twine80_serial_otr_ctx *ctx,
                            const uint8_t key[10]);

/**
 * As twine128_otr_seal, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_otr_seal(const struct twine80_serial_otr_ctx *ctx,
                            const uint8_t nonce[7],
                            const uint8_t *ad,
                            size_t ad_len,
                            uint8_t *buf,
                            size_t len,
                            uint8_t tag[8]);

/**
 * As twine128_otr_open, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_otr_open(const struct twine80_serial_otr_ctx *ctx,
                            const uint8_t nonce[7],
                            const uint8_t *ad,
                            size_t ad_len,
                            uint8_t *buf,
                            size_t len,
                            const uint8_t tag[8]);

/**
 * As twine128_otr_clear, with a key of 80 bits and serial processing.
 */
void twine80_serial_otr_clear(struct twine80_serial_otr_ctx *ctx);

/**
 * As twine128_sealer_init, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_sealer_init(struct twine80_serial_sealer *sealer,
                               const uint8_t key[10],
                               const uint8_t fixed[4],
                               uint32_t block_limit);

/**
 * As twine128_sealer_first_state, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_sealer_first_state(struct twine80_serial_sealer *sealer,
                                      const uint8_t key[10],
                                      const uint8_t fixed[4],
                                      uint32_t block_limit,
                                      uint8_t state[32]);

/**
 * As twine128_sealer_restore, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_sealer_restore(struct twine80_serial_sealer *sealer,
                                  const uint8_t key[10],
                                  const uint8_t fixed[4],
                                  uint32_t block_limit,
                                  const uint8_t *states,
                                  size_t count);

/**
 * As twine128_sealer_seal, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_sealer_seal(struct twine80_serial_sealer *sealer,
                               const uint8_t *ad,
                               size_t ad_len,
                               uint8_t *buf,
                               size_t len,
                               uint8_t nonce[7],
                               uint8_t tag[8]);

/**
 * As twine128_sealer_next_nonce, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_sealer_next_nonce(const struct twine80_serial_sealer *sealer,
                                     uint8_t nonce[7]);

/**
 * As twine128_sealer_count, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_sealer_count(const struct twine80_serial_sealer *sealer,
                                struct twine_otr_sealer_counts *counts);

/**
 * As twine128_sealer_begin_reserve, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_sealer_begin_reserve(struct twine80_serial_sealer *sealer,
                                        uint32_t blocks,
                                        uint8_t state[32]);

/**
 * As twine128_sealer_confirm, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_sealer_confirm(struct twine80_serial_sealer *sealer,
                                  const uint8_t state[32]);

/**
 * As twine128_sealer_suspend, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_sealer_suspend(struct twine80_serial_sealer *sealer,
                                  uint8_t state[32]);

/**
 * As twine128_sealer_begin_pieces, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_sealer_begin_pieces(struct twine80_serial_sealer *sealer,
                                       struct twine80_serial_pieces *pieces,
                                       const uint8_t *ad,
                                       size_t ad_len,
                                       size_t max_len,
                                       uint8_t nonce[7]);

/**
 * As twine128_sealer_update_pieces, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_sealer_update_pieces(struct twine80_serial_sealer *sealer,
                                        struct twine80_serial_pieces *pieces,
                                        uint8_t *buf,
                                        size_t len);

/**
 * As twine128_sealer_finalize_pieces, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_sealer_finalize_pieces(struct twine80_serial_sealer *sealer,
                                          struct twine80_serial_pieces *pieces,
                                          uint8_t *buf,
                                          size_t len,
                                          uint8_t tag[8]);

/**
 * As twine128_sealer_clear, with a key of 80 bits and serial processing.
 */
void twine80_serial_sealer_clear(struct twine80_serial_sealer *sealer);

/**
 * As twine128_pieces_clear, with a key of 80 bits and serial processing.
 */
void twine80_serial_pieces_clear(struct twine80_serial_pieces *pieces);

/**
 * As twine128_opener_init, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_opener_init(struct twine80_serial_opener *opener,
                               const uint8_t key[10],
                               const uint8_t fixed[4],
                               uint32_t block_limit,
                               uint32_t failure_limit,
                               uint32_t window);

/**
 * As twine128_opener_first_state, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_opener_first_state(struct twine80_serial_opener *opener,
                                      const uint8_t key[10],
                                      const uint8_t fixed[4],
                                      uint32_t block_limit,
                                      uint32_t failure_limit,
                                      uint8_t state[32]);

/**
 * As twine128_opener_restore, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_opener_restore(struct twine80_serial_opener *opener,
                                  const uint8_t key[10],
                                  const uint8_t fixed[4],
                                  uint32_t block_limit,
                                  uint32_t failure_limit,
                                  uint32_t window,
                                  const uint8_t *states,
                                  size_t count);

/**
 * As twine128_opener_open, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_opener_open(struct twine80_serial_opener *opener,
                               const uint8_t nonce[7],
                               const uint8_t *ad,
                               size_t ad_len,
                               uint8_t *buf,
                               size_t len,
                               const uint8_t tag[8]);

/**
 * As twine128_opener_count, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_opener_count(const struct twine80_serial_opener *opener,
                                struct twine_otr_opener_counts *counts);

/**
 * As twine128_opener_begin_reserve, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_opener_begin_reserve(struct twine80_serial_opener *opener,
                                        uint32_t messages,
                                        uint32_t blocks,
                                        uint8_t state[32]);

/**
 * As twine128_opener_confirm, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_opener_confirm(struct twine80_serial_opener *opener,
                                  const uint8_t state[32]);

/**
 * As twine128_opener_suspend, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_opener_suspend(struct twine80_serial_opener *opener,
                                  uint8_t state[32]);

/**
 * As twine128_opener_clear, with a key of 80 bits and serial processing.
 */
void twine80_serial_opener_clear(struct twine80_serial_opener *opener);

/**
 * As twine128_chunk_sealer_init, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_chunk_sealer_init(struct twine80_serial_chunk_sealer *sealer,
                                     const uint8_t key[10],
                                     const uint8_t header[16],
                                     uint32_t segment_limit);

/**
 * As twine128_chunk_sealer_seal, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_chunk_sealer_seal(struct twine80_serial_chunk_sealer *sealer,
                                     const uint8_t *ad,
                                     size_t ad_len,
                                     uint8_t *buf,
                                     size_t len,
                                     uint8_t tag[8]);

/**
 * As twine128_chunk_sealer_seal_last, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_chunk_sealer_seal_last(struct twine80_serial_chunk_sealer *sealer,
                                          const uint8_t *ad,
                                          size_t ad_len,
                                          uint8_t *buf,
                                          size_t len,
                                          uint8_t tag[8]);

/**
 * As twine128_chunk_sealer_clear, with a key of 80 bits and serial processing.
 */
void twine80_serial_chunk_sealer_clear(struct twine80_serial_chunk_sealer *sealer);

/**
 * As twine128_chunk_opener_init, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_chunk_opener_init(struct twine80_serial_chunk_opener *opener,
                                     const uint8_t key[10],
                                     const uint8_t header[16],
                                     uint32_t segment_limit,
                                     uint32_t failure_limit);

/**
 * As twine128_chunk_opener_open, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_chunk_opener_open(struct twine80_serial_chunk_opener *opener,
                                     const uint8_t *ad,
                                     size_t ad_len,
                                     uint8_t *buf,
                                     size_t len,
                                     const uint8_t tag[8]);

/**
 * As twine128_chunk_opener_open_last, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_chunk_opener_open_last(struct twine80_serial_chunk_opener *opener,
                                          const uint8_t *ad,
                                          size_t ad_len,
                                          uint8_t *buf,
                                          size_t len,
                                          const uint8_t tag[8]);

/**
 * As twine128_chunk_opener_check_complete, with a key of 80 bits and serial processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_serial_chunk_opener_check_complete(const struct twine80_serial_chunk_opener *opener);

/**
 * As twine128_chunk_opener_clear, with a key of 80 bits and serial processing.
 */
void twine80_serial_chunk_opener_clear(struct twine80_serial_chunk_opener *opener);

/**
 * As twine128_otr_init, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_otr_init(struct twine128_combined_otr_ctx *ctx,
                               const uint8_t key[16]);

/**
 * As twine128_otr_seal, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_otr_seal(const struct twine128_combined_otr_ctx *ctx,
                               const uint8_t nonce[7],
                               const uint8_t *ad,
                               size_t ad_len,
                               uint8_t *buf,
                               size_t len,
                               uint8_t tag[8]);

/**
 * As twine128_otr_open, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_otr_open(const struct twine128_combined_otr_ctx *ctx,
                               const uint8_t nonce[7],
                               const uint8_t *ad,
                               size_t ad_len,
                               uint8_t *buf,
                               size_t len,
                               const uint8_t tag[8]);

/**
 * As twine128_otr_clear, with combined processing.
 */
void twine128_combined_otr_clear(struct twine128_combined_otr_ctx *ctx);

/**
 * As twine128_sealer_init, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_sealer_init(struct twine128_combined_sealer *sealer,
                                  const uint8_t key[16],
                                  const uint8_t fixed[4],
                                  uint32_t block_limit);

/**
 * As twine128_sealer_first_state, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_sealer_first_state(struct twine128_combined_sealer *sealer,
                                         const uint8_t key[16],
                                         const uint8_t fixed[4],
                                         uint32_t block_limit,
                                         uint8_t state[32]);

/**
 * As twine128_sealer_restore, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_sealer_restore(struct twine128_combined_sealer *sealer,
                                     const uint8_t key[16],
                                     const uint8_t fixed[4],
                                     uint32_t block_limit,
                                     const uint8_t *states,
                                     size_t count);

/**
 * As twine128_sealer_seal, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_sealer_seal(struct twine128_combined_sealer *sealer,
                                  const uint8_t *ad,
                                  size_t ad_len,
                                  uint8_t *buf,
                                  size_t len,
                                  uint8_t nonce[7],
                                  uint8_t tag[8]);

/**
 * As twine128_sealer_next_nonce, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_sealer_next_nonce(const struct twine128_combined_sealer *sealer,
                                        uint8_t nonce[7]);

/**
 * As twine128_sealer_count, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_sealer_count(const struct twine128_combined_sealer *sealer,
                                   struct twine_otr_sealer_counts *counts);

/**
 * As twine128_sealer_begin_reserve, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_sealer_begin_reserve(struct twine128_combined_sealer *sealer,
                                           uint32_t blocks,
                                           uint8_t state[32]);

/**
 * As twine128_sealer_confirm, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_sealer_confirm(struct twine128_combined_sealer *sealer,
                                     const uint8_t state[32]);

/**
 * As twine128_sealer_suspend, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_sealer_suspend(struct twine128_combined_sealer *sealer,
                                     uint8_t state[32]);

/**
 * As twine128_sealer_begin_pieces, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_sealer_begin_pieces(struct twine128_combined_sealer *sealer,
                                          struct twine128_combined_pieces *pieces,
                                          const uint8_t *ad,
                                          size_t ad_len,
                                          size_t max_len,
                                          uint8_t nonce[7]);

/**
 * As twine128_sealer_update_pieces, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_sealer_update_pieces(struct twine128_combined_sealer *sealer,
                                           struct twine128_combined_pieces *pieces,
                                           uint8_t *buf,
                                           size_t len);

/**
 * As twine128_sealer_finalize_pieces, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_sealer_finalize_pieces(struct twine128_combined_sealer *sealer,
                                             struct twine128_combined_pieces *pieces,
                                             uint8_t *buf,
                                             size_t len,
                                             uint8_t tag[8]);

/**
 * As twine128_sealer_clear, with combined processing.
 */
void twine128_combined_sealer_clear(struct twine128_combined_sealer *sealer);

/**
 * As twine128_pieces_clear, with combined processing.
 */
void twine128_combined_pieces_clear(struct twine128_combined_pieces *pieces);

/**
 * As twine128_opener_init, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_opener_init(struct twine128_combined_opener *opener,
                                  const uint8_t key[16],
                                  const uint8_t fixed[4],
                                  uint32_t block_limit,
                                  uint32_t failure_limit,
                                  uint32_t window);

/**
 * As twine128_opener_first_state, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_opener_first_state(struct twine128_combined_opener *opener,
                                         const uint8_t key[16],
                                         const uint8_t fixed[4],
                                         uint32_t block_limit,
                                         uint32_t failure_limit,
                                         uint8_t state[32]);

/**
 * As twine128_opener_restore, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_opener_restore(struct twine128_combined_opener *opener,
                                     const uint8_t key[16],
                                     const uint8_t fixed[4],
                                     uint32_t block_limit,
                                     uint32_t failure_limit,
                                     uint32_t window,
                                     const uint8_t *states,
                                     size_t count);

/**
 * As twine128_opener_open, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_opener_open(struct twine128_combined_opener *opener,
                                  const uint8_t nonce[7],
                                  const uint8_t *ad,
                                  size_t ad_len,
                                  uint8_t *buf,
                                  size_t len,
                                  const uint8_t tag[8]);

/**
 * As twine128_opener_count, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_opener_count(const struct twine128_combined_opener *opener,
                                   struct twine_otr_opener_counts *counts);

/**
 * As twine128_opener_begin_reserve, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_opener_begin_reserve(struct twine128_combined_opener *opener,
                                           uint32_t messages,
                                           uint32_t blocks,
                                           uint8_t state[32]);

/**
 * As twine128_opener_confirm, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_opener_confirm(struct twine128_combined_opener *opener,
                                     const uint8_t state[32]);

/**
 * As twine128_opener_suspend, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_opener_suspend(struct twine128_combined_opener *opener,
                                     uint8_t state[32]);

/**
 * As twine128_opener_clear, with combined processing.
 */
void twine128_combined_opener_clear(struct twine128_combined_opener *opener);

/**
 * As twine128_chunk_sealer_init, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_chunk_sealer_init(struct twine128_combined_chunk_sealer *sealer,
                                        const uint8_t key[16],
                                        const uint8_t header[16],
                                        uint32_t segment_limit);

/**
 * As twine128_chunk_sealer_seal, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_chunk_sealer_seal(struct twine128_combined_chunk_sealer *sealer,
                                        const uint8_t *ad,
                                        size_t ad_len,
                                        uint8_t *buf,
                                        size_t len,
                                        uint8_t tag[8]);

/**
 * As twine128_chunk_sealer_seal_last, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_chunk_sealer_seal_last(struct twine128_combined_chunk_sealer *sealer,
                                             const uint8_t *ad,
                                             size_t ad_len,
                                             uint8_t *buf,
                                             size_t len,
                                             uint8_t tag[8]);

/**
 * As twine128_chunk_sealer_clear, with combined processing.
 */
void twine128_combined_chunk_sealer_clear(struct twine128_combined_chunk_sealer *sealer);

/**
 * As twine128_chunk_opener_init, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_chunk_opener_init(struct twine128_combined_chunk_opener *opener,
                                        const uint8_t key[16],
                                        const uint8_t header[16],
                                        uint32_t segment_limit,
                                        uint32_t failure_limit);

/**
 * As twine128_chunk_opener_open, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_chunk_opener_open(struct twine128_combined_chunk_opener *opener,
                                        const uint8_t *ad,
                                        size_t ad_len,
                                        uint8_t *buf,
                                        size_t len,
                                        const uint8_t tag[8]);

/**
 * As twine128_chunk_opener_open_last, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_chunk_opener_open_last(struct twine128_combined_chunk_opener *opener,
                                             const uint8_t *ad,
                                             size_t ad_len,
                                             uint8_t *buf,
                                             size_t len,
                                             const uint8_t tag[8]);

/**
 * As twine128_chunk_opener_check_complete, with combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine128_combined_chunk_opener_check_complete(const struct twine128_combined_chunk_opener *opener);

/**
 * As twine128_chunk_opener_clear, with combined processing.
 */
void twine128_combined_chunk_opener_clear(struct twine128_combined_chunk_opener *opener);

/**
 * As twine128_otr_init, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_otr_init(struct twine80_combined_otr_ctx *ctx,
                              const uint8_t key[10]);

/**
 * As twine128_otr_seal, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_otr_seal(const struct twine80_combined_otr_ctx *ctx,
                              const uint8_t nonce[7],
                              const uint8_t *ad,
                              size_t ad_len,
                              uint8_t *buf,
                              size_t len,
                              uint8_t tag[8]);

/**
 * As twine128_otr_open, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_otr_open(const struct twine80_combined_otr_ctx *ctx,
                              const uint8_t nonce[7],
                              const uint8_t *ad,
                              size_t ad_len,
                              uint8_t *buf,
                              size_t len,
                              const uint8_t tag[8]);

/**
 * As twine128_otr_clear, with a key of 80 bits and combined processing.
 */
void twine80_combined_otr_clear(struct twine80_combined_otr_ctx *ctx);

/**
 * As twine128_sealer_init, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_sealer_init(struct twine80_combined_sealer *sealer,
                                 const uint8_t key[10],
                                 const uint8_t fixed[4],
                                 uint32_t block_limit);

/**
 * As twine128_sealer_first_state, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_sealer_first_state(struct twine80_combined_sealer *sealer,
                                        const uint8_t key[10],
                                        const uint8_t fixed[4],
                                        uint32_t block_limit,
                                        uint8_t state[32]);

/**
 * As twine128_sealer_restore, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_sealer_restore(struct twine80_combined_sealer *sealer,
                                    const uint8_t key[10],
                                    const uint8_t fixed[4],
                                    uint32_t block_limit,
                                    const uint8_t *states,
                                    size_t count);

/**
 * As twine128_sealer_seal, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_sealer_seal(struct twine80_combined_sealer *sealer,
                                 const uint8_t *ad,
                                 size_t ad_len,
                                 uint8_t *buf,
                                 size_t len,
                                 uint8_t nonce[7],
                                 uint8_t tag[8]);

/**
 * As twine128_sealer_next_nonce, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_sealer_next_nonce(const struct twine80_combined_sealer *sealer,
                                       uint8_t nonce[7]);

/**
 * As twine128_sealer_count, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_sealer_count(const struct twine80_combined_sealer *sealer,
                                  struct twine_otr_sealer_counts *counts);

/**
 * As twine128_sealer_begin_reserve, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_sealer_begin_reserve(struct twine80_combined_sealer *sealer,
                                          uint32_t blocks,
                                          uint8_t state[32]);

/**
 * As twine128_sealer_confirm, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_sealer_confirm(struct twine80_combined_sealer *sealer,
                                    const uint8_t state[32]);

/**
 * As twine128_sealer_suspend, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_sealer_suspend(struct twine80_combined_sealer *sealer,
                                    uint8_t state[32]);

/**
 * As twine128_sealer_begin_pieces, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_sealer_begin_pieces(struct twine80_combined_sealer *sealer,
                                         struct twine80_combined_pieces *pieces,
                                         const uint8_t *ad,
                                         size_t ad_len,
                                         size_t max_len,
                                         uint8_t nonce[7]);

/**
 * As twine128_sealer_update_pieces, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_sealer_update_pieces(struct twine80_combined_sealer *sealer,
                                          struct twine80_combined_pieces *pieces,
                                          uint8_t *buf,
                                          size_t len);

/**
 * As twine128_sealer_finalize_pieces, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_sealer_finalize_pieces(struct twine80_combined_sealer *sealer,
                                            struct twine80_combined_pieces *pieces,
                                            uint8_t *buf,
                                            size_t len,
                                            uint8_t tag[8]);

/**
 * As twine128_sealer_clear, with a key of 80 bits and combined processing.
 */
void twine80_combined_sealer_clear(struct twine80_combined_sealer *sealer);

/**
 * As twine128_pieces_clear, with a key of 80 bits and combined processing.
 */
void twine80_combined_pieces_clear(struct twine80_combined_pieces *pieces);

/**
 * As twine128_opener_init, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_opener_init(struct twine80_combined_opener *opener,
                                 const uint8_t key[10],
                                 const uint8_t fixed[4],
                                 uint32_t block_limit,
                                 uint32_t failure_limit,
                                 uint32_t window);

/**
 * As twine128_opener_first_state, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_opener_first_state(struct twine80_combined_opener *opener,
                                        const uint8_t key[10],
                                        const uint8_t fixed[4],
                                        uint32_t block_limit,
                                        uint32_t failure_limit,
                                        uint8_t state[32]);

/**
 * As twine128_opener_restore, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_opener_restore(struct twine80_combined_opener *opener,
                                    const uint8_t key[10],
                                    const uint8_t fixed[4],
                                    uint32_t block_limit,
                                    uint32_t failure_limit,
                                    uint32_t window,
                                    const uint8_t *states,
                                    size_t count);

/**
 * As twine128_opener_open, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_opener_open(struct twine80_combined_opener *opener,
                                 const uint8_t nonce[7],
                                 const uint8_t *ad,
                                 size_t ad_len,
                                 uint8_t *buf,
                                 size_t len,
                                 const uint8_t tag[8]);

/**
 * As twine128_opener_count, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_opener_count(const struct twine80_combined_opener *opener,
                                  struct twine_otr_opener_counts *counts);

/**
 * As twine128_opener_begin_reserve, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_opener_begin_reserve(struct twine80_combined_opener *opener,
                                          uint32_t messages,
                                          uint32_t blocks,
                                          uint8_t state[32]);

/**
 * As twine128_opener_confirm, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_opener_confirm(struct twine80_combined_opener *opener,
                                    const uint8_t state[32]);

/**
 * As twine128_opener_suspend, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_opener_suspend(struct twine80_combined_opener *opener,
                                    uint8_t state[32]);

/**
 * As twine128_opener_clear, with a key of 80 bits and combined processing.
 */
void twine80_combined_opener_clear(struct twine80_combined_opener *opener);

/**
 * As twine128_chunk_sealer_init, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_chunk_sealer_init(struct twine80_combined_chunk_sealer *sealer,
                                       const uint8_t key[10],
                                       const uint8_t header[16],
                                       uint32_t segment_limit);

/**
 * As twine128_chunk_sealer_seal, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_chunk_sealer_seal(struct twine80_combined_chunk_sealer *sealer,
                                       const uint8_t *ad,
                                       size_t ad_len,
                                       uint8_t *buf,
                                       size_t len,
                                       uint8_t tag[8]);

/**
 * As twine128_chunk_sealer_seal_last, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_chunk_sealer_seal_last(struct twine80_combined_chunk_sealer *sealer,
                                            const uint8_t *ad,
                                            size_t ad_len,
                                            uint8_t *buf,
                                            size_t len,
                                            uint8_t tag[8]);

/**
 * As twine128_chunk_sealer_clear, with a key of 80 bits and combined processing.
 */
void twine80_combined_chunk_sealer_clear(struct twine80_combined_chunk_sealer *sealer);

/**
 * As twine128_chunk_opener_init, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_chunk_opener_init(struct twine80_combined_chunk_opener *opener,
                                       const uint8_t key[10],
                                       const uint8_t header[16],
                                       uint32_t segment_limit,
                                       uint32_t failure_limit);

/**
 * As twine128_chunk_opener_open, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_chunk_opener_open(struct twine80_combined_chunk_opener *opener,
                                       const uint8_t *ad,
                                       size_t ad_len,
                                       uint8_t *buf,
                                       size_t len,
                                       const uint8_t tag[8]);

/**
 * As twine128_chunk_opener_open_last, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_chunk_opener_open_last(struct twine80_combined_chunk_opener *opener,
                                            const uint8_t *ad,
                                            size_t ad_len,
                                            uint8_t *buf,
                                            size_t len,
                                            const uint8_t tag[8]);

/**
 * As twine128_chunk_opener_check_complete, with a key of 80 bits and combined processing.
 */
TWINE_OTR_MUST_CHECK
int twine80_combined_chunk_opener_check_complete(const struct twine80_combined_chunk_opener *opener);

/**
 * As twine128_chunk_opener_clear, with a key of 80 bits and combined processing.
 */
void twine80_combined_chunk_opener_clear(struct twine80_combined_chunk_opener *opener);

#ifdef __cplusplus
}  /* extern "C" */
#endif  /* __cplusplus */

/* The library was compiled for contexts of this size. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define TWINE_OTR_ASSERT(condition, name) static_assert(condition, #name)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define TWINE_OTR_ASSERT(condition, name) _Static_assert(condition, #name)
#else
#define TWINE_OTR_ASSERT(condition, name) typedef char twine_otr_assert_##name[(condition) ? 1 : -1]
#endif
TWINE_OTR_ASSERT(sizeof(twine128_otr_ctx) == 8 * TWINE_OTR_CTX_WORDS, size_of_twine128_otr_ctx);
TWINE_OTR_ASSERT(sizeof(twine128_sealer) == 8 * TWINE_OTR_SEALER_WORDS, size_of_twine128_sealer);
TWINE_OTR_ASSERT(sizeof(twine128_pieces) == 8 * TWINE_OTR_PIECES_WORDS, size_of_twine128_pieces);
TWINE_OTR_ASSERT(sizeof(twine128_opener) == 8 * TWINE_OTR_OPENER_WORDS, size_of_twine128_opener);
TWINE_OTR_ASSERT(sizeof(twine128_chunk_sealer) == 8 * TWINE_OTR_CHUNK_SEALER_WORDS, size_of_twine128_chunk_sealer);
TWINE_OTR_ASSERT(sizeof(twine128_chunk_opener) == 8 * TWINE_OTR_CHUNK_OPENER_WORDS, size_of_twine128_chunk_opener);
TWINE_OTR_ASSERT(sizeof(twine80_otr_ctx) == 8 * TWINE_OTR_CTX_WORDS, size_of_twine80_otr_ctx);
TWINE_OTR_ASSERT(sizeof(twine80_sealer) == 8 * TWINE_OTR_SEALER_WORDS, size_of_twine80_sealer);
TWINE_OTR_ASSERT(sizeof(twine80_pieces) == 8 * TWINE_OTR_PIECES_WORDS, size_of_twine80_pieces);
TWINE_OTR_ASSERT(sizeof(twine80_opener) == 8 * TWINE_OTR_OPENER_WORDS, size_of_twine80_opener);
TWINE_OTR_ASSERT(sizeof(twine80_chunk_sealer) == 8 * TWINE_OTR_CHUNK_SEALER_WORDS, size_of_twine80_chunk_sealer);
TWINE_OTR_ASSERT(sizeof(twine80_chunk_opener) == 8 * TWINE_OTR_CHUNK_OPENER_WORDS, size_of_twine80_chunk_opener);
TWINE_OTR_ASSERT(sizeof(twine128_serial_otr_ctx) == 8 * TWINE_OTR_CTX_WORDS, size_of_twine128_serial_otr_ctx);
TWINE_OTR_ASSERT(sizeof(twine128_serial_sealer) == 8 * TWINE_OTR_SEALER_WORDS, size_of_twine128_serial_sealer);
TWINE_OTR_ASSERT(sizeof(twine128_serial_pieces) == 8 * TWINE_OTR_PIECES_WORDS, size_of_twine128_serial_pieces);
TWINE_OTR_ASSERT(sizeof(twine128_serial_opener) == 8 * TWINE_OTR_OPENER_WORDS, size_of_twine128_serial_opener);
TWINE_OTR_ASSERT(sizeof(twine128_serial_chunk_sealer) == 8 * TWINE_OTR_CHUNK_SEALER_WORDS, size_of_twine128_serial_chunk_sealer);
TWINE_OTR_ASSERT(sizeof(twine128_serial_chunk_opener) == 8 * TWINE_OTR_CHUNK_OPENER_WORDS, size_of_twine128_serial_chunk_opener);
TWINE_OTR_ASSERT(sizeof(twine80_serial_otr_ctx) == 8 * TWINE_OTR_CTX_WORDS, size_of_twine80_serial_otr_ctx);
TWINE_OTR_ASSERT(sizeof(twine80_serial_sealer) == 8 * TWINE_OTR_SEALER_WORDS, size_of_twine80_serial_sealer);
TWINE_OTR_ASSERT(sizeof(twine80_serial_pieces) == 8 * TWINE_OTR_PIECES_WORDS, size_of_twine80_serial_pieces);
TWINE_OTR_ASSERT(sizeof(twine80_serial_opener) == 8 * TWINE_OTR_OPENER_WORDS, size_of_twine80_serial_opener);
TWINE_OTR_ASSERT(sizeof(twine80_serial_chunk_sealer) == 8 * TWINE_OTR_CHUNK_SEALER_WORDS, size_of_twine80_serial_chunk_sealer);
TWINE_OTR_ASSERT(sizeof(twine80_serial_chunk_opener) == 8 * TWINE_OTR_CHUNK_OPENER_WORDS, size_of_twine80_serial_chunk_opener);
TWINE_OTR_ASSERT(sizeof(twine128_combined_otr_ctx) == 8 * TWINE_OTR_CTX_WORDS, size_of_twine128_combined_otr_ctx);
TWINE_OTR_ASSERT(sizeof(twine128_combined_sealer) == 8 * TWINE_OTR_SEALER_WORDS, size_of_twine128_combined_sealer);
TWINE_OTR_ASSERT(sizeof(twine128_combined_pieces) == 8 * TWINE_OTR_PIECES_WORDS, size_of_twine128_combined_pieces);
TWINE_OTR_ASSERT(sizeof(twine128_combined_opener) == 8 * TWINE_OTR_OPENER_WORDS, size_of_twine128_combined_opener);
TWINE_OTR_ASSERT(sizeof(twine128_combined_chunk_sealer) == 8 * TWINE_OTR_CHUNK_SEALER_WORDS, size_of_twine128_combined_chunk_sealer);
TWINE_OTR_ASSERT(sizeof(twine128_combined_chunk_opener) == 8 * TWINE_OTR_CHUNK_OPENER_WORDS, size_of_twine128_combined_chunk_opener);
TWINE_OTR_ASSERT(sizeof(twine80_combined_otr_ctx) == 8 * TWINE_OTR_CTX_WORDS, size_of_twine80_combined_otr_ctx);
TWINE_OTR_ASSERT(sizeof(twine80_combined_sealer) == 8 * TWINE_OTR_SEALER_WORDS, size_of_twine80_combined_sealer);
TWINE_OTR_ASSERT(sizeof(twine80_combined_pieces) == 8 * TWINE_OTR_PIECES_WORDS, size_of_twine80_combined_pieces);
TWINE_OTR_ASSERT(sizeof(twine80_combined_opener) == 8 * TWINE_OTR_OPENER_WORDS, size_of_twine80_combined_opener);
TWINE_OTR_ASSERT(sizeof(twine80_combined_chunk_sealer) == 8 * TWINE_OTR_CHUNK_SEALER_WORDS, size_of_twine80_combined_chunk_sealer);
TWINE_OTR_ASSERT(sizeof(twine80_combined_chunk_opener) == 8 * TWINE_OTR_CHUNK_OPENER_WORDS, size_of_twine80_combined_chunk_opener);
TWINE_OTR_ASSERT(sizeof(twine128_ctx) == 8 * TWINE_OTR_CTX_WORDS, size_of_twine128_ctx);
TWINE_OTR_ASSERT(sizeof(twine80_ctx) == 8 * TWINE_OTR_CTX_WORDS, size_of_twine80_ctx);
#ifdef TWINE_OTR_ON_64_BITS
TWINE_OTR_ASSERT(sizeof(void *) > 4, pointers_have_64_bits);
#else
TWINE_OTR_ASSERT(sizeof(void *) <= 4, pointers_have_32_bits);
#endif
#undef TWINE_OTR_ASSERT

#endif /* TWINE_OTR_H */
