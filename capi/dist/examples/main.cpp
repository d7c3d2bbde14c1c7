// The same program, to a C++ compiler.
#include "main.c"
