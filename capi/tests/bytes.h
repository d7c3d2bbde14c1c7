/* What is in memory. */
#ifndef BYTES_H
#define BYTES_H

#include <stddef.h>
#include <stdint.h>

static int all_are(const void *bytes, size_t len, uint8_t value)
{
    const uint8_t *byte = (const uint8_t *)bytes;
    size_t i;
    for (i = 0; i < len; i++) {
        if (byte[i] != value) {
            return 0;
        }
    }
    return 1;
}

#endif
