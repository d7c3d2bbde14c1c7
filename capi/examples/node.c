/* See node.h. */
#include "node.h"

#include <string.h>

static const uint8_t up[TWINE_OTR_FIXED_SIZE] = {'u', 'p', ' ', '7'};
static const uint8_t down[TWINE_OTR_FIXED_SIZE] = {'d', 'n', ' ', '7'};
static const uint8_t name[] = "node 7";

/* The places of the sealer are the first two, those of the opener the others. */
#define OF_SEALER 0u
#define OF_OPENER 2u

/* Stores a state over the older one, and reads it back: what is confirmed is what is there. */
static int store(unsigned first_place, uint8_t state[TWINE_OTR_STATE_SIZE])
{
    const unsigned place = first_place + (unsigned)(twine_otr_state_sequence(state) % 2);
    if (flash_write(place, state) != 0 || flash_read(place, state) != 0) {
        return NODE_ERR_FLASH;
    }
    return TWINE_OTR_OK;
}

static int load(unsigned first_place, uint8_t states[2 * TWINE_OTR_STATE_SIZE])
{
    if (flash_read(first_place, states) != 0 || flash_read(first_place + 1, &states[TWINE_OTR_STATE_SIZE]) != 0) {
        return NODE_ERR_FLASH;
    }
    return TWINE_OTR_OK;
}

int node_provision(struct node *node, const struct node_keys *keys)
{
    uint8_t state[TWINE_OTR_STATE_SIZE];
    int code = twine128_sealer_first_state(&node->sealer, keys->up, up, TWINE_OTR_BLOCK_LIMIT_DEFAULT, state);
    if (code == TWINE_OTR_OK) {
        code = store(OF_SEALER, state);
    }
    if (code == TWINE_OTR_OK) {
        code = twine128_opener_first_state(&node->opener, keys->down, down, TWINE_OTR_BLOCK_LIMIT_DEFAULT,
                                           TWINE_OTR_FAILURE_LIMIT_DEFAULT, state);
    }
    return code == TWINE_OTR_OK ? store(OF_OPENER, state) : code;
}

int node_start(struct node *node, const struct node_keys *keys)
{
    uint8_t states[2 * TWINE_OTR_STATE_SIZE];
    int code = load(OF_SEALER, states);
    if (code == TWINE_OTR_OK) {
        code = twine128_sealer_restore(&node->sealer, keys->up, up, TWINE_OTR_BLOCK_LIMIT_DEFAULT, states, 2);
    }
    if (code == TWINE_OTR_OK) {
        code = load(OF_OPENER, states);
    }
    if (code == TWINE_OTR_OK) {
        code = twine128_opener_restore(&node->opener, keys->down, down, TWINE_OTR_BLOCK_LIMIT_DEFAULT,
                                       TWINE_OTR_FAILURE_LIMIT_DEFAULT, TWINE_OTR_WINDOW_MAX, states, 2);
    }
    if (code != TWINE_OTR_OK) {
        /* Not one without the other. */
        twine128_sealer_clear(&node->sealer);
        twine128_opener_clear(&node->opener);
    }
    return code;
}

/* Sees to it that a message of len bytes can be sealed, so far as the limit allows. */
static int reserve_to_send(struct node *node, size_t len)
{
    twine_otr_sealer_counts counts;
    uint8_t state[TWINE_OTR_STATE_SIZE];
    int code = twine128_sealer_count(&node->sealer, &counts);
    if (code != TWINE_OTR_OK || counts.reserved_blocks >= twine_otr_count_blocks(sizeof name, len) ||
        counts.reserved_blocks == counts.remaining_blocks) {
        return code;
    }
    code = twine128_sealer_begin_reserve(&node->sealer, NODE_STEP, state);
    if (code == TWINE_OTR_OK) {
        code = store(OF_SEALER, state);
    }
    return code == TWINE_OTR_OK ? twine128_sealer_confirm(&node->sealer, state) : code;
}

int node_send(struct node *node, const uint8_t *reading, size_t len, uint8_t *frame)
{
    uint8_t nonce[TWINE_OTR_NONCE_SIZE];
    uint8_t *const message = &frame[NODE_COUNTER_SIZE];
    int code = len > NODE_MAX_LEN ? TWINE_OTR_ERR_ARGUMENT : reserve_to_send(node, len);
    if (code != TWINE_OTR_OK) {
        return code;
    }
    if (len > 0) {
        memcpy(message, reading, len);
    }
    code = twine128_sealer_seal(&node->sealer, name, sizeof name, message, len, nonce, &message[len]);
    if (code != TWINE_OTR_OK) {
        /* It is still the plaintext. */
        memset(message, 0, len);
        return code;
    }
    memcpy(frame, &nonce[TWINE_OTR_FIXED_SIZE], NODE_COUNTER_SIZE);
    return TWINE_OTR_OK;
}

/* Sees to it that the next message of len bytes can be opened, so far as the limit allows. */
static int reserve_to_receive(struct node *node, size_t len)
{
    twine_otr_opener_counts counts;
    uint8_t state[TWINE_OTR_STATE_SIZE];
    int code = twine128_opener_count(&node->opener, &counts);
    if (code != TWINE_OTR_OK ||
        (counts.reserved_messages > 0 && (counts.reserved_blocks >= twine_otr_count_blocks(sizeof name, len) ||
                                          counts.reserved_blocks == counts.remaining_blocks))) {
        return code;
    }
    code = twine128_opener_begin_reserve(&node->opener, NODE_MESSAGES, NODE_STEP, state);
    if (code == TWINE_OTR_OK) {
        code = store(OF_OPENER, state);
    }
    return code == TWINE_OTR_OK ? twine128_opener_confirm(&node->opener, state) : code;
}

int node_receive(struct node *node, const uint8_t *frame, size_t frame_len, uint8_t *instruction)
{
    uint8_t nonce[TWINE_OTR_NONCE_SIZE];
    const uint8_t *const message = &frame[NODE_COUNTER_SIZE];
    const size_t len = frame_len - NODE_OVERHEAD;
    int attempt, code = TWINE_OTR_ERR_ARGUMENT;
    if (frame_len < NODE_OVERHEAD || len > NODE_MAX_LEN) {
        return code;
    }
    memcpy(nonce, down, sizeof down);
    memcpy(&nonce[TWINE_OTR_FIXED_SIZE], frame, NODE_COUNTER_SIZE);
    for (attempt = 0; attempt < 2; attempt++) {
        code = reserve_to_receive(node, len);
        if (code != TWINE_OTR_OK) {
            return code;
        }
        memcpy(instruction, message, len);
        code = twine128_opener_open(&node->opener, nonce, name, sizeof name, instruction, len, &message[len]);
        /* Genuine, but many counters ahead, as after a restart of the sender: the opener knows now. */
        if (code != TWINE_OTR_ERR_NOT_RESERVED) {
            return code;
        }
    }
    return code;
}

int node_stop(struct node *node)
{
    uint8_t state[TWINE_OTR_STATE_SIZE];
    int sealed, opened;
    sealed = twine128_sealer_suspend(&node->sealer, state);
    if (sealed == TWINE_OTR_OK) {
        sealed = store(OF_SEALER, state);
    }
    opened = twine128_opener_suspend(&node->opener, state);
    if (opened == TWINE_OTR_OK) {
        opened = store(OF_OPENER, state);
    }
    return sealed != TWINE_OTR_OK ? sealed : opened;
}
