/*
 * The tests of sealers, openers, pieces and chunks: C99 and C++, on the host and on boards. Prints like test.c.
 */
#include "families.h"
#include "bytes.h"
#include "report.h"

#include <string.h>

#define LIMIT TWINE_OTR_BLOCK_LIMIT_DEFAULT
#define FAILURES TWINE_OTR_FAILURE_LIMIT_DEFAULT
#define STATE TWINE_OTR_STATE_SIZE
#define NONCE TWINE_OTR_NONCE_SIZE
#define TAG TWINE_OTR_TAG_SIZE

static const uint8_t key[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF};
static const uint8_t other_key[16] = {0x42};
static const uint8_t fixed[TWINE_OTR_FIXED_SIZE] = {'u', 'p', ' ', '7'};
static const uint8_t other_fixed[TWINE_OTR_FIXED_SIZE] = {'u', 'p', ' ', '8'};
static const uint8_t header[TWINE_OTR_STREAM_HEADER_SIZE] = {'s', 'e', 'n', 's', 'o', 'r', ' ', '7', 0, 0, 0, 0, 0, 0, 0, 3};
static uint8_t ad[24];

static const struct family *f;

#define CHECK(condition, number) check_that((condition) != 0, #condition, f->name, (unsigned long)(number), __LINE__)

static void fill(uint8_t *bytes, size_t len, unsigned seed)
{
    size_t i;
    for (i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(i * 151 + seed * 29 + 7);
    }
}

static void nonce_of(uint32_t counter, uint8_t nonce[NONCE])
{
    memcpy(nonce, fixed, sizeof fixed);
    nonce[4] = (uint8_t)(counter >> 16);
    nonce[5] = (uint8_t)(counter >> 8);
    nonce[6] = (uint8_t)counter;
}

static twine_otr_sealer_counts sealer_counts(const union any *sealer)
{
    twine_otr_sealer_counts counts;
    memset(&counts, 0x77, sizeof counts);
    CHECK(f->sealer_count(sealer, &counts) == TWINE_OTR_OK, 0);
    return counts;
}

static twine_otr_opener_counts opener_counts(const union any *opener)
{
    twine_otr_opener_counts counts;
    memset(&counts, 0x77, sizeof counts);
    CHECK(f->opener_count(opener, &counts) == TWINE_OTR_OK, 0);
    return counts;
}

/* Seals len zeros with no associated data. */
static int seal_zeros(union any *sealer, size_t len, uint8_t nonce[NONCE], uint8_t tag[TAG])
{
    uint8_t buf[64] = {0};
    return f->sealer_seal(sealer, NULL, 0, buf, len, nonce, tag);
}

/* ---- Sealers ---- */

/* What a sealer and an opener do is what the mode does under nonces that are counted. */
static void run_messages(void)
{
    union any plain, sealer, opener;
    uint8_t message[72], buf[72], expected[72], nonce[NONCE], next[NONCE], tag[TAG], expected_tag[TAG];
    uint32_t used = 0, counter = 0;
    size_t len, ad_len;
    CHECK(f->otr_init(&plain, key) == TWINE_OTR_OK, 0);
    CHECK(f->sealer_init(&sealer, key, fixed, LIMIT) == TWINE_OTR_OK, 0);
    CHECK(f->opener_init(&opener, key, fixed, LIMIT, FAILURES, 0) == TWINE_OTR_OK, 0);
    fill(message, sizeof message, 1);
    for (len = 0; len <= sizeof message; len += len < 20 ? 1 : 13) {
        for (ad_len = 0; ad_len <= sizeof ad; ad_len += 6) {
            uint8_t own[NONCE];
            nonce_of(counter, own);
            memcpy(expected, message, len);
            CHECK(f->otr_seal(&plain, own, ad, ad_len, expected, len, expected_tag) == TWINE_OTR_OK, len);
            CHECK(f->sealer_next_nonce(&sealer, next) == TWINE_OTR_OK && memcmp(next, own, NONCE) == 0, len);
            memcpy(buf, message, len);
            CHECK(f->sealer_seal(&sealer, ad_len ? ad : NULL, ad_len, len ? buf : NULL, len, nonce, tag) ==
                  TWINE_OTR_OK, len);
            CHECK(memcmp(buf, expected, len) == 0 && memcmp(tag, expected_tag, TAG) == 0, len);
            CHECK(memcmp(nonce, own, NONCE) == 0, len);
            CHECK(f->opener_open(&opener, nonce, ad_len ? ad : NULL, ad_len, len ? buf : NULL, len, tag) ==
                  TWINE_OTR_OK, len);
            CHECK(memcmp(buf, message, len) == 0, len);
            counter++;
            used += (uint32_t)twine_otr_count_blocks(ad_len, len);
            CHECK(sealer_counts(&sealer).used_blocks == used, len);
            CHECK(sealer_counts(&sealer).remaining_blocks == LIMIT - used, len);
            CHECK(sealer_counts(&sealer).reserved_blocks == LIMIT - used, len);
            CHECK(opener_counts(&opener).used_blocks == used && opener_counts(&opener).next_counter == counter, len);
        }
    }
    f->otr_clear(&plain);
    f->sealer_clear(&sealer);
    f->opener_clear(&opener);
    CHECK(all_are(&sealer.sealer, sizeof sealer.sealer, 0) && all_are(&opener.opener, sizeof opener.opener, 0), 0);
}

