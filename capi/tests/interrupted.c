/*
 * What an init or another call that is interrupted leaves, and what a call gets that interrupts another one: on POSIX, by memory that cannot
 * be accessed. Prints like test.c.
 */
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#include "twine-otr.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned passed, failed;
static sigjmp_buf fault;

/* What interrupts the call, if anything does, and what it returned. */
static int (*interrupting)(void);
static volatile int got;
/* A page that can be accessed after the interruption, if the call goes on then. */
static void *opened_page;

static void on_fault(int signal)
{
    (void)signal;
    if (interrupting) {
        got = interrupting();
    }
    if (opened_page) {
        (void)mprotect(opened_page, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE);
        return;
    }
    siglongjmp(fault, 1);
}

static void check(int holds, const char *what, size_t number)
{
    if (holds) {
        passed++;
    } else {
        failed++;
        printf("FAILED: %s, case %lu\n", what, (unsigned long)number);
    }
}

/* One type of context: its init, and whether it is refused. */
#define CONTEXT(name, otr_or_block)                                                                           \
    static int init_##name(void *ctx, const uint8_t *key) { return name##_init((name##_ctx *)ctx, key); }     \
    static int is_refused_##name(const void *ctx)                                                             \
    {                                                                                                         \
        uint8_t buf[8] = {0}, tag[8];                                                                         \
        (void)tag;                                                                                            \
        return otr_or_block(name, (const name##_ctx *)ctx) == TWINE_OTR_ERR_CONTEXT;                          \
    }
#define OTR(name, ctx) name##_seal(ctx, (const uint8_t *)"\1\2\3\4\5\6", NULL, 0, buf, 8, tag)
#define BLOCK(name, ctx) name##_encrypt_blocks(ctx, buf, 1)
CONTEXT(twine128_otr, OTR)
CONTEXT(twine80_otr, OTR)
CONTEXT(twine128, BLOCK)
CONTEXT(twine80, BLOCK)

static const uint8_t fixed[TWINE_OTR_FIXED_SIZE] = {1}, header[TWINE_OTR_STREAM_HEADER_SIZE] = {1};

static int init_sealer(void *ctx, const uint8_t *key)
{
    return twine128_sealer_init((twine128_sealer *)ctx, key, fixed, TWINE_OTR_BLOCK_LIMIT_DEFAULT);
}
static int is_refused_sealer(const void *ctx)
{
    uint8_t nonce[TWINE_OTR_NONCE_SIZE];
    return twine128_sealer_next_nonce((const twine128_sealer *)ctx, nonce) == TWINE_OTR_ERR_CONTEXT;
}
static int init_opener(void *ctx, const uint8_t *key)
{
    return twine128_opener_init((twine128_opener *)ctx, key, fixed, TWINE_OTR_BLOCK_LIMIT_DEFAULT, 9, 0);
}
static int is_refused_opener(const void *ctx)
{
    twine_otr_opener_counts counts;
    return twine128_opener_count((const twine128_opener *)ctx, &counts) == TWINE_OTR_ERR_CONTEXT;
}
static int init_chunks(void *ctx, const uint8_t *key)
{
    return twine128_chunk_sealer_init((twine128_chunk_sealer *)ctx, key, header, TWINE_OTR_BLOCK_LIMIT_SEGMENT);
}
static int is_refused_chunks(const void *ctx)
{
    /* A copy, as it would change. */
    twine128_chunk_sealer sealer = *(const twine128_chunk_sealer *)ctx;
    uint8_t tag[TWINE_OTR_TAG_SIZE];
    return twine128_chunk_sealer_seal(&sealer, NULL, 0, NULL, 0, tag) == TWINE_OTR_ERR_CONTEXT;
}

static const struct {
    int (*init)(void *ctx, const uint8_t *key);
    int (*is_refused)(const void *ctx);
} types[] = {
    {init_twine128_otr, is_refused_twine128_otr},
    {init_twine80_otr, is_refused_twine80_otr},
    {init_twine128, is_refused_twine128},
    {init_twine80, is_refused_twine80},
    {init_sealer, is_refused_sealer},
    {init_opener, is_refused_opener},
    {init_chunks, is_refused_chunks},
};

/* ---- Calls in an interrupt handler ---- */

static twine128_sealer sealer;
static twine128_opener opener;
static twine128_chunk_sealer chunks;
static twine128_pieces pieces;
static uint8_t nonce[TWINE_OTR_NONCE_SIZE], tag[TWINE_OTR_TAG_SIZE], *forbidden;

static int seal_in_handler(void)
{
    uint8_t buf[8] = {0};
    return twine128_sealer_seal(&sealer, NULL, 0, buf, sizeof buf, nonce, tag);
}
static int open_in_handler(void)
{
    uint8_t buf[8] = {0};
    return twine128_opener_open(&opener, nonce, NULL, 0, buf, sizeof buf, tag);
}
static int seal_chunk_in_handler(void)
{
    uint8_t buf[8] = {0};
    return twine128_chunk_sealer_seal(&chunks, NULL, 0, buf, sizeof buf, tag);
}
static int seal_forbidden(void) { return twine128_sealer_seal(&sealer, NULL, 0, forbidden, 64, nonce, tag); }
static int open_forbidden(void)
{
    memcpy(nonce, fixed, sizeof fixed);
    return twine128_opener_open(&opener, nonce, NULL, 0, forbidden, 64, tag);
}
static int update_forbidden(void) { return twine128_sealer_update_pieces(&sealer, &pieces, forbidden, 32); }
static int finalize_forbidden(void) { return twine128_sealer_finalize_pieces(&sealer, &pieces, forbidden, 32, tag); }
static int suspend_in_handler(void)
{
    uint8_t state[TWINE_OTR_STATE_SIZE];
    return twine128_sealer_suspend(&sealer, state);
}
static int clear_in_handler(void)
{
    twine128_sealer_clear(&sealer);
    return TWINE_OTR_OK;
}
static int seal_chunk_forbidden(void) { return twine128_chunk_sealer_seal(&chunks, NULL, 0, forbidden, 64, tag); }

/* A call that is interrupted in the middle of its message: what interrupts it is refused, and so is all that comes after it. */
static void check_interrupted(int (*call)(void), int (*in_handler)(void), size_t number)
{
    got = TWINE_OTR_OK;
    interrupting = in_handler;
    if (sigsetjmp(fault, 1) == 0) {
        check(call() == 2, "memory that cannot be accessed", number);
    }
    interrupting = NULL;
    check(got == TWINE_OTR_ERR_CONTEXT, "a call that interrupts another one", number);
    check(in_handler() == TWINE_OTR_ERR_CONTEXT, "a call after one that did not end", number);
}

int main(void)
{
    static const uint8_t key[16] = {1}, other_key[16] = {2};
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages = (uint8_t *)mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    /* Volatile: they are used after a jump. */
    volatile size_t i, room;

    if (pages == MAP_FAILED || signal(SIGSEGV, on_fault) == SIG_ERR || signal(SIGBUS, on_fault) == SIG_ERR) {
        return 2;
    }
    for (i = 0; i < sizeof types / sizeof types[0]; i++) {
        /* The key cannot be read: the mark is gone before. */
        check(types[i].init(pages, key) == TWINE_OTR_OK && !types[i].is_refused(pages), "init", i);
        (void)mprotect(pages + page, page, PROT_NONE);
        if (sigsetjmp(fault, 1) == 0) {
            check(types[i].init(pages, pages + page) != TWINE_OTR_OK, "a key that cannot be read", i);
        }
        (void)mprotect(pages + page, page, PROT_READ | PROT_WRITE);
        check(types[i].is_refused(pages), "a context whose key could not be read", i);

        /* What is behind the first `room` bytes of the context cannot be written: the mark is not there yet. */
        for (room = 8; room < sizeof(twine128_otr_ctx); room += 8) {
            volatile int code = 1;
            uint8_t *ctx = pages + page - room;
            check(types[i].init(ctx, key) == TWINE_OTR_OK, "init", room);
            (void)mprotect(pages + page, page, PROT_READ);
            if (sigsetjmp(fault, 1) == 0) {
                code = types[i].init(ctx, other_key);
            }
            (void)mprotect(pages + page, page, PROT_READ | PROT_WRITE);
            /* Behind the round keys there may be bytes of the context that are not written. */
            check(types[i].is_refused(ctx) || (code == TWINE_OTR_OK && room > sizeof(twine128_otr_ctx) / 8), "a fault", room);
        }
    }
    (void)mprotect(pages + page, page, PROT_NONE);
    forbidden = pages + page;
    check(init_sealer(&sealer, key) == TWINE_OTR_OK && init_opener(&opener, key) == TWINE_OTR_OK, "init", 0);
    check(init_chunks(&chunks, key) == TWINE_OTR_OK && seal_in_handler() == TWINE_OTR_OK, "init", 1);
    check_interrupted(seal_forbidden, seal_in_handler, 0);
    check_interrupted(open_forbidden, open_in_handler, 1);
    check_interrupted(seal_chunk_forbidden, seal_chunk_in_handler, 2);
    for (i = 0; i < 2; i++) {
        /* The sealer is in use as long as a piece is processed. */
        check(init_sealer(&sealer, key) == TWINE_OTR_OK, "init", 2);
        check(twine128_sealer_begin_pieces(&sealer, &pieces, NULL, 0, 64, nonce) == TWINE_OTR_OK, "begin_pieces", i);
        check_interrupted(i == 0 ? update_forbidden : finalize_forbidden, i == 0 ? seal_in_handler : suspend_in_handler, 3 + i);
    }
    /* What a handler clears, although it must not, does not come back. */
    check(init_sealer(&sealer, key) == TWINE_OTR_OK, "init", 3);
    interrupting = clear_in_handler;
    opened_page = forbidden;
    check(seal_forbidden() == TWINE_OTR_ERR_CONTEXT, "a call whose sealer was cleared", 0);
    interrupting = NULL;
    check(is_refused_sealer(&sealer), "a sealer that was cleared", 0);
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
