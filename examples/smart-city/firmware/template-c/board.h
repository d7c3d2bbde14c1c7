/* UART1, the lamps and SysTick of mps2-an505: what is to be replaced for another board. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define UART_DATA REGISTER(0x40201000)
#define UART_STATE REGISTER(0x40201004)
#define UART_CONTROL REGISTER(0x40201008)
#define UART_INTERRUPT REGISTER(0x4020100c)
#define UART_DIVIDER REGISTER(0x40201010)
#define LEDS REGISTER(0x40302000)
#define SYSTICK_CONTROL REGISTER(0xe000e010)
#define SYSTICK_RELOAD REGISTER(0xe000e014)
#define SYSTICK_VALUE REGISTER(0xe000e018)
#define NVIC_ENABLE_1 REGISTER(0xe000e104)

#define CLOCK 20000000

/* Tenths of a second since the start. */
extern volatile uint32_t board_time;

/* Before anything is sent or received, at 115,200 baud. */
void board_start(void);

/* Sends a byte, as soon as there is room for it. */
void board_send(uint8_t byte);

/* A byte that has come, or -1. */
int board_received(void);

/* Sleeps until an interrupt, unless a byte is there. */
void board_wait(void);

#endif
