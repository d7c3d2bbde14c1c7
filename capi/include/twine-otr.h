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
 * Each of them has the limit for itself: a sealer and an opener of one key, or two sealers, which must have different fixed parts, have twice
 * the limit between them. With the default for each that is 2^21 blocks, and an advantage of up to 2^-19.4.
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
 * - On Cortex-M no call takes more than 1280 bytes of stack, the init of a context, a sealer or an opener no more than 512, and that of a
 *   stream no more than 704. first_state and restore are not such an init: they take up to 1024. What a program links takes from 6 KB of
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
 * The tag is wrong: the message, its tag, its associated data, the nonce or the key is not the one of the sealed message. An opener has
 * counted a failure.
 */
#define TWINE_OTR_ERR_AUTHENTICATION (-3)

/**
 * The message would exceed the limit of blocks under this key. Use a new key. A shorter message may still fit. Or a message in pieces would
 * exceed its maximum length. Or a stream has no segments or chunks left.
 */
#define TWINE_OTR_ERR_LIMIT (-4)

/**
 * More must be reserved first: store and confirm a state. An opener also returns this for a genuine message whose counter is not reserved.
 * After more is reserved, another copy of the message can be opened.
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
#define TWINE_OTR_ERR_OTHER_FIXED_PART (-8)

/**
 * The limit of failed attempts under this key is reached. Use a new key.
 */
#define TWINE_OTR_ERR_FAILURES (-9)

/**
 * The last chunk was already sealed or opened. Nothing can follow it.
 */
#define TWINE_OTR_ERR_FINISHED (-10)

/**
 * A piece before the last one is not a multiple of TWINE_OTR_PAIR_SIZE bytes, or the last one is empty.
 */
#define TWINE_OTR_ERR_PIECE (-11)

/**
 * No stored state was found: the bytes were erased, written only in part, or read wrongly.
 */
#define TWINE_OTR_ERR_STATE_DAMAGED (-12)

/**
 * The stored state is of another kind, or has another fixed part of the nonce. Or it is not the state to confirm, which is the one that was
 * returned last.
 */
#define TWINE_OTR_ERR_STATE_OTHER (-13)

/**
 * The stored state belongs to another key or to another processing of associated data.
 */
#define TWINE_OTR_ERR_STATE_KEY (-14)

/**
 * The stored state has another limit.
 */
#define TWINE_OTR_ERR_STATE_LIMIT (-15)

/**
 * The last chunk of the stream was not opened. The stream was cut short, or more chunks follow.
 */
#define TWINE_OTR_ERR_INCOMPLETE (-16)

/**
 * The caller's function for random bytes failed. Only functions with masks return this, see twine-otr-masked.h.
 */
#define TWINE_OTR_ERR_RANDOM (-17)

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
 * Bytes of a pair of blocks. The length of each piece of a message except the last one is a multiple of this.
 */
#define TWINE_OTR_PAIR_SIZE 16

/**
 * Blocks under a key by default, 2^20: an attacker's advantage stays below 2^-21. A sealer and an opener of one key that both have this limit
 * allow 2^21 blocks together, and an advantage of up to 2^-19.4.
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
 * An expanded key of TWINE-OTR.
 *
 * The caller declares it, on the stack or elsewhere, and uses it only through the functions `twine128_otr_*`. It holds no pointers. A
 * copy by assignment or memcpy works like the original, and must be cleared too.
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
 * A key that seals each message under a new nonce, and stops at a limit of blocks.
 *
 * The caller declares it, and uses it only through the functions `twine128_sealer_*`. It holds no pointers and may be moved, but
 * **it must not be copied**: the copy would use the same nonces. So after a fork only one of the two processes may use it, and a
 * machine that has one must not be resumed twice from a snapshot. Two threads must not use one at the same time. A call in an
 * interrupt handler that interrupts another call gets TWINE_OTR_ERR_CONTEXT. TWINE128_SEALER_INIT makes one that is refused until it
 * is initialised.
 */
typedef struct twine128_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_SEALER_WORDS];
} twine128_sealer;

