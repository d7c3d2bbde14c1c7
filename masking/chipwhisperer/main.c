/*
 * Seals messages with masks for whoever measures: firmware for the STM32F4 target of a ChipWhisperer (CW308), with SimpleSerial 1.1 at 38400
 * baud, the clock of the ChipWhisperer (7.3728 MHz), and the trigger at PA12. It was built, and was never run on hardware.
 *
 *     k + 64 digits   both shares of a key: 16 bytes each. Answers z00, or the error.
 *     n + 8 digits    the first 4 bytes of the nonces after the next k. Answers z00.
 *     s + 32 digits   the seed of the masks, 16 bytes. All zero, and zeros as the second share in k: all masks are zero, which is as good as
 *                     no masks.
 *     p + 96 digits   seals 40 bytes with 8 bytes of associated data, which come first. The trigger is high from when the masks are made to the
 *                     end. Answers r and the tag, and then z00; or z and the error alone.
 *     v               answers z00.
 *
 * The nonces are counted from k on, and begin with zeros before the first n. The generator of the masks is no secure one. It serves measurements, as the host knows all masks then.
 */
#include "twine-otr-masked.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define RCC_CR REGISTER(0x40023800)
#define RCC_CFGR REGISTER(0x40023808)
#define RCC_AHB1ENR REGISTER(0x40023830)
#define RCC_APB2ENR REGISTER(0x40023844)
#define GPIOA_MODER REGISTER(0x40020000)
#define GPIOA_BSRR REGISTER(0x40020018)
#define GPIOA_AFRH REGISTER(0x40020024)
#define USART1_SR REGISTER(0x40011000)
#define USART1_DR REGISTER(0x40011004)
#define USART1_BRR REGISTER(0x40011008)
#define USART1_CR1 REGISTER(0x4001100C)

enum { CLOCK = 7372800, BAUD = 38400, TRIGGER = 12, AD = 8, MESSAGE = 40 };

static void set_up(void)
{
    /* The clock from outside, as it comes. */
    RCC_CR |= 1U << 18 | 1U << 16;
    while ((RCC_CR & 1U << 17) == 0) {
    }
    RCC_CFGR = (RCC_CFGR & ~3U) | 1U;
    while ((RCC_CFGR >> 2 & 3U) != 1U) {
    }
    RCC_AHB1ENR |= 1U;
    RCC_APB2ENR |= 1U << 4;
    /* PA9 and PA10 are those of the USART, PA12 is an output. */
    GPIOA_AFRH = (GPIOA_AFRH & ~0xFF0U) | 0x770U;
    GPIOA_MODER = (GPIOA_MODER & ~(0xFU << 18 | 3U << 24)) | 0xAU << 18 | 1U << 24;
    USART1_BRR = CLOCK / BAUD;
    USART1_CR1 = 1U << 13 | 1U << 3 | 1U << 2;
}

static char get(void)
{
    while ((USART1_SR & 1U << 5) == 0) {
    }
    return (char)USART1_DR;
}

static void put(char c)
{
    while ((USART1_SR & 1U << 7) == 0) {
    }
    USART1_DR = (uint32_t)(uint8_t)c;
}

static void answer(char command, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t i;
    put(command);
    for (i = 0; i < len; i++) {
        put(digits[bytes[i] >> 4]);
        put(digits[bytes[i] & 15]);
    }
    put('\n');
}

static void answer_status(int status)
{
    const uint8_t byte = (uint8_t)-status;
    answer('z', &byte, 1);
}

/* Takes digits to the end of the line. Returns how many bytes they are, or more than there may be. */
static size_t get_bytes(uint8_t *bytes, size_t most)
{
    size_t digits = 0;
    for (;;) {
        const char c = get();
        uint32_t digit;
        if (c == '\n' || c == '\r') {
            return digits % 2 == 0 ? digits / 2 : most + 1;
        }
        digit = (uint32_t)(uint8_t)c;
        digit = digit <= '9' ? digit - '0' : digit >= 'A' ? (digit & 0xDFU) - 'A' + 10 : 16;
        if (digit < 16 && digits / 2 < most) {
            bytes[digits / 2] = (uint8_t)(bytes[digits / 2] << 4 | digit);
            digits++;
        } else {
            digits = 2 * (most + 1);
        }
    }
}

/* xoshiro128**, by Blackman and Vigna. From a seed of zeros it makes zeros. Sealing calls it before anything else, so the trigger rises at its end. */
static int make_masks(void *context, uint8_t *bytes, size_t len)
{
    uint32_t *s = (uint32_t *)context;
    size_t i;
    for (i = 0; i < len; i++) {
        const uint32_t product = s[1] * 5;
        const uint32_t number = (product << 7 | product >> 25) * 9;
        const uint32_t t = s[1] << 9;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3] << 11 | s[3] >> 21;
        bytes[i] = (uint8_t)(number >> 24);
    }
    GPIOA_BSRR = 1U << TRIGGER;
    return 0;
}

int main(void)
{
    static twine128_masked_sealer sealer = TWINE128_MASKED_SEALER_INIT;
    static uint32_t key[8], seed[4] = {1, 2, 3, 4};
    static uint8_t fixed[TWINE_OTR_FIXED_SIZE], data[AD + MESSAGE], nonce[TWINE_OTR_NONCE_SIZE], tag[TWINE_OTR_TAG_SIZE];
    set_up();
    for (;;) {
        int status = TWINE_OTR_ERR_ARGUMENT;
        switch (get()) {
        case 'k':
            if (get_bytes((uint8_t *)key, sizeof key) == sizeof key) {
                status = twine128_masked_sealer_init(&sealer, key, fixed, TWINE_OTR_BLOCK_LIMIT_MAX, make_masks, seed);
            }
            answer_status(status);
            break;
        case 'n':
            answer_status(get_bytes(fixed, sizeof fixed) == sizeof fixed ? TWINE_OTR_OK : status);
            break;
        case 's':
            answer_status(get_bytes((uint8_t *)seed, sizeof seed) == sizeof seed ? TWINE_OTR_OK : status);
            break;
        case 'p':
            if (get_bytes(data, sizeof data) == sizeof data) {
                status = twine128_masked_sealer_seal(&sealer, data, AD, data + AD, MESSAGE, nonce, tag);
                GPIOA_BSRR = 1U << (TRIGGER + 16);
            }
            if (status == TWINE_OTR_OK) {
                answer('r', tag, sizeof tag);
            }
            answer_status(status);
            break;
        case 'v':
            (void)get_bytes(data, 0);
            answer_status(TWINE_OTR_OK);
            break;
        default:
            break;
        }
    }
}

/* Arrays, as two of them may begin at one address, which compilers take for impossible of two variables. */
extern uint32_t stack_top[], data_start[], data_end[], data_load[], bss_start[], bss_end[];

void start(void);

void start(void)
{
    volatile uint32_t *to;
    const uint32_t *from = data_load;
    for (to = data_start; to != data_end; to++) {
        *to = *from++;
    }
    for (to = bss_start; to != bss_end; to++) {
        *to = 0;
    }
    (void)main();
    for (;;) {
    }
}

static void stop(void)
{
    for (;;) {
    }
}

typedef void (*handler)(void);

/* The initial stack pointer, reset, and the other exceptions of the core. No interrupt is switched on. */
static const struct {
    void *stack;
    handler handlers[15];
} vector_table __attribute__((section(".vectors"), used)) = {
    stack_top,
    {start, stop, stop, stop, stop, stop, stop, stop, stop, stop, stop, stop, stop, stop, stop},
};
