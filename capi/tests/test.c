/*
 * The tests of the C interface: C99 and C++, on the host and on boards. Prints what failed, and last "N passed, M failed".
 * LONG_VECTORS adds the vectors that small boards have no room for.
 */
#include "bytes.h"
#include "report.h"
#include "twine-otr.h"
#include "vectors.h"

#include <string.h>

#define KEY_MAX 16
#define NONCE 7
#define TAG 8
#define CANARY 0xC5
#define GUARD 16

#ifdef LONG_VECTORS
#define CAPACITY 20600
#else
#define CAPACITY 144
#endif

#define CHECK(condition, number) \
    check_that((condition) != 0, #condition, "contexts", (unsigned long)(number), __LINE__)

/* ---- One shape for both key sizes ---- */

union otr_ctx {
    twine128_otr_ctx of_128;
    twine80_otr_ctx of_80;
};

union block_ctx {
    twine128_ctx of_128;
    twine80_ctx of_80;
};

static int init(int bits, union otr_ctx *ctx, const uint8_t *key)
{
    return bits == 128 ? twine128_otr_init(ctx ? &ctx->of_128 : NULL, key)
                       : twine80_otr_init(ctx ? &ctx->of_80 : NULL, key);
}

static int seal(int bits, const union otr_ctx *ctx, const uint8_t *nonce, const uint8_t *ad, size_t ad_len,
                uint8_t *buf, size_t len, uint8_t *tag)
{
    return bits == 128 ? twine128_otr_seal(ctx ? &ctx->of_128 : NULL, nonce, ad, ad_len, buf, len, tag)
                       : twine80_otr_seal(ctx ? &ctx->of_80 : NULL, nonce, ad, ad_len, buf, len, tag);
}

static int open(int bits, const union otr_ctx *ctx, const uint8_t *nonce, const uint8_t *ad, size_t ad_len,
                uint8_t *buf, size_t len, const uint8_t *tag)
{
    return bits == 128 ? twine128_otr_open(ctx ? &ctx->of_128 : NULL, nonce, ad, ad_len, buf, len, tag)
                       : twine80_otr_open(ctx ? &ctx->of_80 : NULL, nonce, ad, ad_len, buf, len, tag);
}

static void clear(int bits, union otr_ctx *ctx)
{
    if (bits == 128) {
        twine128_otr_clear(ctx ? &ctx->of_128 : NULL);
    } else {
        twine80_otr_clear(ctx ? &ctx->of_80 : NULL);
    }
}

static int block_init(int bits, union block_ctx *ctx, const uint8_t *key)
{
    return bits == 128 ? twine128_init(ctx ? &ctx->of_128 : NULL, key)
                       : twine80_init(ctx ? &ctx->of_80 : NULL, key);
}

static int encrypt(int bits, const union block_ctx *ctx, uint8_t *buf, size_t count)
{
    return bits == 128 ? twine128_encrypt_blocks(ctx ? &ctx->of_128 : NULL, buf, count)
                       : twine80_encrypt_blocks(ctx ? &ctx->of_80 : NULL, buf, count);
}

static int decrypt(int bits, const union block_ctx *ctx, uint8_t *buf, size_t count)
{
    return bits == 128 ? twine128_decrypt_blocks(ctx ? &ctx->of_128 : NULL, buf, count)
                       : twine80_decrypt_blocks(ctx ? &ctx->of_80 : NULL, buf, count);
}

static void block_clear(int bits, union block_ctx *ctx)
{
    if (bits == 128) {
        twine128_clear(ctx ? &ctx->of_128 : NULL);
    } else {
        twine80_clear(ctx ? &ctx->of_80 : NULL);
    }
}

/* ---- Memory with canaries around it ---- */

static uint8_t storage[GUARD + CAPACITY + GUARD];

/* A buffer that ends where the canaries begin, so that it is not aligned for most lengths. */
static uint8_t *guarded(size_t len)
{
    memset(storage, CANARY, sizeof storage);
    return &storage[GUARD + CAPACITY - len];
}

static int guards_hold(size_t len)
{
    return all_are(storage, GUARD + CAPACITY - len, CANARY) && all_are(&storage[GUARD + CAPACITY], GUARD, CANARY);
}

static const uint8_t some_key[KEY_MAX] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                          0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF};
static const uint8_t some_nonce[NONCE] = {1, 2, 3, 4, 5, 6, 7};

/* ---- Known answers ---- */

