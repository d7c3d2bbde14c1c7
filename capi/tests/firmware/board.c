/* Without an operating system: start-up of any Cortex-M, and semihosting for a debugger or QEMU. */
#include "../port.h"

#include <stdint.h>
#include <string.h>

extern uint32_t stack_top, data_start, data_end, data_load, bss_start, bss_end;

int main(void);
void reset(void);

/* Semihosting: "Semihosting for AArch32 and AArch64", Arm. */
static int semihosting(uint32_t operation, uint32_t argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register uint32_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int)r0;
}

void port_print(const char *text)
{
    enum { SYS_WRITE0 = 4 };
    (void)semihosting(SYS_WRITE0, (uint32_t)(uintptr_t)text);
}

static void __attribute__((noreturn)) leave(int success)
{
    enum { SYS_EXIT = 0x18, APPLICATION_EXIT = 0x20026, RUN_TIME_ERROR = 0x20023 };
    (void)semihosting(SYS_EXIT, success ? APPLICATION_EXIT : RUN_TIME_ERROR);
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
