# GCC for RISC-V without an operating system.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR riscv32)
set(CMAKE_C_COMPILER riscv64-unknown-elf-gcc)
set(CMAKE_CXX_COMPILER riscv64-unknown-elf-g++)
# A whole program needs the board's start-up.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