/**
 * The counts of a sealer.
 */
typedef struct twine_otr_sealer_counts {
    /**
     * Blocks that were sealed. After a restart this includes all blocks that were reserved.
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
 * A message that is sealed in pieces. **It must not be copied**: two ends of one message would use one nonce. TWINE128_PIECES_INIT
 * makes one that is refused until it is begun.
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
 * A key that opens what one sealer seals. It rejects replays, and stops after a number of failed attempts.
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
 * The counts of an opener.
 */
typedef struct twine_otr_opener_counts {
    /**
     * Blocks of all attempts. After a restart this includes all blocks that were reserved.
     */
    uint32_t used_blocks;
    /**
     * Blocks that can still be opened under this key.
     */
    uint32_t remaining_blocks;
    /**
     * Blocks that can be opened before more must be reserved. It is 0 if the reserved failures are used up.
     */
    uint32_t reserved_blocks;
    /**
     * Attempts that have failed. After a restart this includes all failures that were reserved.
     */
    uint32_t failures;
    /**
     * Attempts that may still fail.
     */
    uint32_t remaining_failures;
    /**
     * One more than the greatest counter that was opened. If it skips counters, their messages were lost or are late.
     */
    uint32_t next_counter;
    /**
     * Counters beyond the greatest genuine one that can be opened before more must be reserved.
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
 * The sealer of a stream of chunks. As twine128_sealer, for the functions twine128_chunk_sealer_*, with TWINE128_CHUNK_SEALER_INIT.
 */
typedef struct twine128_chunk_sealer {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CHUNK_SEALER_WORDS];
} twine128_chunk_sealer;

/**
 * The opener of a stream of chunks. As twine128_sealer, for the functions twine128_chunk_opener_*, with TWINE128_CHUNK_OPENER_INIT.
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
 * An expanded key of the block cipher TWINE-128, for the functions twine128_*_blocks. It is used like twine128_otr_ctx, with
 * TWINE128_CTX_INIT.
 */
typedef struct twine128_ctx {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine128_ctx;

/**
 * An expanded key of the block cipher TWINE-80, for the functions twine80_*_blocks. It is used like twine128_otr_ctx, with
 * TWINE80_CTX_INIT.
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
 * Counts the blocks of a message against the limit under a key, which is 2^20 by default. The result is 1, plus the blocks of 8 bytes of the
 * message (at least 1), plus those of its associated data (at least 1). A message that fails to open counts as much as one that is sealed.
 *
 * @param[in] ad_len  The length of the associated data in bytes.
 * @param[in] len     The length of the message in bytes.
 * @return The blocks, at least 3.
 */
TWINE_OTR_MUST_CHECK
uint64_t twine_otr_count_blocks(size_t ad_len,
                                size_t len);

/**
 * Returns the sequence number of a state, modulo 2^24. After the greatest number they begin again at 0, so the later
 * of two states may have the smaller number. Use only the last bit, to choose the place: if there are two places, store a state in place
 * number % 2.
 *
 * @param[in] state  The state of a sealer or an opener, 32 bytes. It is not checked.
 * @return The number, or 0 if the pointer is null.
 */
TWINE_OTR_MUST_CHECK
uint32_t twine_otr_state_sequence(const uint8_t state[32]);

/**
 * Initialises a context with a key.
 *
 * A context that is already initialised may be initialised again, with the same or another key. It is refused from the first write on,
 * until the whole new key is written. So an interrupt handler or a fault in between finds no context of mixed keys.
 *
 * @param[out] ctx  The context. Its previous contents do not matter. It must not overlap the key.
 * @param[in]  key  The key, 16 bytes. They are copied: the caller may erase them afterwards.
 * @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT if a pointer is null or misaligned or the two overlap. The context, whatever
 *         it was, is refused then, and its first 8 bytes are zero.
 */
TWINE_OTR_MUST_CHECK
int twine128_otr_init(struct twine128_otr_ctx *ctx,
                      const uint8_t key[16]);

/**
 * Encrypts a message in place, and makes the tag that authenticates it and its associated data.
 *
 * The nonce must never be used again under this key. Use a counter that survives a reset. See the limits above.
 *
 * @param[in]     ctx     An initialised context.
 * @param[in]     nonce   The nonce, 7 bytes. The receiver needs it too; it is not secret.
 * @param[in]     ad      The associated data. It is authenticated, but not encrypted. May be null if ad_len is 0.
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
 * Decrypts a message in place, if its tag is right. If not, the buffer is zero afterwards.
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
 * Makes a sealer for a fresh key that is discarded with this sealer, such as one that was agreed on after the start.
 *
 * **Never use it for a key that the device has again after a restart**: nonces would repeat. Use twine128_sealer_restore for that.
 *
 * @param[out] sealer       The sealer. Its previous contents do not matter. It must not overlap key or fixed.
 * @param[in]  key          The key, 16 bytes. They are copied: the caller may erase them afterwards.
 * @param[in]  fixed        The fixed part, which is the first 4 bytes of each nonce. It tells apart the senders that share a key, or the
 *                          two directions of a link.
 * @param[in]  block_limit  The blocks that may be sealed under the key, TWINE_OTR_BLOCK_LIMIT_DEFAULT as a rule, at most
 *                          TWINE_OTR_BLOCK_LIMIT_MAX.
 * @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT. Whatever the sealer was, it is refused then, and its first 8 bytes are zero.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_init(struct twine128_sealer *sealer,
                         const uint8_t key[16],
                         const uint8_t fixed[4],
                         uint32_t block_limit);

/**
 * Makes the first state of a key that will be stored and under which nothing was ever sealed. Call it and store the state once, when
 * the device gets the key. If a state is lost, never replace it by this one: use a new key. **If the device had another key before,
 * erase the old key before the state is stored**: the state may overwrite the newest state of the old key.
 *
 * @param[out] sealer       Memory for the computation. It is cleared afterwards.
 * @param[in]  key          As for twine128_sealer_init.
 * @param[in]  fixed        As for twine128_sealer_init.
 * @param[in]  block_limit  As for twine128_sealer_init.
 * @param[out] state        The state, 32 bytes. It must not overlap *sealer.
 * @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT, and then no state was written.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_first_state(struct twine128_sealer *sealer,
                                const uint8_t key[16],
                                const uint8_t fixed[4],
                                uint32_t block_limit,
                                uint8_t state[32]);

/**
 * Makes a sealer for a stored key from the newest of its states. Nothing can be sealed before a state is stored and confirmed, see
 * twine128_sealer_begin_reserve.
 *
 * @param[out] sealer       As for twine128_sealer_init. It must not overlap states either.
 * @param[in]  key          As for twine128_sealer_init.
 * @param[in]  fixed        As for twine128_sealer_init. It must be that of the states.
 * @param[in]  block_limit  As for twine128_sealer_init. It must be that of the states.
 * @param[in]  states       The contents of the places for states, 32 bytes each, one after the other. One of them must be the newest
 *                          state of this key. The others may be damaged, older, or of another key.
 * @param[in]  count        The number of places, not of bytes.
 * @return TWINE_OTR_OK; TWINE_OTR_ERR_ARGUMENT; or TWINE_OTR_ERR_STATE_DAMAGED, _OTHER, _KEY or _LIMIT. If the places have different errors, the
 *         last one in this list is returned. After an error, whatever the sealer was, it is refused, and its first 8 bytes are zero.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_restore(struct twine128_sealer *sealer,
                            const uint8_t key[16],
                            const uint8_t fixed[4],
                            uint32_t block_limit,
                            const uint8_t *states,
                            size_t count);

/**
 * Encrypts a message in place under the next nonce, and makes the tag that authenticates it and its associated data.
 *
 * @param[in,out] sealer  The sealer.
 * @param[in]     ad      The associated data. It is authenticated, but not encrypted. May be null if ad_len is 0.
 * @param[in]     ad_len  Its length in bytes.
 * @param[in,out] buf     The message; afterwards the ciphertext, of the same length. May be null if len is 0. It must not
 *                        overlap ad, nonce, tag or *sealer.
 * @param[in]     len     Its length in bytes.
 * @param[out]    nonce   The nonce, 7 bytes: the fixed part, then the counter, big-endian. The receiver needs the counter. It is not
 *                        secret. The nonce must not overlap buf, tag or *sealer.
 * @param[out]    tag     The tag, 8 bytes. It must not overlap buf, nonce or *sealer.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT, TWINE_OTR_ERR_CONTEXT, TWINE_OTR_ERR_LIMIT or TWINE_OTR_ERR_NOT_RESERVED, and then
 *         nothing was written and no nonce is used. buf is still the plaintext then and must not be sent.
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
 * Writes the nonce of the next message. Its counter can for example go into associated data.
 *
 * @param[in]  sealer  The sealer.
 * @param[out] nonce   The nonce, 7 bytes. It must not overlap *sealer.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_next_nonce(const struct twine128_sealer *sealer,
                               uint8_t nonce[7]);

/**
 * Writes how many blocks were sealed and how many can still be sealed.
 *
 * @param[in]  sealer  The sealer.
 * @param[out] counts  The counts. They must not overlap *sealer.
 * @return As twine128_sealer_next_nonce.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_count(const struct twine128_sealer *sealer,
                          struct twine_otr_sealer_counts *counts);

/**
 * Makes a state that reserves at least `blocks` blocks (fewer near the limit) once it is stored. Nothing is reserved before
 * twine128_sealer_confirm. Until then, blocks that were reserved before can be sealed.
 *
 * If there are two places, store the state in place twine_otr_state_sequence(state) % 2. So the newest state is never overwritten.
 *
 * @param[in,out] sealer  The sealer.
 * @param[in]     blocks  The number of blocks. A restart without twine128_sealer_suspend costs those that were not used.
 * @param[out]    state   The state, 32 bytes. It must not overlap *sealer.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_begin_reserve(struct twine128_sealer *sealer,
                                  uint32_t blocks,
                                  uint8_t state[32]);

/**
 * Reserves the blocks of a state. **Call this only once the state is durable**, which means that it survives a loss of power. It is best
 * to read back the stored bytes and to pass them.
 *
 * @param[in,out] sealer  The sealer.
 * @param[in]     state   The state that twine128_sealer_begin_reserve made last, 32 bytes. It must not overlap *sealer.
 * @return TWINE_OTR_OK; TWINE_OTR_ERR_ARGUMENT; TWINE_OTR_ERR_CONTEXT; or TWINE_OTR_ERR_STATE_DAMAGED, _OTHER, _KEY or _LIMIT if the bytes
 *         are not the state that was made last. After an error nothing more is reserved.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_confirm(struct twine128_sealer *sealer,
                            const uint8_t state[32]);

/**
 * Ends and clears a sealer in an orderly way and makes its state. A sealer that is restored from this state skips no blocks. Store the
 * state like that of twine128_sealer_begin_reserve.
 *
 * @param[in,out] sealer  The sealer.
 * @param[out]    state   The state, 32 bytes. It must not overlap *sealer.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_suspend(struct twine128_sealer *sealer,
                            uint8_t state[32]);

/**
 * Begins a message that is sealed in pieces. Use it if the sender cannot hold the whole message but the receiver can. The nonce and the
 * blocks of max_len bytes are charged at once, even if the message is never finished. If the receiver cannot hold the whole message
 * either, use twine128_chunk_sealer_init.
 *
 * @param[in,out] sealer   The sealer. It is free for other messages between pieces.
 * @param[out]    pieces   The message. Its previous contents do not matter: a message that it held is given up, also if this call
 *                         fails. It must not overlap anything else.
 * @param[in]     ad       As for twine128_sealer_seal.
 * @param[in]     ad_len   Its length in bytes.
 * @param[in]     max_len  The maximum length of the message in bytes.
 * @param[out]    nonce    As for twine128_sealer_seal.
 * @return As twine128_sealer_seal, except that *pieces is cleared after an error. It is not written if it overlaps something else, or
 *         if this call interrupts one that uses it.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_begin_pieces(struct twine128_sealer *sealer,
                                 struct twine128_pieces *pieces,
                                 const uint8_t *ad,
                                 size_t ad_len,
                                 size_t max_len,
                                 uint8_t nonce[7]);

/**
 * Encrypts a piece that is not the last one in place.
 *
 * @param[in,out] sealer  The sealer that began the message, at the same address. One at another address is refused with
 *                        TWINE_OTR_ERR_CONTEXT. It is **not** checked that the sealer still has the same key.
 * @param[in,out] pieces  The message.
 * @param[in,out] buf     The piece; afterwards its ciphertext. It must not overlap *sealer or *pieces.
 * @param[in]     len     Its length in bytes, a multiple of TWINE_OTR_PAIR_SIZE, and less than what is left of max_len.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT, TWINE_OTR_ERR_CONTEXT, TWINE_OTR_ERR_PIECE or TWINE_OTR_ERR_LIMIT, and then nothing has
 *         been written. Another piece can take the place of this one.
 */
TWINE_OTR_MUST_CHECK
int twine128_sealer_update_pieces(struct twine128_sealer *sealer,
                                  struct twine128_pieces *pieces,
                                  uint8_t *buf,
                                  size_t len);

/**
 * Encrypts the last piece in place, makes the tag of the message, and clears *pieces.
 *
 * @param[in,out] sealer  As for twine128_sealer_update_pieces.
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
 * Erases a sealer, without making a state. As twine128_otr_clear.
 */
void twine128_sealer_clear(struct twine128_sealer *sealer);

/**
 * Erases a message in pieces and gives it up. As twine128_otr_clear.
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
 * Makes an opener for a fresh key that is discarded with this opener.
 *
 * **Never use it for a key that the device has again after a restart**: it would accept every replay. Use twine128_opener_restore for
 * that.
 *
 * @param[out] opener         The opener. Its previous contents do not matter. It must not overlap key or fixed.
 * @param[in]  key            The key, 16 bytes. They are copied: the caller may erase them afterwards.
 * @param[in]  fixed          The fixed part, which is the first 4 bytes of the sealer's nonces.
 * @param[in]  block_limit    The blocks that may be opened under the key, including those of failed attempts:
 *                            TWINE_OTR_BLOCK_LIMIT_DEFAULT as a rule, at most TWINE_OTR_BLOCK_LIMIT_MAX.
 * @param[in]  failure_limit  The attempts that may fail, TWINE_OTR_FAILURE_LIMIT_DEFAULT as a rule.
 * @param[in]  window         The size of the replay window: each of so many counters below the newest one is accepted once. It is 0
 *                            for strict order, and at most TWINE_OTR_WINDOW_MAX.
 * @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT. Whatever the opener was, it is refused then, and its first 8 bytes are zero.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_init(struct twine128_opener *opener,
                         const uint8_t key[16],
                         const uint8_t fixed[4],
                         uint32_t block_limit,
                         uint32_t failure_limit,
                         uint32_t window);

/**
 * Makes the first state of a key that will be stored and under which nothing was ever opened. As twine128_sealer_first_state, with the
 * parameters of twine128_opener_init. The window is not stored.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_first_state(struct twine128_opener *opener,
                                const uint8_t key[16],
                                const uint8_t fixed[4],
                                uint32_t block_limit,
                                uint32_t failure_limit,
                                uint8_t state[32]);

/**
 * Makes an opener for a stored key from the newest of its states. Nothing can be opened before a state is stored and confirmed, see
 * twine128_opener_begin_reserve. The parameters are those of twine128_opener_init, and the states as for twine128_sealer_restore.
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
 * Decrypts a message in place, if its nonce is new and its tag right. If not, the buffer is zero afterwards.
 *
 * The opener detects replays and limits from the nonce and the lengths alone, and does not count such attempts. It counts the blocks of
 * all other attempts, and a failure if the attempt fails.
 *
 * @param[in,out] opener  The opener.
 * @param[in]     nonce   The nonce of the message, 7 bytes: the fixed part, then the counter, big-endian.
 * @param[in]     ad      The associated data that the message was sealed with. May be null if ad_len is 0. It must not overlap *opener.
 * @param[in]     ad_len  Its length in bytes.
 * @param[in,out] buf     The ciphertext; afterwards the message, of the same length, or zeros. May be null if len is 0. It
 *                        must not overlap ad or *opener.
 * @param[in]     len     Its length in bytes.
 * @param[in]     tag     The tag, 8 bytes.
 * @return TWINE_OTR_OK; TWINE_OTR_ERR_AUTHENTICATION; TWINE_OTR_ERR_REPLAYED, _TOO_OLD or _OTHER_FIXED_PART; TWINE_OTR_ERR_NOT_RESERVED;
 *         TWINE_OTR_ERR_LIMIT; TWINE_OTR_ERR_FAILURES; TWINE_OTR_ERR_ARGUMENT; or TWINE_OTR_ERR_CONTEXT. On any of these errors buf is
 *         zero, unless buf and len themselves were refused, or buf overlaps *opener. Then nothing has been written.
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
 * Writes what was opened and what can still be opened. As twine128_sealer_count.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_count(const struct twine128_opener *opener,
                          struct twine_otr_opener_counts *counts);

/**
 * Makes a state that reserves at least `messages` counters and `blocks` blocks (fewer near the limit) once it is stored. As
 * twine128_sealer_begin_reserve: nothing is reserved before twine128_opener_confirm.
 *
 * After a restart without twine128_opener_suspend, the reserved messages are refused. Such a restart also costs the blocks that were
 * not used, and the same share of the failures. So reserve few messages, such as 16, and at least the blocks of the longest one.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_begin_reserve(struct twine128_opener *opener,
                                  uint32_t messages,
                                  uint32_t blocks,
                                  uint8_t state[32]);

/**
 * Reserves what a state says, once it is stored. As twine128_sealer_confirm.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_confirm(struct twine128_opener *opener,
                            const uint8_t state[32]);

/**
 * Ends and clears an opener in an orderly way and makes its state. An opener that is restored from this state refuses late messages, and
 * no others. As twine128_sealer_suspend.
 */
TWINE_OTR_MUST_CHECK
int twine128_opener_suspend(struct twine128_opener *opener,
                            uint8_t state[32]);

/**
 * Erases an opener, without making a state. As twine128_otr_clear.
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
 * Begins a stream, which is one long message in chunks. Each chunk has its own tag, so neither end ever holds more than one chunk. A chunk
 * may have any length that fits into a segment. A chunk that was changed, dropped, repeated or moved does not open. A missing end is
 * detected, see twine128_chunk_opener_check_complete.
 *
 * A stream that is interrupted, for example by a restart, cannot continue. The message must begin again as a new stream.
 *
 * @param[out] sealer         The sealer. Its previous contents do not matter. It must not overlap key or header.
 * @param[in]  key            The key, 16 bytes. Use it for streams only, and for at most 2^20 of them.
 * @param[in]  header         16 bytes that differ from those of every other stream under the key: random bytes, or 8 bytes of the sender
 *                            and a counter. They are sent before the first chunk. **A header must never be used again**, not even after a
 *                            restart. Store it as used before the first chunk is sealed.
 * @param[in]  segment_limit  The limit of blocks under the key of a segment, TWINE_OTR_BLOCK_LIMIT_SEGMENT as a rule. A chunk cannot
 *                            exceed it either. The opener must have the same limit.
 * @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT. Whatever the sealer was, it is refused then, and its first 8 bytes are zero.
 */
TWINE_OTR_MUST_CHECK
int twine128_chunk_sealer_init(struct twine128_chunk_sealer *sealer,
                               const uint8_t key[16],
                               const uint8_t header[16],
                               uint32_t segment_limit);

/**
 * Encrypts a chunk that is not the last one in place, and makes its tag.
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
 * Encrypts the last chunk in place, and makes its tag. As twine128_chunk_sealer_seal.
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
 * Begins to open a stream. Two openers of one stream open it twice. To prevent that, remember the headers of the streams that were opened.
 *
 * @param[out] opener         The opener. Its previous contents do not matter. It must not overlap key or header.
 * @param[in]  key            The key, 16 bytes.
 * @param[in]  header         The header that was received, 16 bytes.
 * @param[in]  segment_limit  As for the sealer.
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
 * Decrypts the next chunk, which is not the last one, in place. If it is not the next one, or its tag is wrong, the buffer is zero
 * afterwards, and another copy of the chunk can be tried. A chunk that is opened is genuine and in the right place. Only
 * twine128_chunk_opener_check_complete says whether the message is complete.
 *
 * @param[in,out] opener  The opener.
 * @param[in]     ad      The associated data of the chunk. May be null if ad_len is 0. It must not overlap *opener.
 * @param[in]     ad_len  Its length in bytes.
 * @param[in,out] buf     The ciphertext; afterwards the chunk, or zeros. May be null if len is 0. It must not overlap ad or *opener.
 * @param[in]     len     Its length in bytes.
 * @param[in]     tag     The tag, 8 bytes.
 * @return TWINE_OTR_OK; TWINE_OTR_ERR_AUTHENTICATION; TWINE_OTR_ERR_FINISHED; TWINE_OTR_ERR_LIMIT, also if the blocks of failed attempts
 *         would exceed the limit; TWINE_OTR_ERR_FAILURES; TWINE_OTR_ERR_ARGUMENT; or TWINE_OTR_ERR_CONTEXT. On any of these errors buf is
 *         zero, unless buf and len themselves were refused, or buf overlaps *opener. Then nothing has been written.
 */
TWINE_OTR_MUST_CHECK
int twine128_chunk_opener_open(struct twine128_chunk_opener *opener,
                               const uint8_t *ad,
                               size_t ad_len,
                               uint8_t *buf,
                               size_t len,
                               const uint8_t tag[8]);

/**
 * Decrypts the last chunk in place. As twine128_chunk_opener_open.
 */
TWINE_OTR_MUST_CHECK
int twine128_chunk_opener_open_last(struct twine128_chunk_opener *opener,
                                    const uint8_t *ad,
                                    size_t ad_len,
                                    uint8_t *buf,
                                    size_t len,
                                    const uint8_t tag[8]);

/**
 * Checks that the last chunk was opened, and so the whole message. **Call this when no more chunks come**: if it fails, the stream was cut
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
 * A block cipher is a building block. It does not hide that blocks are equal, and it does not authenticate them. To protect messages, use
 * twine128_otr_seal. Never use one key for both.
 *
 * @param[out] ctx  The context. Its previous contents do not matter. It must not overlap the key.
 * @param[in]  key  The key, 16 bytes. They are copied: the caller may erase them afterwards.
 * @return TWINE_OTR_OK, or TWINE_OTR_ERR_ARGUMENT if a pointer is null or misaligned or the two overlap. The context, whatever
 *         it was, is refused then, and its first 8 bytes are zero.
 */
TWINE_OTR_MUST_CHECK
int twine128_init(struct twine128_ctx *ctx,
                  const uint8_t key[16]);

/**
 * Encrypts blocks in place, each by itself. One call for many blocks takes less time than many calls.
 *
 * @param[in]     ctx    An initialised context.
 * @param[in,out] buf    The blocks, 8 bytes each, one after the other. May be null if count is 0. They must not overlap *ctx.
 * @param[in]     count  The number of blocks, not of bytes.
 * @return TWINE_OTR_OK; or TWINE_OTR_ERR_ARGUMENT or TWINE_OTR_ERR_CONTEXT, and then nothing has been written.
 */
TWINE_OTR_MUST_CHECK
int twine128_encrypt_blocks(const struct twine128_ctx *ctx,
                            uint8_t *buf,
                            size_t count);

/**
 * Decrypts blocks in place, each by itself. As twine128_encrypt_blocks.
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
