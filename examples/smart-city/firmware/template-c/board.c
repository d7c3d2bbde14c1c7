#include "board.h"

#include <stddef.h>

volatile uint32_t board_time;

/* What has come and was not taken: a ring. */
static volatile uint8_t received[1024];
static volatile uint32_t taken, come;

extern uint32_t STACK, DATA, DATA_END, DATA_SOURCE, BSS, BSS_END;
int main(void);
void reset(void);

void reset(void)
{
    for (uint32_t *to = &DATA, *from = &DATA_SOURCE; to < &DATA_END;)
        *to++ = *from++;
    for (uint32_t *to = &BSS; to < &BSS_END;)
        *to++ = 0;
    main();
    for (;;)
        ;
}

static void systick(void)
{
    board_time = board_time + 1;
}

/* Takes what has come. What finds no room is lost. */
static void uart(void)
{
    UART_INTERRUPT = 2;
    while (UART_STATE & 2) {
        uint8_t byte = UART_DATA;
        if (come - taken < sizeof received) {
            received[come % sizeof received] = byte;
            come = come + 1;
        }
    }
}

/* A fault of the application: the secure world starts the device anew. */
static void fault(void)
{
    __asm__ volatile("udf #0");
}

__attribute__((used, section(".vectors"))) static void *const vectors[16 + 44] = {
    &STACK, reset, fault, fault, fault, fault, fault, NULL, NULL, NULL, NULL, fault, fault, NULL, fault, systick,
    [16 + 34] = uart, [16 + 35] = uart, [16 + 43] = uart,
};

void board_start(void)
{
    UART_DIVIDER = CLOCK / 115200;
    /* Both directions, and an interrupt for each byte that comes. */
    UART_CONTROL = 1 | 2 | 8;
    NVIC_ENABLE_1 = 1 << (34 - 32) | 1 << (35 - 32) | 1 << (43 - 32);
    SYSTICK_RELOAD = CLOCK / 10 - 1;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 1 | 2 | 4;
}

void board_send(uint8_t byte)
{
    while (UART_STATE & 1)
        ;
    UART_DATA = byte;
}

int board_received(void)
{
    if (taken == come)
        return -1;
    int byte = received[taken % sizeof received];
    taken = taken + 1;
    return byte;
}

void board_wait(void)
{
    __asm__ volatile("cpsid i" ::: "memory");
    if (taken == come)
        /* An interrupt that is held ends it as well. */
        __asm__ volatile("wfi");
    __asm__ volatile("cpsie i" ::: "memory");
}
