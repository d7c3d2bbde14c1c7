/*
 * What an init that is interrupted leaves: on POSIX, by a key or a part of the context that cannot be accessed. Prints like test.c.
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

static void on_fault(int signal)
{
    (void)signal;
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

static const struct {
    int (*init)(void *ctx, const uint8_t *key);
    int (*is_refused)(const void *ctx);
} types[] = {
    {init_twine128_otr, is_refused_twine128_otr},
    {init_twine80_otr, is_refused_twine80_otr},
    {init_twine128, is_refused_twine128},
    {init_twine80, is_refused_twine80},
};

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
    printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