static void run_block_vector(unsigned number, const struct block_vector *vector)
{
    union block_ctx ctx;
    uint8_t *block = guarded(8);
    memcpy(block, vector->plaintext, 8);
    CHECK(block_init(vector->key_bits, &ctx, vector->key) == TWINE_OTR_OK, number);
    CHECK(encrypt(vector->key_bits, &ctx, block, 1) == TWINE_OTR_OK, number);
    CHECK(memcmp(block, vector->ciphertext, 8) == 0, number);
    CHECK(decrypt(vector->key_bits, &ctx, block, 1) == TWINE_OTR_OK, number);
    CHECK(memcmp(block, vector->plaintext, 8) == 0 && guards_hold(8), number);
}

static void run_aead_vector(const struct aead_vector *vector)
{
    union otr_ctx ctx;
    uint8_t tag[TAG + 2];
    uint8_t wrong_tag[TAG];
    const int bits = vector->key_bits;
    const uint8_t *nonce = vector->nonce, *ad = vector->ad;
    const size_t len = vector->len;
    uint8_t *buf;

    CHECK(len <= CAPACITY, vector->id);
    CHECK(init(bits, &ctx, vector->key) == TWINE_OTR_OK, vector->id);
    if (vector->valid) {
        memset(tag, CANARY, sizeof tag);
        buf = guarded(len);
        memcpy(buf, vector->msg, len);
        CHECK(seal(bits, &ctx, nonce, ad, vector->ad_len, buf, len, &tag[1]) == TWINE_OTR_OK, vector->id);
        CHECK(memcmp(buf, vector->ct, len) == 0 && guards_hold(len), vector->id);
        CHECK(memcmp(&tag[1], vector->tag, TAG) == 0, vector->id);
        CHECK(tag[0] == CANARY && tag[TAG + 1] == CANARY, vector->id);
        CHECK(open(bits, &ctx, nonce, ad, vector->ad_len, buf, len, &tag[1]) == TWINE_OTR_OK, vector->id);
        CHECK(memcmp(buf, vector->msg, len) == 0 && guards_hold(len), vector->id);
    }
    memcpy(wrong_tag, vector->tag, TAG);
    if (vector->valid) {
        wrong_tag[vector->id % TAG] ^= (uint8_t)(1u << (vector->id / TAG % 8));
    }
    buf = guarded(len);
    memcpy(buf, vector->ct, len);
    CHECK(open(bits, &ctx, nonce, ad, vector->ad_len, buf, len, wrong_tag) == TWINE_OTR_ERR_AUTHENTICATION,
          vector->id);
    CHECK(all_are(buf, len, 0) && guards_hold(len), vector->id);
    clear(bits, &ctx);
}

/* ---- Properties ---- */

/* Messages of all lengths come back, and change with each part of the input. */
static void run_lengths(int bits)
{
    union otr_ctx ctx;
    uint8_t ad[24], tag[TAG], message[72];
    size_t len, ad_len, i;
    CHECK(init(bits, &ctx, some_key) == TWINE_OTR_OK, 0);
    for (i = 0; i < sizeof ad; i++) {
        ad[i] = (uint8_t)(i * 29 + 5);
    }
    for (i = 0; i < sizeof message; i++) {
        message[i] = (uint8_t)(i * 151 + 7);
    }
    for (len = 0; len <= sizeof message; len++) {
        for (ad_len = 0; ad_len <= sizeof ad; ad_len += 3) {
            const unsigned number = (unsigned)(len * 100 + ad_len);
            uint8_t *buf = guarded(len);
            memcpy(buf, message, len);
            CHECK(seal(bits, &ctx, some_nonce, ad_len ? ad : NULL, ad_len, len ? buf : NULL, len, tag) == TWINE_OTR_OK,
                  number);
            CHECK(len < 8 || memcmp(buf, message, len) != 0, number);
            CHECK(open(bits, &ctx, some_nonce, ad_len ? ad : NULL, ad_len, len ? buf : NULL, len, tag) == TWINE_OTR_OK,
                  number);
            CHECK(memcmp(buf, message, len) == 0 && guards_hold(len), number);
            if (ad_len > 0) {
                const int code = open(bits, &ctx, some_nonce, ad, ad_len - 1, buf, len, tag);
                CHECK(code == TWINE_OTR_ERR_AUTHENTICATION && all_are(buf, len, 0) && guards_hold(len), number);
            }
        }
    }
}

