/*
 * What calls leave on the stack, and how much of it they take. The stack is painted, a call made, and what is then below is kept;
 * and once more with another key, message and tag: not one byte may differ. Then the bytes are searched for the secrets.
 * And nothing may be below what the call has erased at its end.
 * Prints like test.c. If defined, SETUP_LIMIT is what the init of a context, a sealer or an opener may take at most, MESSAGE_LIMIT what the
 * other functions of contexts, COUNTED_LIMIT those of sealers and openers, STREAM_INIT_LIMIT the init of a stream, and STREAM_LIMIT the other
 * functions of streams.
 */
#include "families.h"
#include "report.h"

#include <string.h>

#define NONCE 7
#define TAG 8
#define PAINT 0xA5
/* Bytes of stack that are looked at, the longest message, and the least that a call erases, by stack.rs. */
#ifdef SMALL
#define DEPTH 2048
#define CAPACITY 264
#define ERASED 384
#else
#define DEPTH 32768
#define CAPACITY 4104
#define ERASED 8192
#endif

/* Everything that a call has; what is secret comes first, and the context is C's of either type. */
static struct {
    uint8_t key[16];
    uint8_t message[CAPACITY];
    uint8_t tag[TAG];
    uint8_t buf[CAPACITY];
    uint8_t given_tag[TAG];
    size_t len;
    union {
        twine128_otr_ctx otr_128;
        twine80_otr_ctx otr_80;
        twine128_ctx block_128;
        twine80_ctx block_80;
        union any any;
    } ctx;
} now;

/* Of sealers, openers and streams; the states are of this key. */
static const struct family *family = &twine128;
static union any sealer, pieces;
static uint8_t state[TWINE_OTR_STATE_SIZE], first[TWINE_OTR_STATE_SIZE], nonce_of_message[NONCE];
static const uint8_t fixed[TWINE_OTR_FIXED_SIZE] = {1, 2, 3, 4};
static const uint8_t header[TWINE_OTR_STREAM_HEADER_SIZE] = {1, 2, 3};
#define LIMIT TWINE_OTR_BLOCK_LIMIT_DEFAULT
#define FAILURES TWINE_OTR_FAILURE_LIMIT_DEFAULT

static const uint8_t nonce[NONCE] = {1, 2, 3, 4, 5, 6, 7};
static uint8_t ad[515];
static size_t ad_len;

static int init_otr_128(void) { return twine128_otr_init(&now.ctx.otr_128, now.key); }
static int init_otr_80(void) { return twine80_otr_init(&now.ctx.otr_80, now.key); }
static int init_block_128(void) { return twine128_init(&now.ctx.block_128, now.key); }
static int init_block_80(void) { return twine80_init(&now.ctx.block_80, now.key); }
static int seal_128(void)
{
    return twine128_otr_seal(&now.ctx.otr_128, nonce, ad, ad_len, now.buf, now.len, now.given_tag);
}
static int seal_80(void)
{
    return twine80_otr_seal(&now.ctx.otr_80, nonce, ad, ad_len, now.buf, now.len, now.given_tag);
}
static int open_128(void)
{
    return twine128_otr_open(&now.ctx.otr_128, nonce, ad, ad_len, now.buf, now.len, now.given_tag);
}
static int open_80(void)
{
    return twine80_otr_open(&now.ctx.otr_80, nonce, ad, ad_len, now.buf, now.len, now.given_tag);
}
static int encrypt_128(void) { return twine128_encrypt_blocks(&now.ctx.block_128, now.buf, now.len / 8); }
static int encrypt_80(void) { return twine80_encrypt_blocks(&now.ctx.block_80, now.buf, now.len / 8); }
static int decrypt_128(void) { return twine128_decrypt_blocks(&now.ctx.block_128, now.buf, now.len / 8); }
static int decrypt_80(void) { return twine80_decrypt_blocks(&now.ctx.block_80, now.buf, now.len / 8); }

static int otr_init(void) { return family->otr_init(&now.ctx.any, now.key); }
static int otr_seal(void)
{
    return family->otr_seal(&now.ctx.any, nonce, ad, ad_len, now.buf, now.len, now.given_tag);
}
static int otr_open(void)
{
    return family->otr_open(&now.ctx.any, nonce, ad, ad_len, now.buf, now.len, now.given_tag);
}

