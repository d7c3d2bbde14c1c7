/*
 * What calls leave on the stack, and how much of it they take. The stack is painted, a call made, and what is then below is kept;
 * and once more with another key, message and tag: not one byte may differ. Then the bytes are searched for the secrets.
 * Prints like test.c. SETUP_LIMIT and MESSAGE_LIMIT, if defined, are what init, and what the others, may take at most.
 */
#include "port.h"
#include "twine-otr.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NONCE 7
#define TAG 8
#define PAINT 0xA5
/* Bytes of stack that are looked at, and the longest message. */
#ifdef SMALL
#define DEPTH 1536
#define CAPACITY 264
#else
#define DEPTH 32768
#define CAPACITY 4104
#endif

static unsigned passed, failed;

static void print_number(size_t number)
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
    } ctx;
} now;

static const uint8_t nonce[NONCE] = {1, 2, 3, 4, 5, 6, 7};
static uint8_t ad[21];

static int init_otr_128(void) { return twine128_otr_init(&now.ctx.otr_128, now.key); }
static int init_otr_80(void) { return twine80_otr_init(&now.ctx.otr_80, now.key); }
static int init_block_128(void) { return twine128_init(&now.ctx.block_128, now.key); }
static int init_block_80(void) { return twine80_init(&now.ctx.block_80, now.key); }
static int seal_128(void)
{
    return twine128_otr_seal(&now.ctx.otr_128, nonce, ad, sizeof ad, now.buf, now.len, now.given_tag);
}
static int seal_80(void)
{
    return twine80_otr_seal(&now.ctx.otr_80, nonce, ad, sizeof ad, now.buf, now.len, now.given_tag);
}
static int open_128(void)
{
    return twine128_otr_open(&now.ctx.otr_128, nonce, ad, sizeof ad, now.buf, now.len, now.given_tag);
}
static int open_80(void)
{
    return twine80_otr_open(&now.ctx.otr_80, nonce, ad, sizeof ad, now.buf, now.len, now.given_tag);
}
static int encrypt_128(void) { return twine128_encrypt_blocks(&now.ctx.block_128, now.buf, now.len / 8); }
static int encrypt_80(void) { return twine80_encrypt_blocks(&now.ctx.block_80, now.buf, now.len / 8); }
static int decrypt_128(void) { return twine128_decrypt_blocks(&now.ctx.block_128, now.buf, now.len / 8); }
static int decrypt_80(void) { return twine80_decrypt_blocks(&now.ctx.block_80, now.buf, now.len / 8); }

enum kind { INIT, SEAL, OPEN, FORGED, BLOCKS };

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

/* What was below the stack pointer after two runs. */
static uint8_t left[2][DEPTH];

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
    if (operation->kind == FORGED) {
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
    if (operation->kind == SEAL) {
        memcpy(now.tag, now.given_tag, TAG);
    }
    return code;
}

/* Whether any `run` bytes of the secret that are not of one or two values are in what was left. */
static int holds(const uint8_t *kept, const uint8_t *secret, size_t len, size_t run)
{
    size_t at, i, values;
    for (at = 0; at + run <= len; at++) {
        for (values = 0, i = 1; i < run; i++) {
            values += secret[at + i] != secret[at];
        }
        if (values < 3) {
            continue;
        }
        for (i = 0; i + run <= DEPTH; i++) {
            if (kept[i] == secret[at] && memcmp(&kept[i], &secret[at], run) == 0) {
                return 1;
            }
        }
    }
    return 0;
}

static void check(int holds, const char *what, const struct operation *operation, size_t number)
{
    if (holds) {
        passed++;
        return;
    }
    failed++;
    port_print("FAILED: ");
    port_print(operation->name);
    port_print(": ");
    port_print(what);
    port_print(" ");
    print_number(number);
    port_print("\n");
}

static size_t deepest;

static void run_operation(const struct operation *operation, size_t len)
{
    const int expected = operation->kind == FORGED ? TWINE_OTR_ERR_AUTHENTICATION : TWINE_OTR_OK;
    const uint8_t *ctx = (const uint8_t *)&now.ctx;
    size_t i, used;
    check(run_with(operation, 0x35, len) == expected, "result, length", operation, len);
    memcpy(left[1], left[0], DEPTH);
    check(run_with(operation, 0xCA, len) == expected, "result, length", operation, len);
    for (i = 0; i < DEPTH && left[0][i] == left[1][i]; i++) {
    }
    check(i == DEPTH, "a secret is left, at depth", operation, DEPTH - i);
    for (used = DEPTH; used > 0 && left[0][DEPTH - used] == PAINT; used--) {
    }
    if (used > deepest) {
        deepest = used;
    }
    check(used < DEPTH - 256, "more is used than is looked at", operation, used);
#ifdef SETUP_LIMIT
    check(used <= (operation->kind == INIT ? SETUP_LIMIT : MESSAGE_LIMIT), "takes bytes of stack", operation, used);
#endif
    check(!holds(left[0], now.key, sizeof now.key, 8), "leaves its key, length", operation, len);
    check(!holds(left[0], ctx + 8, sizeof now.ctx - 8, 16), "leaves round keys, length", operation, len);
    check(!holds(left[0], now.tag, operation->kind == INIT || operation->kind == BLOCKS ? 0 : TAG, TAG),
          "leaves the tag, length", operation, len);
    check(!holds(left[0], now.message, len, 8), "leaves the message, length", operation, len);
}

int main(void)
{
    static const size_t lens[] = {5, 8, 16, 30, 64, 100, CAPACITY};
    size_t i, j;
    for (i = 0; i < sizeof ad; i++) {
        ad[i] = (uint8_t)i;
    }
    for (i = 0; i < COUNT(operations); i++) {
        deepest = 0;
        for (j = 0; j < (operations[i].kind == INIT ? 1 : COUNT(lens)); j++) {
            run_operation(&operations[i], lens[j]);
        }
        port_print(operations[i].name);
        port_print(": ");
        print_number(deepest);
        port_print(" bytes of stack\n");
    }
    print_number(passed);
    port_print(" passed, ");
    print_number(failed);
    port_print(" failed\n");
    return failed == 0 ? 0 : 1;
}
