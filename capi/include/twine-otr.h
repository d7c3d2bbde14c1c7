/*
 * TWINE-OTR: authenticated encryption for devices too small or too slow for AES.
 *
 * Made by `cargo xtask capi header`; do not edit. SPDX-License-Identifier: Apache-2.0 OR MIT
 *
 *     twine128_otr_ctx ctx = TWINE128_OTR_CTX_INIT;
 *     if (twine128_otr_init(&ctx, key) != TWINE_OTR_OK) { ... }
 *     if (twine128_otr_seal(&ctx, nonce, ad, ad_len, buf, len, tag) != TWINE_OTR_OK) { ... }
 *     if (twine128_otr_open(&ctx, nonce, ad, ad_len, buf, len, tag) != TWINE_OTR_OK) { ... }
 *     twine128_otr_clear(&ctx);
 *
 * LIMITS, which the library cannot check:
 * - A nonce must never repeat under a key: the plaintexts, and forgeries, would be lost to an attacker. It has 56 bits:
 *   use a counter that survives a reset; random nonces repeat after about 2^28 messages.
 * - At most 2^20 blocks under a key keep an attacker's advantage under 2^-21. Every message that is sealed counts, and
 *   every one that fails to open: one block, and the blocks of 8 bytes of the message and of the associated data, each at
 *   least one. twine_otr_count_blocks counts so. 128-bit keys are no different in this from 80-bit ones.
 * - The tag has 64 bits: one attempt to forge succeeds with probability 2^-64.
 *
 * CONVENTIONS
 * - Every pointer to data may be null if its length is 0. A null pointer with a length is an error, as is a null context,
 *   nonce, tag or key.
 * - Lengths are in bytes unless said otherwise.
 * - Buffers need no alignment. They are changed in place, and must not overlap what the function says; this is checked.
 * - Functions that return int return 0 (TWINE_OTR_OK) or one of the negative numbers below. Check it.
 * - A context belongs to the caller and needs no allocator. Declare it with its initialiser, as TWINE128_OTR_CTX_INIT, and
 *   give it its key by its init function. Refused are contexts with the initialiser, zero ones, cleared ones, those of
 *   another type or key size, those whose init failed or has not ended, and random bytes, but for an accident of probability
 *   2^-64. NOT detected is memory that still holds an initialised context of the same type: old stack memory that becomes a
 *   context without initialiser may hold one, with its old key. So clear every context and copy of one, and use the
 *   initialiser.
 * - After a call neither keys nor message nor tag are left on the stack: init, seal, open and the functions for blocks erase
 *   what they used there. Registers, and what an interrupt handler has saved of them meanwhile, are not erased.
 * - Threads and interrupt handlers may use one context at the same time, as long as none initialises or clears it. There
 *   is no global state.
 * - Time and memory accesses depend on lengths and on whether a message is authentic, never on keys or data.
 */
#ifndef TWINE_OTR_H
#define TWINE_OTR_H


#include <stddef.h>
#include <stdint.h>

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
#if UINTPTR_MAX > 0xffffffffu
#define TWINE_OTR_ON_64_BITS
#endif

/* To be defined if the library was built with --cfg twine_keys="compact": round keys take less RAM and more time. Contexts
 * have another size then, and a program in which only one of the two is so does not link. */
#ifdef TWINE_OTR_KEYS_COMPACT
#define twine128_otr_init twine128_otr_init_compact
#define twine80_otr_init twine80_otr_init_compact
#define twine128_init twine128_init_compact
#define twine80_init twine80_init_compact
#endif

/* Contexts that are refused until their init function has succeeded:
 *     twine128_otr_ctx ctx = TWINE128_OTR_CTX_INIT;
 */
#define TWINE128_OTR_CTX_INIT {{0}}
#define TWINE80_OTR_CTX_INIT {{0}}
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
 * no object can have, or regions that overlap and must not.
 */
#define TWINE_OTR_ERR_ARGUMENT (-1)

/**
 * The context is not initialised, or has been cleared.
 */
#define TWINE_OTR_ERR_CONTEXT (-2)

/**
 * The tag is wrong: the message, its tag, its associated data, the nonce or the key is not what was sealed.
 */
