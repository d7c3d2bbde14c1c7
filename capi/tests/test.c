/*
 * The tests of the C interface: C99 and C++, on the host and on boards. Prints what failed, and last "N passed, M failed".
 * LONG_VECTORS adds the vectors that small boards have no room for.
 */
#include "port.h"
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

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Reporting ---- */

static unsigned passed, failed;

static void print_number(unsigned long number)
{
    char text[24];
    size_t i = sizeof text - 1;
    text[i] = '\0';
    do {
        text[--i] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    port_print(&text[i]);
}

static void check_that(int holds, const char *what, unsigned number, int line)
{
    if (holds) {
        passed++;
        return;
    }
    failed++;
    port_print("FAILED: ");
    port_print(what);
    port_print(", case ");
    print_number(number);
    port_print(", line ");
    print_number((unsigned long)line);
    port_print("\n");
}

#define CHECK(condition, number) check_that((condition) != 0, #condition, (number), __LINE__)

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

static int all_are(const void *bytes, size_t len, uint8_t value)
{
    const uint8_t *byte = (const uint8_t *)bytes;
    size_t i;
    for (i = 0; i < len; i++) {
        if (byte[i] != value) {
            return 0;
        }
    }
    return 1;
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

    /* With a context that is null or overlapped, opening zeroes what it was given all the same. */
    CHECK(open(bits, &ctx, some_nonce, NULL, 0, (uint8_t *)&ctx, sizeof ctx, tag) == bad, 0);
    CHECK(all_are(&ctx, sizeof ctx, 0), 0);
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
    }
    print_number(passed);
    port_print(" passed, ");
    print_number(failed);
    port_print(" failed\n");
    return failed == 0 ? 0 : 1;
}