static void run_sealer_limits(void)
{
    union any sealer;
    uint8_t buf[16], nonce[NONCE], tag[TAG];
    CHECK(f->sealer_init(&sealer, key, fixed, 10) == TWINE_OTR_OK, 0);
    CHECK(seal_zeros(&sealer, 8, nonce, tag) == TWINE_OTR_OK && seal_zeros(&sealer, 16, nonce, tag) == TWINE_OTR_OK, 0);
    CHECK(sealer_counts(&sealer).remaining_blocks == 3, 0);
    memset(buf, 0x11, sizeof buf);
    memset(nonce, 0x22, sizeof nonce);
    memset(tag, 0x33, sizeof tag);
    CHECK(f->sealer_seal(&sealer, NULL, 0, buf, 16, nonce, tag) == TWINE_OTR_ERR_LIMIT, 0);
    CHECK(all_are(buf, sizeof buf, 0x11) && all_are(nonce, NONCE, 0x22) && all_are(tag, TAG, 0x33), 0);
    CHECK(f->sealer_next_nonce(&sealer, nonce) == TWINE_OTR_OK && nonce[6] == 2, 0);
    CHECK(seal_zeros(&sealer, 8, nonce, tag) == TWINE_OTR_OK && nonce[6] == 2, 0);
    CHECK(seal_zeros(&sealer, 0, nonce, tag) == TWINE_OTR_ERR_LIMIT, 0);
    CHECK(f->sealer_init(&sealer, key, fixed, 0) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(seal_zeros(&sealer, 0, nonce, tag) == TWINE_OTR_ERR_CONTEXT, 0);
    CHECK(all_are(&sealer.sealer, sizeof sealer.sealer, 0), 0);
    CHECK(f->sealer_init(&sealer, key, fixed, TWINE_OTR_BLOCK_LIMIT_MAX + 1) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->sealer_init(&sealer, key, fixed, TWINE_OTR_BLOCK_LIMIT_MAX) == TWINE_OTR_OK, 0);
}

static void run_sealer_states(void)
{
    union any sealer;
    uint8_t states[2 * STATE], first[STATE], state[STATE], wrong[STATE], nonce[NONCE], tag[TAG];
    size_t i;
    memset(states, 0xFF, sizeof states);
    CHECK(f->sealer_first_state(&sealer, key, fixed, LIMIT, first) == TWINE_OTR_OK, 0);
    CHECK(twine_otr_state_sequence(first) == 0 && all_are(&sealer.sealer, sizeof sealer.sealer, 0), 0);
    memcpy(states, first, STATE);

    CHECK(f->sealer_restore(&sealer, key, fixed, LIMIT, states, 2) == TWINE_OTR_OK, 0);
    CHECK(seal_zeros(&sealer, 0, nonce, tag) == TWINE_OTR_ERR_NOT_RESERVED, 0);
    CHECK(f->sealer_begin_reserve(&sealer, 9, state) == TWINE_OTR_OK && twine_otr_state_sequence(state) == 1, 0);
    CHECK(seal_zeros(&sealer, 0, nonce, tag) == TWINE_OTR_ERR_NOT_RESERVED, 0);
    /* Only the state that was made is confirmed. */
    CHECK(f->sealer_confirm(&sealer, first) == TWINE_OTR_ERR_STATE_OTHER, 0);
    for (i = 0; i < STATE; i++) {
        memcpy(wrong, state, STATE);
        wrong[i] ^= 0x10;
        CHECK(f->sealer_confirm(&sealer, wrong) == TWINE_OTR_ERR_STATE_DAMAGED, i);
    }
    CHECK(sealer_counts(&sealer).reserved_blocks == 0, 0);
    CHECK(f->sealer_confirm(&sealer, state) == TWINE_OTR_OK && sealer_counts(&sealer).reserved_blocks == 9, 0);
    CHECK(f->sealer_confirm(&sealer, state) == TWINE_OTR_ERR_STATE_OTHER, 0);
    memcpy(&states[STATE], state, STATE);
    CHECK(seal_zeros(&sealer, 8, nonce, tag) == TWINE_OTR_OK && nonce[6] == 0, 0);
    /* Between begin and confirm messages are sealed with what was reserved before. */
    CHECK(f->sealer_begin_reserve(&sealer, 12, state) == TWINE_OTR_OK, 0);
    CHECK(seal_zeros(&sealer, 8, nonce, tag) == TWINE_OTR_OK && nonce[6] == 1, 0);
    CHECK(f->sealer_confirm(&sealer, state) == TWINE_OTR_OK && sealer_counts(&sealer).reserved_blocks == 9, 0);
    memcpy(&states[0], state, STATE);

    /* Power lost: what was reserved is used. */
    CHECK(f->sealer_restore(&sealer, key, fixed, LIMIT, states, 2) == TWINE_OTR_OK, 0);
    CHECK(sealer_counts(&sealer).used_blocks == 15, 0);
    CHECK(f->sealer_next_nonce(&sealer, nonce) == TWINE_OTR_OK && nonce[6] == 5, 0);
    /* An orderly stop skips nothing. */
    CHECK(f->sealer_suspend(&sealer, state) == TWINE_OTR_OK && twine_otr_state_sequence(state) == 3, 0);
    CHECK(all_are(&sealer.sealer, sizeof sealer.sealer, 0), 0);
    CHECK(f->sealer_restore(&sealer, key, fixed, LIMIT, state, 1) == TWINE_OTR_OK, 0);
    CHECK(sealer_counts(&sealer).used_blocks == 15, 0);
    CHECK(f->sealer_next_nonce(&sealer, nonce) == TWINE_OTR_OK && nonce[6] == 5, 0);
    /* The state of another sequence, of a sealer that has gone another way. */
    CHECK(f->sealer_begin_reserve(&sealer, 12, wrong) == TWINE_OTR_OK && twine_otr_state_sequence(wrong) == 4, 0);
    CHECK(f->sealer_confirm(&sealer, state) == TWINE_OTR_ERR_STATE_OTHER, 0);
    /* And one in the place of which another one was made. */
    CHECK(f->sealer_begin_reserve(&sealer, 1, state) == TWINE_OTR_OK && twine_otr_state_sequence(state) == 6, 0);
    CHECK(f->sealer_confirm(&sealer, wrong) == TWINE_OTR_ERR_STATE_OTHER, 0);

    /* What is no state of this sealer. */
    CHECK(f->sealer_restore(&sealer, other_key, fixed, LIMIT, states, 2) == TWINE_OTR_ERR_STATE_KEY, 0);
    CHECK(all_are(&sealer.sealer, sizeof sealer.sealer, 0), 0);
    CHECK(seal_zeros(&sealer, 0, nonce, tag) == TWINE_OTR_ERR_CONTEXT, 0);
    CHECK(f->sealer_restore(&sealer, key, fixed, LIMIT - 1, states, 2) == TWINE_OTR_ERR_STATE_LIMIT, 0);
    CHECK(f->sealer_restore(&sealer, key, other_fixed, LIMIT, states, 2) == TWINE_OTR_ERR_STATE_OTHER, 0);
    CHECK(f->sealer_restore(&sealer, key, fixed, LIMIT, states, 0) == TWINE_OTR_ERR_STATE_DAMAGED, 0);
    CHECK(f->sealer_restore(&sealer, key, fixed, LIMIT, NULL, 0) == TWINE_OTR_ERR_STATE_DAMAGED, 0);
    memset(states, 0xFF, sizeof states);
    CHECK(f->sealer_restore(&sealer, key, fixed, LIMIT, states, 2) == TWINE_OTR_ERR_STATE_DAMAGED, 0);
    CHECK(f->sealer_restore(&sealer, key, fixed, LIMIT, NULL, 2) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->sealer_restore(&sealer, key, fixed, LIMIT, states, (size_t)-1 / STATE) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->sealer_restore(&sealer, key, fixed, 0, first, 1) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->opener_restore(&sealer, key, fixed, LIMIT, FAILURES, 0, first, 1) == TWINE_OTR_ERR_STATE_OTHER, 0);
}

/* ---- Openers ---- */

#define MESSAGES 160

/* Counters in an order of their own, against what a window of this width accepts. */
static void run_window(uint32_t window)
{
    static uint8_t tags[MESSAGES][TAG];
    static uint8_t texts[MESSAGES];
    static uint8_t opened[MESSAGES];
    union any sealer, opener;
    uint8_t nonce[NONCE], text;
    uint32_t i, counter = 0, newest = 0;
    int has_newest = 0;
    CHECK(f->sealer_init(&sealer, key, fixed, LIMIT) == TWINE_OTR_OK, window);
    for (i = 0; i < MESSAGES; i++) {
        texts[i] = (uint8_t)i;
        opened[i] = 0;
        CHECK(f->sealer_seal(&sealer, NULL, 0, &texts[i], 1, nonce, tags[i]) == TWINE_OTR_OK, i);
    }
    CHECK(f->opener_init(&opener, key, fixed, LIMIT, FAILURES, window) == TWINE_OTR_OK, window);
    for (i = 0; i < 3 * MESSAGES; i++) {
        int code, expected = TWINE_OTR_OK;
        /* Forwards, with steps back of all sizes. */
        counter = (i / 3 + (i % 3 == 0 ? 0 : MESSAGES - i * 7 % 75)) % MESSAGES;
        nonce_of(counter, nonce);
        text = texts[counter];
        if (has_newest && counter < newest && newest - counter > window) {
            expected = TWINE_OTR_ERR_TOO_OLD;
        } else if (opened[counter]) {
            expected = TWINE_OTR_ERR_REPLAYED;
        }
        code = f->opener_open(&opener, nonce, NULL, 0, &text, 1, tags[counter]);
        CHECK(code == expected, i);
        CHECK(text == (expected == TWINE_OTR_OK ? (uint8_t)counter : 0), i);
        if (code == TWINE_OTR_OK) {
            opened[counter] = 1;
            newest = !has_newest || counter > newest ? counter : newest;
            has_newest = 1;
        }
        CHECK(opener_counts(&opener).next_counter == newest + 1 && opener_counts(&opener).failures == 0, i);
    }
}

static void run_opener(void)
{
    union any sealer, opener;
    uint8_t buf[9], nonce[NONCE], other[NONCE], tag[TAG], sealed[9];
    uint32_t used;
    run_window(0);
    run_window(1);
    run_window(5);
    run_window(TWINE_OTR_WINDOW_MAX);
    CHECK(f->opener_init(&opener, key, fixed, LIMIT, 2, TWINE_OTR_WINDOW_MAX + 1) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->opener_init(&opener, key, fixed, 0, 2, 0) == TWINE_OTR_ERR_ARGUMENT, 0);

    CHECK(f->sealer_init(&sealer, key, fixed, LIMIT) == TWINE_OTR_OK, 0);
    memset(sealed, 0x11, sizeof sealed);
    CHECK(f->sealer_seal(&sealer, ad, 5, sealed, sizeof sealed, nonce, tag) == TWINE_OTR_OK, 0);
    CHECK(f->opener_init(&opener, key, fixed, 100, 2, 0) == TWINE_OTR_OK, 0);
    memcpy(other, nonce, NONCE);
    other[3] ^= 1;
    memset(buf, 0x11, sizeof buf);
    CHECK(f->opener_open(&opener, other, ad, 5, buf, sizeof buf, tag) == TWINE_OTR_ERR_OTHER_FIXED_PART, 0);
    CHECK(all_are(buf, sizeof buf, 0), 0);
    CHECK(opener_counts(&opener).used_blocks == 0 && opener_counts(&opener).remaining_failures == 2, 0);
    memcpy(buf, sealed, sizeof buf);
    CHECK(f->opener_open(&opener, nonce, ad, 4, buf, sizeof buf, tag) == TWINE_OTR_ERR_AUTHENTICATION, 0);
    CHECK(all_are(buf, sizeof buf, 0), 0);
    used = (uint32_t)twine_otr_count_blocks(4, sizeof buf);
    CHECK(opener_counts(&opener).used_blocks == used && opener_counts(&opener).failures == 1, 0);
    memcpy(buf, sealed, sizeof buf);
    CHECK(f->opener_open(&opener, nonce, ad, 5, buf, sizeof buf, tag) == TWINE_OTR_OK && all_are(buf, sizeof buf, 0x11), 0);
    other[3] ^= 1;
    other[6] = 9;
    CHECK(f->opener_open(&opener, other, ad, 5, buf, sizeof buf, tag) == TWINE_OTR_ERR_AUTHENTICATION, 0);
    memset(buf, 0x11, sizeof buf);
    CHECK(f->opener_open(&opener, other, ad, 5, buf, sizeof buf, tag) == TWINE_OTR_ERR_FAILURES, 0);
    CHECK(all_are(buf, sizeof buf, 0), 0);

    CHECK(f->opener_init(&opener, key, fixed, 3, 2, 0) == TWINE_OTR_OK, 0);
    memcpy(buf, sealed, sizeof buf);
    CHECK(f->opener_open(&opener, nonce, ad, 5, buf, sizeof buf, tag) == TWINE_OTR_ERR_LIMIT, 0);
    CHECK(all_are(buf, sizeof buf, 0), 0);
}

static void run_opener_states(void)
{
    union any sealer, opener;
    uint8_t states[2 * STATE], first[STATE], state[STATE], wrong[STATE], nonce[NONCE], text;
    uint8_t tags[8][TAG], texts[8];
    uint32_t i;
    CHECK(f->sealer_init(&sealer, key, fixed, LIMIT) == TWINE_OTR_OK, 0);
    for (i = 0; i < 8; i++) {
        texts[i] = (uint8_t)i;
        CHECK(f->sealer_seal(&sealer, NULL, 0, &texts[i], 1, nonce, tags[i]) == TWINE_OTR_OK, i);
    }
    memset(states, 0xFF, sizeof states);
    CHECK(f->opener_first_state(&opener, key, fixed, LIMIT, 50, first) == TWINE_OTR_OK, 0);
    CHECK(all_are(&opener.opener, sizeof opener.opener, 0), 0);
    memcpy(states, first, STATE);
    CHECK(f->opener_restore(&opener, key, fixed, LIMIT, 50, 64, states, 2) == TWINE_OTR_OK, 0);
    nonce_of(0, nonce);
    text = texts[0];
    CHECK(f->opener_open(&opener, nonce, NULL, 0, &text, 1, tags[0]) == TWINE_OTR_ERR_NOT_RESERVED && text == 0, 0);
    CHECK(f->opener_begin_reserve(&opener, 3, 30, state) == TWINE_OTR_OK && twine_otr_state_sequence(state) == 1, 0);
    CHECK(f->opener_confirm(&opener, first) == TWINE_OTR_ERR_STATE_OTHER, 0);
    for (i = 0; i < STATE; i++) {
        memcpy(wrong, state, STATE);
        wrong[i] ^= 0x10;
        CHECK(f->opener_confirm(&opener, wrong) == TWINE_OTR_ERR_STATE_DAMAGED, i);
    }
    CHECK(opener_counts(&opener).reserved_messages == 0 && opener_counts(&opener).reserved_blocks == 0, 0);
    CHECK(f->opener_confirm(&opener, state) == TWINE_OTR_OK, 0);
    CHECK(f->opener_confirm(&opener, state) == TWINE_OTR_ERR_STATE_OTHER, 0);
    CHECK(opener_counts(&opener).reserved_messages == 3 && opener_counts(&opener).reserved_blocks == 30, 0);
    memcpy(&states[STATE], state, STATE);
    text = texts[0];
    CHECK(f->opener_open(&opener, nonce, NULL, 0, &text, 1, tags[0]) == TWINE_OTR_OK && text == 0, 0);
    /* Genuine, and too far ahead: known now, and opened when as much is reserved. */
    nonce_of(6, nonce);
    text = texts[6];
    CHECK(f->opener_open(&opener, nonce, NULL, 0, &text, 1, tags[6]) == TWINE_OTR_ERR_NOT_RESERVED && text == 0, 0);
    CHECK(f->opener_begin_reserve(&opener, 1, 30, state) == TWINE_OTR_OK, 0);
    CHECK(f->opener_confirm(&opener, state) == TWINE_OTR_OK, 0);
    memcpy(&states[0], state, STATE);
    text = texts[6];
    CHECK(f->opener_open(&opener, nonce, NULL, 0, &text, 1, tags[6]) == TWINE_OTR_OK && text == 6, 0);

    /* Power lost: nothing opens twice. */
    CHECK(f->opener_restore(&opener, key, fixed, LIMIT, 50, 64, states, 2) == TWINE_OTR_OK, 0);
    CHECK(f->opener_begin_reserve(&opener, 9, 90, state) == TWINE_OTR_OK && twine_otr_state_sequence(state) == 3, 0);
    CHECK(f->opener_confirm(&opener, state) == TWINE_OTR_OK, 0);
    for (i = 0; i < 8; i++) {
        nonce_of(i, nonce);
        text = texts[i];
        CHECK(f->opener_open(&opener, nonce, NULL, 0, &text, 1, tags[i]) == TWINE_OTR_ERR_REPLAYED && text == 0, i);
    }
    CHECK(f->opener_suspend(&opener, state) == TWINE_OTR_OK && all_are(&opener.opener, sizeof opener.opener, 0), 0);
    CHECK(f->opener_restore(&opener, key, fixed, LIMIT, 50, 0, state, 1) == TWINE_OTR_OK, 0);
    CHECK(opener_counts(&opener).next_counter == 8, 0);

    CHECK(f->opener_restore(&opener, other_key, fixed, LIMIT, 50, 0, state, 1) == TWINE_OTR_ERR_STATE_KEY, 0);
    CHECK(all_are(&opener.opener, sizeof opener.opener, 0), 0);
    CHECK(f->opener_restore(&opener, key, fixed, LIMIT, 51, 0, state, 1) == TWINE_OTR_ERR_STATE_LIMIT, 0);
    CHECK(f->opener_restore(&opener, key, fixed, LIMIT - 1, 50, 0, state, 1) == TWINE_OTR_ERR_STATE_LIMIT, 0);
    CHECK(f->opener_restore(&opener, key, other_fixed, LIMIT, 50, 0, state, 1) == TWINE_OTR_ERR_STATE_OTHER, 0);
    CHECK(f->opener_restore(&opener, key, fixed, LIMIT, 50, 65, state, 1) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->sealer_restore(&sealer, key, fixed, LIMIT, first, 1) == TWINE_OTR_ERR_STATE_OTHER, 0);
    memset(states, 0, sizeof states);
    CHECK(f->opener_restore(&opener, key, fixed, LIMIT, 50, 0, states, 2) == TWINE_OTR_ERR_STATE_DAMAGED, 0);
    CHECK(f->opener_restore(&opener, key, fixed, LIMIT, 50, 0, NULL, 1) == TWINE_OTR_ERR_ARGUMENT, 0);
}

/* ---- Pieces ---- */

static void run_pieces(void)
{
    union any plain, sealer, other, pieces, moved;
    uint8_t message[71], buf[71], expected[71], nonce[NONCE], between[NONCE], tag[TAG], expected_tag[TAG];
    size_t len, step, at;
    fill(message, sizeof message, 3);
    CHECK(f->otr_init(&plain, key) == TWINE_OTR_OK, 0);
    CHECK(f->sealer_init(&sealer, key, fixed, LIMIT) == TWINE_OTR_OK, 0);
    CHECK(f->sealer_init(&other, key, fixed, LIMIT) == TWINE_OTR_OK, 0);
    for (len = 0; len <= sizeof message; len += len < 34 ? 1 : 9) {
        for (step = 16; step <= 48; step += 16) {
            const uint32_t used = sealer_counts(&sealer).used_blocks;
            memcpy(buf, message, len);
            memcpy(expected, message, len);
            CHECK(f->sealer_begin_pieces(&sealer, &pieces, ad, sizeof ad, len, nonce) == TWINE_OTR_OK, len);
            CHECK(sealer_counts(&sealer).used_blocks == used + twine_otr_count_blocks(sizeof ad, len), len);
            CHECK(f->otr_seal(&plain, nonce, ad, sizeof ad, expected, len, expected_tag) == TWINE_OTR_OK, len);
            for (at = 0; len - at > step; at += step) {
                CHECK(f->sealer_update_pieces(&sealer, &pieces, &buf[at], step) == TWINE_OTR_OK, len);
                CHECK(seal_zeros(&sealer, 3, between, tag) == TWINE_OTR_OK, len);
                CHECK(memcmp(between, nonce, NONCE) > 0, len);
            }
            CHECK(f->sealer_finalize_pieces(&sealer, &pieces, len ? &buf[at] : NULL, len - at, tag) == TWINE_OTR_OK, len);
            CHECK(memcmp(buf, expected, len) == 0 && memcmp(tag, expected_tag, TAG) == 0, len);
            CHECK(all_are(&pieces.pieces, sizeof pieces.pieces, 0), len);
        }
    }
    memset(tag, 0x33, TAG);
    CHECK(f->sealer_finalize_pieces(&sealer, &pieces, buf, 1, tag) == TWINE_OTR_ERR_CONTEXT, 0);
    CHECK(f->sealer_begin_pieces(&sealer, &pieces, ad, sizeof ad, 33, nonce) == TWINE_OTR_OK, 0);
    memset(buf, 0x11, sizeof buf);
    CHECK(f->sealer_update_pieces(&sealer, &pieces, buf, 15) == TWINE_OTR_ERR_PIECE, 0);
    CHECK(f->sealer_update_pieces(&sealer, &pieces, buf, 48) == TWINE_OTR_ERR_LIMIT, 0);
    CHECK(f->sealer_update_pieces(&other, &pieces, buf, 16) == TWINE_OTR_ERR_CONTEXT, 0);
    CHECK(f->sealer_finalize_pieces(&other, &pieces, buf, 16, tag) == TWINE_OTR_ERR_CONTEXT, 0);
    CHECK(f->sealer_finalize_pieces(&sealer, &pieces, buf, 34, tag) == TWINE_OTR_ERR_LIMIT, 0);
    CHECK(all_are(buf, sizeof buf, 0x11) && all_are(tag, TAG, 0x33), 0);
    CHECK(f->sealer_update_pieces(&sealer, &pieces, buf, 32) == TWINE_OTR_OK, 0);
    CHECK(f->sealer_finalize_pieces(&sealer, &pieces, NULL, 0, tag) == TWINE_OTR_ERR_PIECE, 0);
    CHECK(f->sealer_finalize_pieces(&sealer, &pieces, &buf[32], 2, tag) == TWINE_OTR_ERR_LIMIT, 0);
    CHECK(f->sealer_finalize_pieces(&sealer, &pieces, &buf[32], 1, tag) == TWINE_OTR_OK, 0);
    memset(expected, 0x11, sizeof expected);
    CHECK(f->otr_seal(&plain, nonce, ad, sizeof ad, expected, 33, expected_tag) == TWINE_OTR_OK, 0);
    CHECK(memcmp(buf, expected, 33) == 0 && memcmp(tag, expected_tag, TAG) == 0, 0);

    /* Given up, and overlapping. */
    CHECK(f->sealer_begin_pieces(&sealer, &pieces, ad, sizeof ad, 33, nonce) == TWINE_OTR_OK, 0);
    moved = pieces;
    CHECK(f->sealer_update_pieces(&sealer, &pieces, (uint8_t *)&pieces, 16) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->sealer_update_pieces(&sealer, &pieces, (uint8_t *)&sealer, 16) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->sealer_finalize_pieces(&sealer, &pieces, buf, 16, buf) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->sealer_finalize_pieces(&sealer, &pieces, buf, 16, (uint8_t *)&pieces) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->sealer_finalize_pieces(&sealer, &pieces, buf, 16, (uint8_t *)&sealer) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(memcmp(&moved, &pieces, sizeof pieces.pieces) == 0, 0);
    /* A message that overlaps something else stays as it is. */
    CHECK(f->sealer_begin_pieces(&sealer, &sealer, ad, sizeof ad, 33, nonce) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->sealer_begin_pieces(&sealer, &pieces, ad, sizeof ad, 33, (uint8_t *)&pieces) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->sealer_begin_pieces(&sealer, &pieces, (uint8_t *)&pieces, 8, 33, nonce) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(memcmp(&moved, &pieces, sizeof pieces.pieces) == 0, 0);
    f->pieces_clear(&pieces);
    CHECK(f->sealer_update_pieces(&sealer, &pieces, buf, 16) == TWINE_OTR_ERR_CONTEXT, 0);
    /* Another message that cannot begin ends the one before, whatever the error is. */
    for (at = 0; at < 6; at++) {
        pieces = moved;
        CHECK(f->sealer_begin_pieces(at == 0 ? NULL : &sealer, &pieces, at == 1 ? (uint8_t *)&sealer : at == 2 ? NULL : ad,
                                     at == 3 ? (size_t)-1 : 8, 33, at == 4 ? NULL : at == 5 ? (uint8_t *)&sealer : nonce) ==
              TWINE_OTR_ERR_ARGUMENT, at);
        CHECK(all_are(&pieces.pieces, sizeof pieces.pieces, 0), at);
        CHECK(f->sealer_update_pieces(&sealer, &pieces, buf, 16) == TWINE_OTR_ERR_CONTEXT, at);
    }
    pieces = moved;
    CHECK(f->sealer_begin_pieces(&sealer, &pieces, ad, 8, 8 * (size_t)LIMIT, nonce) == TWINE_OTR_ERR_LIMIT, 0);
    CHECK(all_are(&pieces.pieces, sizeof pieces.pieces, 0), 0);
    CHECK(f->sealer_update_pieces(&sealer, &pieces, buf, 16) == TWINE_OTR_ERR_CONTEXT, 0);
    /* One that a call uses stays refused. Its first word is the complement of that of a free one. */
    pieces = moved;
    for (at = 0; at < 8; at++) {
        ((uint8_t *)&pieces)[at] ^= 0xFF;
    }
    other = pieces;
    CHECK(f->sealer_begin_pieces(&sealer, &pieces, ad, 8, 8 * (size_t)LIMIT, nonce) == TWINE_OTR_ERR_LIMIT, 0);
    CHECK(memcmp(&other, &pieces, sizeof pieces.pieces) == 0, 0);
    CHECK(f->sealer_update_pieces(&sealer, &pieces, buf, 16) == TWINE_OTR_ERR_CONTEXT, 0);
    CHECK(f->sealer_begin_pieces(&sealer, &pieces, ad, 8, 33, nonce) == TWINE_OTR_OK, 0);
    /* Moved, it goes on; so does one whose sealer is cleared not. */
    CHECK(f->sealer_update_pieces(&sealer, &moved, buf, 16) == TWINE_OTR_OK, 0);
    f->sealer_clear(&sealer);
    CHECK(f->sealer_update_pieces(&sealer, &moved, buf, 16) == TWINE_OTR_ERR_CONTEXT, 0);
    CHECK(f->sealer_init(&sealer, key, fixed, 4) == TWINE_OTR_OK, 0);
    CHECK(f->sealer_begin_pieces(&sealer, &pieces, NULL, 0, 17, nonce) == TWINE_OTR_ERR_LIMIT, 0);
    CHECK(f->sealer_begin_pieces(&sealer, &pieces, NULL, 0, 16, nonce) == TWINE_OTR_OK, 0);
}

/* ---- Chunks ---- */

#define CHUNKS 12

static void run_chunks(void)
{
    static uint8_t sealed[CHUNKS][40];
    static uint8_t tags[CHUNKS][TAG];
    union any sealer, opener, copy;
    uint8_t buf[40], expected[40], other_header[16];
    const uint32_t limit = 13;
    size_t i;
    CHECK(f->chunk_sealer_init(&sealer, key, header, limit) == TWINE_OTR_OK, 0);
    for (i = 0; i < CHUNKS; i++) {
        const size_t len = 3 * i;
        fill(sealed[i], len, (unsigned)i);
        CHECK((i + 1 < CHUNKS ? f->chunk_sealer_seal : f->chunk_sealer_seal_last)(&sealer, ad, i, sealed[i], len, tags[i]) ==
              TWINE_OTR_OK, i);
    }
    memset(buf, 0x11, sizeof buf);
    CHECK(f->chunk_sealer_seal(&sealer, NULL, 0, buf, 8, tags[0]) == TWINE_OTR_ERR_FINISHED, 0);
    CHECK(f->chunk_sealer_seal_last(&sealer, NULL, 0, buf, 8, tags[0]) == TWINE_OTR_ERR_FINISHED, 0);
    CHECK(all_are(buf, sizeof buf, 0x11), 0);

    CHECK(f->chunk_opener_init(&opener, key, header, limit, FAILURES) == TWINE_OTR_OK, 0);
    for (i = 0; i < CHUNKS; i++) {
        const size_t len = 3 * i, wrong = i + 1 < CHUNKS ? i + 1 : 0;
        const int is_last = i + 1 == CHUNKS;
        fill(expected, len, (unsigned)i);
        CHECK(f->chunk_opener_check_complete(&opener) == TWINE_OTR_ERR_INCOMPLETE, i);
        /* Another chunk, and the wrong end: on a copy, as the blocks of attempts that fail are limited. */
        copy = opener;
        memcpy(buf, sealed[wrong], 3 * wrong);
        CHECK(f->chunk_opener_open(&copy, ad, wrong, buf, 3 * wrong, tags[wrong]) == TWINE_OTR_ERR_AUTHENTICATION, i);
        CHECK(all_are(buf, 3 * wrong, 0), i);
        memcpy(buf, sealed[i], len);
        copy = opener;
        CHECK((is_last ? f->chunk_opener_open : f->chunk_opener_open_last)(&copy, ad, i, buf, len, tags[i]) ==
              TWINE_OTR_ERR_AUTHENTICATION, i);
        CHECK(all_are(buf, len, 0), i);
        memcpy(buf, sealed[i], len);
        CHECK((is_last ? f->chunk_opener_open_last : f->chunk_opener_open)(&opener, ad, i, len ? buf : NULL, len, tags[i]) ==
              TWINE_OTR_OK, i);
        CHECK(memcmp(buf, expected, len) == 0, i);
        /* What was opened does not open again. */
        copy = opener;
        memcpy(buf, sealed[i], len);
        CHECK(f->chunk_opener_open(&copy, ad, i, buf, len, tags[i]) ==
              (is_last ? TWINE_OTR_ERR_FINISHED : TWINE_OTR_ERR_AUTHENTICATION), i);
    }
    CHECK(f->chunk_opener_check_complete(&opener) == TWINE_OTR_OK, 0);
    memset(buf, 0x11, sizeof buf);
    CHECK(f->chunk_opener_open(&opener, NULL, 0, buf, 8, tags[0]) == TWINE_OTR_ERR_FINISHED && all_are(buf, 8, 0), 0);

    /* A chunk that no segment has room for, other limits, headers and keys. */
    CHECK(f->chunk_sealer_init(&sealer, key, header, 4) == TWINE_OTR_OK, 0);
    memset(buf, 0x11, sizeof buf);
    CHECK(f->chunk_sealer_seal(&sealer, NULL, 0, buf, 17, tags[0]) == TWINE_OTR_ERR_LIMIT && all_are(buf, 17, 0x11), 0);
    CHECK(f->chunk_sealer_seal(&sealer, NULL, 0, sealed[0], 16, tags[0]) == TWINE_OTR_OK, 0);
    memcpy(other_header, header, sizeof other_header);
    other_header[15]++;
    for (i = 0; i < 4; i++) {
        CHECK(f->chunk_opener_init(&opener, i == 1 ? other_key : key, i == 2 ? other_header : header, i == 3 ? 5 : 4, 1) ==
              TWINE_OTR_OK, i);
        memcpy(buf, sealed[0], 16);
        CHECK(f->chunk_opener_open(&opener, NULL, 0, buf, 16, tags[0]) ==
              (i == 0 ? TWINE_OTR_OK : TWINE_OTR_ERR_AUTHENTICATION), i);
        CHECK(i == 0 || all_are(buf, 16, 0), i);
    }
    memset(buf, 0x11, sizeof buf);
    CHECK(f->chunk_opener_open(&opener, NULL, 0, buf, 16, tags[0]) == TWINE_OTR_ERR_FAILURES && all_are(buf, 16, 0), 0);
    CHECK(f->chunk_opener_init(&opener, key, header, 8, 9) == TWINE_OTR_OK, 0);
    for (i = 0; i < 3; i++) {
        CHECK(f->chunk_opener_open(&opener, NULL, 0, buf, 16, tags[0]) ==
              (i < 2 ? TWINE_OTR_ERR_AUTHENTICATION : TWINE_OTR_ERR_LIMIT), i);
    }
    CHECK(f->chunk_sealer_init(&sealer, key, header, 0) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->chunk_sealer_seal(&sealer, NULL, 0, buf, 8, tags[0]) == TWINE_OTR_ERR_CONTEXT, 0);
    CHECK(f->chunk_opener_init(&opener, key, header, TWINE_OTR_BLOCK_LIMIT_MAX + 1, 1) == TWINE_OTR_ERR_ARGUMENT, 0);
    CHECK(f->chunk_opener_open(&opener, NULL, 0, buf, 8, tags[0]) == TWINE_OTR_ERR_CONTEXT, 0);
    CHECK(f->chunk_opener_check_complete(&opener) == TWINE_OTR_ERR_CONTEXT, 0);
    f->chunk_sealer_clear(&sealer);
    f->chunk_opener_clear(&opener);
    CHECK(all_are(&sealer.chunk_sealer, sizeof sealer.chunk_sealer, 0), 0);
    CHECK(all_are(&opener.chunk_opener, sizeof opener.chunk_opener, 0), 0);
}

/* ---- Arguments, overlaps and lives ---- */

/* Every function on an object that is no object: the error, and nothing written but zeros to what was to be opened. */
static void check_refused(const union any *as, unsigned number)
{
    union any object, pieces;
    uint8_t buf[16], nonce[NONCE], tag[TAG], state[STATE];
    twine_otr_sealer_counts counts;
    twine_otr_opener_counts opened;
    const int refused = TWINE_OTR_ERR_CONTEXT;
    object = *as;
    memset(buf, 0x11, sizeof buf);
    memset(nonce, 0x22, sizeof nonce);
    memset(tag, 0x33, sizeof tag);
    memset(state, 0x44, sizeof state);
    memset(&counts, 0x55, sizeof counts);
    memset(&opened, 0x55, sizeof opened);
    memset(&pieces, 0x66, sizeof pieces);
    CHECK(f->sealer_seal(&object, ad, 1, buf, sizeof buf, nonce, tag) == refused, number);
    CHECK(f->sealer_next_nonce(&object, nonce) == refused && f->sealer_count(&object, &counts) == refused, number);
    CHECK(f->sealer_begin_reserve(&object, 5, state) == refused && f->sealer_confirm(&object, state) == refused, number);
    CHECK(f->sealer_suspend(&object, state) == refused, number);
    CHECK(f->sealer_begin_pieces(&object, &pieces, ad, 1, 5, nonce) == refused, number);
    CHECK(f->sealer_update_pieces(&pieces, &object, buf, 16) == refused, number);
    CHECK(f->sealer_finalize_pieces(&pieces, &object, buf, 16, tag) == refused, number);
    CHECK(f->opener_count(&object, &opened) == refused && f->opener_suspend(&object, state) == refused, number);
    CHECK(f->opener_begin_reserve(&object, 5, 5, state) == refused && f->opener_confirm(&object, state) == refused, number);
    CHECK(f->chunk_sealer_seal(&object, ad, 1, buf, sizeof buf, tag) == refused, number);
    CHECK(f->chunk_sealer_seal_last(&object, ad, 1, buf, sizeof buf, tag) == refused, number);
    CHECK(f->chunk_opener_check_complete(&object) == TWINE_OTR_ERR_CONTEXT, number);
    CHECK(all_are(buf, sizeof buf, 0x11) && all_are(nonce, NONCE, 0x22) && all_are(tag, TAG, 0x33), number);
    CHECK(all_are(state, STATE, 0x44) && all_are(&counts, sizeof counts, 0x55) && all_are(&opened, sizeof opened, 0x55), number);
    /* A message that could not begin is cleared. */
    CHECK(all_are(&pieces.pieces, sizeof pieces.pieces, 0), number);
    CHECK(all_are((const uint8_t *)&pieces + sizeof pieces.pieces, sizeof pieces - sizeof pieces.pieces, 0x66), number);
    CHECK(f->opener_open(&object, nonce, ad, 1, buf, sizeof buf, tag) == refused && all_are(buf, sizeof buf, 0), number);
    memset(buf, 0x11, sizeof buf);
    CHECK(f->chunk_opener_open(&object, ad, 1, buf, sizeof buf, tag) == refused && all_are(buf, sizeof buf, 0), number);
    memset(buf, 0x11, sizeof buf);
    CHECK(f->chunk_opener_open_last(&object, ad, 1, buf, sizeof buf, tag) == refused && all_are(buf, sizeof buf, 0), number);
    CHECK(memcmp(&object, as, sizeof object) == 0, number);
}

/* Makes one of the objects of a family. */
static int make(const struct family *family, unsigned kind, union any *object)
{
    union any sealer;
    uint8_t nonce[NONCE];
    memset(object, 0, sizeof *object);
    switch (kind) {
    case 0:
        return family->otr_init(object, key);
    case 1:
        return family->sealer_init(object, key, fixed, LIMIT);
    case 2:
        return family->opener_init(object, key, fixed, LIMIT, FAILURES, 0);
    case 3:
        return family->chunk_sealer_init(object, key, header, LIMIT);
    case 4:
        return family->chunk_opener_init(object, key, header, LIMIT, FAILURES);
    default:
        return family->sealer_init(&sealer, key, fixed, LIMIT) != TWINE_OTR_OK
                   ? 1
                   : family->sealer_begin_pieces(&sealer, object, NULL, 0, 99, nonce);
    }
}

static void run_lives(void)
{
    static const union any fresh = {TWINE128_OTR_CTX_INIT};
    union any object;
    unsigned kind;
    size_t i;
    check_refused(&fresh, 0);
    memset(&object, 0xA5, sizeof object);
    check_refused(&object, 1);
    /* Those of all other families. */
    for (i = 0; i < COUNT(families); i++) {
        for (kind = 0; kind < 6; kind++) {
            CHECK(make(families[i], kind, &object) == TWINE_OTR_OK, kind);
            if (families[i] != f) {
                check_refused(&object, 10 * (unsigned)i + kind);
            }
        }
    }
    /* One type is none of the others: of each family some function takes each. */
    CHECK(make(f, 0, &object) == TWINE_OTR_OK, 0);
    check_refused(&object, 100);
    for (kind = 1; kind < 6; kind++) {
        uint8_t buf[16] = {0}, nonce[NONCE] = {0}, tag[TAG];
        CHECK(make(f, kind, &object) == TWINE_OTR_OK, kind);
        CHECK((f->sealer_seal(&object, NULL, 0, buf, 16, nonce, tag) == TWINE_OTR_OK) == (kind == 1), kind);
        memcpy(nonce, fixed, sizeof fixed);
        CHECK((f->opener_open(&object, nonce, NULL, 0, buf, 16, tag) == TWINE_OTR_ERR_AUTHENTICATION) == (kind == 2), kind);
        CHECK((f->chunk_sealer_seal(&object, NULL, 0, buf, 16, tag) == TWINE_OTR_OK) == (kind == 3), kind);
        memset(tag, 0x77, TAG);
        CHECK((f->chunk_opener_open(&object, NULL, 0, buf, 16, tag) == TWINE_OTR_ERR_AUTHENTICATION) == (kind == 4), kind);
    }
    /* Inits that fail over live ones. */
    CHECK(make(f, 1, &object) == TWINE_OTR_OK && f->sealer_init(&object, NULL, fixed, LIMIT) == TWINE_OTR_ERR_ARGUMENT, 0);
    check_refused(&object, 201);
    CHECK(make(f, 1, &object) == TWINE_OTR_OK && f->sealer_init(&object, key, NULL, LIMIT) == TWINE_OTR_ERR_ARGUMENT, 0);
    check_refused(&object, 202);
    CHECK(make(f, 1, &object) == TWINE_OTR_OK, 0);
    CHECK(f->sealer_restore(&object, (const uint8_t *)&object + 40, fixed, LIMIT, NULL, 0) == TWINE_OTR_ERR_ARGUMENT, 0);
    check_refused(&object, 203);
    CHECK(make(f, 1, &object) == TWINE_OTR_OK, 0);
    CHECK(f->sealer_restore(&object, key, fixed, LIMIT, (const uint8_t *)&object, 2) == TWINE_OTR_ERR_ARGUMENT, 0);
    check_refused(&object, 204);
    CHECK(make(f, 1, &object) == TWINE_OTR_OK, 0);
    CHECK(f->sealer_first_state(&object, key, fixed, LIMIT, NULL) == TWINE_OTR_ERR_ARGUMENT, 0);
    check_refused(&object, 205);
    CHECK(f->sealer_first_state(&object, key, fixed, LIMIT, (uint8_t *)&object + 99) == TWINE_OTR_ERR_ARGUMENT, 0);
    check_refused(&object, 206);
    CHECK(make(f, 2, &object) == TWINE_OTR_OK, 0);
    CHECK(f->opener_init(&object, NULL, fixed, LIMIT, FAILURES, 0) == TWINE_OTR_ERR_ARGUMENT, 0);
    check_refused(&object, 207);
    CHECK(make(f, 3, &object) == TWINE_OTR_OK, 0);
    CHECK(f->chunk_sealer_init(&object, key, NULL, LIMIT) == TWINE_OTR_ERR_ARGUMENT, 0);
    check_refused(&object, 208);
    CHECK(make(f, 4, &object) == TWINE_OTR_OK, 0);
    CHECK(f->chunk_opener_init(&object, NULL, header, LIMIT, FAILURES) == TWINE_OTR_ERR_ARGUMENT, 0);
    check_refused(&object, 209);
    CHECK(twine_otr_state_sequence(NULL) == 0, 0);
}

static void run_arguments(void)
{
    const int bad = TWINE_OTR_ERR_ARGUMENT;
    const size_t impossible = (size_t)-1;
    union any sealer, opener, chunks, opened, before;
    uint8_t buf[16], nonce[NONCE], tag[TAG], state[STATE];
    CHECK(make(f, 1, &sealer) == TWINE_OTR_OK && make(f, 2, &opener) == TWINE_OTR_OK, 0);
    CHECK(make(f, 3, &chunks) == TWINE_OTR_OK && make(f, 4, &opened) == TWINE_OTR_OK, 0);
    before = sealer;
    memset(buf, 0x11, sizeof buf);
    memset(nonce, 0x22, sizeof nonce);
    memset(tag, 0x33, sizeof tag);
    CHECK(f->sealer_init(NULL, key, fixed, LIMIT) == bad && f->opener_init(NULL, key, fixed, LIMIT, 1, 0) == bad, 0);
    CHECK(f->chunk_sealer_init(NULL, key, header, LIMIT) == bad && f->chunk_opener_init(NULL, key, header, LIMIT, 1) == bad, 0);
    CHECK(f->sealer_seal(NULL, ad, 1, buf, 16, nonce, tag) == bad, 0);
    CHECK(f->sealer_seal(&sealer, NULL, 1, buf, 16, nonce, tag) == bad, 0);
    CHECK(f->sealer_seal(&sealer, ad, impossible, buf, 16, nonce, tag) == bad, 0);
    CHECK(f->sealer_seal(&sealer, ad, 1, NULL, 16, nonce, tag) == bad, 0);
    CHECK(f->sealer_seal(&sealer, ad, 1, buf, impossible, nonce, tag) == bad, 0);
    CHECK(f->sealer_seal(&sealer, ad, 1, buf, 16, NULL, tag) == bad, 0);
    CHECK(f->sealer_seal(&sealer, ad, 1, buf, 16, nonce, NULL) == bad, 0);
    CHECK(f->sealer_seal(&sealer, ad, 1, buf, 16, tag, tag) == bad, 0);
    CHECK(f->sealer_seal(&sealer, buf, 1, buf, 16, nonce, tag) == bad, 0);
    CHECK(f->sealer_seal(&sealer, ad, 1, buf, 16, &buf[15], tag) == bad, 0);
    CHECK(f->sealer_seal(&sealer, ad, 1, buf, 16, nonce, &buf[15]) == bad, 0);
    CHECK(f->sealer_next_nonce(NULL, nonce) == bad && f->sealer_next_nonce(&sealer, NULL) == bad, 0);
    CHECK(f->sealer_next_nonce(&sealer, (uint8_t *)&sealer + 30) == bad, 0);
    CHECK(f->sealer_count(&sealer, NULL) == bad && f->opener_count(&opener, NULL) == bad, 0);
    CHECK(f->sealer_count(&sealer, (twine_otr_sealer_counts *)(void *)&sealer) == bad, 0);
    CHECK(f->sealer_begin_reserve(&sealer, 1, NULL) == bad && f->sealer_begin_reserve(&sealer, 1, (uint8_t *)&sealer) == bad, 0);
    CHECK(f->sealer_confirm(&sealer, NULL) == bad && f->sealer_confirm(&sealer, (const uint8_t *)&sealer) == bad, 0);
    CHECK(f->sealer_suspend(&sealer, NULL) == bad && f->sealer_suspend(&sealer, (uint8_t *)&sealer) == bad, 0);
    CHECK(memcmp(&sealer, &before, sizeof sealer.sealer) == 0, 0);
    before = opener;
    CHECK(f->opener_begin_reserve(&opener, 1, 1, NULL) == bad && f->opener_confirm(&opener, NULL) == bad, 0);
    CHECK(f->opener_suspend(&opener, NULL) == bad && f->opener_suspend(&opener, (uint8_t *)&opener) == bad, 0);
    CHECK(f->opener_count(&opener, (twine_otr_opener_counts *)(void *)&opener) == bad, 0);
    CHECK(f->chunk_sealer_seal(&chunks, ad, 1, buf, 16, NULL) == bad && f->chunk_sealer_seal(&chunks, NULL, 1, buf, 16, tag) == bad, 0);
    CHECK(f->chunk_sealer_seal(&chunks, ad, 1, buf, 16, &buf[15]) == bad, 0);
    CHECK(f->chunk_sealer_seal_last(&chunks, buf, 1, buf, 16, tag) == bad, 0);
    CHECK(all_are(buf, sizeof buf, 0x11) && all_are(nonce, NONCE, 0x22) && all_are(tag, TAG, 0x33), 0);
    CHECK(f->opener_open(&opener, NULL, ad, 1, buf, 16, tag) == bad && all_are(buf, 16, 0), 0);
    memset(buf, 0x11, sizeof buf);
    CHECK(f->opener_open(&opener, nonce, NULL, 1, buf, 16, tag) == bad && all_are(buf, 16, 0), 0);
    memset(buf, 0x11, sizeof buf);
    CHECK(f->opener_open(&opener, nonce, ad, 1, buf, 16, NULL) == bad && all_are(buf, 16, 0), 0);
    CHECK(f->opener_open(&opener, nonce, ad, 1, NULL, 16, tag) == bad, 0);
    CHECK(f->opener_open(&opener, nonce, (const uint8_t *)&opener, 8, buf, 16, tag) == bad, 0);
    CHECK(memcmp(&opener, &before, sizeof opener.opener) == 0, 0);
    memset(buf, 0x11, sizeof buf);
    CHECK(f->chunk_opener_open(&opened, ad, 1, buf, 16, NULL) == bad && all_are(buf, 16, 0), 0);
    CHECK(f->chunk_opener_open_last(&opened, (const uint8_t *)&opened, 8, buf, 16, tag) == bad, 0);
    memset(state, 0x44, sizeof state);
    CHECK(f->sealer_first_state(NULL, key, fixed, LIMIT, state) == bad && all_are(state, STATE, 0x44), 0);
    f->sealer_clear(NULL);
    f->opener_clear(NULL);
    f->pieces_clear(NULL);
    f->chunk_sealer_clear(NULL);
    f->chunk_opener_clear(NULL);
}

/* Every place of what is written against an object in the middle of an arena: nothing is written. */
#define ROOM 32
#define ARENA (ROOM + sizeof(union any) + ROOM)

static void run_overlaps(void)
{
    static union {
        union any alignment;
        uint8_t bytes[ARENA];
    } arena, before;
    union any *object = (union any *)(void *)&arena.bytes[ROOM];
    static const size_t sizes[] = {sizeof(twine128_sealer), sizeof(twine128_opener), sizeof(twine128_chunk_sealer),
                                   sizeof(twine128_chunk_opener)};
    uint8_t buf[16] = {0}, nonce[NONCE] = {0}, tag[TAG] = {0};
    unsigned kind;
    size_t at;
    for (kind = 0; kind < 4; kind++) {
        memset(&arena, 0x33, sizeof arena);
        CHECK(make(f, kind + 1, object) == TWINE_OTR_OK, kind);
        memcpy(&before, &arena, sizeof arena);
        for (at = 0; at + 16 <= ARENA; at++) {
            uint8_t *here = &arena.bytes[at];
            /* 16, 7 and 8 bytes that begin here, and the object. */
            const int overlaps = at + 16 > ROOM && at < ROOM + sizes[kind];
            if (at + 7 <= ROOM || !overlaps) {
                continue;
            }
            switch (kind) {
            case 0:
                CHECK(f->sealer_begin_reserve(object, 1, here) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->sealer_confirm(object, here) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->sealer_suspend(object, here) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->sealer_seal(object, NULL, 0, here, 16, nonce, tag) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->sealer_seal(object, here, 16, buf, 16, nonce, tag) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->sealer_seal(object, NULL, 0, buf, 16, here, tag) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->sealer_seal(object, NULL, 0, buf, 16, nonce, here) == TWINE_OTR_ERR_ARGUMENT, at);
                break;
            case 1:
                CHECK(f->opener_begin_reserve(object, 1, 1, here) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->opener_confirm(object, here) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->opener_suspend(object, here) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->opener_open(object, nonce, NULL, 0, here, 16, tag) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->opener_open(object, nonce, here, 16, buf, 16, tag) == TWINE_OTR_ERR_ARGUMENT, at);
                break;
            case 2:
                CHECK(f->chunk_sealer_seal(object, NULL, 0, here, 16, tag) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->chunk_sealer_seal_last(object, here, 16, buf, 16, tag) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->chunk_sealer_seal(object, NULL, 0, buf, 16, here) == TWINE_OTR_ERR_ARGUMENT, at);
                break;
            default:
                CHECK(f->chunk_opener_open(object, NULL, 0, here, 16, tag) == TWINE_OTR_ERR_ARGUMENT, at);
                CHECK(f->chunk_opener_open_last(object, here, 16, buf, 16, tag) == TWINE_OTR_ERR_ARGUMENT, at);
                break;
            }
            if (memcmp(&before, &arena, sizeof arena) != 0) {
                CHECK(0, at);
                return;
            }
        }
    }
}

/* Inits whose arguments are null or lie in the object, at every place of an arena: the error, and an object that is refused. */
static void run_inits(void)
{
    static union {
        union any alignment;
        uint8_t bytes[ARENA];
    } arena;
    union any *object = (union any *)(void *)&arena.bytes[ROOM];
    static const size_t sizes[] = {sizeof(twine128_sealer), sizeof(twine128_sealer), sizeof(twine128_sealer),
                                   sizeof(twine128_opener), sizeof(twine128_opener), sizeof(twine128_opener),
                                   sizeof(twine128_chunk_sealer), sizeof(twine128_chunk_opener)};
    uint8_t state[STATE] = {0};
    unsigned kind, argument;
    size_t at;
    for (kind = 0; kind < COUNT(sizes); kind++) {
        /* The key, then the fixed part or the header, then the states. */
        for (argument = 0; argument < (kind == 1 || kind == 2 || kind == 4 || kind == 5 ? 3 : 2); argument++) {
            const size_t len = argument == 0 ? f->key_size : argument == 2 ? STATE : kind < 6 ? sizeof fixed : sizeof header;
            for (at = ROOM - len + 1; at <= ROOM + sizes[kind]; at++) {
                /* After all places. */
                const int is_null = at == ROOM + sizes[kind];
                uint8_t *here = is_null ? NULL : &arena.bytes[at];
                const uint8_t *a = argument == 0 ? here : key;
                const uint8_t *b = argument == 1 ? here : kind < 6 ? fixed : header;
                uint8_t *c = argument == 2 ? here : state;
                int code;
                memset(&arena, 0x33, sizeof arena);
                switch (kind) {
                case 0:
                    code = f->sealer_init(object, a, b, LIMIT);
                    break;
                case 1:
                    code = f->sealer_first_state(object, a, b, LIMIT, c);
                    break;
                case 2:
                    code = f->sealer_restore(object, a, b, LIMIT, c, 1);
                    break;
                case 3:
                    code = f->opener_init(object, a, b, LIMIT, FAILURES, 0);
                    break;
                case 4:
                    code = f->opener_first_state(object, a, b, LIMIT, FAILURES, c);
                    break;
                case 5:
                    code = f->opener_restore(object, a, b, LIMIT, FAILURES, 0, c, 1);
                    break;
                case 6:
                    code = f->chunk_sealer_init(object, a, b, LIMIT);
                    break;
                default:
                    code = f->chunk_opener_init(object, a, b, LIMIT, FAILURES);
                    break;
                }
                CHECK(code == TWINE_OTR_ERR_ARGUMENT, 1000 * (10 * kind + argument) + at);
                CHECK(all_are(object, 8, 0), at);
            }
        }
    }
}

int main(void)
{
    size_t i;
    fill(ad, sizeof ad, 5);
    for (i = 0; i < COUNT(families); i++) {
        f = families[i];
        run_messages();
        run_sealer_limits();
        run_sealer_states();
        run_opener();
        run_opener_states();
        run_pieces();
        run_chunks();
        run_lives();
        run_arguments();
        run_overlaps();
        run_inits();
    }
    return report();
}