#define TWINE_OTR_ERR_AUTHENTICATION (-3)

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
 * A key of TWINE-OTR, 128 bits, expanded.
 *
 * To be declared by the caller, on the stack or elsewhere, and used only through the functions `twine128_otr_*`. It holds
 * no pointers: a copy by assignment or memcpy works like the original, and has to be cleared like it.
 * TWINE128_OTR_CTX_INIT makes one that is refused until it is initialised.
 */
typedef struct {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine128_otr_ctx;

/**
 * A key of TWINE-OTR, 80 bits, expanded. As twine128_otr_ctx, with TWINE80_OTR_CTX_INIT.
 */
typedef struct {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine80_otr_ctx;

/**
 * A key of the block cipher TWINE-128, expanded. As twine128_otr_ctx, with TWINE128_CTX_INIT, for the
 * functions twine128_*_blocks.
 */
typedef struct {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine128_ctx;

/**
 * A key of the block cipher TWINE-80, expanded. As twine128_otr_ctx, with TWINE80_CTX_INIT, for the
 * functions twine80_*_blocks.
 */
typedef struct {
    /**
     * Private.
     */
    uint64_t opaque[TWINE_OTR_CTX_WORDS];
} twine80_ctx;

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
int twine128_otr_init(twine128_otr_ctx *ctx,
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
int twine128_otr_seal(const twine128_otr_ctx *ctx,
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
int twine128_otr_open(const twine128_otr_ctx *ctx,
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
void twine128_otr_clear(twine128_otr_ctx *ctx);

/**
 * As twine128_otr_init, with a key of 80 bits (10 bytes).
 */
TWINE_OTR_MUST_CHECK int twine80_otr_init(twine80_otr_ctx *ctx, const uint8_t key[10]);

/**
 * As twine128_otr_seal, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK
int twine80_otr_seal(const twine80_otr_ctx *ctx,
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
int twine80_otr_open(const twine80_otr_ctx *ctx,
                     const uint8_t nonce[7],
                     const uint8_t *ad,
                     size_t ad_len,
                     uint8_t *buf,
                     size_t len,
                     const uint8_t tag[8]);

/**
 * As twine128_otr_clear, with a key of 80 bits.
 */
void twine80_otr_clear(twine80_otr_ctx *ctx);

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
int twine128_init(twine128_ctx *ctx,
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
int twine128_encrypt_blocks(const twine128_ctx *ctx,
                            uint8_t *buf,
                            size_t count);

/**
 * Decrypts blocks where they lie, each by itself. As twine128_encrypt_blocks.
 */
TWINE_OTR_MUST_CHECK
int twine128_decrypt_blocks(const twine128_ctx *ctx,
                            uint8_t *buf,
                            size_t count);

/**
 * Erases a context of the block cipher. As twine128_otr_clear.
 */
void twine128_clear(twine128_ctx *ctx);

/**
 * As twine128_init, with a key of 80 bits (10 bytes).
 */
TWINE_OTR_MUST_CHECK int twine80_init(twine80_ctx *ctx, const uint8_t key[10]);

/**
 * As twine128_encrypt_blocks, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK int twine80_encrypt_blocks(const twine80_ctx *ctx, uint8_t *buf, size_t count);

/**
 * As twine128_decrypt_blocks, with a key of 80 bits.
 */
TWINE_OTR_MUST_CHECK int twine80_decrypt_blocks(const twine80_ctx *ctx, uint8_t *buf, size_t count);

/**
 * As twine128_clear, with a key of 80 bits.
 */
void twine80_clear(twine80_ctx *ctx);

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
TWINE_OTR_ASSERT(sizeof(twine80_otr_ctx) == 8 * TWINE_OTR_CTX_WORDS, size_of_twine80_otr_ctx);
TWINE_OTR_ASSERT(sizeof(twine128_ctx) == 8 * TWINE_OTR_CTX_WORDS, size_of_twine128_ctx);
TWINE_OTR_ASSERT(sizeof(twine80_ctx) == 8 * TWINE_OTR_CTX_WORDS, size_of_twine80_ctx);
#undef TWINE_OTR_ASSERT

#endif /* TWINE_OTR_H */
