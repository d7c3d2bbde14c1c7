// A program for 64-bit Arm on Linux that executes one instruction on registers and memory that it is told.
//
// It reads requests and writes answers until there are no more. A request: words that say what is put where (`header`), then for
// each sample the registers, the flags and the words of a window in memory. The answer: the same of each sample afterwards. Which
// addresses there are is in `compare.rs`.

    .text

    .set STATE, 98
    .set WINDOW, 32
    .set SAMPLE, 8 * (STATE + WINDOW)
    .set PATCHES, 4

// Where the instruction leads.
exit:
    msr tpidr_el0, x30
    adr x30, saved
    .irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29
    str x\register, [x30, 8 * \register]
    .endr
    mrs x0, tpidr_el0
    mov x1, sp
    stp x0, x1, [x30, 8 * 30]
    mrs x0, nzcv
    str x0, [x30, 8 * 96]
    .irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    str q\register, [x30, 8 * 32 + 16 * \register]
    .endr
    ldr x19, sample
    ldr x20, remaining
    // The answer takes the place of the sample.
    adr x0, saved
    mov x1, x19
    mov x2, 8 * STATE
    bl copy
    ldr x0, window_at
    mov x2, 8 * WINDOW
    bl copy
    add x19, x19, SAMPLE
    subs x20, x20, 1
    b.ne execute

    // Nothing of the code stays.
    adr x0, patches
    mov x1, PATCHES
1:
    ldr x2, [x0], 16
    str wzr, [x2]
    subs x1, x1, 1
    b.ne 1b

    bl size
    mov x20, x0
    ldr x19, =samples
write:
    mov x0, 1
    mov x1, x19
    mov x2, x20
    mov x8, 64
    svc 0
    cmp x0, 0
    b.le end
    add x19, x19, x0
    subs x20, x20, x0
    b.ne write

    .global _start
_start:
    adr x19, header
    mov x20, 8 * (2 + 2 * PATCHES)
    bl read
    bl size
    mov x20, x0
    ldr x19, =samples
    bl read
    adr x0, patches
    mov x1, PATCHES
1:
    ldp x2, x3, [x0], 16
    str w3, [x2]
    ic ivau, x2
    subs x1, x1, 1
    b.ne 1b
    dsb ish
    isb
    ldr x19, =samples
    ldr x20, count

execute:
    add x0, x19, 8 * STATE
    ldr x1, window_at
    mov x2, 8 * WINDOW
    bl copy
    adr x0, sample
    stp x19, x20, [x0]
    mov x30, x19
    ldr x0, [x30, 8 * 31]
    mov sp, x0
    ldr x0, [x30, 8 * 96]
    msr nzcv, x0
    .irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    ldr q\register, [x30, 8 * 32 + 16 * \register]
    .endr
    .irp register, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    ldr x\register, [x30, 8 * \register]
    .endr
    b slot

// x2 bytes, whole words, from x0 to x1, after which both are.
copy:
    ldr x3, [x0], 8
    str x3, [x1], 8
    subs x2, x2, 8
    b.ne copy
    ret

// Bytes of all samples.
size:
    ldr x0, count
    mov x1, SAMPLE
    mul x0, x0, x1
    ret

// x20 bytes to x19.
read:
    mov x0, 0
    mov x1, x19
    mov x2, x20
    mov x8, 63
    svc 0
    cmp x0, 0
    b.le end
    add x19, x19, x0
    subs x20, x20, x0
    b.ne read
    ret

end:
    mov x0, 0
    mov x8, 93
    svc 0

    .ltorg

// On another page than the code, which need not be translated anew then.
    .balign 4096
saved: .space 8 * STATE
sample: .xword 0
remaining: .xword 0
header:
window_at: .xword 0
count: .xword 0
patches: .space 16 * PATCHES

    .bss
    .balign 16
samples: .space 256 * SAMPLE

// Where the instruction is, with what it branches to.
    .section .region, "awx", %nobits
    .space 0x400000
