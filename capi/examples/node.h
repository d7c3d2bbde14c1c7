/*
 * A sensor node that sends readings and receives instructions, over restarts and losses of power. It stores two states of each
 * direction, written in turn, so that the newest is never overwritten.
 */
#ifndef NODE_H
#define NODE_H

#include "twine-otr.h"

/* Places in flash, one state each: in turn those of the sealer and those of the opener. */
#define NODE_PLACES 4

/* A frame: counter, ciphertext, tag. */
#define NODE_COUNTER_SIZE (TWINE_OTR_NONCE_SIZE - TWINE_OTR_FIXED_SIZE)
#define NODE_OVERHEAD (NODE_COUNTER_SIZE + TWINE_OTR_TAG_SIZE)

/* The longest reading or instruction. */
#define NODE_MAX_LEN 64

/* Blocks that are reserved at once, and messages that are received before a state is written again. Each start without a stop before
 * costs up to so many of both. */
#define NODE_STEP 64u
#define NODE_MESSAGES 16u

/* Flash has failed; all other errors are those of twine-otr.h. */
#define NODE_ERR_FLASH (-100)

/* What the board has. Both return 0 if all bytes are read, or stored so that they survive a loss of power. */
int flash_read(unsigned place, uint8_t state[TWINE_OTR_STATE_SIZE]);
int flash_write(unsigned place, const uint8_t state[TWINE_OTR_STATE_SIZE]);

struct node {
    twine128_sealer sealer;
    twine128_opener opener;
};

/* A key for each direction, random, and of this node alone. */
struct node_keys {
    uint8_t up[TWINE128_KEY_SIZE];
    uint8_t down[TWINE128_KEY_SIZE];
};

/* Once, when the node gets its keys, before they are stored: a node that has keys without states takes new keys. Erase older keys before:
 * this overwrites their states. */
int node_provision(struct node *node, const struct node_keys *keys);

/* At each start. */
int node_start(struct node *node, const struct node_keys *keys);

/* Makes a frame of len + NODE_OVERHEAD bytes. */
int node_send(struct node *node, const uint8_t *reading, size_t len, uint8_t *frame);

/* Takes a frame apart, into frame_len - NODE_OVERHEAD bytes. */
int node_receive(struct node *node, const uint8_t *frame, size_t frame_len, uint8_t *instruction);

/* Before an orderly stop, or sleep without RAM. */
int node_stop(struct node *node);

#endif
