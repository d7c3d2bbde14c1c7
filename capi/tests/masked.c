/* Sealers and openers with masks do what those without do, and fail as documented if there are no random bytes. */
#include "twine-otr-masked.h"

#include "bytes.h"
#include "report.h"

#include <string.h>

#define CHECK(holds, what, number) check_that((holds), (what), where, (unsigned long)(number), __LINE__)

static const uint8_t FIXED[4] = {'u', 'p', ' ', '7'};
static const uint32_t LIMIT = TWINE_OTR_BLOCK_LIMIT_DEFAULT;

/* A generator that counts, and fails if it is told to, or does not write the last bytes. */
typedef struct {
    uint32_t state;
    size_t calls;
    size_t bytes;
    int fails;
    size_t unwritten;
} generator;

static int fill(void *context, uint8_t *bytes, size_t len)
{
    generator *random = (generator *)context;
    size_t i;
    random->calls++;
    random->bytes += len;
    for (i = 0; i + random->unwritten < len; i++) {
        random->state ^= random->state << 13;
        random->state ^= random->state >> 17;
        random->state ^= random->state << 5;
        bytes[i] = (uint8_t)random->state;
    }
    /* Also where it fails it has written the bytes. */
    return random->fails;
}

/* All masks are zero, which somebody may want to measure. */
static int fill_zeros(void *context, uint8_t *bytes, size_t len)
{
    (void)context;
    memset(bytes, 0, len);
    return 0;
}

/* Whether there was one call for so many bytes since this was asked last. */
static int took(generator *random, size_t bytes)
{
    int is_right = random->calls == (bytes > 0) && random->bytes == bytes;
    random->calls = random->bytes = 0;
    return is_right;
}

/* Both shares of a key, as words in little-endian order. */
static void share(uint32_t *words, size_t count, const uint8_t *key, size_t key_len, generator *random)
{
    size_t i;
    (void)fill(random, (uint8_t *)(words + count), 4 * count);
    for (i = 0; i < count; i++) {
        uint32_t word = 0;
        size_t j = 4;
        while (j-- > 0) {
            word = word << 8 | (4 * i + j < key_len ? key[4 * i + j] : 0U);
        }
        words[i] = words[count + i] ^ word;
    }
    (void)took(random, 0);
}