/* One for each message, and one at least for its text and its data, as the Rust library counts. */
static void run_count_blocks(void)
{
    CHECK(twine_otr_count_blocks(0, 0) == 3, 0);
    CHECK(twine_otr_count_blocks(8, 8) == 3 && twine_otr_count_blocks(1, 7) == 3, 0);
    CHECK(twine_otr_count_blocks(9, 8) == 4 && twine_otr_count_blocks(8, 9) == 4, 0);
    CHECK(twine_otr_count_blocks(0, 1500) == 190 && twine_otr_count_blocks(1500, 0) == 190, 0);
    CHECK(twine_otr_count_blocks(SIZE_MAX, SIZE_MAX) == 1 + 2 * ((uint64_t)SIZE_MAX / 8 + 1), 0);
}

/* Many blocks in one call become what each becomes in a call of its own, and come back. */
static void run_block_counts(int bits)
{
    union block_ctx ctx;
    uint8_t plain[8 * 17], single[sizeof plain];
    size_t count, i;
    CHECK(block_init(bits, &ctx, some_key) == TWINE_OTR_OK, 0);
    for (i = 0; i < sizeof plain; i++) {
        plain[i] = (uint8_t)(i * 151 + 7);
    }
    memcpy(single, plain, sizeof plain);
    for (i = 0; i < sizeof plain; i += 8) {
        CHECK(encrypt(bits, &ctx, &single[i], 1) == TWINE_OTR_OK, (unsigned)i);
    }
    for (count = 0; count <= sizeof plain / 8; count++) {
        uint8_t *buf = guarded(8 * count);
        memcpy(buf, plain, 8 * count);
        CHECK(encrypt(bits, &ctx, count ? buf : NULL, count) == TWINE_OTR_OK, (unsigned)count);
        CHECK(memcmp(buf, single, 8 * count) == 0 && guards_hold(8 * count), (unsigned)count);
        CHECK(decrypt(bits, &ctx, count ? buf : NULL, count) == TWINE_OTR_OK, (unsigned)count);
        CHECK(memcmp(buf, plain, 8 * count) == 0 && guards_hold(8 * count), (unsigned)count);
    }
}

/* A context is written where it is, and nowhere else; cleared, zero or garbage, it is refused; a copy works. */
static void run_contexts(int bits)
{
    struct {
        uint8_t before[GUARD];
        union otr_ctx ctx;
        uint8_t after[GUARD];
    } otr;
    struct {
        uint8_t before[GUARD];
        union block_ctx ctx;
        uint8_t after[GUARD];
    } block;
    union otr_ctx copy;
    uint8_t tag[TAG], other_tag[TAG], buf[16];
    unsigned garbage;

    memset(&otr, CANARY, sizeof otr);
    memset(&block, CANARY, sizeof block);
    CHECK(init(bits, &otr.ctx, some_key) == TWINE_OTR_OK, 0);
    CHECK(block_init(bits, &block.ctx, some_key) == TWINE_OTR_OK, 0);
    CHECK(all_are(otr.before, GUARD, CANARY) && all_are(otr.after, GUARD, CANARY), 0);
    CHECK(all_are(block.before, GUARD, CANARY) && all_are(block.after, GUARD, CANARY), 0);

    memcpy(&copy, &otr.ctx, sizeof copy);
    memset(buf, 0x11, sizeof buf);
    CHECK(seal(bits, &otr.ctx, some_nonce, NULL, 0, buf, sizeof buf, tag) == TWINE_OTR_OK, 0);
    memset(buf, 0x11, sizeof buf);
    CHECK(seal(bits, &copy, some_nonce, NULL, 0, buf, sizeof buf, other_tag) == TWINE_OTR_OK, 0);
    CHECK(memcmp(tag, other_tag, TAG) == 0, 0);

    clear(bits, &otr.ctx);
    block_clear(bits, &block.ctx);
    CHECK(all_are(&otr.ctx, sizeof otr.ctx, 0) && all_are(&block.ctx, sizeof block.ctx, 0), 0);
    CHECK(all_are(otr.before, GUARD, CANARY) && all_are(otr.after, GUARD, CANARY), 0);
    CHECK(all_are(block.before, GUARD, CANARY) && all_are(block.after, GUARD, CANARY), 0);
    clear(bits, NULL);
    block_clear(bits, NULL);
    CHECK(open(bits, &copy, some_nonce, NULL, 0, buf, sizeof buf, tag) == TWINE_OTR_OK, 0);

    for (garbage = 0; garbage < 256; garbage += 85) {
        memset(&otr.ctx, (int)garbage, sizeof otr.ctx);
        memset(&block.ctx, (int)garbage, sizeof block.ctx);
        memset(buf, 0x11, sizeof buf);
        memset(tag, 0x22, sizeof tag);
        CHECK(seal(bits, &otr.ctx, some_nonce, NULL, 0, buf, sizeof buf, tag) == TWINE_OTR_ERR_CONTEXT, garbage);
        CHECK(all_are(buf, sizeof buf, 0x11) && all_are(tag, TAG, 0x22), garbage);
        CHECK(encrypt(bits, &block.ctx, buf, 2) == TWINE_OTR_ERR_CONTEXT, garbage);
        CHECK(decrypt(bits, &block.ctx, buf, 2) == TWINE_OTR_ERR_CONTEXT, garbage);
        CHECK(all_are(buf, sizeof buf, 0x11), garbage);
        CHECK(open(bits, &otr.ctx, some_nonce, NULL, 0, buf, sizeof buf, tag) == TWINE_OTR_ERR_CONTEXT, garbage);
        CHECK(all_are(buf, sizeof buf, 0), garbage);
    }
}