static int sealer_init(void) { return family->sealer_init(&now.ctx.any, now.key, fixed, LIMIT); }
static int sealer_first(void) { return family->sealer_first_state(&now.ctx.any, now.key, fixed, LIMIT, first); }
static int sealer_restore(void) { return family->sealer_restore(&now.ctx.any, now.key, fixed, LIMIT, first, 1); }
static int sealer_restored(void) { return sealer_first() == TWINE_OTR_OK ? sealer_restore() : 1; }
static int sealer_seal(void)
{
    return family->sealer_seal(&now.ctx.any, ad, ad_len, now.buf, now.len, nonce_of_message, now.given_tag);
}
static int sealer_begin_reserve(void) { return family->sealer_begin_reserve(&now.ctx.any, 1000, state); }
static int sealer_confirm(void) { return family->sealer_confirm(&now.ctx.any, state); }
static int sealer_suspend(void) { return family->sealer_suspend(&now.ctx.any, state); }
static int begin_pieces(void)
{
    return family->sealer_begin_pieces(&now.ctx.any, &pieces, ad, ad_len, now.len, nonce_of_message);
}
static size_t whole_pairs(void) { return (now.len - 1) / 16 * 16; }
static int update_pieces(void) { return family->sealer_update_pieces(&now.ctx.any, &pieces, now.buf, whole_pairs()); }
static int begun_pieces(void) { return begin_pieces() == TWINE_OTR_OK ? update_pieces() : 1; }
static int finalize_pieces(void)
{
    return family->sealer_finalize_pieces(&now.ctx.any, &pieces, &now.buf[whole_pairs()], now.len - whole_pairs(), now.given_tag);
}
static int opener_init(void) { return family->opener_init(&now.ctx.any, now.key, fixed, LIMIT, FAILURES, 8); }
static int opener_first(void)
{
    return family->opener_first_state(&now.ctx.any, now.key, fixed, LIMIT, FAILURES, first);
}
static int opener_restore(void)
{
    return family->opener_restore(&now.ctx.any, now.key, fixed, LIMIT, FAILURES, 8, first, 1);
}
static int opener_restored(void) { return opener_first() == TWINE_OTR_OK ? opener_restore() : 1; }
static int opener_open(void)
{
    return family->opener_open(&now.ctx.any, nonce_of_message, ad, ad_len, now.buf, now.len, now.given_tag);
}
/* What the opener gets. */
static int sealed_for_opener(void)
{
    return family->sealer_init(&sealer, now.key, fixed, LIMIT) == TWINE_OTR_OK
               ? family->sealer_seal(&sealer, ad, ad_len, now.buf, now.len, nonce_of_message, now.given_tag)
               : 1;
}
static int opener_begin_reserve(void) { return family->opener_begin_reserve(&now.ctx.any, 9, 1000, state); }
static int opener_confirm(void) { return family->opener_confirm(&now.ctx.any, state); }
static int opener_suspend(void) { return family->opener_suspend(&now.ctx.any, state); }
/* With segments of few blocks, so that a chunk that is not short begins one. */
static uint32_t segment(void) { return (uint32_t)twine_otr_count_blocks(ad_len, now.len) + 2; }
static int chunk_sealer_init(void) { return family->chunk_sealer_init(&now.ctx.any, now.key, header, segment()); }
static int chunk_seal(void)
{
    return family->chunk_sealer_seal(&now.ctx.any, ad, ad_len, now.buf, now.len, now.given_tag);
}
static int chunk_seal_last(void)
{
    return family->chunk_sealer_seal_last(&now.ctx.any, ad, ad_len, now.buf, now.len, now.given_tag);
}
static int chunk_opener_init(void)
{
    return family->chunk_opener_init(&now.ctx.any, now.key, header, segment(), FAILURES);
}
/* The first two chunks, the second of which is in another segment. */
static int sealed_chunks(void)
{
    uint8_t other[8] = {0}, other_tag[TAG];
    return family->chunk_sealer_init(&sealer, now.key, header, segment()) == TWINE_OTR_OK &&
                   family->chunk_sealer_seal(&sealer, NULL, 0, other, sizeof other, other_tag) == TWINE_OTR_OK &&
                   family->chunk_opener_open(&now.ctx.any, NULL, 0, other, sizeof other, other_tag) == TWINE_OTR_OK
               ? family->chunk_sealer_seal(&sealer, ad, ad_len, now.buf, now.len, now.given_tag)
               : 1;
}
static int sealed_chunk(void)
{
    uint8_t other[8] = {0}, other_tag[TAG];
    return family->chunk_sealer_seal(&now.ctx.any, NULL, 0, other, sizeof other, other_tag);
}
static int chunk_open(void)
{
    return family->chunk_opener_open(&now.ctx.any, ad, ad_len, now.buf, now.len, now.given_tag);
}

