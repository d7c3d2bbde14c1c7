/* Without an operating system: start-up of any Cortex-M, and semihosting for a debugger or QEMU. */
#include "../port.h"

#include <stdint.h>
#include <string.h>

extern uint32_t stack_top, data_start, data_end, data_load, bss_start, bss_end;

int main(void);
void reset(void);

/* Semihosting: "Semihosting for AArch32 and AArch64", Arm. */
static uint32_t semihosting(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void port_print(const char *text)
{
    enum { SYS_OPEN = 1, SYS_WRITE = 5, WRITING = 4 };
    static const char console_name[] = ":tt";
    static uint32_t console;
    const uint32_t open[3] = {(uint32_t)(uintptr_t)console_name, WRITING, sizeof console_name - 1};
    uint32_t write[3];
    if (console == 0) {
        console = semihosting(SYS_OPEN, open);
    }
    write[0] = console;
    write[1] = (uint32_t)(uintptr_t)text;
    write[2] = (uint32_t)strlen(text);
    (void)semihosting(SYS_WRITE, write);
}

static void __attribute__((noreturn)) leave(int success)
{
    enum { SYS_EXIT = 0x18, APPLICATION_EXIT = 0x20026, RUN_TIME_ERROR = 0x20023 };
    const uintptr_t reason = success ? APPLICATION_EXIT : RUN_TIME_ERROR;
    (void)semihosting(SYS_EXIT, (const void *)reason);
    for (;;) {
    }
}

void reset(void)
{
    memcpy(&data_start, &data_load, (size_t)((uintptr_t)&data_end - (uintptr_t)&data_start));
    memset(&bss_start, 0, (size_t)((uintptr_t)&bss_end - (uintptr_t)&bss_start));
    leave(main() == 0);
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
} vector_table __attribute__((section(".vector_table"), used)) = {
    &stack_top,
    {reset, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault},
};
