/*
 * The functions of all families in tables of one type, so that one test serves all.
 */
#ifndef FAMILIES_H
#define FAMILIES_H

#include "twine-otr.h"

/* Room for whatever a family has. */
union any {
    twine128_otr_ctx otr_ctx;
    twine128_sealer sealer;
    twine128_pieces pieces;
    twine128_opener opener;
    twine128_chunk_sealer chunk_sealer;
    twine128_chunk_opener chunk_opener;
    uint64_t words[1];
};

struct family {
    const char *name;
    size_t key_size;
    int (*otr_init)(void *self, const uint8_t *key);
    int (*otr_seal)(const void *self, const uint8_t *nonce, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, uint8_t *tag);
    int (*otr_open)(const void *self, const uint8_t *nonce, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, const uint8_t *tag);
    void (*otr_clear)(void *self);
    int (*sealer_init)(void *self, const uint8_t *key, const uint8_t *fixed, uint32_t limit);
    int (*sealer_first_state)(void *self, const uint8_t *key, const uint8_t *fixed, uint32_t limit, uint8_t *state);
    int (*sealer_restore)(void *self, const uint8_t *key, const uint8_t *fixed, uint32_t limit, const uint8_t *states, size_t count);
    int (*sealer_seal)(void *self, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, uint8_t *nonce, uint8_t *tag);
    int (*sealer_next_nonce)(const void *self, uint8_t *nonce);
    int (*sealer_count)(const void *self, twine_otr_sealer_counts *counts);
    int (*sealer_begin_reserve)(void *self, uint32_t blocks, uint8_t *state);
    int (*sealer_confirm)(void *self, const uint8_t *state);
    int (*sealer_suspend)(void *self, uint8_t *state);
    int (*sealer_begin_pieces)(void *self, void *pieces, const uint8_t *ad, size_t ad_len, size_t max_len, uint8_t *nonce);
    int (*sealer_update_pieces)(void *self, void *pieces, uint8_t *buf, size_t len);
    int (*sealer_finalize_pieces)(void *self, void *pieces, uint8_t *buf, size_t len, uint8_t *tag);
    void (*sealer_clear)(void *self);
    void (*pieces_clear)(void *self);
    int (*opener_init)(void *self, const uint8_t *key, const uint8_t *fixed, uint32_t limit, uint32_t failures, uint32_t window);
    int (*opener_first_state)(void *self, const uint8_t *key, const uint8_t *fixed, uint32_t limit, uint32_t failures, uint8_t *state);
    int (*opener_restore)(void *self, const uint8_t *key, const uint8_t *fixed, uint32_t limit, uint32_t failures, uint32_t window, const uint8_t *states, size_t count);
    int (*opener_open)(void *self, const uint8_t *nonce, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, const uint8_t *tag);
    int (*opener_count)(const void *self, twine_otr_opener_counts *counts);
    int (*opener_begin_reserve)(void *self, uint32_t messages, uint32_t blocks, uint8_t *state);
    int (*opener_confirm)(void *self, const uint8_t *state);
    int (*opener_suspend)(void *self, uint8_t *state);
    void (*opener_clear)(void *self);
    int (*chunk_sealer_init)(void *self, const uint8_t *key, const uint8_t *header, uint32_t limit);
    int (*chunk_sealer_seal)(void *self, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, uint8_t *tag);
    int (*chunk_sealer_seal_last)(void *self, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, uint8_t *tag);
    void (*chunk_sealer_clear)(void *self);
    int (*chunk_opener_init)(void *self, const uint8_t *key, const uint8_t *header, uint32_t limit, uint32_t failures);
    int (*chunk_opener_open)(void *self, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, const uint8_t *tag);
    int (*chunk_opener_open_last)(void *self, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, const uint8_t *tag);
    int (*chunk_opener_check_complete)(const void *self);
    void (*chunk_opener_clear)(void *self);
};

