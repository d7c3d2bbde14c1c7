/* A template of an application in C: one function that instructions start, a reading a second, and what every application does for the
   secure world. What it measures and does is to be replaced; what it does with frames is to stay. It keeps one reading until its receipt, and
   measures no other meanwhile. */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "board.h"
#include "smart_city.h"

/* The stream of the readings, as the device's provisioning has it. */
#define STREAM 1

/* Tenths of a second: between two readings, and until a frame without a receipt is sent again. */
#define INTERVAL 10
#define PATIENCE 20

/* On the line a packet is COBS between zeros: the number of a stream (2 bytes, 0 for evidence) and a frame; to the device, a frame. */
#define PACKET_LEN (2 + SC_FRAME_LEN)
#define ENCODED_LEN (PACKET_LEN + 2)

/* What the function sets. */
static volatile uint8_t level;

/* Sets the level: a byte. Only this function is measured before it runs, so that it calls nothing that is not inlined. */
uint32_t set_level(const uint8_t *argument, uint32_t len)
{
    if (len != 1)
        return 1;
    level = argument[0];
    LEDS = level > 0 ? LEDS | 1 : LEDS & ~1u;
    return 0;
}

/* Keeps the functions that instructions start in the image, as nothing here calls them. */
__attribute__((used, section(".functions"))) static uint32_t (*const functions[])(const uint8_t *, uint32_t) = {set_level};

/* A frame that was sent; len is 0 if there is none. */
struct sent {
    uint16_t stream;
    uint8_t frame[SC_FRAME_LEN];
    uint32_t len;
    uint32_t at;
};

/* The secure world makes evidence of the start once in an epoch, so no other takes its place. */
static struct sent reading_sent, evidence_sent, start_evidence_sent;

/* A reading: its number (4 bytes, big-endian), the level (1). */
static uint8_t reading[5];
static bool has_reading;
static uint32_t count, measured_at;

static void put_on_line(const struct sent *sent)
{
    uint8_t packet[PACKET_LEN] = {sent->stream >> 8, sent->stream & 0xff};
    memcpy(packet + 2, sent->frame, sent->len);
    const uint8_t *rest = packet, *end = packet + 2 + sent->len;
    board_send(0);
    for (;;) {
        uint32_t len = 0;
        while (rest + len < end && len < 254 && rest[len] != 0)
            len++;
        board_send(len + 1);
        for (uint32_t i = 0; i < len; i++)
            board_send(rest[i]);
        rest += len;
        if (rest == end)
            break;
        /* 254 bytes without a zero are followed by none. */
        if (len < 254)
            rest++;
    }
    board_send(0);
}

static void send(struct sent *sent, uint16_t stream, const uint8_t *frame, uint32_t len)
{
    sent->stream = stream;
    memcpy(sent->frame, frame, len);
    sent->len = len;
    sent->at = board_time;
    put_on_line(sent);
}

/* It is the same bytes: the gateway opens them once. */
static void send_again(struct sent *sent)
{
    if (sent->len > 0 && board_time - sent->at >= PATIENCE) {
        sent->at = board_time;
        put_on_line(sent);
    }
}

/* What a receipt says of a frame. */
enum said {
    SAID_STORED,
    SAID_NOTHING,
    /* Nothing, and no later receipt will. */
    SAID_TOO_FAR_BEHIND,
};

/* A receipt is the newest counter (3 bytes), the 64 frames up to it (8), big-endian. */
static enum said said_of(const uint8_t receipt[11], const struct sent *sent)
{
    uint32_t newest = (uint32_t)receipt[0] << 16 | receipt[1] << 8 | receipt[2];
    uint32_t counter = (uint32_t)sent->frame[3] << 16 | sent->frame[4] << 8 | sent->frame[5];
    uint32_t back = newest - counter;
    if (sent->len == 0 || counter > newest)
        return SAID_NOTHING;
    if (back >= 64)
        return SAID_TOO_FAR_BEHIND;
    return receipt[10 - back / 8] >> back % 8 & 1 ? SAID_STORED : SAID_NOTHING;
}