enum kind { INIT, SEAL, OPEN, FORGED, BLOCKS, COUNTED_STATE, COUNTED_SEAL, COUNTED_OPEN, COUNTED_FORGED, STREAM_INIT, STREAM_SEAL, STREAM_OPEN, STREAM_FORGED };

/* Whether there is no message. */
static int has_no_message(enum kind kind) { return kind == INIT || kind == COUNTED_STATE || kind == STREAM_INIT; }
static int is_seal(enum kind kind) { return kind == SEAL || kind == COUNTED_SEAL || kind == STREAM_SEAL; }
static int is_forged(enum kind kind) { return kind == FORGED || kind == COUNTED_FORGED || kind == STREAM_FORGED; }

/* An operation, and those that make what it needs. */
static const struct operation {
    const char *name;
    enum kind kind;
    int (*init)(void);
    int (*before)(void);
    int (*run)(void);
} operations[] = {
    {"init 128", INIT, init_otr_128, NULL, init_otr_128},
    {"init 80", INIT, init_otr_80, NULL, init_otr_80},
    {"init of blocks 128", INIT, init_block_128, NULL, init_block_128},
    {"init of blocks 80", INIT, init_block_80, NULL, init_block_80},
    {"seal 128", SEAL, init_otr_128, NULL, seal_128},
    {"seal 80", SEAL, init_otr_80, NULL, seal_80},
    {"open 128", OPEN, init_otr_128, seal_128, open_128},
    {"open 80", OPEN, init_otr_80, seal_80, open_80},
    {"open forged 128", FORGED, init_otr_128, seal_128, open_128},
    {"open forged 80", FORGED, init_otr_80, seal_80, open_80},
    {"encrypt 128", BLOCKS, init_block_128, NULL, encrypt_128},
    {"encrypt 80", BLOCKS, init_block_80, NULL, encrypt_80},
    {"decrypt 128", BLOCKS, init_block_128, encrypt_128, decrypt_128},
    {"decrypt 80", BLOCKS, init_block_80, encrypt_80, decrypt_80},
};

/* The same of each family. */
static const struct operation of_family[] = {
    /* Combined data take more stack than others: the limit is that of streams. */
    {"otr_seal", STREAM_SEAL, otr_init, NULL, otr_seal},
    {"otr_open", STREAM_OPEN, otr_init, otr_seal, otr_open},
    {"otr_open, forged", STREAM_FORGED, otr_init, otr_seal, otr_open},
    {"sealer_init", INIT, sealer_init, NULL, sealer_init},
    {"sealer_first_state", COUNTED_STATE, sealer_first, NULL, sealer_first},
    {"sealer_restore", COUNTED_STATE, sealer_first, NULL, sealer_restore},
    {"sealer_seal", COUNTED_SEAL, sealer_init, NULL, sealer_seal},
    {"sealer_begin_reserve", COUNTED_STATE, sealer_restored, NULL, sealer_begin_reserve},
    {"sealer_confirm", COUNTED_STATE, sealer_restored, sealer_begin_reserve, sealer_confirm},
    {"sealer_suspend", COUNTED_STATE, sealer_init, NULL, sealer_suspend},
    {"sealer_begin_pieces", COUNTED_OPEN, sealer_init, NULL, begin_pieces},
    {"sealer_update_pieces", COUNTED_OPEN, sealer_init, begin_pieces, update_pieces},
    {"sealer_finalize_pieces", COUNTED_SEAL, sealer_init, begun_pieces, finalize_pieces},
    {"opener_init", INIT, opener_init, NULL, opener_init},
    {"opener_first_state", COUNTED_STATE, opener_first, NULL, opener_first},
    {"opener_restore", COUNTED_STATE, opener_first, NULL, opener_restore},
    {"opener_open", COUNTED_OPEN, opener_init, sealed_for_opener, opener_open},
    {"opener_open, forged", COUNTED_FORGED, opener_init, sealed_for_opener, opener_open},
    {"opener_begin_reserve", COUNTED_STATE, opener_restored, NULL, opener_begin_reserve},
    {"opener_confirm", COUNTED_STATE, opener_restored, opener_begin_reserve, opener_confirm},
    {"opener_suspend", COUNTED_STATE, opener_init, NULL, opener_suspend},
    {"chunk_sealer_init", STREAM_INIT, chunk_sealer_init, NULL, chunk_sealer_init},
    {"chunk_sealer_seal", STREAM_SEAL, chunk_sealer_init, sealed_chunk, chunk_seal},
    {"chunk_sealer_seal_last", STREAM_SEAL, chunk_sealer_init, sealed_chunk, chunk_seal_last},
    {"chunk_opener_init", STREAM_INIT, chunk_opener_init, NULL, chunk_opener_init},
    {"chunk_opener_open", STREAM_OPEN, chunk_opener_init, sealed_chunks, chunk_open},
    {"chunk_opener_open, forged", STREAM_FORGED, chunk_opener_init, sealed_chunks, chunk_open},
};

