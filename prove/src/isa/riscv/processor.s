# A program for 32-bit RISC-V on Linux that executes one instruction on registers and memory that it is told.
#
# It reads requests and writes answers until there are no more. A request: words that say what is put where (`header`), then for
# each sample the registers and the words of a window in memory. The answer: the same of each sample afterwards. Which addresses there
# are is in `compare.rs`. Code that leads here has put x31 into f0.

    .option norelax
    .text

    .set REGISTERS, 32
    .set WINDOW, 32
    .set SAMPLE, 4 * (REGISTERS + WINDOW)
    .set PATCHES, 16

# Where the instruction leads.
exit:
    la x31, saved
    .irp register, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    sw x\register, (4 * \register)(x31)
    .endr
    fmv.x.w x30, f0
    sw x30, (4 * 31)(x31)
    lw s0, sample
    lw s1, remaining
    # The answer takes the place of the sample.
    la a0, saved
    mv a1, s0
    li a2, 4 * REGISTERS
    call copy
    lw a0, window_at
    li a2, 4 * WINDOW
    call copy
    addi s0, s0, SAMPLE
    addi s1, s1, -1
    bnez s1, execute

    # Nothing of the code stays.
    la a0, patches
    la a1, patches_end
1:
    lw a2, 0(a0)
    sh zero, 0(a2)
    addi a0, a0, 8
    bne a0, a1, 1b

    call size
    mv s1, a0
    la s0, samples
write:
    li a0, 1
    mv a1, s0
    mv a2, s1
    li a7, 64
    ecall
    blez a0, end
    add s0, s0, a0
    sub s1, s1, a0
    bnez s1, write

    .global _start
_start:
    la s0, header
    la s1, patches_end
    sub s1, s1, s0
    call read
    call size
    mv s1, a0
    la s0, samples
    call read
    la a0, patches
    la a1, patches_end
1:
    lw a2, 0(a0)
    lw a3, 4(a0)
    sh a3, 0(a2)
    addi a0, a0, 8
    bne a0, a1, 1b
    fence.i
    la s0, samples
    lw s1, count

execute:
    addi a0, s0, 4 * REGISTERS
    lw a1, window_at
    li a2, 4 * WINDOW
    call copy
    la a0, sample
    sw s0, 0(a0)
    sw s1, 4(a0)
    mv x31, s0
    .irp register, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
    lw x\register, (4 * \register)(x31)
    .endr
    lw x31, (4 * 31)(x31)
    # What is there leads to the instruction.
    j hop

# a2 bytes, whole words, from a0 to a1, after which both are.
copy:
    lw a3, 0(a0)
    sw a3, 0(a1)
    addi a0, a0, 4
    addi a1, a1, 4
    addi a2, a2, -4
    bnez a2, copy
    ret

# Bytes of all samples.
size:
    lw a0, count
    li a1, SAMPLE
    mul a0, a0, a1
    ret

# s1 bytes to s0.
read:
    li a0, 0
    mv a1, s0
    mv a2, s1
    li a7, 63
    ecall
    blez a0, end
    add s0, s0, a0
    sub s1, s1, a0
    bnez s1, read
    ret

end:
    li a0, 0
    li a7, 93
    ecall

# On another page than the code, which need not be translated anew then.
    .balign 4096
saved: .space 4 * REGISTERS
sample: .word 0
remaining: .word 0
header:
window_at: .word 0
count: .word 0
patches: .space 8 * PATCHES
patches_end:

    .bss
samples: .space 256 * SAMPLE

# Where the instruction is, with what it branches to.
    .section .region, "awx", %nobits
    .space 0x202000
