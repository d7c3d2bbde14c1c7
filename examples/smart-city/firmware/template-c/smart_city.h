/* The services of the secure world, and what they return. The numbers are those of the crate smart-city-interface; a test compares them. */
#ifndef SMART_CITY_H
#define SMART_CITY_H

#include <stdint.h>

/* The longest frame, which is what a buffer for one has; and the longest reading. In bytes. */
#define SC_FRAME_LEN 255
#define SC_READING_LEN 241

/* Entry points. */
#define SC_VENEERS 0x1001f000
#define SC_SEAL_READING 0
#define SC_RECEIVE 1
#define SC_EPOCH 2
#define SC_NEW_EPOCH 3
#define SC_START_EVIDENCE 4

/* Refusals: what a service returns below 0. */
#define SC_HANDLER (-1)
#define SC_BUSY (-2)
#define SC_POINTER (-3)
#define SC_LENGTH (-4)
#define SC_STREAM (-5)
#define SC_NO_EPOCH (-6)
#define SC_FRAME (-7)
#define SC_NEW_EPOCH_OPENED (-8)
#define SC_TOO_SOON (-9)

/* What sc_receive returns: one of these events in bits 8 to 15, the length of the answer in bits 0 to 7. */
#define SC_EVENT_RECEIPT 1
#define SC_EVENT_RAN 2
#define SC_EVENT_REFUSED 3
#define SC_EVENT_RESTORED 4
#define SC_EVENT_NOT_ALTERED 5
#define SC_EVENT_NEW_EPOCH 6
#define SC_EVENT_EXAMINED 7

/* Threads must call services one at a time, under a mutex; exception handlers and functions that instructions start must not call any. */
static inline int32_t sc_call(uint32_t service, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    typedef int32_t entry(uint32_t, uint32_t, uint32_t, uint32_t);
    return ((entry *)((SC_VENEERS + 8 * service) | 1))(a, b, c, d);
}

/* Seals a reading of a stream into frame. Returns the frame's length, or a refusal. */
static inline int32_t sc_seal_reading(uint16_t stream, const uint8_t *reading, uint32_t len, uint8_t frame[SC_FRAME_LEN])
{
    return sc_call(SC_SEAL_READING, stream, (uint32_t)reading, len, (uint32_t)frame);
}

/* Has the secure world obey a frame from the gateway. Returns what happened and the length of what is in answer, or a refusal. */
static inline int32_t sc_receive(const uint8_t *frame, uint32_t len, uint8_t answer[SC_FRAME_LEN])
{
    return sc_call(SC_RECEIVE, (uint32_t)frame, len, (uint32_t)answer, 0);
}

/* Returns the epoch, or a refusal. */
static inline int32_t sc_epoch(void)
{
    return sc_call(SC_EPOCH, 0, 0, 0, 0);
}

/* Opens a new epoch, of which a device has 65,535 in all: eight at once, then one an hour. Returns it, or a refusal. */
static inline int32_t sc_new_epoch(void)
{
    return sc_call(SC_NEW_EPOCH, 0, 0, 0, 0);
}

/* Evidence of a region that was altered when the device started, to be asked for at the start and in each new epoch. Returns the frame's
   length, 0 if there is none, or a refusal. */
static inline int32_t sc_start_evidence(uint8_t frame[SC_FRAME_LEN])
{
    return sc_call(SC_START_EVIDENCE, (uint32_t)frame, 0, 0, 0);
}

#endif
