/* What a test says. Included once in a program. */
#ifndef REPORT_H
#define REPORT_H

#include "port.h"

#include <stddef.h>
#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static unsigned passed, failed;

static void print_number(unsigned long number)
{
    char text[24];
    size_t i = sizeof text - 1;
    text[i] = '\0';
    do {
        text[--i] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    port_print(&text[i]);
}

static void check_that(int holds, const char *what, const char *where, unsigned long number, int line)
{
    if (holds) {
        passed++;
        return;
    }
    failed++;
    /* More would be noise. */
    if (failed > 20) {
        return;
    }
    port_print("FAILED: ");
    port_print(what);
    port_print(", ");
    port_print(where);
    port_print(", case ");
    print_number(number);
    port_print(", line ");
    print_number((unsigned long)line);
    port_print("\n");
}

/* Prints the summary and returns what main has to. */
static int report(void)
{
    print_number(passed);
    port_print(" passed, ");
    print_number(failed);
    port_print(" failed\n");
    return failed == 0 ? 0 : 1;
}

#endif
