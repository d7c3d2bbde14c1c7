/* Seals a reading, prints what is sent, opens it, and sees a forgery refused. In C and C++. */
#include "port.h"
#include "twine-otr.h"

static void print_hex(const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char text[3] = {0, 0, 0};
    size_t i;
    for (i = 0; i < len; i++) {
        text[0] = digits[bytes[i] >> 4];
        text[1] = digits[bytes[i] & 15];
        port_print(text);
    }
}

int main(void)
{
    /* A real key comes from a random generator or a secure element, and the counter from memory that survives a reset. */
    static const uint8_t key[16] = {0x42};
    static const uint8_t nonce[7] = {0, 0, 0, 0, 0, 0, 1};
    static const uint8_t ad[] = {'s', 'e', 'n', 's', 'o', 'r', ' ', '7'};
    uint8_t reading[] = "21.5 C";
    uint8_t tag[8];
    twine128_otr_ctx ctx = TWINE128_OTR_CTX_INIT;
    int status;

    if (twine128_otr_init(&ctx, key) != TWINE_OTR_OK ||
        twine128_otr_seal(&ctx, nonce, ad, sizeof ad, reading, sizeof reading, tag) != TWINE_OTR_OK) {
        port_print("not sealed\n");
        return 1;
    }
    port_print("sealed: ");
    print_hex(reading, sizeof reading);
    port_print(" ");
    print_hex(tag, sizeof tag);

    status = twine128_otr_open(&ctx, nonce, ad, sizeof ad, reading, sizeof reading, tag);
    port_print("\nopened: ");
    port_print(status == TWINE_OTR_OK ? (const char *)reading : "refused");

    tag[0] ^= 1;
    if (status == TWINE_OTR_OK) {
        status = twine128_otr_open(&ctx, nonce, ad, sizeof ad, reading, sizeof reading, tag);
    }
    port_print("\nforged: ");
    port_print(status == TWINE_OTR_ERR_AUTHENTICATION ? "refused\n" : "opened\n");
    twine128_otr_clear(&ctx);
    return status == TWINE_OTR_ERR_AUTHENTICATION ? 0 : 1;
}