static void forget_reading(void)
{
    has_reading = false;
    reading_sent.len = 0;
}

/* What has no receipt is sealed again. What the secure world has found at the start is to be sent in each epoch. */
static void begin_epoch(void)
{
    uint8_t frame[SC_FRAME_LEN];
    reading_sent.len = evidence_sent.len = start_evidence_sent.len = 0;
    int32_t len = sc_start_evidence(frame);
    if (len > 0)
        send(&start_evidence_sent, 0, frame, len);
}

/* Passes a frame from the gateway to the secure world, and sends what that answers. */
static void obey(const uint8_t *frame, uint32_t frame_len)
{
    uint8_t answer[SC_FRAME_LEN];
    int32_t returned = sc_receive(frame, frame_len, answer);
    uint32_t len = returned & 0xff;
    if (returned <= 0)
        return;
    switch (returned >> 8) {
    case SC_EVENT_RECEIPT:
        switch (said_of(answer, &reading_sent)) {
        case SAID_STORED:
            forget_reading();
            break;
        case SAID_TOO_FAR_BEHIND:
            /* It is sealed again. */
            reading_sent.len = 0;
            break;
        case SAID_NOTHING:
            break;
        }
        /* Evidence cannot be sealed again. */
        if (said_of(answer, &evidence_sent) != SAID_NOTHING)
            evidence_sent.len = 0;
        if (said_of(answer, &start_evidence_sent) != SAID_NOTHING)
            start_evidence_sent.len = 0;
        break;
    case SC_EVENT_NEW_EPOCH:
        begin_epoch();
        break;
    case SC_EVENT_RESTORED:
        /* It was made beside altered code. */
        forget_reading();
        send(&evidence_sent, 0, answer, len);
        break;
    default:
        send(&evidence_sent, 0, answer, len);
    }
}

/* Takes the bytes that have come, and obeys each packet. What is no packet is left out. */
static void receive(void)
{
    static uint8_t encoded[ENCODED_LEN];
    static uint32_t encoded_len;
    for (int byte; (byte = board_received()) >= 0;) {
        if (byte != 0) {
            if (encoded_len < ENCODED_LEN)
                encoded[encoded_len] = byte;
            /* One too many shows that it is too long. */
            if (encoded_len <= ENCODED_LEN)
                encoded_len++;
            continue;
        }
        uint8_t packet[ENCODED_LEN];
        uint32_t len = 0, at = 0;
        bool is_packet = encoded_len > 0 && encoded_len <= ENCODED_LEN;
        while (is_packet && at < encoded_len) {
            uint32_t code = encoded[at++];
            is_packet = at + code - 1 <= encoded_len;
            for (uint32_t i = 1; is_packet && i < code; i++)
                packet[len++] = encoded[at++];
            if (code < 255 && at < encoded_len)
                packet[len++] = 0;
        }
        encoded_len = 0;
        if (is_packet && len > 0)
            obey(packet, len);
    }
}

static void measure(void)
{
    reading[0] = count >> 24;
    reading[1] = count >> 16;
    reading[2] = count >> 8;
    reading[3] = count;
    reading[4] = level;
    count++;
    has_reading = true;
    measured_at = board_time;
}

int main(void)
{
    board_start();
    begin_epoch();
    for (;;) {
        receive();
        if (board_time - measured_at >= INTERVAL && !has_reading)
            measure();
        send_again(&evidence_sent);
        send_again(&start_evidence_sent);
        send_again(&reading_sent);
        if (has_reading && reading_sent.len == 0) {
            uint8_t frame[SC_FRAME_LEN];
            int32_t len = sc_seal_reading(STREAM, reading, sizeof reading, frame);
            if (len > 0)
                send(&reading_sent, STREAM, frame, len);
            else if (len == SC_NEW_EPOCH_OPENED)
                begin_epoch();
        }
        /* Also when there is nothing to say and nothing comes: a service tells the watchdog that the application is alive. */
        (void)sc_epoch();
        board_wait();
    }
}
