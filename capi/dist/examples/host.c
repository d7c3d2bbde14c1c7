/* With an operating system. */
#include "port.h"

#include <stdio.h>

void port_print(const char *text)
{
    (void)fputs(text, stdout);
}