/* Each pointer that must not be null, each length that cannot be, and each pair that must not overlap. */
static void run_arguments(int bits)
{
    union otr_ctx ctx, before;
    union block_ctx block;
    uint8_t bytes[64], tag[TAG];
    const size_t too_much = (size_t)-1 / 2 + 1;
    const int bad = TWINE_OTR_ERR_ARGUMENT;
    unsigned i;

    CHECK(init(bits, NULL, some_key) == bad, 0);
    CHECK(init(bits, &ctx, NULL) == bad, 0);
    CHECK(init(bits, &ctx, (const uint8_t *)&ctx) == bad, 0);
    CHECK(init(bits, &ctx, (const uint8_t *)&ctx + sizeof ctx - 1) == bad, 0);
    CHECK(block_init(bits, NULL, some_key) == bad, 0);
    CHECK(block_init(bits, &block, NULL) == bad, 0);
    CHECK(block_init(bits, &block, (const uint8_t *)&block) == bad, 0);

    CHECK(init(bits, &ctx, some_key) == TWINE_OTR_OK, 0);
    CHECK(block_init(bits, &block, some_key) == TWINE_OTR_OK, 0);
    memcpy(&before, &ctx, sizeof ctx);

    /* Nothing is written if sealing fails. */
    memset(bytes, 0x11, sizeof bytes);
    memset(tag, 0x22, sizeof tag);
    CHECK(seal(bits, NULL, some_nonce, NULL, 0, bytes, 64, tag) == bad, 0);
    CHECK(seal(bits, &ctx, NULL, NULL, 0, bytes, 64, tag) == bad, 0);
    CHECK(seal(bits, &ctx, some_nonce, NULL, 1, bytes, 64, tag) == bad, 0);
    CHECK(seal(bits, &ctx, some_nonce, NULL, 0, NULL, 1, tag) == bad, 0);
    CHECK(seal(bits, &ctx, some_nonce, NULL, 0, bytes, 64, NULL) == bad, 0);
    CHECK(seal(bits, &ctx, some_nonce, bytes, too_much, NULL, 0, tag) == bad, 0);
    CHECK(seal(bits, &ctx, some_nonce, NULL, 0, bytes, too_much, tag) == bad, 0);
    CHECK(seal(bits, &ctx, some_nonce, NULL, 0, bytes, (size_t)-1, tag) == bad, 0);
    CHECK(seal(bits, &ctx, some_nonce, bytes, 17, &bytes[16], 16, tag) == bad, 0);
    CHECK(seal(bits, &ctx, some_nonce, &bytes[31], 1, &bytes[16], 16, tag) == bad, 0);
    CHECK(seal(bits, &ctx, some_nonce, NULL, 0, bytes, 16, &bytes[15]) == bad, 0);
    CHECK(seal(bits, &ctx, some_nonce, NULL, 0, &bytes[8], 16, &bytes[1]) == bad, 0);
    CHECK(seal(bits, &ctx, some_nonce, NULL, 0, (uint8_t *)&ctx, 8, tag) == bad, 0);
    CHECK(seal(bits, &ctx, some_nonce, NULL, 0, bytes, 8, (uint8_t *)&ctx) == bad, 0);
    CHECK(all_are(bytes, sizeof bytes, 0x11) && all_are(tag, TAG, 0x22), 0);
    CHECK(memcmp(&ctx, &before, sizeof ctx) == 0, 0);

    /* Neighbours do not overlap, and what has no bytes overlaps nothing. */
    CHECK(seal(bits, &ctx, some_nonce, bytes, 16, &bytes[16], 16, &bytes[32]) == TWINE_OTR_OK, 0);
    CHECK(open(bits, &ctx, some_nonce, bytes, 16, &bytes[16], 16, &bytes[32]) == TWINE_OTR_OK, 0);
    CHECK(all_are(bytes, 32, 0x11), 0);
    CHECK(seal(bits, &ctx, some_nonce, &bytes[4], 0, bytes, 16, tag) == TWINE_OTR_OK, 0);
    CHECK(open(bits, &ctx, some_nonce, NULL, 0, bytes, 16, tag) == TWINE_OTR_OK, 0);
    /* The nonce is read before anything is written. */
    CHECK(seal(bits, &ctx, bytes, NULL, 0, bytes, 16, tag) == TWINE_OTR_OK, 0);
    memset(&bytes[40], 0x11, NONCE);
    CHECK(open(bits, &ctx, &bytes[40], NULL, 0, bytes, 16, tag) == TWINE_OTR_OK, 0);
    CHECK(all_are(bytes, 16, 0x11), 0);

    /* Whatever fails in opening, the buffer is zero. */
    for (i = 0; i < 7; i++) {
        int code = TWINE_OTR_OK;
        memset(bytes, 0x11, sizeof bytes);
        switch (i) {
        case 0: code = open(bits, NULL, some_nonce, NULL, 0, bytes, 16, tag); break;
        case 1: code = open(bits, &ctx, NULL, NULL, 0, bytes, 16, tag); break;
        case 2: code = open(bits, &ctx, some_nonce, NULL, 1, bytes, 16, tag); break;
        case 3: code = open(bits, &ctx, some_nonce, NULL, 0, bytes, 16, NULL); break;
        case 4: code = open(bits, &ctx, some_nonce, tag, too_much, bytes, 16, tag); break;
        case 5: code = open(bits, &ctx, some_nonce, &bytes[15], 2, bytes, 16, tag); break;
        case 6: code = open(bits, &ctx, some_nonce, bytes, 1, bytes, 16, tag); break;
        default: break;
        }
        CHECK(code == bad && all_are(bytes, 16, 0) && all_are(&bytes[16], 48, 0x11), i);
    }
    CHECK(open(bits, &ctx, some_nonce, NULL, 0, NULL, 1, tag) == bad, 0);
    CHECK(open(bits, &ctx, some_nonce, NULL, 0, bytes, too_much, tag) == bad, 0);
    CHECK(memcmp(&ctx, &before, sizeof ctx) == 0, 0);

    memset(bytes, 0x11, sizeof bytes);
    CHECK(encrypt(bits, NULL, bytes, 1) == bad && decrypt(bits, NULL, bytes, 1) == bad, 0);
    CHECK(encrypt(bits, &block, NULL, 1) == bad && decrypt(bits, &block, NULL, 1) == bad, 0);
    CHECK(encrypt(bits, &block, bytes, (size_t)-1) == bad && decrypt(bits, &block, bytes, (size_t)-1) == bad, 0);
    CHECK(encrypt(bits, &block, bytes, (size_t)-1 / 8) == bad, 0);
    CHECK(encrypt(bits, &block, (uint8_t *)&block, 1) == bad, 0);
    CHECK(all_are(bytes, sizeof bytes, 0x11), 0);
}

