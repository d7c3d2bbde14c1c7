/*
 * TWINE-OTR with two shares, against power analysis: sealers and openers whose calls are those of twine-otr.h, with the same nonces,
 * messages, limits and states. SPDX-License-Identifier: Apache-2.0 OR MIT
 *
 * EXPERIMENTAL. Nobody has measured it on hardware. What is claimed, and what is not, is in docs/masking.md. The claims hold on ARMv7-M
 * and ARMv8-M with the Main Extension, with interrupts masked during each call. Elsewhere this is portable code without claims.
 *
 * The functions are only in a library that was built with RUSTFLAGS='--cfg twine_masked'. Another one does not link with them.
 *
 * A sealer or an opener takes 2208 bytes, and a call up to 1280 bytes of stack on Cortex-M. What the function for random
 * bytes takes of the stack comes on top, and is not erased.
 */
#ifndef TWINE_OTR_MASKED_H
#define TWINE_OTR_MASKED_H

#include "twine-otr.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Words of 8 bytes in a sealer or an opener with masks. */
#define TWINE_OTR_MASKED_WORDS 276

/* Sealers and openers that are refused until their init function has succeeded. */
#define TWINE128_MASKED_SEALER_INIT {{0}}
#define TWINE128_MASKED_OPENER_INIT {{0}}
#define TWINE80_MASKED_SEALER_INIT {{0}}
#define TWINE80_MASKED_OPENER_INIT {{0}}

/**
 * Where masks come from: fills `len` bytes at `bytes` with random bytes that nobody can predict, and returns 0. If it returns anything else, or
 * leaves eight bytes in a row unwritten, the call that needs the bytes returns TWINE_OTR_ERR_RANDOM. What this call uses is as it was before then, but
 * restore and first_state erase the sealer or opener.
 *
 * A call gets all of its masks at once and before anything else. Calls that make or compare a state get 160 bytes. Init gets none, and neither
 * does opening a message that is too old. If the pointer is null, the calls that need masks return TWINE_OTR_ERR_ARGUMENT. The function must not
 * use the sealer or opener.
 */
typedef int (*twine_otr_random)(void *context, uint8_t *bytes, size_t len);

/** A key that seals each message under a new nonce, and stops at a limit of blocks: as twine128_sealer, with two shares. */
typedef struct twine128_masked_sealer {
    /** Private. */
    uint64_t opaque[TWINE_OTR_MASKED_WORDS];
} twine128_masked_sealer;

/** A key that opens what one sealer seals: as twine128_opener, with two shares. */
typedef struct twine128_masked_opener {
    /** Private. */
    uint64_t opaque[TWINE_OTR_MASKED_WORDS];
} twine128_masked_opener;

