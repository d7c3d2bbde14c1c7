/* Seals a reading, opens it, and sees a forgery refused. */
#include <stdio.h>
#include <string.h>

#include "twine-otr.h"

int main(void)
{
    /* A real key comes from a random generator or a secure element, and the counter from memory that survives a reset. */
    static const uint8_t key[16] = {0x42};
    static const uint8_t nonce[7] = {0, 0, 0, 0, 0, 0, 1};
    static const uint8_t ad[] = "sensor 7";
    uint8_t reading[] = "21.5 C";
    uint8_t tag[8];
    twine128_otr_ctx ctx = TWINE128_OTR_CTX_INIT;
    int status;

    if (twine128_otr_init(&ctx, key) != TWINE_OTR_OK ||
        twine128_otr_seal(&ctx, nonce, ad, sizeof ad, reading, sizeof reading, tag) != TWINE_OTR_OK) {
        return 1;
    }
    status = twine128_otr_open(&ctx, nonce, ad, sizeof ad, reading, sizeof reading, tag);
    printf("opened: %s\n", status == TWINE_OTR_OK ? (const char *)reading : "refused");
    if (status != TWINE_OTR_OK || strcmp((const char *)reading, "21.5 C") != 0) {
        return 1;
    }

    tag[0] ^= 1;
    status = twine128_otr_open(&ctx, nonce, ad, sizeof ad, reading, sizeof reading, tag);
    printf("forged: %s\n", status == TWINE_OTR_ERR_AUTHENTICATION ? "refused" : "opened");
    twine128_otr_clear(&ctx);
    return status == TWINE_OTR_ERR_AUTHENTICATION ? 0 : 1;
}