/* ---- Outputs that overlap ---- */

/* What a call may meet: a context in the middle, with room on both sides for all that overlaps it. */
#define ROOM 64
#define ARENA (ROOM + sizeof(union otr_ctx) + ROOM)

static union {
    union otr_ctx alignment;
    uint8_t bytes[ARENA];
} arena;
static uint8_t arena_before[ARENA];

static union otr_ctx *arena_ctx(void)
{
    return (union otr_ctx *)(void *)&arena.bytes[ROOM];
}

/* The arena's bytes are what they were, but for `len` at `at`, which are zero. */
static int only_zeroed(size_t at, size_t len)
{
    return memcmp(arena.bytes, arena_before, at) == 0 && all_are(&arena.bytes[at], len, 0) &&
           memcmp(&arena.bytes[at + len], &arena_before[at + len], ARENA - at - len) == 0;
}

static int overlaps_ctx(size_t at, size_t len)
{
    return len > 0 && at < ROOM + sizeof(union otr_ctx) && at + len > ROOM;
}

static void fill_arena(void)
{
    memset(arena.bytes, 0x33, ROOM);
    memset(&arena.bytes[ARENA - ROOM], 0x44, ROOM);
}

/* Every place of a buffer, a tag and blocks against a context, with and without another error: nothing is written, but
 * zeros to a buffer of a failed open that is apart from the context. */