/**
 * Makes a sealer for a fresh key that is discarded with this sealer, as twine128_sealer_init.
 *
 * @param[out] sealer       The sealer. Let it stay where it is until it is cleared: a copy brings both shares together.
 * @param[in]  key          Both shares of the key, whose XOR it is, one after the other: their bytes as words in little-endian order. Share b is
 *                          as many random bytes as the key has, share a the XOR of key and share b: made where the device gets its key.
 * @param[in]  fixed        As for twine128_sealer_init.
 * @param[in]  block_limit  As for twine128_sealer_init.
 * @param[in]  random       Where the masks come from. This call does not use it.
 * @param[in]  context      What it gets. Both stay in the sealer.
 * @return As twine128_sealer_init.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_sealer_init(twine128_masked_sealer *sealer, const uint32_t key[2 * 4], const uint8_t fixed[4], uint32_t block_limit,
    twine_otr_random random, void *context);

/**
 * As twine128_sealer_first_state. The states are those of a sealer without masks.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_sealer_first_state(twine128_masked_sealer *sealer, const uint32_t key[2 * 4], const uint8_t fixed[4], uint32_t block_limit,
    twine_otr_random random, void *context, uint8_t state[32]);

/**
 * As twine128_sealer_restore.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_sealer_restore(twine128_masked_sealer *sealer, const uint32_t key[2 * 4], const uint8_t fixed[4], uint32_t block_limit,
    twine_otr_random random, void *context, const uint8_t *states, size_t count);

/**
 * Seals a message as twine128_sealer_seal. Before anything else it gets 160 random bytes, or 256 if there is associated data.
 *
 * @return As twine128_sealer_seal, or TWINE_OTR_ERR_RANDOM. Then nothing was written, and no nonce is used.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_sealer_seal(twine128_masked_sealer *sealer, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len,
    uint8_t nonce[7], uint8_t tag[8]);

/**
 * As twine128_sealer_next_nonce.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_sealer_next_nonce(const twine128_masked_sealer *sealer, uint8_t nonce[7]);

/**
 * As twine128_sealer_count.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_sealer_count(const twine128_masked_sealer *sealer, twine_otr_sealer_counts *counts);

/**
 * As twine128_sealer_begin_reserve.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_sealer_begin_reserve(twine128_masked_sealer *sealer, uint32_t blocks, uint8_t state[32]);

/**
 * As twine128_sealer_confirm.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_sealer_confirm(twine128_masked_sealer *sealer, const uint8_t state[32]);

/**
 * As twine128_sealer_suspend. After TWINE_OTR_ERR_RANDOM the sealer is as it was.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_sealer_suspend(twine128_masked_sealer *sealer, uint8_t state[32]);

/**
 * As twine128_sealer_clear.
 */
void twine128_masked_sealer_clear(twine128_masked_sealer *sealer);

/**
 * As twine128_opener_init, with the key and the random function of twine128_masked_sealer_init.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_opener_init(twine128_masked_opener *opener, const uint32_t key[2 * 4], const uint8_t fixed[4], uint32_t block_limit,
    uint32_t failure_limit, uint32_t window, twine_otr_random random, void *context);

/**
 * As twine128_opener_first_state.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_opener_first_state(twine128_masked_opener *opener, const uint32_t key[2 * 4], const uint8_t fixed[4], uint32_t block_limit,
    uint32_t failure_limit, twine_otr_random random, void *context, uint8_t state[32]);

/**
 * As twine128_opener_restore.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_opener_restore(twine128_masked_opener *opener, const uint32_t key[2 * 4], const uint8_t fixed[4], uint32_t block_limit,
    uint32_t failure_limit, uint32_t window, twine_otr_random random, void *context, const uint8_t *states, size_t count);

/**
 * Opens a message as twine128_opener_open. Before anything else it gets 320 random bytes, or 416 if there is associated data; none if the message
 * is too old. Each attempt that it counts counts two blocks more than twine128_opener_open counts.
 *
 * @return As twine128_opener_open, or TWINE_OTR_ERR_RANDOM. After any error the buffer is zero. After this one the message is not counted, and
 *         another copy of it can be opened.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_opener_open(twine128_masked_opener *opener, const uint8_t nonce[7], const uint8_t *ad, size_t ad_len, uint8_t *buf,
    size_t len, const uint8_t tag[8]);

/**
 * As twine128_opener_count.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_opener_count(const twine128_masked_opener *opener, twine_otr_opener_counts *counts);

/**
 * As twine128_opener_begin_reserve. `blocks` must be at least two more than the twine_otr_count_blocks of the longest message.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_opener_begin_reserve(twine128_masked_opener *opener, uint32_t messages, uint32_t blocks, uint8_t state[32]);

/**
 * As twine128_opener_confirm.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_opener_confirm(twine128_masked_opener *opener, const uint8_t state[32]);

/**
 * As twine128_opener_suspend. After TWINE_OTR_ERR_RANDOM the opener is as it was.
 */
TWINE_OTR_MUST_CHECK
int twine128_masked_opener_suspend(twine128_masked_opener *opener, uint8_t state[32]);

/**
 * As twine128_opener_clear.
 */
void twine128_masked_opener_clear(twine128_masked_opener *opener);

/** As twine128_masked_sealer, with a key of 80 bits. */
typedef struct twine80_masked_sealer {
    /** Private. */
    uint64_t opaque[TWINE_OTR_MASKED_WORDS];
} twine80_masked_sealer;

