/* Calls the functions of the listings in README.md and in the front page, with a flash of RAM. */
#include <stdio.h>
#include <string.h>

#include "twine-otr.h"

int flash_read(unsigned place, uint8_t *bytes);
int flash_write(unsigned place, const uint8_t *bytes);
int provision_sealer(const uint8_t key[16]);
int start_sealer(const uint8_t key[16]);
int seal_reading(uint8_t *reading, size_t len, uint8_t nonce[7], uint8_t tag[8]);
int provision_opener(const uint8_t key[16]);
int start_opener(const uint8_t key[16]);
int open_reading(const uint8_t *counter, const uint8_t *sealed, size_t len, const uint8_t *tag, uint8_t *reading);
int start_alone(const uint8_t key[16]);
int seal_alone(const uint8_t nonce[7], const uint8_t *ad, size_t ad_len, uint8_t *message, size_t len, uint8_t tag[8]);
int open_alone(const uint8_t nonce[7], const uint8_t *ad, size_t ad_len, uint8_t *message, size_t len, const uint8_t tag[8]);
int start(const uint8_t key[16]);
int seal(uint8_t *reading, size_t len, uint8_t nonce[7], uint8_t tag[8]);

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: not %s\n", __LINE__, #condition); \
            return 1; \
        } \
    } while (0)

static uint8_t flash[4][32];
static unsigned writes;

int flash_read(unsigned place, uint8_t *bytes)
{
    memcpy(bytes, flash[place], sizeof flash[place]);
    return 0;
}

int flash_write(unsigned place, const uint8_t *bytes)
{
    memcpy(flash[place], bytes, sizeof flash[place]);
    writes++;
    return 0;
}

static uint32_t counter_of(const uint8_t nonce[7])
{
    return (uint32_t)nonce[4] << 16 | (uint32_t)nonce[5] << 8 | nonce[6];
}

int main(void)
{
    static const uint8_t key[16] = {0x42}, text[6] = {'2', '1', '.', '5', ' ', 'C'}, zero[6] = {0};
    uint8_t message[6], opened[6], nonce[7], tag[8];
    uint32_t last = 0;
    int i, restarts, accepted = 0;

    CHECK(provision_sealer(key) == 0 && provision_opener(key) == 0);
    for (restarts = 0; restarts < 5; restarts++) {
        CHECK(start_sealer(key) == 0 && start_opener(key) == 0);
        /* More than what is reserved at once. */
        for (i = 0; i < 100; i++) {
            memcpy(message, text, sizeof text);
            CHECK(seal_reading(message, sizeof message, nonce, tag) == TWINE_OTR_OK);
            CHECK(memcmp(message, text, sizeof text) != 0);
            CHECK((restarts == 0 && i == 0) || counter_of(nonce) > last);
            last = counter_of(nonce);
            if (open_reading(&nonce[4], message, sizeof message, tag, opened) == TWINE_OTR_OK) {
                CHECK(memcmp(opened, text, sizeof text) == 0);
                accepted++;
            }
            CHECK(open_reading(&nonce[4], message, sizeof message, tag, opened) == TWINE_OTR_ERR_REPLAYED ||
                  restarts > 0);
            CHECK(memcmp(opened, zero, sizeof zero) == 0);
        }
    }
    /* A loss of power costs at most the 16 messages that the opener had reserved. */
    CHECK(accepted >= 500 - 4 * 16);
    CHECK(writes > 10);

    CHECK(start_alone(key) == TWINE_OTR_OK);
    memcpy(message, text, sizeof text);
    CHECK(seal_alone(nonce, NULL, 0, message, sizeof message, tag) == TWINE_OTR_OK);
    CHECK(open_alone(nonce, NULL, 0, message, sizeof message, tag) == TWINE_OTR_OK);
    CHECK(memcmp(message, text, sizeof text) == 0);

    CHECK(start(key) == TWINE_OTR_OK && seal(message, sizeof message, nonce, tag) == TWINE_OTR_OK);
    return 0;
}