static void run_overlaps_of_context(int bits, int is_initialised)
{
    static const size_t lens[] = {1, 8, 9, 40, 63};
    uint8_t tag[TAG], other[8];
    size_t i, at;
    memset(tag, 0x22, sizeof tag);
    memset(other, 0x22, sizeof other);
    for (i = 0; i < COUNT(lens); i++) {
        const size_t len = lens[i];
        for (at = 0; at + len <= ARENA; at++) {
            const unsigned number = (unsigned)(1000 * len + at);
            const int overlaps = overlaps_ctx(at, len);
            const int without = is_initialised ? TWINE_OTR_ERR_AUTHENTICATION : TWINE_OTR_ERR_CONTEXT;
            uint8_t *buf = &arena.bytes[at];
            int code;
            fill_arena();
            memcpy(arena_before, arena.bytes, ARENA);
            code = open(bits, arena_ctx(), some_nonce, NULL, 0, buf, len, tag);
            CHECK(code == (overlaps ? TWINE_OTR_ERR_ARGUMENT : without), number);
            CHECK(only_zeroed(at, overlaps ? 0 : len), number);
            fill_arena();
            CHECK(open(bits, arena_ctx(), NULL, NULL, 0, buf, len, tag) == TWINE_OTR_ERR_ARGUMENT, number);
            CHECK(only_zeroed(at, overlaps ? 0 : len), number);
            fill_arena();
            CHECK(open(bits, arena_ctx(), some_nonce, NULL, 1, buf, len, tag) == TWINE_OTR_ERR_ARGUMENT, number);
            CHECK(only_zeroed(at, overlaps ? 0 : len), number);
            fill_arena();
            CHECK(open(bits, arena_ctx(), some_nonce, NULL, 0, buf, len, NULL) == TWINE_OTR_ERR_ARGUMENT, number);
            CHECK(only_zeroed(at, overlaps ? 0 : len), number);
            fill_arena();
            if (overlaps) {
                CHECK(seal(bits, arena_ctx(), some_nonce, NULL, 0, buf, len, tag) == TWINE_OTR_ERR_ARGUMENT, number);
                CHECK(open(bits, arena_ctx(), some_nonce, buf, len, buf, len, tag) == TWINE_OTR_ERR_ARGUMENT, number);
            }
            if (at + TAG <= ARENA && overlaps_ctx(at, TAG)) {
                CHECK(seal(bits, arena_ctx(), some_nonce, NULL, 0, other, 8, buf) == TWINE_OTR_ERR_ARGUMENT, number);
            }
            CHECK(only_zeroed(at, 0) && all_are(tag, TAG, 0x22) && all_are(other, 8, 0x22), number);
        }
    }
}

