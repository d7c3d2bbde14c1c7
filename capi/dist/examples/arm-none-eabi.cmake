# GCC for Cortex-M.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
# A whole program needs the board's start-up.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