#define FAMILY(p, size)                                                                                               \
    static int p##_x_otr_init(void *self, const uint8_t *key)                                                         \
    {                                                                                                                 \
        return p##_otr_init((p##_otr_ctx *)self, key);                                                                \
    }                                                                                                                 \
    static int p##_x_otr_seal(const void *self, const uint8_t *nonce, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, uint8_t *tag)\
    {                                                                                                                 \
        return p##_otr_seal((const p##_otr_ctx *)self, nonce, ad, ad_len, buf, len, tag);                             \
    }                                                                                                                 \
    static int p##_x_otr_open(const void *self, const uint8_t *nonce, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, const uint8_t *tag)\
    {                                                                                                                 \
        return p##_otr_open((const p##_otr_ctx *)self, nonce, ad, ad_len, buf, len, tag);                             \
    }                                                                                                                 \
    static void p##_x_otr_clear(void *self)                                                                           \
    {                                                                                                                 \
        p##_otr_clear((p##_otr_ctx *)self);                                                                           \
    }                                                                                                                 \
    static int p##_x_sealer_init(void *self, const uint8_t *key, const uint8_t *fixed, uint32_t limit)                \
    {                                                                                                                 \
        return p##_sealer_init((p##_sealer *)self, key, fixed, limit);                                                \
    }                                                                                                                 \
    static int p##_x_sealer_first_state(void *self, const uint8_t *key, const uint8_t *fixed, uint32_t limit, uint8_t *state)\
    {                                                                                                                 \
        return p##_sealer_first_state((p##_sealer *)self, key, fixed, limit, state);                                  \
    }                                                                                                                 \
    static int p##_x_sealer_restore(void *self, const uint8_t *key, const uint8_t *fixed, uint32_t limit, const uint8_t *states, size_t count)\
    {                                                                                                                 \
        return p##_sealer_restore((p##_sealer *)self, key, fixed, limit, states, count);                              \
    }                                                                                                                 \
    static int p##_x_sealer_seal(void *self, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, uint8_t *nonce, uint8_t *tag)\
    {                                                                                                                 \
        return p##_sealer_seal((p##_sealer *)self, ad, ad_len, buf, len, nonce, tag);                                 \
    }                                                                                                                 \
    static int p##_x_sealer_next_nonce(const void *self, uint8_t *nonce)                                              \
    {                                                                                                                 \
        return p##_sealer_next_nonce((const p##_sealer *)self, nonce);                                                \
    }                                                                                                                 \
    static int p##_x_sealer_count(const void *self, twine_otr_sealer_counts *counts)                                  \
    {                                                                                                                 \
        return p##_sealer_count((const p##_sealer *)self, counts);                                                    \
    }                                                                                                                 \
    static int p##_x_sealer_begin_reserve(void *self, uint32_t blocks, uint8_t *state)                                \
    {                                                                                                                 \
        return p##_sealer_begin_reserve((p##_sealer *)self, blocks, state);                                           \
    }                                                                                                                 \
    static int p##_x_sealer_confirm(void *self, const uint8_t *state)                                                 \
    {                                                                                                                 \
        return p##_sealer_confirm((p##_sealer *)self, state);                                                         \
    }                                                                                                                 \
    static int p##_x_sealer_suspend(void *self, uint8_t *state)                                                       \
    {                                                                                                                 \
        return p##_sealer_suspend((p##_sealer *)self, state);                                                         \
    }                                                                                                                 \
    static int p##_x_sealer_begin_pieces(void *self, void *pieces, const uint8_t *ad, size_t ad_len, size_t max_len, uint8_t *nonce)\
    {                                                                                                                 \
        return p##_sealer_begin_pieces((p##_sealer *)self, (p##_pieces *)pieces, ad, ad_len, max_len, nonce);         \
    }                                                                                                                 \
    static int p##_x_sealer_update_pieces(void *self, void *pieces, uint8_t *buf, size_t len)                   \
    {                                                                                                                 \
        return p##_sealer_update_pieces((p##_sealer *)self, (p##_pieces *)pieces, buf, len);                    \
    }                                                                                                                 \
    static int p##_x_sealer_finalize_pieces(void *self, void *pieces, uint8_t *buf, size_t len, uint8_t *tag)   \
    {                                                                                                                 \
        return p##_sealer_finalize_pieces((p##_sealer *)self, (p##_pieces *)pieces, buf, len, tag);             \
    }                                                                                                                 \
    static void p##_x_sealer_clear(void *self)                                                                        \
    {                                                                                                                 \
        p##_sealer_clear((p##_sealer *)self);                                                                         \
    }                                                                                                                 \
    static void p##_x_pieces_clear(void *self)                                                                        \
    {                                                                                                                 \
        p##_pieces_clear((p##_pieces *)self);                                                                         \
    }                                                                                                                 \
    static int p##_x_opener_init(void *self, const uint8_t *key, const uint8_t *fixed, uint32_t limit, uint32_t failures, uint32_t window)\
    {                                                                                                                 \
        return p##_opener_init((p##_opener *)self, key, fixed, limit, failures, window);                              \
    }                                                                                                                 \
    static int p##_x_opener_first_state(void *self, const uint8_t *key, const uint8_t *fixed, uint32_t limit, uint32_t failures, uint8_t *state)\
    {                                                                                                                 \
        return p##_opener_first_state((p##_opener *)self, key, fixed, limit, failures, state);                        \
    }                                                                                                                 \
    static int p##_x_opener_restore(void *self, const uint8_t *key, const uint8_t *fixed, uint32_t limit, uint32_t failures, uint32_t window, const uint8_t *states, size_t count)\
    {                                                                                                                 \
        return p##_opener_restore((p##_opener *)self, key, fixed, limit, failures, window, states, count);            \
    }                                                                                                                 \
    static int p##_x_opener_open(void *self, const uint8_t *nonce, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, const uint8_t *tag)\
    {                                                                                                                 \
        return p##_opener_open((p##_opener *)self, nonce, ad, ad_len, buf, len, tag);                                 \
    }                                                                                                                 \
    static int p##_x_opener_count(const void *self, twine_otr_opener_counts *counts)                                  \
    {                                                                                                                 \
        return p##_opener_count((const p##_opener *)self, counts);                                                    \
    }                                                                                                                 \
    static int p##_x_opener_begin_reserve(void *self, uint32_t messages, uint32_t blocks, uint8_t *state)             \
    {                                                                                                                 \
        return p##_opener_begin_reserve((p##_opener *)self, messages, blocks, state);                                 \
    }                                                                                                                 \
    static int p##_x_opener_confirm(void *self, const uint8_t *state)                                                 \
    {                                                                                                                 \
        return p##_opener_confirm((p##_opener *)self, state);                                                         \
    }                                                                                                                 \
    static int p##_x_opener_suspend(void *self, uint8_t *state)                                                       \
    {                                                                                                                 \
        return p##_opener_suspend((p##_opener *)self, state);                                                         \
    }                                                                                                                 \
    static void p##_x_opener_clear(void *self)                                                                        \
    {                                                                                                                 \
        p##_opener_clear((p##_opener *)self);                                                                         \
    }                                                                                                                 \
    static int p##_x_chunk_sealer_init(void *self, const uint8_t *key, const uint8_t *header, uint32_t limit)         \
    {                                                                                                                 \
        return p##_chunk_sealer_init((p##_chunk_sealer *)self, key, header, limit);                                   \
    }                                                                                                                 \
    static int p##_x_chunk_sealer_seal(void *self, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, uint8_t *tag)\
    {                                                                                                                 \
        return p##_chunk_sealer_seal((p##_chunk_sealer *)self, ad, ad_len, buf, len, tag);                            \
    }                                                                                                                 \
    static int p##_x_chunk_sealer_seal_last(void *self, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, uint8_t *tag)\
    {                                                                                                                 \
        return p##_chunk_sealer_seal_last((p##_chunk_sealer *)self, ad, ad_len, buf, len, tag);                       \
    }                                                                                                                 \
    static void p##_x_chunk_sealer_clear(void *self)                                                                  \
    {                                                                                                                 \
        p##_chunk_sealer_clear((p##_chunk_sealer *)self);                                                             \
    }                                                                                                                 \
    static int p##_x_chunk_opener_init(void *self, const uint8_t *key, const uint8_t *header, uint32_t limit, uint32_t failures)\
    {                                                                                                                 \
        return p##_chunk_opener_init((p##_chunk_opener *)self, key, header, limit, failures);                         \
    }                                                                                                                 \
    static int p##_x_chunk_opener_open(void *self, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, const uint8_t *tag)\
    {                                                                                                                 \
        return p##_chunk_opener_open((p##_chunk_opener *)self, ad, ad_len, buf, len, tag);                            \
    }                                                                                                                 \
    static int p##_x_chunk_opener_open_last(void *self, const uint8_t *ad, size_t ad_len, uint8_t *buf, size_t len, const uint8_t *tag)\
    {                                                                                                                 \
        return p##_chunk_opener_open_last((p##_chunk_opener *)self, ad, ad_len, buf, len, tag);                       \
    }                                                                                                                 \
    static int p##_x_chunk_opener_check_complete(const void *self)                                                       \
    {                                                                                                                 \
        return p##_chunk_opener_check_complete((const p##_chunk_opener *)self);                                          \
    }                                                                                                                 \
    static void p##_x_chunk_opener_clear(void *self)                                                                  \
    {                                                                                                                 \
        p##_chunk_opener_clear((p##_chunk_opener *)self);                                                             \
    }                                                                                                                 \
    static const struct family p = {                                                                                  \
        #p,                                                                                                           \
        size,                                                                                                         \
        p##_x_otr_init,                                                                                               \
        p##_x_otr_seal,                                                                                               \
        p##_x_otr_open,                                                                                               \
        p##_x_otr_clear,                                                                                              \
        p##_x_sealer_init,                                                                                            \
        p##_x_sealer_first_state,                                                                                     \
        p##_x_sealer_restore,                                                                                         \
        p##_x_sealer_seal,                                                                                            \
        p##_x_sealer_next_nonce,                                                                                      \
        p##_x_sealer_count,                                                                                           \
        p##_x_sealer_begin_reserve,                                                                                   \
        p##_x_sealer_confirm,                                                                                         \
        p##_x_sealer_suspend,                                                                                         \
        p##_x_sealer_begin_pieces,                                                                                    \
        p##_x_sealer_update_pieces,                                                                                   \
        p##_x_sealer_finalize_pieces,                                                                                 \
        p##_x_sealer_clear,                                                                                           \
        p##_x_pieces_clear,                                                                                           \
        p##_x_opener_init,                                                                                            \
        p##_x_opener_first_state,                                                                                     \
        p##_x_opener_restore,                                                                                         \
        p##_x_opener_open,                                                                                            \
        p##_x_opener_count,                                                                                           \
        p##_x_opener_begin_reserve,                                                                                   \
        p##_x_opener_confirm,                                                                                         \
        p##_x_opener_suspend,                                                                                         \
        p##_x_opener_clear,                                                                                           \
        p##_x_chunk_sealer_init,                                                                                      \
        p##_x_chunk_sealer_seal,                                                                                      \
        p##_x_chunk_sealer_seal_last,                                                                                 \
        p##_x_chunk_sealer_clear,                                                                                     \
        p##_x_chunk_opener_init,                                                                                      \
        p##_x_chunk_opener_open,                                                                                      \
        p##_x_chunk_opener_open_last,                                                                                 \
        p##_x_chunk_opener_check_complete,                                                                               \
        p##_x_chunk_opener_clear,                                                                                     \
    }

FAMILY(twine128, TWINE128_KEY_SIZE);
FAMILY(twine80, TWINE80_KEY_SIZE);
FAMILY(twine128_serial, TWINE128_KEY_SIZE);
FAMILY(twine80_serial, TWINE80_KEY_SIZE);
FAMILY(twine128_combined, TWINE128_KEY_SIZE);
FAMILY(twine80_combined, TWINE80_KEY_SIZE);

static const struct family *const families[] = {
    &twine128, &twine80, &twine128_serial, &twine80_serial, &twine128_combined, &twine80_combined,
};

#endif