static void run_overlaps(int bits)
{
    union block_ctx *block = (union block_ctx *)(void *)arena_ctx();
    uint8_t buf[32], ad[32], tag[TAG];
    size_t count, at;

    fill_arena();
    CHECK(init(bits, arena_ctx(), some_key) == TWINE_OTR_OK, 0);
    run_overlaps_of_context(bits, 1);
    /* It is as it was. */
    memset(buf, 0x11, sizeof buf);
    CHECK(seal(bits, arena_ctx(), some_nonce, NULL, 0, buf, sizeof buf, tag) == TWINE_OTR_OK, 0);
    CHECK(open(bits, arena_ctx(), some_nonce, NULL, 0, buf, sizeof buf, tag) == TWINE_OTR_OK, 0);
    CHECK(all_are(buf, sizeof buf, 0x11), 0);
    memset(arena_ctx(), 0x55, sizeof(union otr_ctx));
    run_overlaps_of_context(bits, 0);

    fill_arena();
    CHECK(block_init(bits, block, some_key) == TWINE_OTR_OK, 0);
    memcpy(arena_before, arena.bytes, ARENA);
    for (count = 1; count <= 4; count++) {
        for (at = 0; at + 8 * count <= ARENA; at++) {
            const unsigned number = (unsigned)(1000 * count + at);
            if (overlaps_ctx(at, 8 * count)) {
                CHECK(encrypt(bits, block, &arena.bytes[at], count) == TWINE_OTR_ERR_ARGUMENT, number);
                CHECK(decrypt(bits, block, &arena.bytes[at], count) == TWINE_OTR_ERR_ARGUMENT, number);
                CHECK(memcmp(arena.bytes, arena_before, ARENA) == 0, number);
            }
        }
    }
    block_clear(bits, block);

    /* Against associated data: sealing writes nothing, opening nothing but zeros to the buffer. */
    fill_arena();
    CHECK(init(bits, arena_ctx(), some_key) == TWINE_OTR_OK, 0);
    for (at = 0; at + 16 <= sizeof ad; at++) {
        if (at > 0 && at < 24) {
            memset(ad, 0x66, sizeof ad);
            CHECK(seal(bits, arena_ctx(), some_nonce, &ad[8], 8, &ad[at], 16, tag) ==
                  (at < 16 ? TWINE_OTR_ERR_ARGUMENT : TWINE_OTR_OK), (unsigned)at);
            CHECK(at >= 16 || all_are(ad, sizeof ad, 0x66), (unsigned)at);
            memset(ad, 0x66, sizeof ad);
            CHECK(open(bits, arena_ctx(), some_nonce, &ad[8], 8, &ad[at], 16, tag) != TWINE_OTR_OK, (unsigned)at);
            CHECK(all_are(&ad[at], 16, 0) && all_are(ad, at, 0x66) &&
                  all_are(&ad[at + 16], sizeof ad - at - 16, 0x66), (unsigned)at);
        }
    }
    clear(bits, arena_ctx());
}

/* ---- The life of a context ---- */

/* What a failed or interrupted init, a clear at any address and the initialisers leave is refused by every function. */
static int is_refused(int bits, const union otr_ctx *ctx)
{
    uint8_t buf[16], tag[TAG];
    int code;
    memset(buf, 0x11, sizeof buf);
    memset(tag, 0x22, sizeof tag);
    code = seal(bits, ctx, some_nonce, NULL, 0, buf, sizeof buf, tag);
    if (code != TWINE_OTR_ERR_CONTEXT || !all_are(buf, sizeof buf, 0x11) || !all_are(tag, TAG, 0x22)) {
        return 0;
    }
    code = open(bits, ctx, some_nonce, NULL, 0, buf, sizeof buf, tag);
    return code == TWINE_OTR_ERR_CONTEXT && all_are(buf, sizeof buf, 0);
}

static int block_is_refused(int bits, const union block_ctx *ctx)
{
    uint8_t buf[16];
    int code;
    memset(buf, 0x11, sizeof buf);
    code = encrypt(bits, ctx, buf, 2);
    if (code != TWINE_OTR_ERR_CONTEXT || !all_are(buf, sizeof buf, 0x11)) {
        return 0;
    }
    code = decrypt(bits, ctx, buf, 2);
    return code == TWINE_OTR_ERR_CONTEXT && all_are(buf, sizeof buf, 0x11);
}

/* At any address, where no member of a union may be named. */
static int init_at(int bits, void *ctx, const uint8_t *key)
{
    return bits == 128 ? twine128_otr_init((twine128_otr_ctx *)ctx, key)
                       : twine80_otr_init((twine80_otr_ctx *)ctx, key);
}

static void clear_at(int bits, void *ctx)
{
    if (bits == 128) {
        twine128_otr_clear((twine128_otr_ctx *)ctx);
    } else {
        twine80_otr_clear((twine80_otr_ctx *)ctx);
    }
}

static void block_clear_at(int bits, void *ctx)
{
    if (bits == 128) {
        twine128_clear((twine128_ctx *)ctx);
    } else {
        twine80_clear((twine80_ctx *)ctx);
    }
}

