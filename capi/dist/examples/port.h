/* What the example needs of the machine that it runs on. */
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
