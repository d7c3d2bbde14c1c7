// The same program, to a C++ compiler.
#if !__STDC_HOSTED__
// Without an operating system main is a function like any other: Clang gives it a name with its types.
extern "C" int main();
#endif
#include "main.c"
