/* With two archives that are made by Rust. */
#include "twine-otr.h"

size_t other_length(const char *text);

int main(void)
{
    static const uint8_t key[16] = {0x42};
    twine128_otr_ctx ctx = TWINE128_OTR_CTX_INIT;
    if (twine128_otr_init(&ctx, key) != TWINE_OTR_OK) {
        return 1;
    }
    twine128_otr_clear(&ctx);
    return other_length("21.5 C") == 6 ? 0 : 1;
}