/* What was below the stack pointer after two runs, and where it began. */
static uint8_t left[2][DEPTH];
static uintptr_t bottom;

/* About where the frame of a function begins that its caller calls. */
static uintptr_t __attribute__((noinline)) frame(void)
{
    return (uintptr_t)__builtin_frame_address(0);
}

/* Calls `run` with a painted stack, and keeps what is then below the frame of this function, the first byte the deepest. */
static int __attribute__((noinline)) run_on_paint(int (*run)(void), uint8_t *kept)
{
    /* What the red zone of this function may have stays as it is. */
    volatile uint8_t *stack = (volatile uint8_t *)(frame() - DEPTH);
    size_t i;
    int code;
    bottom = (uintptr_t)stack;
    for (i = 0; i < DEPTH - 128; i++) {
        stack[i] = PAINT;
    }
    code = run();
    for (i = 0; i < DEPTH; i++) {
        kept[i] = stack[i];
    }
    return code;
}

/* Makes what an operation works on from `seed`. Not inlined, so that no register of the caller depends on a secret. */
static int __attribute__((noinline)) prepare(const struct operation *operation, uint8_t seed, size_t len)
{
    size_t i;
    for (i = 0; i < sizeof now.key; i++) {
        now.key[i] = (uint8_t)(seed + 37 * i * i);
    }
    for (i = 0; i < len; i++) {
        now.message[i] = (uint8_t)(seed * 3 + 59 * i + i * i * 7 + (i >> 8));
    }
    memcpy(now.buf, now.message, len);
    now.len = len;
    if (operation->init() != TWINE_OTR_OK || (operation->before && operation->before() != TWINE_OTR_OK)) {
        return 1;
    }
    memcpy(now.tag, now.given_tag, TAG);
    if (is_forged(operation->kind)) {
        now.given_tag[seed % TAG] ^= 0x10;
    }
    return 0;
}

/* Runs an operation whose secrets depend on `seed`. */
static int run_with(const struct operation *operation, uint8_t seed, size_t len)
{
    int code;
    if (prepare(operation, seed, len) != 0) {
        return 1;
    }
    /* Always to the same place: another address would be a difference. */
    code = run_on_paint(operation->run, left[0]);
    if (is_seal(operation->kind)) {
        memcpy(now.tag, now.given_tag, TAG);
    }
    return code;
}

/* Runs an operation with two sets of secrets. Not inlined, so that the registers of all callers are the same in both runs. */
static void __attribute__((noinline)) run_twice(const struct operation *operation, size_t len, int codes[2])
{
    codes[0] = run_with(operation, 0x35, len);
    memcpy(left[1], left[0], DEPTH);
    codes[1] = run_with(operation, 0xCA, len);
}

/* Whether any `run` bytes of the secret that are not of one or two values are in the `used` bytes that were left. */
static int holds(const uint8_t *kept, size_t used, const uint8_t *secret, size_t len, size_t run)
{
    size_t at, i, values;
    for (at = 0; at + run <= len; at++) {
        for (values = 0, i = 1; i < run; i++) {
            values += secret[at + i] != secret[at];
        }
        if (values < 3) {
            continue;
        }
        for (i = 0; i + run <= used; i++) {
            if (kept[i] == secret[at] && memcmp(&kept[i], &secret[at], run) == 0) {
                return 1;
            }
        }
    }
    return 0;
}

