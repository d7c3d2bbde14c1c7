/*
 * Which archives of the package run where the code of this compiler, with its flags, runs.
 *
 * TWINE_OTR_RUNS_x is defined for each archive x whose instructions the processor has and whose calling convention is the same.
 * TWINE_OTR_TARGET_NAME is the folder in lib/ of the one that makes the most of the processor; it is not defined if there is none.
 * The files for CMake, make and PlatformIO ask for it, so that there is one list of conditions.
 *
 * Define TWINE_OTR_ARCHIVE as the archive that is linked, with _ in place of - and dots, and one that does not run stops the
 * compiler. The files for CMake, make, pkg-config, Zephyr, ESP-IDF and PlatformIO define it.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT
 */
#ifndef TWINE_OTR_TARGET_H
#define TWINE_OTR_TARGET_H

#if defined(__arm__) && defined(__ARM_ARCH_PROFILE) && !defined(__ARM_BIG_ENDIAN)
#if __ARM_ARCH_PROFILE == 'M'

/* It is 1 on ARMv6-M and ARMv8-M Baseline. */
#if __ARM_ARCH_ISA_THUMB >= 2
#define TWINE_OTR_ON_MAINLINE
#endif
#if __ARM_ARCH >= 8
#define TWINE_OTR_ON_V8M
#endif

/* Floating-point registers for arguments make another calling convention, though this library passes none. */
#ifdef __ARM_PCS_VFP
#if defined(TWINE_OTR_ON_MAINLINE) && defined(__ARM_FEATURE_DSP)
#define TWINE_OTR_RUNS_thumbv7em_none_eabihf 1
#define TWINE_OTR_TARGET_NAME "thumbv7em-none-eabihf"
#endif
#if defined(TWINE_OTR_ON_MAINLINE) && defined(TWINE_OTR_ON_V8M)
#define TWINE_OTR_RUNS_thumbv8m_main_none_eabihf 1
#undef TWINE_OTR_TARGET_NAME
#define TWINE_OTR_TARGET_NAME "thumbv8m.main-none-eabihf"
#endif
#else
#define TWINE_OTR_RUNS_thumbv6m_none_eabi 1
#define TWINE_OTR_TARGET_NAME "thumbv6m-none-eabi"
#ifdef TWINE_OTR_ON_V8M
#define TWINE_OTR_RUNS_thumbv8m_base_none_eabi 1
#undef TWINE_OTR_TARGET_NAME
#define TWINE_OTR_TARGET_NAME "thumbv8m.base-none-eabi"
#endif
#ifdef TWINE_OTR_ON_MAINLINE
#define TWINE_OTR_RUNS_thumbv7m_none_eabi 1
#undef TWINE_OTR_TARGET_NAME
#define TWINE_OTR_TARGET_NAME "thumbv7m-none-eabi"
#ifdef __ARM_FEATURE_DSP
#define TWINE_OTR_RUNS_thumbv7em_none_eabi 1
#undef TWINE_OTR_TARGET_NAME
#define TWINE_OTR_TARGET_NAME "thumbv7em-none-eabi"
#endif
#ifdef TWINE_OTR_ON_V8M
#define TWINE_OTR_RUNS_thumbv8m_main_none_eabi 1
#undef TWINE_OTR_TARGET_NAME
#define TWINE_OTR_TARGET_NAME "thumbv8m.main-none-eabi"
#endif
#endif
#endif

#endif

#elif defined(__riscv) && defined(__riscv_float_abi_soft) && defined(__riscv_mul) && defined(__riscv_div) && \
    defined(__riscv_compressed) && !defined(__riscv_e) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#if __riscv_xlen == 32
#define TWINE_OTR_RUNS_riscv32imc_unknown_none_elf 1
#define TWINE_OTR_TARGET_NAME "riscv32imc-unknown-none-elf"
#ifdef __riscv_atomic
#define TWINE_OTR_RUNS_riscv32imac_unknown_none_elf 1
#undef TWINE_OTR_TARGET_NAME
#define TWINE_OTR_TARGET_NAME "riscv32imac-unknown-none-elf"
#endif
#endif

#elif defined(__linux__) && defined(__x86_64__) && defined(__SSE2__) && !defined(__ILP32__)
#define TWINE_OTR_RUNS_x86_64_unknown_linux_gnu 1
#define TWINE_OTR_TARGET_NAME "x86_64-unknown-linux-gnu"

#elif defined(__linux__) && defined(__aarch64__) && defined(__ARM_NEON) && !defined(__AARCH64EB__) && !defined(__ILP32__)
#define TWINE_OTR_RUNS_aarch64_unknown_linux_gnu 1
#define TWINE_OTR_TARGET_NAME "aarch64-unknown-linux-gnu"
#endif

#ifdef TWINE_OTR_ARCHIVE
#define TWINE_OTR_RUNS_(archive) TWINE_OTR_RUNS_##archive
#define TWINE_OTR_RUNS(archive) TWINE_OTR_RUNS_(archive)
#if !TWINE_OTR_RUNS(TWINE_OTR_ARCHIVE)
#error "The archive TWINE_OTR_ARCHIVE of TWINE-OTR is not for this processor and these compiler flags: see its README."
#endif
#endif

/* For the preprocessor alone. */
#ifdef TWINE_OTR_PRINT_TARGET
TWINE_OTR_TARGET_NAME
#endif

#endif /* TWINE_OTR_TARGET_H */