/** As twine128_masked_opener, with a key of 80 bits. */
typedef struct twine80_masked_opener {
    /** Private. */
    uint64_t opaque[TWINE_OTR_MASKED_WORDS];
} twine80_masked_opener;

/** As twine128_masked_sealer_init, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_sealer_init(twine80_masked_sealer *sealer, const uint32_t key[2 * 3], const uint8_t fixed[4], uint32_t block_limit,
    twine_otr_random random, void *context);

/** As twine128_masked_sealer_first_state, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_sealer_first_state(twine80_masked_sealer *sealer, const uint32_t key[2 * 3], const uint8_t fixed[4], uint32_t block_limit,
    twine_otr_random random, void *context, uint8_t state[32]);

/** As twine128_masked_sealer_restore, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_sealer_restore(twine80_masked_sealer *sealer, const uint32_t key[2 * 3], const uint8_t fixed[4], uint32_t block_limit,
    twine_otr_random random, void *context, const uint8_t *states, size_t count);

/** As twine128_masked_sealer_seal, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_sealer_seal(twine80_masked_sealer *sealer, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len,
    uint8_t nonce[7], uint8_t tag[8]);

/** As twine128_masked_sealer_next_nonce, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_sealer_next_nonce(const twine80_masked_sealer *sealer, uint8_t nonce[7]);

/** As twine128_masked_sealer_count, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_sealer_count(const twine80_masked_sealer *sealer, twine_otr_sealer_counts *counts);

/** As twine128_masked_sealer_begin_reserve, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_sealer_begin_reserve(twine80_masked_sealer *sealer, uint32_t blocks, uint8_t state[32]);

/** As twine128_masked_sealer_confirm, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_sealer_confirm(twine80_masked_sealer *sealer, const uint8_t state[32]);

/** As twine128_masked_sealer_suspend, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_sealer_suspend(twine80_masked_sealer *sealer, uint8_t state[32]);

/** As twine128_masked_sealer_clear, with a key of 80 bits. */
void twine80_masked_sealer_clear(twine80_masked_sealer *sealer);

/** As twine128_masked_opener_init, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_opener_init(twine80_masked_opener *opener, const uint32_t key[2 * 3], const uint8_t fixed[4], uint32_t block_limit,
    uint32_t failure_limit, uint32_t window, twine_otr_random random, void *context);

/** As twine128_masked_opener_first_state, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_opener_first_state(twine80_masked_opener *opener, const uint32_t key[2 * 3], const uint8_t fixed[4], uint32_t block_limit,
    uint32_t failure_limit, twine_otr_random random, void *context, uint8_t state[32]);

/** As twine128_masked_opener_restore, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_opener_restore(twine80_masked_opener *opener, const uint32_t key[2 * 3], const uint8_t fixed[4], uint32_t block_limit,
    uint32_t failure_limit, uint32_t window, twine_otr_random random, void *context, const uint8_t *states, size_t count);

/** As twine128_masked_opener_open, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_opener_open(twine80_masked_opener *opener, const uint8_t nonce[7], const uint8_t *ad, size_t ad_len, uint8_t *buf,
    size_t len, const uint8_t tag[8]);

/** As twine128_masked_opener_count, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_opener_count(const twine80_masked_opener *opener, twine_otr_opener_counts *counts);

/** As twine128_masked_opener_begin_reserve, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_opener_begin_reserve(twine80_masked_opener *opener, uint32_t messages, uint32_t blocks, uint8_t state[32]);

/** As twine128_masked_opener_confirm, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_opener_confirm(twine80_masked_opener *opener, const uint8_t state[32]);

/** As twine128_masked_opener_suspend, with a key of 80 bits. */
TWINE_OTR_MUST_CHECK
int twine80_masked_opener_suspend(twine80_masked_opener *opener, uint8_t state[32]);

/** As twine128_masked_opener_clear, with a key of 80 bits. */
void twine80_masked_opener_clear(twine80_masked_opener *opener);

#ifdef __cplusplus
}
#endif

#endif