#define CHECK(holds, what, operation, number) \
    check_that((holds) != 0, what, (operation)->name, (unsigned long)(number), __LINE__)

static size_t deepest;

static void run_operation(const struct operation *operation, size_t len)
{
    const int expected = is_forged(operation->kind) ? TWINE_OTR_ERR_AUTHENTICATION : TWINE_OTR_OK;
    const uint8_t *ctx = (const uint8_t *)&now.ctx;
    uintptr_t lowest;
    size_t i, used, erased;
    int codes[2];
    run_twice(operation, len, codes);
    CHECK(codes[0] == expected && codes[1] == expected, "result, length", operation, len);
    for (i = 0; i < DEPTH && left[0][i] == left[1][i]; i++) {
    }
    CHECK(i == DEPTH, "a secret is left, at depth", operation, DEPTH - i);
    for (used = DEPTH; used > 0 && left[0][DEPTH - used] == PAINT; used--) {
    }
    if (used > deepest) {
        deepest = used;
    }
    CHECK(used < DEPTH - 256, "more is used than is looked at", operation, used);
    /* The lowest word may be what erases: a pointer to the word above it. */
    memcpy(&lowest, &left[0][DEPTH - used], sizeof lowest);
    erased = DEPTH - used + (lowest == bottom + DEPTH - used + sizeof lowest ? sizeof lowest : 0);
    for (i = erased; i < DEPTH && left[0][i] == 0; i++) {
    }
    CHECK(i >= erased + ERASED, "goes deeper than it erases", operation, used);
#ifdef SETUP_LIMIT
    CHECK(used <= (operation->kind == INIT             ? SETUP_LIMIT
                   : operation->kind < COUNTED_STATE ? MESSAGE_LIMIT
                   : operation->kind < STREAM_INIT  ? COUNTED_LIMIT
                   : operation->kind == STREAM_INIT ? STREAM_INIT_LIMIT
                                                    : STREAM_LIMIT),
          "takes bytes of stack", operation, used);
#endif
    CHECK(!holds(&left[0][DEPTH - used], used, now.key, sizeof now.key, 8), "leaves its key, length", operation, len);
    CHECK(!holds(&left[0][DEPTH - used], used, ctx + 8, sizeof now.ctx - 8, 16), "leaves round keys, length", operation, len);
    CHECK(!holds(&left[0][DEPTH - used], used, now.tag, has_no_message(operation->kind) || operation->kind == BLOCKS ? 0 : TAG, TAG),
          "leaves the tag, length", operation, len);
    CHECK(!holds(&left[0][DEPTH - used], used, now.message, len, 8), "leaves the message, length", operation, len);
}

/* Runs an operation with messages and associated data of all lengths, and prints what it takes. */
static void run_all_lengths(const char *of, const struct operation *operation)
{
    static const size_t lens[] = {5, CAPACITY, 30, 8, 16, 64, 100};
    static const size_t ad_lens[] = {21, sizeof ad, 0};
    size_t i, j, count = has_no_message(operation->kind) ? 1 : COUNT(lens);
    /* Blocks and keys have no associated data. */
    size_t ad_count = has_no_message(operation->kind) || operation->kind == BLOCKS ? 1 : COUNT(ad_lens);
#ifdef SMALL
    /* It takes long. */
    count = of[0] && count > 3 ? 3 : count;
#endif
    deepest = 0;
    for (i = 0; i < count; i++) {
        for (j = 0; j < ad_count; j++) {
            ad_len = ad_lens[j];
            run_operation(operation, lens[i]);
        }
    }
    port_print(of);
    port_print(of[0] ? "_" : "");
    port_print(operation->name);
    port_print(": ");
    print_number((unsigned long)deepest);
    port_print(" bytes of stack\n");
}

int main(void)
{
    size_t i, j;
    for (i = 0; i < sizeof ad; i++) {
        ad[i] = (uint8_t)(i + (i >> 8));
    }
    for (i = 0; i < COUNT(operations); i++) {
        run_all_lengths("", &operations[i]);
    }
    for (i = 0; i < COUNT(families); i++) {
        family = families[i];
        for (j = 0; j < COUNT(of_family); j++) {
            run_all_lengths(family->name, &of_family[j]);
        }
    }
    return report();
}