static void run_lives(int bits)
{
    static const twine128_otr_ctx fresh_128 = TWINE128_OTR_CTX_INIT;
    static const twine80_otr_ctx fresh_80 = TWINE80_OTR_CTX_INIT;
    static const twine128_ctx fresh_block_128 = TWINE128_CTX_INIT;
    static const twine80_ctx fresh_block_80 = TWINE80_CTX_INIT;
    union otr_ctx ctx, live;
    union block_ctx block, block_live;
    uint8_t buf[16] = {0}, tag[TAG];
    size_t i;

    CHECK(is_refused(bits, bits == 128 ? (const union otr_ctx *)(const void *)&fresh_128
                                       : (const union otr_ctx *)(const void *)&fresh_80), 0);
    CHECK(block_is_refused(bits, bits == 128 ? (const union block_ctx *)(const void *)&fresh_block_128
                                             : (const union block_ctx *)(const void *)&fresh_block_80), 0);

    CHECK(init(bits, &live, some_key) == TWINE_OTR_OK, 0);
    CHECK(block_init(bits, &block_live, some_key) == TWINE_OTR_OK, 0);

    /* Another type of context. */
    CHECK(block_is_refused(bits, (const union block_ctx *)(const void *)&live), 0);
    CHECK(is_refused(bits, (const union otr_ctx *)(const void *)&block_live), 0);
    CHECK(is_refused(208 - bits, &live) && block_is_refused(208 - bits, &block_live), 0);

    /* Over a live context. */
    ctx = live;
    block = block_live;
    CHECK(init(bits, &ctx, NULL) == TWINE_OTR_ERR_ARGUMENT && is_refused(bits, &ctx), 0);
    CHECK(block_init(bits, &block, NULL) == TWINE_OTR_ERR_ARGUMENT && block_is_refused(bits, &block), 0);
    for (i = 0; i < sizeof ctx; i++) {
        ctx = live;
        CHECK(init(bits, &ctx, (const uint8_t *)&ctx + i) == TWINE_OTR_ERR_ARGUMENT, (unsigned)i);
        CHECK(is_refused(bits, &ctx), (unsigned)i);
        CHECK(memcmp((const uint8_t *)&ctx + 8, (const uint8_t *)&live + 8, sizeof ctx - 8) == 0, (unsigned)i);
        block = block_live;
        CHECK(block_init(bits, &block, (const uint8_t *)&block + i) == TWINE_OTR_ERR_ARGUMENT, (unsigned)i);
        CHECK(block_is_refused(bits, &block), (unsigned)i);
    }

    /* Copies at any address are cleared, and so is the mark of those that init refuses. */
    for (i = 0; i < 16; i++) {
        const size_t at = ROOM - 8 + i;
        void *moved = &arena.bytes[at];
        fill_arena();
        memcpy(arena_before, arena.bytes, ARENA);
        memcpy(&arena.bytes[at], &live, sizeof live);
        clear_at(bits, moved);
        CHECK(all_are(&arena.bytes[at], sizeof live, 0) && memcmp(arena.bytes, arena_before, at) == 0, (unsigned)i);
        CHECK(all_are(&arena.bytes[ARENA - ROOM + 8], ROOM - 8, 0x44), (unsigned)i);
        memcpy(&arena.bytes[at], &block_live, sizeof block_live);
        block_clear_at(bits, moved);
        CHECK(all_are(&arena.bytes[at], sizeof live, 0), (unsigned)i);
        memcpy(&arena.bytes[at], &live, sizeof live);
        CHECK(init_at(bits, moved, NULL) == TWINE_OTR_ERR_ARGUMENT, (unsigned)i);
        memcpy(&ctx, &arena.bytes[at], sizeof ctx);
        CHECK(is_refused(bits, &ctx), (unsigned)i);
    }
    /* A key may be changed. */
    CHECK(init(bits, &live, storage) == TWINE_OTR_OK, 0);
    CHECK(seal(bits, &live, some_nonce, NULL, 0, buf, sizeof buf, tag) == TWINE_OTR_OK, 0);
    clear(bits, &live);
    block_clear(bits, &block_live);
    CHECK(is_refused(bits, &live) && block_is_refused(bits, &block_live), 0);
}

int main(void)
{
    size_t i;
    int bits;
    for (i = 0; i < COUNT(block_vectors); i++) {
        run_block_vector((unsigned)i, &block_vectors[i]);
    }
    for (i = 0; i < COUNT(aead_vectors); i++) {
        run_aead_vector(&aead_vectors[i]);
    }
#ifdef LONG_VECTORS
    for (i = 0; i < COUNT(long_aead_vectors); i++) {
        run_aead_vector(&long_aead_vectors[i]);
    }
#endif
    run_count_blocks();
    for (bits = 80; bits <= 128; bits += 48) {
        run_lengths(bits);
        run_block_counts(bits);
        run_contexts(bits);
        run_arguments(bits);
        run_overlaps(bits);
        run_lives(bits);
    }
    return report();
}
