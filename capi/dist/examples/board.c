/*
 * Without an operating system: start-up of any Cortex-M with semihosting for a debugger or QEMU, and of QEMU's RISC-V board
 * virt. In a project of your own the vendor's start-up is in its place.
 */
#include "port.h"

#include <stdint.h>

/* Arrays, as two of them may begin at one address, which compilers take for impossible of two variables. */
extern uint32_t stack_top[], data_start[], data_end[], data_load[], bss_start[], bss_end[];

int main(void);
void _start(void);
void start_program(void);

#ifdef __arm__

/* "Semihosting for AArch32 and AArch64", Arm. */
static uint32_t semihosting(uint32_t operation, uintptr_t argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register uintptr_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

/* To standard output: SYS_WRITE0 would go to where the debugger has its own messages. */
void port_print(const char *text)
{
    enum { SYS_OPEN = 1, SYS_WRITE = 5, WRITING = 4 };
    static const char console_name[] = ":tt";
    static uint32_t console;
    const uintptr_t open[3] = {(uintptr_t)console_name, WRITING, sizeof console_name - 1};
    uintptr_t write[3] = {0, (uintptr_t)text, 0};
    while (text[write[2]] != 0) {
        write[2]++;
    }
    if (console == 0) {
        console = semihosting(SYS_OPEN, (uintptr_t)open);
    }
    write[0] = console;
    (void)semihosting(SYS_WRITE, (uintptr_t)write);
}

static void __attribute__((noreturn)) leave(int success)
{
    enum { SYS_EXIT = 0x18, APPLICATION_EXIT = 0x20026, RUN_TIME_ERROR = 0x20023 };
    (void)semihosting(SYS_EXIT, success ? APPLICATION_EXIT : RUN_TIME_ERROR);
    for (;;) {
    }
}

static void fault(void)
{
    port_print("a fault or another exception\n");
    leave(0);
}

typedef void (*handler)(void);

/* The initial stack pointer, reset, and the other exceptions of the core. */
static const struct {
    void *stack;
    handler handlers[15];
} vector_table __attribute__((section(".start"), used)) = {
    stack_top,
    {_start, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault},
};

void _start(void)
{
#ifdef __ARM_FP
    /* CPACR: access to the floating-point unit. */
    *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20;
    __asm__ volatile("dsb\nisb" ::: "memory");
#endif
    start_program();
}

#else

void port_print(const char *text)
{
    volatile uint8_t *const uart = (volatile uint8_t *)0x10000000u;
    while (*text != 0) {
        *uart = (uint8_t)*text++;
    }
}

static void __attribute__((noreturn)) leave(int success)
{
    /* Of SiFive's test device: 0x5555 ends the emulator with success, 0x3333 with the code above it. */
    *(volatile uint32_t *)0x100000u = success ? 0x5555u : 0x13333u;
    for (;;) {
    }
}

__asm__(".section .start, \"ax\"\n"
        ".global _start\n"
        "_start:\n"
        "    la sp, stack_top\n"
        "    j start_program\n"
        ".text\n");

#endif

void start_program(void)
{
    const uint32_t *from = data_load;
    uint32_t *to;
    for (to = data_start; to != data_end; to++) {
        *to = *from++;
    }
    for (to = bss_start; to != bss_end; to++) {
        *to = 0;
    }
    leave(main() == 0);
}