#define TESTS(bits, words)                                                                                              \
    static void with_##bits(void)                                                                                       \
    {                                                                                                                   \
        static const char where[] = "TWINE-" #bits;                                                                     \
        static twine##bits##_masked_sealer sealer = TWINE##bits##_MASKED_SEALER_INIT;                                   \
        static twine##bits##_masked_opener opener = TWINE##bits##_MASKED_OPENER_INIT;                                   \
        static twine##bits##_sealer plain_sealer = TWINE##bits##_SEALER_INIT;                                           \
        static twine##bits##_opener plain_opener = TWINE##bits##_OPENER_INIT;                                           \
        static uint8_t key[TWINE##bits##_KEY_SIZE], ad[40], message[100], sealed[100], buf[100];                        \
        uint32_t shares[2 * (words)];                                                                                   \
        uint8_t nonce[7], tag[8], other_nonce[7], other_tag[8], state[32], states[64];                                  \
        generator random = {2463534242U, 0, 0, 0, 0};                                                                      \
        twine_otr_sealer_counts counts, other_counts;                                                                   \
        twine_otr_opener_counts opened;                                                                                 \
        size_t len;                                                                                                     \
                                                                                                                        \
        (void)fill(&random, key, sizeof key);                                                                           \
        (void)fill(&random, ad, sizeof ad);                                                                             \
        (void)fill(&random, message, sizeof message);                                                                   \
        share(shares, words, key, sizeof key, &random);                                                                 \
                                                                                                                        \
        /* Without a key nothing is done. */                                                                            \
        CHECK(twine##bits##_masked_sealer_seal(&sealer, NULL, 0, NULL, 0, nonce, tag) == TWINE_OTR_ERR_CONTEXT,         \
              "no key", 0);                                                                                             \
                                                                                                                        \
        CHECK(twine##bits##_masked_sealer_init(&sealer, shares, FIXED, LIMIT, fill, &random) == TWINE_OTR_OK, "init",   \
              0);                                                                                                       \
        CHECK(twine##bits##_masked_opener_init(&opener, shares, FIXED, LIMIT, 9, 64, fill, &random) == TWINE_OTR_OK,    \
              "init", 1);                                                                                               \
        CHECK(took(&random, 0), "init takes no masks", 0);                                                              \
        CHECK(twine##bits##_sealer_init(&plain_sealer, key, FIXED, LIMIT) == TWINE_OTR_OK, "init", 2);                  \
        CHECK(twine##bits##_opener_init(&plain_opener, key, FIXED, LIMIT, 9, 64) == TWINE_OTR_OK, "init", 3);           \
                                                                                                                        \
        for (len = 0; len <= sizeof message; len++) {                                                                   \
            size_t ad_len = len % (sizeof ad + 1);                                                                      \
            memcpy(buf, message, len);                                                                                  \
            memcpy(sealed, message, len);                                                                               \
            CHECK(twine##bits##_masked_sealer_seal(&sealer, ad, ad_len, buf, len, nonce, tag) == TWINE_OTR_OK, "seal",  \
                  len);                                                                                                 \
            CHECK(took(&random, ad_len > 0 ? 256 : 160), "masks to seal", len);                                         \
            CHECK(twine##bits##_sealer_seal(&plain_sealer, ad, ad_len, sealed, len, other_nonce, other_tag)             \
                      == TWINE_OTR_OK,                                                                                  \
                  "seal", len);                                                                                         \
            CHECK(memcmp(buf, sealed, len) == 0 && memcmp(tag, other_tag, sizeof tag) == 0                              \
                      && memcmp(nonce, other_nonce, sizeof nonce) == 0,                                                 \
                  "sealed as without masks", len);                                                                      \
            CHECK(twine##bits##_opener_open(&plain_opener, nonce, ad, ad_len, sealed, len, tag) == TWINE_OTR_OK,        \
                  "open", len);                                                                                         \
                                                                                                                        \
            /* No random bytes: the message is zero and not counted. */                                                 \
            memcpy(sealed, buf, len);                                                                                   \
            random.fails = 1;                                                                                           \
            CHECK(twine##bits##_masked_opener_open(&opener, nonce, ad, ad_len, sealed, len, tag)                        \
                          == TWINE_OTR_ERR_RANDOM                                                                       \
                      && all_are(sealed, len, 0),                                                                       \
                  "open without masks", len);                                                                           \
            random.fails = 0;                                                                                           \
            (void)took(&random, 0);                                                                                     \
                                                                                                                        \
            /* A forgery, the message, and the message again. */                                                        \
            if (len < 8) {                                                                                              \
                memcpy(sealed, buf, len);                                                                               \
                tag[len] ^= 1;                                                                                          \
                CHECK(twine##bits##_masked_opener_open(&opener, nonce, ad, ad_len, sealed, len, tag)                    \
                              == TWINE_OTR_ERR_AUTHENTICATION                                                           \
                          && all_are(sealed, len, 0),                                                                   \
                      "forgery", len);                                                                                  \
                tag[len] ^= 1;                                                                                          \
                (void)took(&random, 0);                                                                                 \
            }                                                                                                           \
            memcpy(sealed, buf, len);                                                                                   \
            CHECK(twine##bits##_masked_opener_open(&opener, nonce, ad, ad_len, buf, len, tag) == TWINE_OTR_OK           \
                      && memcmp(buf, message, len) == 0,                                                                \
                  "open", len);                                                                                         \
            CHECK(took(&random, ad_len > 0 ? 416 : 320), "masks to open", len);                                         \
            CHECK(twine##bits##_masked_opener_open(&opener, nonce, ad, ad_len, sealed, len, tag)                        \
                          == TWINE_OTR_ERR_REPLAYED                                                                     \
                      && all_are(sealed, len, 0),                                                                       \
                  "replay", len);                                                                                       \
            (void)took(&random, 0);                                                                                     \
        }                                                                                                               \
        CHECK(twine##bits##_masked_opener_count(&opener, &opened) == TWINE_OTR_OK && opened.failures == 8               \
                  && opened.next_counter == sizeof message + 1,                                                         \
              "counts of an opener", opened.failures);                                                                  \
        CHECK(twine##bits##_masked_sealer_count(&sealer, &counts) == TWINE_OTR_OK                                       \
                  && twine##bits##_sealer_count(&plain_sealer, &other_counts) == TWINE_OTR_OK                           \
                  && memcmp(&counts, &other_counts, sizeof counts) == 0,                                                \
              "counts of a sealer", 0);                                                                                 \
                                                                                                                        \
        /* No random bytes: nothing is written. */                                                                      \
        random.fails = 1;                                                                                               \
        memcpy(buf, message, sizeof buf);                                                                               \
        memset(nonce, 0x5A, sizeof nonce);                                                                              \
        memset(tag, 0x5A, sizeof tag);                                                                                  \
        memset(state, 0x5A, sizeof state);                                                                              \
        CHECK(twine##bits##_masked_sealer_seal(&sealer, ad, 9, buf, sizeof buf, nonce, tag) == TWINE_OTR_ERR_RANDOM,    \
              "seal without masks", 0);                                                                                 \
        CHECK(twine##bits##_masked_sealer_begin_reserve(&sealer, 9, state) == TWINE_OTR_ERR_RANDOM,                     \
              "reserve without masks", 0);                                                                              \
        CHECK(memcmp(buf, message, sizeof buf) == 0 && all_are(nonce, sizeof nonce, 0x5A)                               \
                  && all_are(tag, sizeof tag, 0x5A) && all_are(state, sizeof state, 0x5A),                              \
              "nothing is written", 0);                                                                                 \
        random.fails = 0;                                                                                               \
        CHECK(twine##bits##_masked_sealer_next_nonce(&sealer, nonce) == TWINE_OTR_OK                                    \
                  && twine##bits##_sealer_next_nonce(&plain_sealer, other_nonce) == TWINE_OTR_OK                        \
                  && memcmp(nonce, other_nonce, sizeof nonce) == 0,                                                     \
              "no nonce is used", 0);                                                                                   \
                                                                                                                        \
        /* States are those of sealers and openers without masks. */                                                    \
        random.fails = 1;                                                                                               \
        CHECK(twine##bits##_masked_sealer_suspend(&sealer, state) == TWINE_OTR_ERR_RANDOM, "suspend without masks", 0); \
        random.fails = 0;                                                                                               \
        memset(states, 0xFF, 32);                                                                                       \
        (void)took(&random, 0);                                                                                         \
        CHECK(twine##bits##_masked_sealer_suspend(&sealer, states + 32) == TWINE_OTR_OK && took(&random, 160),          \
              "suspend", 0);                                                                                            \
        CHECK(twine##bits##_sealer_suspend(&plain_sealer, state) == TWINE_OTR_OK                                        \
                  && memcmp(state, states + 32, sizeof state) == 0,                                                     \
              "states as without masks", 0);                                                                            \
        random.fails = 1;                                                                                               \
        CHECK(twine##bits##_masked_sealer_restore(&sealer, shares, FIXED, LIMIT, fill, &random, states, 2)              \
                      == TWINE_OTR_ERR_RANDOM                                                                           \
                  && all_are(&sealer, 8, 0),                                                                            \
              "restore without masks", 0);                                                                              \
        random.fails = 0;                                                                                               \
        CHECK(twine##bits##_masked_sealer_restore(&sealer, shares, FIXED, LIMIT, fill, &random, states, 2)              \
                  == TWINE_OTR_OK,                                                                                      \
              "restore", 0);                                                                                            \
        CHECK(twine##bits##_masked_sealer_seal(&sealer, NULL, 0, NULL, 0, nonce, tag) == TWINE_OTR_ERR_NOT_RESERVED,    \
              "nothing is reserved", 0);                                                                                \
        CHECK(twine##bits##_masked_sealer_begin_reserve(&sealer, 99, state) == TWINE_OTR_OK                             \
                  && twine##bits##_masked_sealer_confirm(&sealer, state) == TWINE_OTR_OK                                \
                  && twine##bits##_masked_sealer_seal(&sealer, NULL, 0, NULL, 0, nonce, tag) == TWINE_OTR_OK,           \
              "reserve", 0);                                                                                            \
        (void)took(&random, 0);                                                                                         \
        CHECK(twine##bits##_masked_opener_suspend(&opener, state) == TWINE_OTR_OK && took(&random, 160)                 \
                  && twine##bits##_masked_opener_restore(&opener, shares, FIXED, LIMIT, 9, 64, fill, &random, state, 1) \
                         == TWINE_OTR_OK                                                                                \
                  && took(&random, 160)                                                                                 \
                  && twine##bits##_masked_opener_begin_reserve(&opener, 9, 99, state) == TWINE_OTR_OK                   \
                  && took(&random, 160)                                                                                 \
                  && twine##bits##_masked_opener_confirm(&opener, state) == TWINE_OTR_OK && took(&random, 160),         \
              "the states of an opener", 0);                                                                            \
        CHECK(twine##bits##_masked_sealer_first_state(&sealer, shares, FIXED, LIMIT, fill, &random, states)             \
                      == TWINE_OTR_OK                                                                                   \
                  && twine##bits##_sealer_first_state(&plain_sealer, key, FIXED, LIMIT, state) == TWINE_OTR_OK          \
                  && memcmp(states, state, sizeof state) == 0,                                                          \
              "first state of a sealer", 0);                                                                            \
        CHECK(twine##bits##_masked_opener_first_state(&opener, shares, FIXED, LIMIT, 9, fill, &random, states)          \
                      == TWINE_OTR_OK                                                                                   \
                  && twine##bits##_opener_first_state(&plain_opener, key, FIXED, LIMIT, 9, state) == TWINE_OTR_OK       \
                  && memcmp(states, state, sizeof state) == 0,                                                          \
              "first state of an opener", 0);                                                                           \
                                                                                                                        \
        /* A generator that says it has succeeded, but has not written all bytes. */                                    \
        CHECK(twine##bits##_masked_sealer_init(&sealer, shares, FIXED, LIMIT, fill, &random) == TWINE_OTR_OK            \
                  && twine##bits##_masked_opener_init(&opener, shares, FIXED, LIMIT, 9, 64, fill, &random) == TWINE_OTR_OK,\
              "init", 4);                                                                                               \
        for (len = 8; len <= 256; len += 31 * 8) {                                                                      \
            random.unwritten = len;                                                                                     \
            memcpy(buf, message, sizeof buf);                                                                           \
            CHECK(twine##bits##_masked_sealer_seal(&sealer, ad, 9, buf, sizeof buf, nonce, tag) == TWINE_OTR_ERR_RANDOM \
                      && memcmp(buf, message, sizeof buf) == 0,                                                         \
                  "seal with some masks", len);                                                                         \
        }                                                                                                               \
        random.unwritten = 416;                                                                                         \
        CHECK(twine##bits##_masked_opener_open(&opener, nonce, ad, 9, buf, sizeof buf, tag) == TWINE_OTR_ERR_RANDOM     \
                  && all_are(buf, sizeof buf, 0),                                                                       \
              "open with no masks", 0);                                                                                 \
        random.unwritten = 0;                                                                                           \
        CHECK(twine##bits##_masked_sealer_init(&sealer, shares, FIXED, LIMIT, fill_zeros, NULL) == TWINE_OTR_OK         \
                  && twine##bits##_masked_sealer_seal(&sealer, ad, 9, buf, sizeof buf, nonce, tag) == TWINE_OTR_OK      \
                  && twine##bits##_masked_opener_open(&opener, nonce, ad, 9, buf, sizeof buf, tag) == TWINE_OTR_OK,     \
              "masks that are zero", 0);                                                                                \
                                                                                                                        \
        CHECK(twine##bits##_masked_opener_init(&opener, shares, FIXED, LIMIT, 9, 64, NULL, NULL) == TWINE_OTR_OK        \
                  && twine##bits##_masked_opener_open(&opener, nonce, ad, 9, buf, sizeof buf, tag) == TWINE_OTR_ERR_ARGUMENT\
                  && twine##bits##_masked_opener_restore(&opener, shares, FIXED, LIMIT, 9, 64, NULL, NULL, state, 1)    \
                         == TWINE_OTR_ERR_ARGUMENT                                                                      \
                  && all_are(&opener, 8, 0),                                                                            \
              "no function to open", 0);                                                                                \
        CHECK(twine##bits##_masked_sealer_init(&sealer, shares, FIXED, LIMIT, NULL, NULL) == TWINE_OTR_OK               \
                  && twine##bits##_masked_sealer_seal(&sealer, NULL, 0, NULL, 0, nonce, tag) == TWINE_OTR_ERR_ARGUMENT, \
              "no function", 0);                                                                                        \
        CHECK(twine##bits##_masked_sealer_init(&sealer, NULL, FIXED, LIMIT, fill, &random) == TWINE_OTR_ERR_ARGUMENT,   \
              "no key", 1);                                                                                             \
        twine##bits##_masked_sealer_clear(&sealer);                                                                     \
        twine##bits##_masked_opener_clear(&opener);                                                                     \
        CHECK(all_are(&sealer, sizeof sealer, 0) && all_are(&opener, sizeof opener, 0), "cleared", 0);                  \
    }

#ifdef SMALL
/* Without an operating system nothing else is below the stack pointer. */
enum { DEPTH = 2048, PAINT = 0xA5 };

/* The bytes between the frame of the caller and what is painted. */
enum { NEAR = 512 };

static volatile uint8_t *paint(uintptr_t top)
{
    volatile uint8_t *below = (volatile uint8_t *)(top - NEAR);
    size_t i;
    for (i = 0; i < DEPTH; i++) {
        below[-(ptrdiff_t)i] = PAINT;
    }
    return below;
}

/* What a call has used of the painted stack must be zero, and no deeper than it erases. */
static void is_erased(const char *where, volatile uint8_t *below, int call)
{
    size_t depth = DEPTH, i;
    while (depth > 0 && below[-(ptrdiff_t)(depth - 1)] == PAINT) {
        depth--;
    }
    CHECK(depth > 512 && depth < DEPTH, "the depth of a call", call);
    for (i = 0; i + 256 < depth; i++) {
        CHECK(below[-(ptrdiff_t)(depth - 1 - i)] == 0, "what a call leaves on the stack", call);
    }
}

/* The frame of the caller is at `top`. Makes each call that takes a key or masks with a painted stack. */
#define ERASES_THE_STACK(bits, words)                                                                                   \
    static void erases_the_stack_##bits(uintptr_t top)                                                                  \
    {                                                                                                                   \
        static const char where[] = "the stack, TWINE-" #bits;                                                          \
        static twine##bits##_masked_sealer sealer;                                                                      \
        static twine##bits##_masked_opener opener;                                                                      \
        static generator random = {2463534242U, 0, 0, 0, 0};                                                            \
        static const uint32_t key[2 * (words)] = {1, 2, 3, 4, 5, 6};                                                    \
        static uint8_t buf[100], ad[40], nonce[7], tag[8], state[32], other[32];                                        \
        int call;                                                                                                       \
        for (call = 0; call < 14; call++) {                                                                             \
            int status = TWINE_OTR_ERR_CONTEXT;                                                                         \
            volatile uint8_t *below = paint(top);                                                                       \
            switch (call) {                                                                                             \
            case 0:                                                                                                     \
                status = twine##bits##_masked_sealer_first_state(&sealer, key, FIXED, LIMIT, fill, &random, state);     \
                break;                                                                                                  \
            case 1:                                                                                                     \
                status = twine##bits##_masked_sealer_restore(&sealer, key, FIXED, LIMIT, fill, &random, state, 1);      \
                break;                                                                                                  \
            case 2:                                                                                                     \
                status = twine##bits##_masked_sealer_begin_reserve(&sealer, 99, other);                                 \
                break;                                                                                                  \
            case 3:                                                                                                     \
                status = twine##bits##_masked_sealer_confirm(&sealer, other);                                           \
                break;                                                                                                  \
            case 4:                                                                                                     \
                status = twine##bits##_masked_sealer_seal(&sealer, ad, sizeof ad, buf, sizeof buf, nonce, tag);         \
                break;                                                                                                  \
            case 5:                                                                                                     \
                status = twine##bits##_masked_sealer_suspend(&sealer, state);                                           \
                break;                                                                                                  \
            case 6:                                                                                                     \
                status = twine##bits##_masked_sealer_init(&sealer, key, FIXED, LIMIT, fill, &random);                   \
                break;                                                                                                  \
            case 7:                                                                                                     \
                status = twine##bits##_masked_opener_first_state(&opener, key, FIXED, LIMIT, 9, fill, &random, state);  \
                break;                                                                                                  \
            case 8:                                                                                                     \
                status = twine##bits##_masked_opener_restore(&opener, key, FIXED, LIMIT, 9, 64, fill, &random, state, 1);\
                break;                                                                                                  \
            case 9:                                                                                                     \
                status = twine##bits##_masked_opener_begin_reserve(&opener, 9, 99, other);                              \
                break;                                                                                                  \
            case 10:                                                                                                    \
                status = twine##bits##_masked_opener_confirm(&opener, other);                                           \
                break;                                                                                                  \
            case 11:                                                                                                    \
                status = twine##bits##_masked_opener_open(&opener, nonce, ad, sizeof ad, buf, sizeof buf, tag);         \
                break;                                                                                                  \
            case 12:                                                                                                    \
                status = twine##bits##_masked_opener_suspend(&opener, state);                                           \
                break;                                                                                                  \
            default:                                                                                                    \
                status = twine##bits##_masked_opener_init(&opener, key, FIXED, LIMIT, 9, 64, fill, &random);            \
            }                                                                                                           \
            CHECK(status == TWINE_OTR_OK, "a call on a painted stack", call);                                           \
            is_erased(where, below, call);                                                                              \
        }                                                                                                               \
    }

ERASES_THE_STACK(128, 4)
ERASES_THE_STACK(80, 3)
#endif

TESTS(128, 4)
TESTS(80, 3)

int main(void)
{
#ifdef SMALL
    volatile uint8_t here = 0;
    erases_the_stack_128((uintptr_t)&here);
    erases_the_stack_80((uintptr_t)&here);
#endif
    with_128();
    with_80();
    return report();
}
