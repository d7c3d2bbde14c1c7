/*
 * Sealers, and the node of examples/node.c, whose power is lost anywhere: no nonce comes twice, no instruction is accepted twice, no
 * block is forgotten, and a key lasts as long as is computed. The model is that of the tests of the Rust library. SMALL for boards.
 * Prints like test.c.
 */
#include "families.h"
#include "node.h"
#include "report.h"

#include <string.h>

#ifdef SMALL
#define LIVES 60
#define EVENTS 60
#define STEPS 700
#else
#define LIVES 3000
#define EVENTS 60
#define STEPS 20000
#endif

#define STATE TWINE_OTR_STATE_SIZE
#define CHECK(condition, number) check_that((condition) != 0, #condition, "power", (unsigned long)(number), __LINE__)

static uint32_t seed = 0x2545F491u;

/* Marsaglia's xorshift: some number below n. */
static uint32_t below(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % n;
}

static uint32_t counter_of(const uint8_t bytes[3])
{
    return (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
}

/* Marks a number; 0 if it was marked, or has no place. */
static int mark_once(uint8_t *marks, size_t size, uint32_t number)
{
    const uint8_t bit = (uint8_t)(1u << (number % 8));
    if (number / 8 >= size || (marks[number / 8] & bit) != 0) {
        return 0;
    }
    marks[number / 8] |= bit;
    return 1;
}

/* ---- A flash that a loss of power leaves half written ---- */

static uint8_t flash[NODE_PLACES][STATE];
static unsigned writes;
/* The power is lost in the write after so many others, when so many bytes are written. */
static unsigned writes_until_loss, bytes_until_loss;
static int loss_is_due, is_down;

int flash_read(unsigned place, uint8_t state[STATE])
{
    memcpy(state, flash[place], STATE);
    return is_down;
}

int flash_write(unsigned place, const uint8_t state[STATE])
{
    size_t len = STATE;
    writes++;
    if (loss_is_due && writes_until_loss-- == 0) {
        loss_is_due = 0;
        is_down = 1;
        len = bytes_until_loss;
    }
    memcpy(flash[place], state, len);
    return is_down;
}

static void lose_power_in(unsigned after_writes, unsigned after_bytes)
{
    loss_is_due = 1;
    is_down = 0;
    writes_until_loss = after_writes;
    bytes_until_loss = after_bytes;
}

static void power_up(void)
{
    loss_is_due = 0;
    is_down = 0;
}

/* ---- Sealers ---- */

static const uint8_t key[16] = {1, 2, 3}, other_key[16] = {4};
static const uint8_t fixed[TWINE_OTR_FIXED_SIZE] = {'u', 'p', ' ', '7'};
static const struct family *f;
static union any sealer;
static uint32_t limit;

static twine_otr_sealer_counts counts(void)
{
    twine_otr_sealer_counts now = {0, 0, 0};
    CHECK(f->sealer_count(&sealer, &now) == TWINE_OTR_OK, 0);
    return now;
}

static void start(void)
{
    power_up();
    memset(&sealer, 0xA5, sizeof sealer);
    CHECK(f->sealer_restore(&sealer, key, fixed, limit, flash[0], 2) == TWINE_OTR_OK, limit);
}

/* Stores so many bytes of the state that a sealer made. */
static void store(const uint8_t state[STATE], size_t len)
{
    memcpy(flash[twine_otr_state_sequence(state) % 2], state, len);
}

static void reserve(uint32_t blocks)
{
    uint8_t state[STATE];
    CHECK(f->sealer_begin_reserve(&sealer, blocks, state) == TWINE_OTR_OK, blocks);
    store(state, STATE);
    CHECK(f->sealer_confirm(&sealer, flash[twine_otr_state_sequence(state) % 2]) == TWINE_OTR_OK, blocks);
}

static void provision(void)
{
    CHECK(f->sealer_first_state(&sealer, other_key, fixed, limit, flash[0]) == TWINE_OTR_OK, 0);
    memcpy(flash[1], flash[0], STATE);
    CHECK(f->sealer_first_state(&sealer, key, fixed, limit, flash[0]) == TWINE_OTR_OK, 0);
    start();
}

/* One key and what becomes of it. */
static void live(unsigned life)
{
    static uint8_t used[700 / 8 + 1];
    static uint8_t buf[100];
    uint32_t total = 0;
    unsigned event;
    f = families[life % COUNT(families)];
    limit = 1 + below(2000);
    memset(used, 0, sizeof used);
    provision();
    for (event = 0; event < EVENTS; event++) {
        const uint32_t blocks = below(3) == 0 ? below(2000) : below(8) == 0 ? ~below(9) : below(40);
        const uint32_t written = below(STATE + 1);
        const uint32_t kind = below(18);
        uint8_t state[STATE], nonce[TWINE_OTR_NONCE_SIZE], next[TWINE_OTR_NONCE_SIZE], tag[TWINE_OTR_TAG_SIZE];
        const twine_otr_sealer_counts before = counts();
        if (kind < 8) {
            const size_t len = below(sizeof buf);
            const uint32_t needed = (uint32_t)twine_otr_count_blocks(2, len);
            const int code = f->sealer_seal(&sealer, fixed, 2, buf, len, nonce, tag);
            if (code == TWINE_OTR_OK) {
                CHECK(mark_once(used, sizeof used, counter_of(&nonce[4])), life);
                total += needed;
                CHECK(total <= limit && total <= counts().used_blocks, life);
            } else {
                CHECK(code == (before.remaining_blocks < needed ? TWINE_OTR_ERR_LIMIT : TWINE_OTR_ERR_NOT_RESERVED), life);
                CHECK(code == TWINE_OTR_ERR_LIMIT || before.reserved_blocks < needed, life);
                CHECK(counts().used_blocks == before.used_blocks, life);
            }
        } else if (kind < 12) {
            const uint32_t least = blocks < before.remaining_blocks ? blocks : before.remaining_blocks;
            reserve(blocks);
            CHECK(counts().reserved_blocks >= least && counts().reserved_blocks >= before.reserved_blocks, life);
        } else if (kind == 12) {
            /* The power is lost while a state is written, or before the sealer knows that it is. */
            CHECK(f->sealer_begin_reserve(&sealer, blocks, state) == TWINE_OTR_OK, life);
            store(state, written);
            start();
        } else if (kind == 13) {
            start();
        } else if (kind == 14) {
            /* The memory says that it failed, having written or not: the sealer goes on. */
            CHECK(f->sealer_begin_reserve(&sealer, blocks, state) == TWINE_OTR_OK, life);
            store(state, written);
            CHECK(counts().reserved_blocks == before.reserved_blocks, life);
        } else if (kind == 15) {
            /* What is there is confirmed, if it is the state: not what should be there. */
            CHECK(f->sealer_begin_reserve(&sealer, blocks, state) == TWINE_OTR_OK, life);
            store(state, written);
            (void)f->sealer_seal(&sealer, NULL, 0, NULL, 0, next, tag);
            if (f->sealer_next_nonce(&sealer, nonce) == TWINE_OTR_OK && counts().used_blocks != before.used_blocks) {
                CHECK(mark_once(used, sizeof used, counter_of(&next[4])), life);
                total += 3;
            }
            if (f->sealer_confirm(&sealer, flash[twine_otr_state_sequence(state) % 2]) == TWINE_OTR_OK) {
                CHECK(memcmp(flash[twine_otr_state_sequence(state) % 2], state, STATE) == 0 || written < STATE, life);
            }
        } else {
            /* An orderly stop, unless the power is lost in it. */
            CHECK(f->sealer_next_nonce(&sealer, next) == TWINE_OTR_OK, life);
            CHECK(f->sealer_suspend(&sealer, state) == TWINE_OTR_OK, life);
            store(state, kind == 16 ? STATE : written);
            start();
            if (kind == 16 || written == STATE) {
                CHECK(f->sealer_next_nonce(&sealer, nonce) == TWINE_OTR_OK && memcmp(nonce, next, sizeof next) == 0, life);
            }
        }
        if (failed > 0) {
            return;
        }
    }
}

/* A key bears limit / step starts without a stop before; and so many writes if blocks are reserved when none is left. */
static void run_key(uint32_t step)
{
    uint8_t buf[8 * 14] = {0}, nonce[TWINE_OTR_NONCE_SIZE], tag[TWINE_OTR_TAG_SIZE];
    uint32_t starts = 0, states = 0;
    f = families[0];
    limit = 1u << 14;
    provision();
    for (;;) {
        start();
        reserve(step);
        if (f->sealer_seal(&sealer, NULL, 0, NULL, 0, nonce, tag) != TWINE_OTR_OK) {
            break;
        }
        starts++;
    }
    CHECK(starts == limit / step, step);
    provision();
    do {
        if (counts().reserved_blocks < 16) {
            reserve(step);
            states++;
        }
    } while (f->sealer_seal(&sealer, NULL, 0, buf, sizeof buf, nonce, tag) == TWINE_OTR_OK);
    CHECK(counts().remaining_blocks == 0 && states == limit / step + 1, step);
}

/* ---- The node ---- */

static struct node node;
static struct node_keys keys;

/* At the other end: it has its power always. */
static twine128_opener readings;
static twine128_sealer instructions;
static const uint8_t up[TWINE_OTR_FIXED_SIZE] = {'u', 'p', ' ', '7'}, down[TWINE_OTR_FIXED_SIZE] = {'d', 'n', ' ', '7'};
static const uint8_t name[] = "node 7";

/* The node's power is lost: its RAM is anything. */
static void restart(void)
{
    memset(&node, 0xA5, sizeof node);
    power_up();
    CHECK(node_start(&node, &keys) == TWINE_OTR_OK, 0);
}

static void provision_node(void)
{
    power_up();
    memset(flash, 0xFF, sizeof flash);
    memset(&keys, 0x42, sizeof keys);
    keys.down[3] = 7;
    CHECK(node_provision(&node, &keys) == TWINE_OTR_OK, 0);
    CHECK(twine128_opener_init(&readings, keys.up, up, TWINE_OTR_BLOCK_LIMIT_DEFAULT, 9, 0) == TWINE_OTR_OK, 0);
    CHECK(twine128_sealer_init(&instructions, keys.down, down, TWINE_OTR_BLOCK_LIMIT_DEFAULT) == TWINE_OTR_OK, 0);
    restart();
}

/* A reading that is sent is received. The opener in strict order accepts no counter twice. */
static int send(size_t len, uint32_t number)
{
    uint8_t reading[NODE_MAX_LEN], frame[NODE_MAX_LEN + NODE_OVERHEAD], nonce[TWINE_OTR_NONCE_SIZE];
    int code;
    memset(reading, (int)number, len);
    code = node_send(&node, reading, len, frame);
    if (code == TWINE_OTR_OK) {
        memcpy(nonce, up, sizeof up);
        memcpy(&nonce[sizeof up], frame, NODE_COUNTER_SIZE);
        CHECK(twine128_opener_open(&readings, nonce, name, sizeof name, &frame[NODE_COUNTER_SIZE], len,
                                   &frame[NODE_COUNTER_SIZE + len]) == TWINE_OTR_OK, number);
        CHECK(memcmp(reading, &frame[NODE_COUNTER_SIZE], len) == 0, number);
    }
    return code;
}

/* The last frames that were sent to the node, which may come late, or again. */
static uint8_t frames[8][4 + NODE_OVERHEAD];
static uint8_t accepted[STEPS / 8 + 1];

static void make_frame(uint32_t number)
{
    uint8_t *frame = frames[number % 8], *message = &frame[NODE_COUNTER_SIZE], nonce[TWINE_OTR_NONCE_SIZE];
    message[0] = (uint8_t)(number >> 24);
    message[1] = (uint8_t)(number >> 16);
    message[2] = (uint8_t)(number >> 8);
    message[3] = (uint8_t)number;
    CHECK(twine128_sealer_seal(&instructions, name, sizeof name, message, 4, nonce, &message[4]) == TWINE_OTR_OK, number);
    memcpy(frame, &nonce[sizeof down], NODE_COUNTER_SIZE);
}

static int receive(uint32_t which)
{
    uint8_t instruction[4];
    const int code = node_receive(&node, frames[which], sizeof frames[which], instruction);
    if (code == TWINE_OTR_OK) {
        const uint32_t number = (uint32_t)instruction[1] << 16 | (uint32_t)instruction[2] << 8 | instruction[3];
        CHECK(mark_once(accepted, sizeof accepted, number), number);
    }
    return code;
}

static void run_node(void)
{
    uint32_t step, number = 0;
    provision_node();
    memset(accepted, 0, sizeof accepted);
    memset(frames, 0, sizeof frames);
    for (step = 0; step < STEPS; step++) {
        const uint32_t kind = below(20);
        int code = TWINE_OTR_OK;
        if (below(6) == 0) {
            lose_power_in(below(3), below(STATE + 1));
        }
        if (kind < 9) {
            code = send(below(NODE_MAX_LEN + 1), step);
        } else if (kind < 14) {
            make_frame(number);
            if (below(4) != 0) {
                code = receive(number % 8);
            }
            number++;
        } else if (kind < 17) {
            code = receive(below(8));
        } else if (kind == 17) {
            code = node_stop(&node);
            restart();
            code = TWINE_OTR_OK;
        } else if (kind == 18) {
            restart();
        }
        CHECK(kind >= 9 || code == TWINE_OTR_OK || code == NODE_ERR_FLASH, step);
        if (code == NODE_ERR_FLASH) {
            restart();
        }
    }
    /* Something came through. */
    CHECK(number > 0 && accepted[0] != 0 && writes > 0, writes);
}

/* A life of the node with the power lost in each of its writes and at each byte. */
static void run_everywhere(void)
{
    unsigned write, byte, i, sent = 0;
    for (write = 0; write < 4; write++) {
        for (byte = 0; byte <= STATE; byte++) {
            provision_node();
            lose_power_in(write, byte);
            sent = 0;
            for (i = 0; i < 40; i++) {
                const int code = send(24, i);
                if (code == NODE_ERR_FLASH) {
                    restart();
                } else {
                    CHECK(code == TWINE_OTR_OK, byte);
                    sent++;
                }
            }
            CHECK(sent == 39, byte);
        }
    }
}

/* After an orderly stop nothing is refused that was not late, and nothing skipped. */
static void run_stops(void)
{
    uint32_t i;
    twine_otr_sealer_counts before, after;
    provision_node();
    memset(accepted, 0, sizeof accepted);
    for (i = 0; i < 50; i++) {
        make_frame(i);
        CHECK(receive(i % 8) == TWINE_OTR_OK && send(5, i) == TWINE_OTR_OK, i);
        CHECK(receive(i % 8) == TWINE_OTR_ERR_REPLAYED, i);
        CHECK(twine128_sealer_count(&node.sealer, &before) == TWINE_OTR_OK, i);
        CHECK(node_stop(&node) == TWINE_OTR_OK, i);
        restart();
        CHECK(twine128_sealer_count(&node.sealer, &after) == TWINE_OTR_OK, i);
        CHECK(after.used_blocks == before.used_blocks, i);
        CHECK(receive(i % 8) == TWINE_OTR_ERR_REPLAYED, i);
    }
}

int main(void)
{
    unsigned life;
    for (life = 0; life < LIVES && failed == 0; life++) {
        live(life);
    }
    run_key(1u << 6);
    run_key(1u << 8);
    run_key(1u << 10);
    run_node();
    run_everywhere();
    run_stops();
    return report();
}
