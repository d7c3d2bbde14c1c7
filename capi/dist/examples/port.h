/* What the examples, and the tests, need of the machine that they run on. */
#ifndef PORT_H
#define PORT_H

#ifdef __cplusplus
extern "C" {
#endif

void port_print(const char *text);

#ifdef __cplusplus
}
#endif

#endif
