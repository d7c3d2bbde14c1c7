@ Masked kernels for ARMv7-M and ARMv8-M with the Main Extension. The package `masking` of the repository wrote this file. Of each of
@ them it proves that no bit that is seen in five models depends on a secret, but not of their sequence in a message. Change nothing
@ here: every register and the order of the instructions matter.

.syntax unified
.thumb

@ Encrypts four blocks: r0 points to the round keys, r1 to the four blocks of share a, followed by those of share b.
.section .text.twine_masked_encrypt,"ax",%progbits
.global twine_masked_encrypt
.hidden twine_masked_encrypt
.type twine_masked_encrypt,%function
.thumb_func
.p2align 2
twine_masked_encrypt:
    stmdb.w sp!, {r4, r5, r6, r7, r8, r9, r10, r11, lr}
    sub.w sp, sp, #0x48
    add.w r2, r0, #0x480
    strd r2, r1, [sp, #64]
    ldmia.w r1, {r2, r3, r4, r5, r6, r7, r8, r9}
    lsr.w r10, r2, #24
    bfi r2, r3, #24, #8
    bfi r3, r10, #0, #8
    rev.w r2, r2
    lsr.w r10, r4, #24
    bfi r4, r5, #24, #8
    bfi r5, r10, #0, #8
    rev.w r4, r4
    lsr.w r10, r6, #24
    bfi r6, r7, #24, #8
    bfi r7, r10, #0, #8
    rev.w r6, r6
    lsr.w r10, r8, #24
    bfi r8, r9, #24, #8
    bfi r9, r10, #0, #8
    rev.w r8, r8
    eor.w r10, r4, r2, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r4, r4, r10
    eor.w r2, r2, r10, lsl #1
    eor.w r10, r8, r6, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r8, r8, r10
    eor.w r6, r6, r10, lsl #1
    eor.w r10, r7, r9, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r7, r7, r10
    eor.w r9, r9, r10, lsl #1
    eor.w r10, r3, r5, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r3, r3, r10
    eor.w r5, r5, r10, lsl #1
    eor.w r10, r6, r2, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r6, r6, r10
    eor.w r2, r2, r10, lsl #2
    eor.w r10, r8, r4, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r8, r8, r10
    eor.w r4, r4, r10, lsl #2
    eor.w r10, r5, r9, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r5, r5, r10
    eor.w r9, r9, r10, lsl #2
    eor.w r10, r3, r7, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r3, r3, r10
    eor.w r7, r7, r10, lsl #2
    eor.w r10, r9, r2, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r9, r9, r10
    eor.w r2, r2, r10, lsl #4
    eor.w r10, r7, r4, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r7, r7, r10
    eor.w r4, r4, r10, lsl #4
    eor.w r10, r5, r6, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r5, r5, r10
    eor.w r6, r6, r10, lsl #4
    eor.w r10, r3, r8, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r3, r3, r10
    eor.w r8, r8, r10, lsl #4
    eor.w r9, r9, r7
    eor.w r3, r3, r9
    eor.w r7, r7, r5
    strd r9, r5, [sp, #0]
    strd r7, r3, [sp, #8]
    eor.w r2, r2, r4
    eor.w r3, r8, r2
    eor.w r4, r4, r6
    strd r2, r6, [sp, #32]
    strd r4, r3, [sp, #40]
    ldr.w lr, [sp, #68]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #68]
    add.w r1, r1, #0x20
    ldmia.w r1, {r2, r3, r4, r5, r6, r7, r8, r9}
    lsr.w r10, r2, #24
    bfi r2, r3, #24, #8
    bfi r3, r10, #0, #8
    rev.w r2, r2
    lsr.w r10, r4, #24
    bfi r4, r5, #24, #8
    bfi r5, r10, #0, #8
    rev.w r4, r4
    lsr.w r10, r6, #24
    bfi r6, r7, #24, #8
    bfi r7, r10, #0, #8
    rev.w r6, r6
    lsr.w r10, r8, #24
    bfi r8, r9, #24, #8
    bfi r9, r10, #0, #8
    rev.w r8, r8
    eor.w r10, r4, r2, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r4, r4, r10
    eor.w r2, r2, r10, lsl #1
    eor.w r10, r8, r6, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r8, r8, r10
    eor.w r6, r6, r10, lsl #1
    eor.w r10, r7, r9, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r7, r7, r10
    eor.w r9, r9, r10, lsl #1
    eor.w r10, r3, r5, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r3, r3, r10
    eor.w r5, r5, r10, lsl #1
    eor.w r10, r6, r2, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r6, r6, r10
    eor.w r2, r2, r10, lsl #2
    eor.w r10, r8, r4, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r8, r8, r10
    eor.w r4, r4, r10, lsl #2
    eor.w r10, r5, r9, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r5, r5, r10
    eor.w r9, r9, r10, lsl #2
    eor.w r10, r3, r7, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r3, r3, r10
    eor.w r7, r7, r10, lsl #2
    eor.w r10, r9, r2, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r9, r9, r10
    eor.w r2, r2, r10, lsl #4
    eor.w r10, r7, r4, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r7, r7, r10
    eor.w r4, r4, r10, lsl #4
    eor.w r10, r5, r6, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r5, r5, r10
    eor.w r6, r6, r10, lsl #4
    eor.w r10, r3, r8, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r3, r3, r10
    eor.w r8, r8, r10, lsl #4
    eor.w r9, r9, r7
    eor.w r3, r3, r9
    eor.w r7, r7, r5
    strd r9, r5, [sp, #16]
    strd r7, r3, [sp, #24]
    eor.w r2, r2, r4
    eor.w r3, r8, r2
    eor.w r4, r4, r6
    strd r2, r6, [sp, #48]
    strd r4, r3, [sp, #56]
    ldr.w lr, [sp, #68]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #68]
    strd r2, r3, [r1, #0]
    strd r2, r3, [r1, #8]
    strd r2, r3, [r1, #16]
    strd r2, r3, [r1, #24]
    strd r2, r3, [r1, #32]
    strd r2, r3, [r1, #40]
    strd r2, r3, [r1, #48]
    strd r2, r3, [r1, #56]
2:
    ldmia.w sp, {r1, r2, r3, r4, r5, r6, r7, r8}
    ldmia.w r0!, {r9, r10, r11, r12}
    eor.w r1, r1, r9
    eor.w r2, r2, r10
    eor.w r3, r3, r11
    eor.w r4, r4, r12
    ldmia.w r0!, {r9, r10, r11, r12}
    eor.w r5, r5, r12
    eor.w r6, r6, r9
    eor.w r7, r7, r10
    eor.w r8, r8, r11
    orn.w r12, r8, r7
    and.w lr, r3, r8
    eor.w r12, lr, r12
    eor.w r11, r12, r5
    orn.w r10, r5, r11
    eor.w lr, r8, r11
    and.w r12, lr, r6
    orr.w r9, r2, lr
    eor.w lr, r9, r12
    eor.w r9, lr, r7
    orn.w r12, r4, r7
    and.w lr, r3, r4
    eor.w lr, lr, r12
    eor.w r12, lr, r1
    and.w r5, r5, r12
    eor.w r10, r10, r5
    eor.w r7, r9, r10
    eor.w r5, r12, r4
    and.w lr, r12, r1
    orn.w r1, r1, r11
    eor.w lr, lr, r1
    and.w r1, r5, r2
    orr.w r5, r6, r5
    eor.w r1, r5, r1
    eor.w r10, r1, r3
    eor.w r3, lr, r10
    mov.w r1, #0x0
    and.w r1, r9, r6
    orr.w r5, r6, r10
    eor.w lr, r1, r5
    eor.w r1, lr, r8
    and.w r5, r2, r10
    orr.w r8, r9, r2
    eor.w r8, r8, r5
    eor.w r4, r4, r8
    and.w lr, r3, r4
    orn.w r8, r4, r7
    eor.w lr, lr, r8
    eor.w lr, r12, lr
    and.w r12, r3, r1
    orr.w r5, r10, r1
    and.w r8, r4, r10
    eor.w r5, r8, r5
    eor.w r10, r2, r5
    orr.w r2, r4, r9
    and.w r9, r9, r1
    eor.w r2, r2, r9
    eor.w r2, r6, r2
    mov.w r9, #0x0
    orn.w r9, r1, r7
    eor.w r12, r12, r9
    eor.w r6, r11, r12
    ldrd r5, r8, [sp, #32]
    eor.w r5, r5, r10
    eor.w r8, r8, lr
    strd r5, r8, [sp, #32]
    ldrd r9, r11, [sp, #40]
    eor.w r9, r9, r4
    eor.w r11, r11, r3
    strd r9, r11, [sp, #40]
    ldrd r5, r8, [sp, #56]
    eor.w r5, r5, r1
    eor.w r8, r8, r7
    strd r5, r8, [sp, #56]
    ldrd r9, r11, [sp, #48]
    eor.w r9, r9, r2
    eor.w r11, r11, r6
    strd r9, r11, [sp, #48]
    add.w r12, sp, #0x20
    ldmia.w r12, {r1, r2, r3, r4, r5, r6, r7, r8}
    ldmia.w r0!, {r9, r10, r11, r12}
    eor.w r1, r1, r9
    eor.w r2, r2, r10
    eor.w r3, r3, r11
    eor.w r4, r4, r12
    ldmia.w r0!, {r9, r10, r11, r12}
    eor.w r5, r5, r12
    eor.w r6, r6, r9
    eor.w r7, r7, r10
    eor.w r8, r8, r11
    orn.w r12, r8, r7
    and.w lr, r3, r8
    eor.w r12, lr, r12
    eor.w r11, r12, r5
    orn.w r10, r5, r11
    eor.w lr, r8, r11
    and.w r12, lr, r6
    orr.w r9, r2, lr
    eor.w lr, r9, r12
    eor.w r9, lr, r7
    orn.w r12, r4, r7
    and.w lr, r3, r4
    eor.w lr, lr, r12
    eor.w r12, lr, r1
    and.w r5, r5, r12
    eor.w r10, r10, r5
    eor.w r7, r9, r10
    eor.w r5, r12, r4
    and.w lr, r12, r1
    orn.w r1, r1, r11
    eor.w lr, lr, r1
    and.w r1, r5, r2
    orr.w r5, r6, r5
    eor.w r1, r5, r1
    eor.w r10, r1, r3
    eor.w r3, lr, r10
    mov.w r1, #0x0
    and.w r1, r9, r6
    orr.w r5, r6, r10
    eor.w lr, r1, r5
    eor.w r1, lr, r8
    and.w r5, r2, r10
    orr.w r8, r9, r2
    eor.w r8, r8, r5
    eor.w r4, r4, r8
    and.w lr, r3, r4
    orn.w r8, r4, r7
    eor.w lr, lr, r8
    eor.w lr, r12, lr
    and.w r12, r3, r1
    orr.w r5, r10, r1
    and.w r8, r4, r10
    eor.w r5, r8, r5
    eor.w r10, r2, r5
    orr.w r2, r4, r9
    and.w r9, r9, r1
    eor.w r2, r2, r9
    eor.w r2, r6, r2
    mov.w r9, #0x0
    orn.w r9, r1, r7
    eor.w r12, r12, r9
    eor.w r6, r11, r12
    rev16.w r10, r10
    rev16.w lr, lr
    rev16.w r4, r4
    rev16.w r3, r3
    rev16.w r1, r1
    rev16.w r7, r7
    rev16.w r2, r2
    rev16.w r6, r6
    ldrd r5, r8, [sp, #0]
    eor.w r5, r5, r10
    eor.w r8, r8, lr
    strd r5, r8, [sp, #0]
    ldrd r9, r11, [sp, #8]
    eor.w r9, r9, r4
    eor.w r11, r11, r3
    strd r9, r11, [sp, #8]
    ldrd r5, r8, [sp, #24]
    eor.w r5, r5, r1
    eor.w r8, r8, r7
    strd r5, r8, [sp, #24]
    ldrd r9, r11, [sp, #16]
    eor.w r9, r9, r2
    eor.w r11, r11, r6
    strd r9, r11, [sp, #16]
    ldmia.w sp, {r1, r2, r3, r4, r5, r6, r7, r8}
    ldmia.w r0!, {r9, r10, r11, r12}
    eor.w r1, r1, r9
    eor.w r2, r2, r10
    eor.w r3, r3, r11
    eor.w r4, r4, r12
    ldmia.w r0!, {r9, r10, r11, r12}
    eor.w r5, r5, r12
    eor.w r6, r6, r9
    eor.w r7, r7, r10
    eor.w r8, r8, r11
    orn.w r12, r8, r7
    and.w lr, r3, r8
    eor.w r12, lr, r12
    eor.w r11, r12, r5
    orn.w r10, r5, r11
    eor.w lr, r8, r11
    and.w r12, lr, r6
    orr.w r9, r2, lr
    eor.w lr, r9, r12
    eor.w r9, lr, r7
    orn.w r12, r4, r7
    and.w lr, r3, r4
    eor.w lr, lr, r12
    eor.w r12, lr, r1
    and.w r5, r5, r12
    eor.w r10, r10, r5
    eor.w r7, r9, r10
    eor.w r5, r12, r4
    and.w lr, r12, r1
    orn.w r1, r1, r11
    eor.w lr, lr, r1
    and.w r1, r5, r2
    orr.w r5, r6, r5
    eor.w r1, r5, r1
    eor.w r10, r1, r3
    eor.w r3, lr, r10
    mov.w r1, #0x0
    and.w r1, r9, r6
    orr.w r5, r6, r10
    eor.w lr, r1, r5
    eor.w r1, lr, r8
    and.w r5, r2, r10
    orr.w r8, r9, r2
    eor.w r8, r8, r5
    eor.w r4, r4, r8
    and.w lr, r3, r4
    orn.w r8, r4, r7
    eor.w lr, lr, r8
    eor.w lr, r12, lr
    and.w r12, r3, r1
    orr.w r5, r10, r1
    and.w r8, r4, r10
    eor.w r5, r8, r5
    eor.w r10, r2, r5
    orr.w r2, r4, r9
    and.w r9, r9, r1
    eor.w r2, r2, r9
    eor.w r2, r6, r2
    mov.w r9, #0x0
    orn.w r9, r1, r7
    eor.w r12, r12, r9
    eor.w r6, r11, r12
    rbit r10, r10
    rbit lr, lr
    rbit r4, r4
    rbit r3, r3
    rbit r1, r1
    rbit r7, r7
    rbit r2, r2
    rbit r6, r6
    ldrd r5, r8, [sp, #32]
    eor.w r5, r5, r10
    eor.w r8, r8, lr
    strd r5, r8, [sp, #32]
    ldrd r9, r11, [sp, #40]
    eor.w r9, r9, r4
    eor.w r11, r11, r3
    strd r9, r11, [sp, #40]
    ldrd r5, r8, [sp, #56]
    eor.w r5, r5, r1
    eor.w r8, r8, r7
    strd r5, r8, [sp, #56]
    ldrd r9, r11, [sp, #48]
    eor.w r9, r9, r2
    eor.w r11, r11, r6
    strd r9, r11, [sp, #48]
    add.w r12, sp, #0x20
    ldmia.w r12, {r1, r2, r3, r4, r5, r6, r7, r8}
    ldmia.w r0!, {r9, r10, r11, r12}
    eor.w r1, r1, r9
    eor.w r2, r2, r10
    eor.w r3, r3, r11
    eor.w r4, r4, r12
    ldmia.w r0!, {r9, r10, r11, r12}
    eor.w r5, r5, r12
    eor.w r6, r6, r9
    eor.w r7, r7, r10
    eor.w r8, r8, r11
    orn.w r12, r8, r7
    and.w lr, r3, r8
    eor.w r12, lr, r12
    eor.w r11, r12, r5
    orn.w r10, r5, r11
    eor.w lr, r8, r11
    and.w r12, lr, r6
    orr.w r9, r2, lr
    eor.w lr, r9, r12
    eor.w r9, lr, r7
    orn.w r12, r4, r7
    and.w lr, r3, r4
    eor.w lr, lr, r12
    eor.w r12, lr, r1
    and.w r5, r5, r12
    eor.w r10, r10, r5
    eor.w r7, r9, r10
    eor.w r5, r12, r4
    and.w lr, r12, r1
    orn.w r1, r1, r11
    eor.w lr, lr, r1
    and.w r1, r5, r2
    orr.w r5, r6, r5
    eor.w r1, r5, r1
    eor.w r10, r1, r3
    eor.w r3, lr, r10
    mov.w r1, #0x0
    and.w r1, r9, r6
    orr.w r5, r6, r10
    eor.w lr, r1, r5
    eor.w r1, lr, r8
    and.w r5, r2, r10
    orr.w r8, r9, r2
    eor.w r8, r8, r5
    eor.w r4, r4, r8
    and.w lr, r3, r4
    orn.w r8, r4, r7
    eor.w lr, lr, r8
    eor.w lr, r12, lr
    and.w r12, r3, r1
    orr.w r5, r10, r1
    and.w r8, r4, r10
    eor.w r5, r8, r5
    eor.w r10, r2, r5
    orr.w r2, r4, r9
    and.w r9, r9, r1
    eor.w r2, r2, r9
    eor.w r2, r6, r2
    mov.w r9, #0x0
    orn.w r9, r1, r7
    eor.w r12, r12, r9
    eor.w r6, r11, r12
    ldrd r5, r8, [sp, #0]
    eor.w r5, r5, r10, ror #16
    eor.w r8, r8, lr, ror #16
    strd r5, r8, [sp, #0]
    ldrd r9, r11, [sp, #8]
    eor.w r9, r9, r4, ror #16
    eor.w r11, r11, r3, ror #16
    strd r9, r11, [sp, #8]
    ldrd r5, r8, [sp, #24]
    eor.w r5, r5, r1, ror #16
    eor.w r8, r8, r7, ror #16
    strd r5, r8, [sp, #24]
    ldrd r9, r11, [sp, #16]
    eor.w r9, r9, r2, ror #16
    eor.w r11, r11, r6, ror #16
    strd r9, r11, [sp, #16]
    ldr.w r12, [sp, #64]
    cmp.w r0, r12
    bne.w 2b
    ldr.w lr, [sp, #68]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #68]
    ldr.w r2, [sp, #0]
    ldr.w r3, [sp, #4]
    ldr.w r4, [sp, #8]
    ldr.w r5, [sp, #12]
    ldr.w r6, [sp, #32]
    ldr.w r7, [sp, #36]
    ldr.w r8, [sp, #40]
    ldr.w r9, [sp, #44]
    ror.w r3, r3, #16
    ror.w r2, r2, #16
    eor.w r4, r3, r4, ror #16
    eor.w r5, r2, r5, ror #16
    eor.w r2, r2, r4
    eor.w r8, r8, r7
    eor.w r9, r9, r6
    eor.w r6, r6, r8
    eor.w r10, r4, r2, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r4, r4, r10
    eor.w r2, r2, r10, lsl #1
    eor.w r10, r5, r3, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r5, r5, r10
    eor.w r3, r3, r10, lsl #1
    eor.w r10, r8, r6, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r8, r8, r10
    eor.w r6, r6, r10, lsl #1
    eor.w r10, r9, r7, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r9, r9, r10
    eor.w r7, r7, r10, lsl #1
    eor.w r10, r3, r2, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r3, r3, r10
    eor.w r2, r2, r10, lsl #2
    eor.w r10, r5, r4, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r5, r5, r10
    eor.w r4, r4, r10, lsl #2
    eor.w r10, r7, r6, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r7, r7, r10
    eor.w r6, r6, r10, lsl #2
    eor.w r10, r9, r8, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r9, r9, r10
    eor.w r8, r8, r10, lsl #2
    eor.w r10, r6, r2, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r6, r6, r10
    eor.w r2, r2, r10, lsl #4
    eor.w r10, r8, r4, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r8, r8, r10
    eor.w r4, r4, r10, lsl #4
    eor.w r10, r7, r3, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r7, r7, r10
    eor.w r3, r3, r10, lsl #4
    eor.w r10, r9, r5, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r9, r9, r10
    eor.w r5, r5, r10, lsl #4
    rev16.w r10, r9
    lsr.w r11, r9, #24
    bfi r10, r11, #8, #8
    bfi r10, r2, #16, #8
    ror.w r11, r2, #16
    bfi r11, r9, #8, #8
    lsr.w r2, r2, #24
    bfi r11, r2, #16, #8
    strd r10, r11, [r1, #0]
    rev16.w r2, r7
    lsr.w r9, r7, #24
    bfi r2, r9, #8, #8
    bfi r2, r4, #16, #8
    ror.w r9, r4, #16
    bfi r9, r7, #8, #8
    lsr.w r4, r4, #24
    bfi r9, r4, #16, #8
    strd r2, r9, [r1, #8]
    rev16.w r2, r8
    lsr.w r4, r8, #24
    bfi r2, r4, #8, #8
    bfi r2, r3, #16, #8
    ror.w r4, r3, #16
    bfi r4, r8, #8, #8
    lsr.w r3, r3, #24
    bfi r4, r3, #16, #8
    strd r2, r4, [r1, #16]
    rev16.w r2, r6
    lsr.w r3, r6, #24
    bfi r2, r3, #8, #8
    bfi r2, r5, #16, #8
    ror.w r3, r5, #16
    bfi r3, r6, #8, #8
    lsr.w r4, r5, #24
    bfi r3, r4, #16, #8
    strd r2, r3, [r1, #24]
    ldr.w lr, [sp, #68]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #68]
    ldr.w r2, [sp, #16]
    ldr.w r3, [sp, #20]
    ldr.w r4, [sp, #24]
    ldr.w r5, [sp, #28]
    ldr.w r6, [sp, #48]
    ldr.w r7, [sp, #52]
    ldr.w r8, [sp, #56]
    ldr.w r9, [sp, #60]
    ror.w r3, r3, #16
    ror.w r2, r2, #16
    eor.w r4, r3, r4, ror #16
    eor.w r5, r2, r5, ror #16
    eor.w r2, r2, r4
    eor.w r8, r8, r7
    eor.w r9, r9, r6
    eor.w r6, r6, r8
    eor.w r10, r4, r2, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r4, r4, r10
    eor.w r2, r2, r10, lsl #1
    eor.w r10, r5, r3, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r5, r5, r10
    eor.w r3, r3, r10, lsl #1
    eor.w r10, r8, r6, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r8, r8, r10
    eor.w r6, r6, r10, lsl #1
    eor.w r10, r9, r7, lsr #1
    and.w r10, r10, #0x55555555
    eor.w r9, r9, r10
    eor.w r7, r7, r10, lsl #1
    eor.w r10, r3, r2, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r3, r3, r10
    eor.w r2, r2, r10, lsl #2
    eor.w r10, r5, r4, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r5, r5, r10
    eor.w r4, r4, r10, lsl #2
    eor.w r10, r7, r6, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r7, r7, r10
    eor.w r6, r6, r10, lsl #2
    eor.w r10, r9, r8, lsr #2
    and.w r10, r10, #0x33333333
    eor.w r9, r9, r10
    eor.w r8, r8, r10, lsl #2
    eor.w r10, r6, r2, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r6, r6, r10
    eor.w r2, r2, r10, lsl #4
    eor.w r10, r8, r4, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r8, r8, r10
    eor.w r4, r4, r10, lsl #4
    eor.w r10, r7, r3, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r7, r7, r10
    eor.w r3, r3, r10, lsl #4
    eor.w r10, r9, r5, lsr #4
    and.w r10, r10, #0xf0f0f0f
    eor.w r9, r9, r10
    eor.w r5, r5, r10, lsl #4
    rev16.w r10, r9
    lsr.w r11, r9, #24
    bfi r10, r11, #8, #8
    bfi r10, r2, #16, #8
    ror.w r11, r2, #16
    bfi r11, r9, #8, #8
    lsr.w r2, r2, #24
    bfi r11, r2, #16, #8
    strd r10, r11, [r1, #32]
    rev16.w r2, r7
    lsr.w r9, r7, #24
    bfi r2, r9, #8, #8
    bfi r2, r4, #16, #8
    ror.w r9, r4, #16
    bfi r9, r7, #8, #8
    lsr.w r4, r4, #24
    bfi r9, r4, #16, #8
    strd r2, r9, [r1, #40]
    rev16.w r2, r8
    lsr.w r4, r8, #24
    bfi r2, r4, #8, #8
    bfi r2, r3, #16, #8
    ror.w r4, r3, #16
    bfi r4, r8, #8, #8
    lsr.w r3, r3, #24
    bfi r4, r3, #16, #8
    strd r2, r4, [r1, #48]
    rev16.w r2, r6
    lsr.w r3, r6, #24
    bfi r2, r3, #8, #8
    bfi r2, r5, #16, #8
    ror.w r3, r5, #16
    bfi r3, r6, #8, #8
    lsr.w r4, r5, #24
    bfi r3, r4, #16, #8
    strd r2, r3, [r1, #56]
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    strd r1, r2, [sp, #0]
    strd r1, r2, [sp, #8]
    strd r1, r2, [sp, #16]
    strd r1, r2, [sp, #24]
    strd r1, r2, [sp, #32]
    strd r1, r2, [sp, #40]
    strd r1, r2, [sp, #48]
    strd r1, r2, [sp, #56]
    add.w sp, sp, #0x48
    ldmia.w sp!, {r4, r5, r6, r7, r8, r9, r10, r11, pc}
.size twine_masked_encrypt, . - twine_masked_encrypt

@ Makes the round keys of TWINE-128: r0 points to them, r1 to the 16 bytes of share a of the key and those of share b, r2 to constants.
.section .text.twine_masked_schedule_128,"ax",%progbits
.global twine_masked_schedule_128
.hidden twine_masked_schedule_128
.type twine_masked_schedule_128,%function
.thumb_func
.p2align 2
twine_masked_schedule_128:
    stmdb.w sp!, {r4, r5, r6, r7, r8, r9, r10, r11, lr}
    sub.w sp, sp, #0xb0
    add.w r3, r0, #0x480
    strd r2, r3, [sp, #160]
    strd r0, r1, [sp, #168]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #172]
    ldr.w r2, [r1, #0]
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    ldr.w r3, [r1, #4]
    and.w r3, r3, #0xff00ff
    orr.w r3, r3, r3, lsr #8
    lsl.w r3, r3, #16
    lsr.w r2, r2, #16
    orr.w r2, r3, r2
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    eor.w r2, r2, #0xaaaaaaaa
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf0f0f0f
    and.w r2, r2, #0xf0f0f0f
    strd r3, r2, [sp, #64]
    ldr.w r2, [r1, #0]
    lsr.w r2, r2, #8
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    ldr.w r3, [r1, #4]
    lsr.w r3, r3, #8
    and.w r3, r3, #0xff00ff
    orr.w r3, r3, r3, lsr #8
    lsl.w r3, r3, #16
    lsr.w r2, r2, #16
    orr.w r2, r3, r2
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    eor.w r2, r2, #0xaaaaaaaa
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf0f0f0f
    and.w r2, r2, #0xf0f0f0f
    strd r3, r2, [sp, #72]
    ldr.w r2, [r1, #8]
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    ldr.w r3, [r1, #12]
    and.w r3, r3, #0xff00ff
    orr.w r3, r3, r3, lsr #8
    lsl.w r3, r3, #16
    lsr.w r2, r2, #16
    orr.w r2, r3, r2
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    eor.w r2, r2, #0xaaaaaaaa
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf0f0f0f
    and.w r2, r2, #0xf0f0f0f
    strd r3, r2, [sp, #80]
    ldr.w r2, [r1, #8]
    lsr.w r2, r2, #8
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    ldr.w r3, [r1, #12]
    lsr.w r3, r3, #8
    and.w r3, r3, #0xff00ff
    orr.w r3, r3, r3, lsr #8
    lsl.w r3, r3, #16
    lsr.w r2, r2, #16
    orr.w r2, r3, r2
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    eor.w r2, r2, #0xaaaaaaaa
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf0f0f0f
    and.w r2, r2, #0xf0f0f0f
    strd r3, r2, [sp, #88]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #172]
    ldr.w r2, [r1, #16]
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    ldr.w r3, [r1, #20]
    and.w r3, r3, #0xff00ff
    orr.w r3, r3, r3, lsr #8
    lsl.w r3, r3, #16
    lsr.w r2, r2, #16
    orr.w r2, r3, r2
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf0f0f0f
    and.w r2, r2, #0xf0f0f0f
    strd r3, r2, [sp, #96]
    ldr.w r2, [r1, #16]
    lsr.w r2, r2, #8
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    ldr.w r3, [r1, #20]
    lsr.w r3, r3, #8
    and.w r3, r3, #0xff00ff
    orr.w r3, r3, r3, lsr #8
    lsl.w r3, r3, #16
    lsr.w r2, r2, #16
    orr.w r2, r3, r2
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf0f0f0f
    and.w r2, r2, #0xf0f0f0f
    strd r3, r2, [sp, #104]
    ldr.w r2, [r1, #24]
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    ldr.w r3, [r1, #28]
    and.w r3, r3, #0xff00ff
    orr.w r3, r3, r3, lsr #8
    lsl.w r3, r3, #16
    lsr.w r2, r2, #16
    orr.w r2, r3, r2
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf0f0f0f
    and.w r2, r2, #0xf0f0f0f
    strd r3, r2, [sp, #112]
    ldr.w r2, [r1, #24]
    lsr.w r2, r2, #8
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    ldr.w r3, [r1, #28]
    lsr.w r3, r3, #8
    and.w r3, r3, #0xff00ff
    orr.w r3, r3, r3, lsr #8
    lsl.w r3, r3, #16
    lsr.w r2, r2, #16
    orr.w r2, r3, r2
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf0f0f0f
    and.w r2, r2, #0xf0f0f0f
    strd r3, r2, [sp, #120]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
2:
    ldr.w r1, [sp, #80]
    ldr.w r2, [sp, #76]
    ldr.w r3, [sp, #88]
    ldr.w r4, [sp, #160]
    ldr.w r4, [r4, #0]
    bic.w r4, r4, #0xff
    eor.w r2, r2, r4
    lsr.w r3, r3, #24
    orr.w r2, r3, r2, lsl #8
    orr.w r1, r1, r2, lsl #4
    bic.w r1, r1, #0xff000000
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #0]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #4]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #8]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #12]
    ldr.w r1, [sp, #64]
    ldr.w r2, [sp, #92]
    lsr.w r1, r1, #8
    lsr.w r2, r2, #8
    orr.w r1, r1, r2, lsl #4
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #32]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #36]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #40]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #44]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #112]
    ldr.w r2, [sp, #108]
    ldr.w r3, [sp, #120]
    lsr.w r3, r3, #24
    orr.w r2, r3, r2, lsl #8
    orr.w r1, r1, r2, lsl #4
    bic.w r1, r1, #0xff000000
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #16]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #20]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #24]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #28]
    ldr.w r1, [sp, #96]
    ldr.w r2, [sp, #124]
    lsr.w r1, r1, #8
    lsr.w r2, r2, #8
    orr.w r1, r1, r2, lsl #4
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #48]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #52]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #56]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #60]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldmia.w sp, {r1, r2, r3, r4, r5, r6, r7, r8}
    orn.w r12, r8, r7
    and.w lr, r3, r8
    eor.w r12, lr, r12
    eor.w r11, r12, r5
    orn.w r10, r5, r11
    eor.w lr, r8, r11
    and.w r12, lr, r6
    orr.w r9, r2, lr
    eor.w lr, r9, r12
    eor.w r9, lr, r7
    orn.w r12, r4, r7
    and.w lr, r3, r4
    eor.w lr, lr, r12
    eor.w r12, lr, r1
    and.w r5, r5, r12
    eor.w r10, r10, r5
    eor.w r7, r9, r10
    eor.w r5, r12, r4
    and.w lr, r12, r1
    orn.w r1, r1, r11
    eor.w lr, lr, r1
    and.w r1, r5, r2
    orr.w r5, r6, r5
    eor.w r1, r5, r1
    eor.w r10, r1, r3
    eor.w r3, lr, r10
    mov.w r1, #0x0
    and.w r1, r9, r6
    orr.w r5, r6, r10
    eor.w lr, r1, r5
    eor.w r1, lr, r8
    and.w r5, r2, r10
    orr.w r8, r9, r2
    eor.w r8, r8, r5
    eor.w r4, r4, r8
    and.w lr, r3, r4
    orn.w r8, r4, r7
    eor.w lr, lr, r8
    eor.w lr, r12, lr
    and.w r12, r3, r1
    orr.w r5, r10, r1
    and.w r8, r4, r10
    eor.w r5, r8, r5
    eor.w r10, r2, r5
    orr.w r2, r4, r9
    and.w r9, r9, r1
    eor.w r2, r2, r9
    eor.w r2, r6, r2
    mov.w r9, #0x0
    orn.w r9, r1, r7
    eor.w r12, r12, r9
    eor.w r6, r11, r12
    ldrd r5, r8, [sp, #32]
    eor.w r5, r5, r10
    eor.w r8, r8, lr
    strd r5, r8, [sp, #32]
    ldrd r9, r11, [sp, #40]
    eor.w r9, r9, r4
    eor.w r11, r11, r3
    strd r9, r11, [sp, #40]
    ldrd r5, r8, [sp, #56]
    eor.w r5, r5, r1
    eor.w r8, r8, r7
    strd r5, r8, [sp, #56]
    ldrd r9, r11, [sp, #48]
    eor.w r9, r9, r2
    eor.w r11, r11, r6
    strd r9, r11, [sp, #48]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    strd r1, r2, [sp, #0]
    strd r1, r2, [sp, #8]
    strd r1, r2, [sp, #16]
    strd r1, r2, [sp, #24]
    ldr.w r1, [sp, #32]
    and.w r1, r1, #0x11111111
    ldr.w r2, [sp, #36]
    and.w r2, r2, #0x11111111
    ldr.w r3, [sp, #40]
    and.w r3, r3, #0x11111111
    ldr.w r4, [sp, #44]
    and.w r4, r4, #0x11111111
    orr.w r1, r1, r2, lsl #1
    orr.w r1, r1, r3, lsl #2
    orr.w r1, r1, r4, lsl #3
    eor.w r1, r1, #0x66666666
    bic.w r1, r1, #0xff000000
    and.w r2, r1, #0xf0f0f0f
    lsr.w r1, r1, #4
    and.w r1, r1, #0xf0f0f0f
    ldr.w r3, [sp, #92]
    and.w r3, r3, #0xff
    orr.w r1, r3, r1, lsl #8
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #4]
    eor.w r1, r1, r3
    str.w r1, [sp, #136]
    ldr.w r1, [sp, #64]
    and.w r1, r1, #0xff
    orr.w r1, r1, r2, lsl #8
    str.w r1, [sp, #128]
    ldr.w r2, [sp, #80]
    ldr.w r3, [sp, #76]
    ldr.w r4, [sp, #160]
    ldr.w r4, [r4, #0]
    bic.w r4, r4, #0xff
    eor.w r3, r3, r4
    lsl.w r3, r3, #8
    and.w r3, r3, #0xff000000
    orr.w r2, r3, r2, lsr #24
    orr.w r1, r1, r2, lsl #4
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #0]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #4]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #8]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #12]
    ldr.w r1, [sp, #68]
    ldr.w r2, [sp, #64]
    ldr.w r3, [sp, #80]
    and.w r3, r3, #0xff
    orr.w r2, r3, r2, lsl #24
    orr.w r1, r1, r2, lsl #4
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #32]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #36]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #40]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #44]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #48]
    and.w r1, r1, #0x11111111
    ldr.w r2, [sp, #52]
    and.w r2, r2, #0x11111111
    ldr.w r3, [sp, #56]
    and.w r3, r3, #0x11111111
    ldr.w r4, [sp, #60]
    and.w r4, r4, #0x11111111
    orr.w r1, r1, r2, lsl #1
    orr.w r1, r1, r3, lsl #2
    orr.w r1, r1, r4, lsl #3
    bic.w r1, r1, #0xff000000
    and.w r2, r1, #0xf0f0f0f
    lsr.w r1, r1, #4
    and.w r1, r1, #0xf0f0f0f
    ldr.w r3, [sp, #124]
    and.w r3, r3, #0xff
    orr.w r1, r3, r1, lsl #8
    str.w r1, [sp, #152]
    ldr.w r1, [sp, #96]
    and.w r1, r1, #0xff
    orr.w r1, r1, r2, lsl #8
    str.w r1, [sp, #144]
    ldr.w r2, [sp, #112]
    ldr.w r3, [sp, #108]
    lsl.w r3, r3, #8
    and.w r3, r3, #0xff000000
    orr.w r2, r3, r2, lsr #24
    orr.w r1, r1, r2, lsl #4
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #16]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #20]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #24]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #28]
    ldr.w r1, [sp, #100]
    ldr.w r2, [sp, #96]
    ldr.w r3, [sp, #112]
    and.w r3, r3, #0xff
    orr.w r2, r3, r2, lsl #24
    orr.w r1, r1, r2, lsl #4
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #48]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #52]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #56]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #60]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldmia.w sp, {r1, r2, r3, r4, r5, r6, r7, r8}
    orn.w r12, r8, r7
    and.w lr, r3, r8
    eor.w r12, lr, r12
    eor.w r11, r12, r5
    orn.w r10, r5, r11
    eor.w lr, r8, r11
    and.w r12, lr, r6
    orr.w r9, r2, lr
    eor.w lr, r9, r12
    eor.w r9, lr, r7
    orn.w r12, r4, r7
    and.w lr, r3, r4
    eor.w lr, lr, r12
    eor.w r12, lr, r1
    and.w r5, r5, r12
    eor.w r10, r10, r5
    eor.w r7, r9, r10
    eor.w r5, r12, r4
    and.w lr, r12, r1
    orn.w r1, r1, r11
    eor.w lr, lr, r1
    and.w r1, r5, r2
    orr.w r5, r6, r5
    eor.w r1, r5, r1
    eor.w r10, r1, r3
    eor.w r3, lr, r10
    mov.w r1, #0x0
    and.w r1, r9, r6
    orr.w r5, r6, r10
    eor.w lr, r1, r5
    eor.w r1, lr, r8
    and.w r5, r2, r10
    orr.w r8, r9, r2
    eor.w r8, r8, r5
    eor.w r4, r4, r8
    and.w lr, r3, r4
    orn.w r8, r4, r7
    eor.w lr, lr, r8
    eor.w lr, r12, lr
    and.w r12, r3, r1
    orr.w r5, r10, r1
    and.w r8, r4, r10
    eor.w r5, r8, r5
    eor.w r10, r2, r5
    orr.w r2, r4, r9
    and.w r9, r9, r1
    eor.w r2, r2, r9
    eor.w r2, r6, r2
    mov.w r9, #0x0
    orn.w r9, r1, r7
    eor.w r12, r12, r9
    eor.w r6, r11, r12
    ldrd r5, r8, [sp, #32]
    eor.w r5, r5, r10
    eor.w r8, r8, lr
    strd r5, r8, [sp, #32]
    ldrd r9, r11, [sp, #40]
    eor.w r9, r9, r4
    eor.w r11, r11, r3
    strd r9, r11, [sp, #40]
    ldrd r5, r8, [sp, #56]
    eor.w r5, r5, r1
    eor.w r8, r8, r7
    strd r5, r8, [sp, #56]
    ldrd r9, r11, [sp, #48]
    eor.w r9, r9, r2
    eor.w r11, r11, r6
    strd r9, r11, [sp, #48]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    strd r1, r2, [sp, #0]
    strd r1, r2, [sp, #8]
    strd r1, r2, [sp, #16]
    strd r1, r2, [sp, #24]
    ldr.w r1, [sp, #32]
    and.w r1, r1, #0x11111111
    ldr.w r2, [sp, #36]
    and.w r2, r2, #0x11111111
    ldr.w r3, [sp, #40]
    and.w r3, r3, #0x11111111
    ldr.w r4, [sp, #44]
    and.w r4, r4, #0x11111111
    orr.w r1, r1, r2, lsl #1
    orr.w r1, r1, r3, lsl #2
    orr.w r1, r1, r4, lsl #3
    eor.w r1, r1, #0x66666666
    and.w r2, r1, #0xf0f0f0f
    lsr.w r1, r1, #4
    and.w r1, r1, #0xf0f0f0f
    and.w r3, r1, #0xff
    ldr.w r4, [sp, #80]
    bic.w r4, r4, #0xff
    orr.w r3, r4, r3
    str.w r3, [sp, #132]
    lsr.w r1, r1, #24
    str.w r1, [sp, #140]
    str.w r2, [sp, #32]
    ldr.w r1, [sp, #72]
    ldr.w r2, [sp, #92]
    ldr.w r3, [sp, #128]
    lsr.w r2, r2, #24
    orr.w r2, r2, r3, lsl #8
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #8]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #0]
    ldr.w r1, [sp, #76]
    ldr.w r2, [sp, #160]
    ldr.w r2, [r2, #0]
    bic.w r2, r2, #0xff
    eor.w r1, r1, r2
    ldr.w r2, [sp, #80]
    ldr.w r3, [sp, #32]
    lsr.w r2, r2, #24
    orr.w r2, r2, r3, lsl #8
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #12]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #4]
    ldr.w r1, [sp, #64]
    ldr.w r2, [sp, #80]
    lsr.w r1, r1, #24
    orr.w r1, r1, r2, lsl #8
    ldr.w r2, [sp, #88]
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #16]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #8]
    ldr.w r1, [sp, #76]
    ldr.w r2, [sp, #136]
    lsr.w r1, r1, #24
    orr.w r1, r1, r2, lsl #8
    ldr.w r2, [sp, #84]
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #20]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #12]
    ldr.w r1, [sp, #12]
    ldr.w r2, [sp, #8]
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #4]
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #0]
    bfi r1, r2, #24, #8
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #0]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #4]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #8]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #12]
    ldr.w r1, [sp, #12]
    lsr.w r1, r1, #8
    ldr.w r2, [sp, #4]
    lsr.w r2, r2, #8
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #8]
    lsr.w r2, r2, #8
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #0]
    lsr.w r2, r2, #8
    bfi r1, r2, #24, #8
    eor.w r1, r1, #0x66666666
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #32]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #36]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #40]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #44]
    ldr.w r1, [sp, #8]
    lsr.w r1, r1, #16
    ldr.w r2, [sp, #12]
    lsr.w r2, r2, #16
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #0]
    lsr.w r2, r2, #16
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #4]
    lsr.w r2, r2, #16
    bfi r1, r2, #24, #8
    eor.w r1, r1, #0x66666666
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #64]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #68]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #72]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #76]
    ldr.w r1, [sp, #8]
    lsr.w r1, r1, #24
    ldr.w r2, [sp, #0]
    lsr.w r2, r2, #24
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #12]
    lsr.w r2, r2, #24
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #4]
    lsr.w r2, r2, #24
    bfi r1, r2, #24, #8
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #96]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #100]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #104]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #108]
    ldr.w r1, [sp, #72]
    ldr.w r2, [sp, #76]
    ldr.w r3, [sp, #84]
    ldr.w r4, [sp, #88]
    ldr.w r5, [sp, #160]
    ldr.w r5, [r5, #0]
    bic.w r5, r5, #0xff
    eor.w r2, r2, r5
    ldr.w r5, [sp, #132]
    str.w r5, [sp, #64]
    str.w r3, [sp, #68]
    str.w r4, [sp, #72]
    ldr.w r3, [sp, #136]
    ldr.w r4, [sp, #160]
    ldr.w r4, [r4, #0]
    and.w r4, r4, #0xff
    eor.w r3, r3, r4
    str.w r3, [sp, #76]
    ldr.w r3, [sp, #32]
    str.w r3, [sp, #80]
    str.w r1, [sp, #84]
    str.w r2, [sp, #88]
    ldr.w r1, [sp, #128]
    ldr.w r2, [sp, #140]
    bic.w r1, r1, #0xff
    orr.w r1, r1, r2
    str.w r1, [sp, #92]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #48]
    and.w r1, r1, #0x11111111
    ldr.w r2, [sp, #52]
    and.w r2, r2, #0x11111111
    ldr.w r3, [sp, #56]
    and.w r3, r3, #0x11111111
    ldr.w r4, [sp, #60]
    and.w r4, r4, #0x11111111
    orr.w r1, r1, r2, lsl #1
    orr.w r1, r1, r3, lsl #2
    orr.w r1, r1, r4, lsl #3
    and.w r2, r1, #0xf0f0f0f
    lsr.w r1, r1, #4
    and.w r1, r1, #0xf0f0f0f
    and.w r3, r1, #0xff
    ldr.w r4, [sp, #112]
    bic.w r4, r4, #0xff
    orr.w r3, r4, r3
    str.w r3, [sp, #148]
    lsr.w r1, r1, #24
    str.w r1, [sp, #156]
    str.w r2, [sp, #48]
    ldr.w r1, [sp, #104]
    ldr.w r2, [sp, #124]
    ldr.w r3, [sp, #144]
    lsr.w r2, r2, #24
    orr.w r2, r2, r3, lsl #8
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #8]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #16]
    ldr.w r1, [sp, #108]
    ldr.w r2, [sp, #112]
    ldr.w r3, [sp, #48]
    lsr.w r2, r2, #24
    orr.w r2, r2, r3, lsl #8
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #12]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #20]
    ldr.w r1, [sp, #96]
    ldr.w r2, [sp, #112]
    lsr.w r1, r1, #24
    orr.w r1, r1, r2, lsl #8
    ldr.w r2, [sp, #120]
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #16]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #24]
    ldr.w r1, [sp, #108]
    ldr.w r2, [sp, #152]
    lsr.w r1, r1, #24
    orr.w r1, r1, r2, lsl #8
    ldr.w r2, [sp, #116]
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #20]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #28]
    ldr.w r1, [sp, #28]
    ldr.w r2, [sp, #24]
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #20]
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #16]
    bfi r1, r2, #24, #8
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #28]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #16]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #20]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #24]
    ldr.w r1, [sp, #28]
    lsr.w r1, r1, #8
    ldr.w r2, [sp, #20]
    lsr.w r2, r2, #8
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #24]
    lsr.w r2, r2, #8
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #16]
    lsr.w r2, r2, #8
    bfi r1, r2, #24, #8
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #60]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #48]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #52]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #56]
    ldr.w r1, [sp, #24]
    lsr.w r1, r1, #16
    ldr.w r2, [sp, #28]
    lsr.w r2, r2, #16
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #16]
    lsr.w r2, r2, #16
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #20]
    lsr.w r2, r2, #16
    bfi r1, r2, #24, #8
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #92]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #80]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #84]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #88]
    ldr.w r1, [sp, #24]
    lsr.w r1, r1, #24
    ldr.w r2, [sp, #16]
    lsr.w r2, r2, #24
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #28]
    lsr.w r2, r2, #24
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #20]
    lsr.w r2, r2, #24
    bfi r1, r2, #24, #8
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #124]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #112]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #116]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #120]
    ldr.w r1, [sp, #104]
    ldr.w r2, [sp, #108]
    ldr.w r3, [sp, #116]
    ldr.w r4, [sp, #120]
    ldr.w r5, [sp, #148]
    str.w r5, [sp, #96]
    str.w r3, [sp, #100]
    str.w r4, [sp, #104]
    ldr.w r3, [sp, #152]
    str.w r3, [sp, #108]
    ldr.w r3, [sp, #48]
    str.w r3, [sp, #112]
    str.w r1, [sp, #116]
    str.w r2, [sp, #120]
    ldr.w r1, [sp, #144]
    ldr.w r2, [sp, #156]
    bic.w r1, r1, #0xff
    orr.w r1, r1, r2
    str.w r1, [sp, #124]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    strd r1, r2, [sp, #0]
    strd r1, r2, [sp, #8]
    strd r1, r2, [sp, #16]
    strd r1, r2, [sp, #24]
    strd r1, r2, [sp, #32]
    strd r1, r2, [sp, #40]
    strd r1, r2, [sp, #48]
    strd r1, r2, [sp, #56]
    strd r1, r2, [sp, #128]
    strd r1, r2, [sp, #136]
    strd r1, r2, [sp, #144]
    strd r1, r2, [sp, #152]
    ldr.w r1, [sp, #160]
    add.w r1, r1, #0x18
    str.w r1, [sp, #160]
    add.w r0, r0, #0x80
    ldr.w r12, [sp, #164]
    cmp.w r0, r12
    bne.w 2b
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    strd r1, r2, [sp, #0]
    strd r1, r2, [sp, #8]
    strd r1, r2, [sp, #16]
    strd r1, r2, [sp, #24]
    strd r1, r2, [sp, #32]
    strd r1, r2, [sp, #40]
    strd r1, r2, [sp, #48]
    strd r1, r2, [sp, #56]
    strd r1, r2, [sp, #64]
    strd r1, r2, [sp, #72]
    strd r1, r2, [sp, #80]
    strd r1, r2, [sp, #88]
    strd r1, r2, [sp, #96]
    strd r1, r2, [sp, #104]
    strd r1, r2, [sp, #112]
    strd r1, r2, [sp, #120]
    strd r1, r2, [sp, #128]
    strd r1, r2, [sp, #136]
    strd r1, r2, [sp, #144]
    strd r1, r2, [sp, #152]
    add.w sp, sp, #0xb0
    ldmia.w sp!, {r4, r5, r6, r7, r8, r9, r10, r11, pc}
.size twine_masked_schedule_128, . - twine_masked_schedule_128

@ Makes the round keys of TWINE-80: r0 points to them, r1 to share a of the key in 12 bytes and to share b in 12 more, r2 to constants.
.section .text.twine_masked_schedule_80,"ax",%progbits
.global twine_masked_schedule_80
.hidden twine_masked_schedule_80
.type twine_masked_schedule_80,%function
.thumb_func
.p2align 2
twine_masked_schedule_80:
    stmdb.w sp!, {r4, r5, r6, r7, r8, r9, r10, r11, lr}
    sub.w sp, sp, #0xb0
    add.w r3, r0, #0x480
    strd r2, r3, [sp, #160]
    strd r0, r1, [sp, #168]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #172]
    ldr.w r2, [r1, #0]
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    ldr.w r3, [r1, #4]
    and.w r3, r3, #0xff00ff
    orr.w r3, r3, r3, lsr #8
    lsl.w r3, r3, #16
    lsr.w r2, r2, #16
    orr.w r2, r3, r2
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    eor.w r2, r2, #0xaaaaaaaa
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf0f0f0f
    and.w r2, r2, #0xf0f0f0f
    strd r3, r2, [sp, #64]
    ldr.w r2, [r1, #0]
    lsr.w r2, r2, #8
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    ldr.w r3, [r1, #4]
    lsr.w r3, r3, #8
    and.w r3, r3, #0xff00ff
    orr.w r3, r3, r3, lsr #8
    lsl.w r3, r3, #16
    lsr.w r2, r2, #16
    orr.w r2, r3, r2
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    eor.w r2, r2, #0xaaaaaaaa
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf0f0f0f
    and.w r2, r2, #0xf0f0f0f
    strd r3, r2, [sp, #72]
    ldr.w r2, [r1, #8]
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    lsr.w r2, r2, #16
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    eor.w r2, r2, #0xaaaaaaaa
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf
    and.w r2, r2, #0xf
    strd r3, r2, [sp, #80]
    ldr.w r2, [r1, #8]
    lsr.w r2, r2, #8
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    lsr.w r2, r2, #16
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    eor.w r2, r2, #0xaaaaaaaa
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf
    and.w r2, r2, #0xf
    strd r3, r2, [sp, #88]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #172]
    ldr.w r2, [r1, #12]
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    ldr.w r3, [r1, #16]
    and.w r3, r3, #0xff00ff
    orr.w r3, r3, r3, lsr #8
    lsl.w r3, r3, #16
    lsr.w r2, r2, #16
    orr.w r2, r3, r2
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf0f0f0f
    and.w r2, r2, #0xf0f0f0f
    strd r3, r2, [sp, #96]
    ldr.w r2, [r1, #12]
    lsr.w r2, r2, #8
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    ldr.w r3, [r1, #16]
    lsr.w r3, r3, #8
    and.w r3, r3, #0xff00ff
    orr.w r3, r3, r3, lsr #8
    lsl.w r3, r3, #16
    lsr.w r2, r2, #16
    orr.w r2, r3, r2
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf0f0f0f
    and.w r2, r2, #0xf0f0f0f
    strd r3, r2, [sp, #104]
    ldr.w r2, [r1, #20]
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    lsr.w r2, r2, #16
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf
    and.w r2, r2, #0xf
    strd r3, r2, [sp, #112]
    ldr.w r2, [r1, #20]
    lsr.w r2, r2, #8
    and.w r2, r2, #0xff00ff
    orr.w r2, r2, r2, lsr #8
    lsl.w r2, r2, #16
    lsr.w r2, r2, #16
    and.w r3, r2, #0x11111111
    lsr.w r4, r2, #1
    and.w r4, r4, #0x11111111
    lsr.w r5, r2, #2
    and.w r5, r5, #0x11111111
    lsr.w r2, r2, #3
    and.w r2, r2, #0x11111111
    eor.w r3, r3, r4
    eor.w r2, r2, r3
    eor.w r4, r4, r5
    orr.w r3, r3, r5, lsl #1
    orr.w r3, r3, r4, lsl #2
    orr.w r2, r3, r2, lsl #3
    lsr.w r3, r2, #4
    and.w r3, r3, #0xf
    and.w r2, r2, #0xf
    strd r3, r2, [sp, #120]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
2:
    ldr.w r1, [sp, #64]
    str.w r1, [sp, #128]
    ldr.w r1, [sp, #68]
    str.w r1, [sp, #132]
    ldr.w r1, [sp, #80]
    str.w r1, [sp, #136]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #96]
    str.w r1, [sp, #144]
    ldr.w r1, [sp, #100]
    str.w r1, [sp, #148]
    ldr.w r1, [sp, #112]
    str.w r1, [sp, #152]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #128]
    ldr.w r2, [sp, #132]
    ldr.w r3, [sp, #80]
    lsl.w r2, r2, #8
    orr.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    and.w r1, r1, #0xff
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #0]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #4]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #8]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #12]
    ldr.w r1, [sp, #128]
    ldr.w r2, [sp, #132]
    ldr.w r3, [sp, #136]
    lsr.w r1, r1, #8
    orr.w r1, r1, r3, lsl #24
    orr.w r1, r2, r1, lsl #4
    and.w r1, r1, #0xff
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #32]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #36]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #40]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #44]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #144]
    ldr.w r2, [sp, #148]
    ldr.w r3, [sp, #112]
    lsl.w r2, r2, #8
    orr.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    and.w r1, r1, #0xff
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #16]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #20]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #24]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #28]
    ldr.w r1, [sp, #144]
    ldr.w r2, [sp, #148]
    ldr.w r3, [sp, #152]
    lsr.w r1, r1, #8
    orr.w r1, r1, r3, lsl #24
    orr.w r1, r2, r1, lsl #4
    and.w r1, r1, #0xff
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #48]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #52]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #56]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #60]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldmia.w sp, {r1, r2, r3, r4, r5, r6, r7, r8}
    orn.w r12, r8, r7
    and.w lr, r3, r8
    eor.w r12, lr, r12
    eor.w r11, r12, r5
    orn.w r10, r5, r11
    eor.w lr, r8, r11
    and.w r12, lr, r6
    orr.w r9, r2, lr
    eor.w lr, r9, r12
    eor.w r9, lr, r7
    orn.w r12, r4, r7
    and.w lr, r3, r4
    eor.w lr, lr, r12
    eor.w r12, lr, r1
    and.w r5, r5, r12
    eor.w r10, r10, r5
    eor.w r7, r9, r10
    eor.w r5, r12, r4
    and.w lr, r12, r1
    orn.w r1, r1, r11
    eor.w lr, lr, r1
    and.w r1, r5, r2
    orr.w r5, r6, r5
    eor.w r1, r5, r1
    eor.w r10, r1, r3
    eor.w r3, lr, r10
    mov.w r1, #0x0
    and.w r1, r9, r6
    orr.w r5, r6, r10
    eor.w lr, r1, r5
    eor.w r1, lr, r8
    and.w r5, r2, r10
    orr.w r8, r9, r2
    eor.w r8, r8, r5
    eor.w r4, r4, r8
    and.w lr, r3, r4
    orn.w r8, r4, r7
    eor.w lr, lr, r8
    eor.w lr, r12, lr
    and.w r12, r3, r1
    orr.w r5, r10, r1
    and.w r8, r4, r10
    eor.w r5, r8, r5
    eor.w r10, r2, r5
    orr.w r2, r4, r9
    and.w r9, r9, r1
    eor.w r2, r2, r9
    eor.w r2, r6, r2
    mov.w r9, #0x0
    orn.w r9, r1, r7
    eor.w r12, r12, r9
    eor.w r6, r11, r12
    ldrd r5, r8, [sp, #32]
    eor.w r5, r5, r10
    eor.w r8, r8, lr
    strd r5, r8, [sp, #32]
    ldrd r9, r11, [sp, #40]
    eor.w r9, r9, r4
    eor.w r11, r11, r3
    strd r9, r11, [sp, #40]
    ldrd r5, r8, [sp, #56]
    eor.w r5, r5, r1
    eor.w r8, r8, r7
    strd r5, r8, [sp, #56]
    ldrd r9, r11, [sp, #48]
    eor.w r9, r9, r2
    eor.w r11, r11, r6
    strd r9, r11, [sp, #48]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    strd r1, r2, [sp, #0]
    strd r1, r2, [sp, #8]
    strd r1, r2, [sp, #16]
    strd r1, r2, [sp, #24]
    ldr.w r1, [sp, #32]
    and.w r1, r1, #0x11111111
    ldr.w r2, [sp, #36]
    and.w r2, r2, #0x11111111
    ldr.w r3, [sp, #40]
    and.w r3, r3, #0x11111111
    ldr.w r4, [sp, #44]
    and.w r4, r4, #0x11111111
    orr.w r1, r1, r2, lsl #1
    orr.w r1, r1, r3, lsl #2
    orr.w r1, r1, r4, lsl #3
    eor.w r1, r1, #0x66666666
    ldr.w r2, [sp, #128]
    ldr.w r3, [sp, #132]
    ldr.w r4, [sp, #136]
    lsr.w r2, r2, #8
    orr.w r2, r2, r4, lsl #24
    orr.w r2, r3, r2, lsl #4
    bic.w r2, r2, #0xff
    and.w r1, r1, #0xff
    orr.w r1, r2, r1
    and.w r2, r1, #0xf0f0f0f
    str.w r2, [sp, #132]
    lsr.w r1, r1, #4
    and.w r1, r1, #0xf0f0f0f
    ldr.w r2, [sp, #128]
    and.w r2, r2, #0xff
    orr.w r2, r2, r1, lsl #8
    str.w r2, [sp, #128]
    lsr.w r1, r1, #24
    str.w r1, [sp, #136]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #48]
    and.w r1, r1, #0x11111111
    ldr.w r2, [sp, #52]
    and.w r2, r2, #0x11111111
    ldr.w r3, [sp, #56]
    and.w r3, r3, #0x11111111
    ldr.w r4, [sp, #60]
    and.w r4, r4, #0x11111111
    orr.w r1, r1, r2, lsl #1
    orr.w r1, r1, r3, lsl #2
    orr.w r1, r1, r4, lsl #3
    ldr.w r2, [sp, #144]
    ldr.w r3, [sp, #148]
    ldr.w r4, [sp, #152]
    lsr.w r2, r2, #8
    orr.w r2, r2, r4, lsl #24
    orr.w r2, r3, r2, lsl #4
    bic.w r2, r2, #0xff
    and.w r1, r1, #0xff
    orr.w r1, r2, r1
    and.w r2, r1, #0xf0f0f0f
    str.w r2, [sp, #148]
    lsr.w r1, r1, #4
    and.w r1, r1, #0xf0f0f0f
    ldr.w r2, [sp, #144]
    and.w r2, r2, #0xff
    orr.w r2, r2, r1, lsl #8
    str.w r2, [sp, #144]
    lsr.w r1, r1, #24
    str.w r1, [sp, #152]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #128]
    ldr.w r2, [sp, #132]
    ldr.w r3, [sp, #80]
    lsl.w r2, r2, #8
    orr.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    and.w r1, r1, #0xff00
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #0]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #4]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #8]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #12]
    ldr.w r1, [sp, #128]
    ldr.w r2, [sp, #132]
    ldr.w r3, [sp, #136]
    lsr.w r1, r1, #8
    orr.w r1, r1, r3, lsl #24
    orr.w r1, r2, r1, lsl #4
    and.w r1, r1, #0xff00
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #32]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #36]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #40]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #44]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #144]
    ldr.w r2, [sp, #148]
    ldr.w r3, [sp, #112]
    lsl.w r2, r2, #8
    orr.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    and.w r1, r1, #0xff00
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #16]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #20]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #24]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #28]
    ldr.w r1, [sp, #144]
    ldr.w r2, [sp, #148]
    ldr.w r3, [sp, #152]
    lsr.w r1, r1, #8
    orr.w r1, r1, r3, lsl #24
    orr.w r1, r2, r1, lsl #4
    and.w r1, r1, #0xff00
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #48]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #52]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #56]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #60]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldmia.w sp, {r1, r2, r3, r4, r5, r6, r7, r8}
    orn.w r12, r8, r7
    and.w lr, r3, r8
    eor.w r12, lr, r12
    eor.w r11, r12, r5
    orn.w r10, r5, r11
    eor.w lr, r8, r11
    and.w r12, lr, r6
    orr.w r9, r2, lr
    eor.w lr, r9, r12
    eor.w r9, lr, r7
    orn.w r12, r4, r7
    and.w lr, r3, r4
    eor.w lr, lr, r12
    eor.w r12, lr, r1
    and.w r5, r5, r12
    eor.w r10, r10, r5
    eor.w r7, r9, r10
    eor.w r5, r12, r4
    and.w lr, r12, r1
    orn.w r1, r1, r11
    eor.w lr, lr, r1
    and.w r1, r5, r2
    orr.w r5, r6, r5
    eor.w r1, r5, r1
    eor.w r10, r1, r3
    eor.w r3, lr, r10
    mov.w r1, #0x0
    and.w r1, r9, r6
    orr.w r5, r6, r10
    eor.w lr, r1, r5
    eor.w r1, lr, r8
    and.w r5, r2, r10
    orr.w r8, r9, r2
    eor.w r8, r8, r5
    eor.w r4, r4, r8
    and.w lr, r3, r4
    orn.w r8, r4, r7
    eor.w lr, lr, r8
    eor.w lr, r12, lr
    and.w r12, r3, r1
    orr.w r5, r10, r1
    and.w r8, r4, r10
    eor.w r5, r8, r5
    eor.w r10, r2, r5
    orr.w r2, r4, r9
    and.w r9, r9, r1
    eor.w r2, r2, r9
    eor.w r2, r6, r2
    mov.w r9, #0x0
    orn.w r9, r1, r7
    eor.w r12, r12, r9
    eor.w r6, r11, r12
    ldrd r5, r8, [sp, #32]
    eor.w r5, r5, r10
    eor.w r8, r8, lr
    strd r5, r8, [sp, #32]
    ldrd r9, r11, [sp, #40]
    eor.w r9, r9, r4
    eor.w r11, r11, r3
    strd r9, r11, [sp, #40]
    ldrd r5, r8, [sp, #56]
    eor.w r5, r5, r1
    eor.w r8, r8, r7
    strd r5, r8, [sp, #56]
    ldrd r9, r11, [sp, #48]
    eor.w r9, r9, r2
    eor.w r11, r11, r6
    strd r9, r11, [sp, #48]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    strd r1, r2, [sp, #0]
    strd r1, r2, [sp, #8]
    strd r1, r2, [sp, #16]
    strd r1, r2, [sp, #24]
    ldr.w r1, [sp, #32]
    and.w r1, r1, #0x11111111
    ldr.w r2, [sp, #36]
    and.w r2, r2, #0x11111111
    ldr.w r3, [sp, #40]
    and.w r3, r3, #0x11111111
    ldr.w r4, [sp, #44]
    and.w r4, r4, #0x11111111
    orr.w r1, r1, r2, lsl #1
    orr.w r1, r1, r3, lsl #2
    orr.w r1, r1, r4, lsl #3
    eor.w r1, r1, #0x66666666
    ldr.w r2, [sp, #128]
    ldr.w r3, [sp, #132]
    ldr.w r4, [sp, #136]
    lsr.w r2, r2, #8
    orr.w r2, r2, r4, lsl #24
    orr.w r2, r3, r2, lsl #4
    bic.w r2, r2, #0xff00
    and.w r1, r1, #0xff00
    orr.w r1, r2, r1
    and.w r2, r1, #0xf0f0f0f
    str.w r2, [sp, #132]
    lsr.w r1, r1, #4
    and.w r1, r1, #0xf0f0f0f
    ldr.w r2, [sp, #128]
    and.w r2, r2, #0xff
    orr.w r2, r2, r1, lsl #8
    str.w r2, [sp, #128]
    lsr.w r1, r1, #24
    str.w r1, [sp, #136]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #48]
    and.w r1, r1, #0x11111111
    ldr.w r2, [sp, #52]
    and.w r2, r2, #0x11111111
    ldr.w r3, [sp, #56]
    and.w r3, r3, #0x11111111
    ldr.w r4, [sp, #60]
    and.w r4, r4, #0x11111111
    orr.w r1, r1, r2, lsl #1
    orr.w r1, r1, r3, lsl #2
    orr.w r1, r1, r4, lsl #3
    ldr.w r2, [sp, #144]
    ldr.w r3, [sp, #148]
    ldr.w r4, [sp, #152]
    lsr.w r2, r2, #8
    orr.w r2, r2, r4, lsl #24
    orr.w r2, r3, r2, lsl #4
    bic.w r2, r2, #0xff00
    and.w r1, r1, #0xff00
    orr.w r1, r2, r1
    and.w r2, r1, #0xf0f0f0f
    str.w r2, [sp, #148]
    lsr.w r1, r1, #4
    and.w r1, r1, #0xf0f0f0f
    ldr.w r2, [sp, #144]
    and.w r2, r2, #0xff
    orr.w r2, r2, r1, lsl #8
    str.w r2, [sp, #144]
    lsr.w r1, r1, #24
    str.w r1, [sp, #152]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #128]
    ldr.w r2, [sp, #132]
    ldr.w r3, [sp, #80]
    lsl.w r2, r2, #8
    orr.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    and.w r1, r1, #0xff0000
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #0]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #4]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #8]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #12]
    ldr.w r1, [sp, #128]
    ldr.w r2, [sp, #132]
    ldr.w r3, [sp, #136]
    lsr.w r1, r1, #8
    orr.w r1, r1, r3, lsl #24
    orr.w r1, r2, r1, lsl #4
    and.w r1, r1, #0xff0000
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #32]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #36]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #40]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #44]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #144]
    ldr.w r2, [sp, #148]
    ldr.w r3, [sp, #112]
    lsl.w r2, r2, #8
    orr.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    and.w r1, r1, #0xff0000
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #16]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #20]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #24]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #28]
    ldr.w r1, [sp, #144]
    ldr.w r2, [sp, #148]
    ldr.w r3, [sp, #152]
    lsr.w r1, r1, #8
    orr.w r1, r1, r3, lsl #24
    orr.w r1, r2, r1, lsl #4
    and.w r1, r1, #0xff0000
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #48]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #52]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #56]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #60]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldmia.w sp, {r1, r2, r3, r4, r5, r6, r7, r8}
    orn.w r12, r8, r7
    and.w lr, r3, r8
    eor.w r12, lr, r12
    eor.w r11, r12, r5
    orn.w r10, r5, r11
    eor.w lr, r8, r11
    and.w r12, lr, r6
    orr.w r9, r2, lr
    eor.w lr, r9, r12
    eor.w r9, lr, r7
    orn.w r12, r4, r7
    and.w lr, r3, r4
    eor.w lr, lr, r12
    eor.w r12, lr, r1
    and.w r5, r5, r12
    eor.w r10, r10, r5
    eor.w r7, r9, r10
    eor.w r5, r12, r4
    and.w lr, r12, r1
    orn.w r1, r1, r11
    eor.w lr, lr, r1
    and.w r1, r5, r2
    orr.w r5, r6, r5
    eor.w r1, r5, r1
    eor.w r10, r1, r3
    eor.w r3, lr, r10
    mov.w r1, #0x0
    and.w r1, r9, r6
    orr.w r5, r6, r10
    eor.w lr, r1, r5
    eor.w r1, lr, r8
    and.w r5, r2, r10
    orr.w r8, r9, r2
    eor.w r8, r8, r5
    eor.w r4, r4, r8
    and.w lr, r3, r4
    orn.w r8, r4, r7
    eor.w lr, lr, r8
    eor.w lr, r12, lr
    and.w r12, r3, r1
    orr.w r5, r10, r1
    and.w r8, r4, r10
    eor.w r5, r8, r5
    eor.w r10, r2, r5
    orr.w r2, r4, r9
    and.w r9, r9, r1
    eor.w r2, r2, r9
    eor.w r2, r6, r2
    mov.w r9, #0x0
    orn.w r9, r1, r7
    eor.w r12, r12, r9
    eor.w r6, r11, r12
    ldrd r5, r8, [sp, #32]
    eor.w r5, r5, r10
    eor.w r8, r8, lr
    strd r5, r8, [sp, #32]
    ldrd r9, r11, [sp, #40]
    eor.w r9, r9, r4
    eor.w r11, r11, r3
    strd r9, r11, [sp, #40]
    ldrd r5, r8, [sp, #56]
    eor.w r5, r5, r1
    eor.w r8, r8, r7
    strd r5, r8, [sp, #56]
    ldrd r9, r11, [sp, #48]
    eor.w r9, r9, r2
    eor.w r11, r11, r6
    strd r9, r11, [sp, #48]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    strd r1, r2, [sp, #0]
    strd r1, r2, [sp, #8]
    strd r1, r2, [sp, #16]
    strd r1, r2, [sp, #24]
    ldr.w r1, [sp, #32]
    and.w r1, r1, #0x11111111
    ldr.w r2, [sp, #36]
    and.w r2, r2, #0x11111111
    ldr.w r3, [sp, #40]
    and.w r3, r3, #0x11111111
    ldr.w r4, [sp, #44]
    and.w r4, r4, #0x11111111
    orr.w r1, r1, r2, lsl #1
    orr.w r1, r1, r3, lsl #2
    orr.w r1, r1, r4, lsl #3
    eor.w r1, r1, #0x66666666
    ldr.w r2, [sp, #128]
    ldr.w r3, [sp, #132]
    ldr.w r4, [sp, #136]
    lsr.w r2, r2, #8
    orr.w r2, r2, r4, lsl #24
    orr.w r2, r3, r2, lsl #4
    bic.w r2, r2, #0xff0000
    and.w r1, r1, #0xff0000
    orr.w r1, r2, r1
    and.w r2, r1, #0xf0f0f0f
    str.w r2, [sp, #132]
    lsr.w r1, r1, #4
    and.w r1, r1, #0xf0f0f0f
    ldr.w r2, [sp, #128]
    and.w r2, r2, #0xff
    orr.w r2, r2, r1, lsl #8
    str.w r2, [sp, #128]
    lsr.w r1, r1, #24
    str.w r1, [sp, #136]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #48]
    and.w r1, r1, #0x11111111
    ldr.w r2, [sp, #52]
    and.w r2, r2, #0x11111111
    ldr.w r3, [sp, #56]
    and.w r3, r3, #0x11111111
    ldr.w r4, [sp, #60]
    and.w r4, r4, #0x11111111
    orr.w r1, r1, r2, lsl #1
    orr.w r1, r1, r3, lsl #2
    orr.w r1, r1, r4, lsl #3
    ldr.w r2, [sp, #144]
    ldr.w r3, [sp, #148]
    ldr.w r4, [sp, #152]
    lsr.w r2, r2, #8
    orr.w r2, r2, r4, lsl #24
    orr.w r2, r3, r2, lsl #4
    bic.w r2, r2, #0xff0000
    and.w r1, r1, #0xff0000
    orr.w r1, r2, r1
    and.w r2, r1, #0xf0f0f0f
    str.w r2, [sp, #148]
    lsr.w r1, r1, #4
    and.w r1, r1, #0xf0f0f0f
    ldr.w r2, [sp, #144]
    and.w r2, r2, #0xff
    orr.w r2, r2, r1, lsl #8
    str.w r2, [sp, #144]
    lsr.w r1, r1, #24
    str.w r1, [sp, #152]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #128]
    ldr.w r2, [sp, #132]
    ldr.w r3, [sp, #80]
    lsl.w r2, r2, #8
    orr.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    and.w r1, r1, #0xff000000
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #0]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #4]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #8]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #12]
    ldr.w r1, [sp, #128]
    ldr.w r2, [sp, #132]
    ldr.w r3, [sp, #136]
    lsr.w r1, r1, #8
    orr.w r1, r1, r3, lsl #24
    orr.w r1, r2, r1, lsl #4
    and.w r1, r1, #0xff000000
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #32]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #36]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #40]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #44]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #144]
    ldr.w r2, [sp, #148]
    ldr.w r3, [sp, #112]
    lsl.w r2, r2, #8
    orr.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    and.w r1, r1, #0xff000000
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #16]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #20]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #24]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #28]
    ldr.w r1, [sp, #144]
    ldr.w r2, [sp, #148]
    ldr.w r3, [sp, #152]
    lsr.w r1, r1, #8
    orr.w r1, r1, r3, lsl #24
    orr.w r1, r2, r1, lsl #4
    and.w r1, r1, #0xff000000
    and.w r2, r1, #0x11111111
    str.w r2, [sp, #48]
    lsr.w r2, r1, #1
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #52]
    lsr.w r2, r1, #2
    and.w r2, r2, #0x11111111
    str.w r2, [sp, #56]
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    str.w r1, [sp, #60]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldmia.w sp, {r1, r2, r3, r4, r5, r6, r7, r8}
    orn.w r12, r8, r7
    and.w lr, r3, r8
    eor.w r12, lr, r12
    eor.w r11, r12, r5
    orn.w r10, r5, r11
    eor.w lr, r8, r11
    and.w r12, lr, r6
    orr.w r9, r2, lr
    eor.w lr, r9, r12
    eor.w r9, lr, r7
    orn.w r12, r4, r7
    and.w lr, r3, r4
    eor.w lr, lr, r12
    eor.w r12, lr, r1
    and.w r5, r5, r12
    eor.w r10, r10, r5
    eor.w r7, r9, r10
    eor.w r5, r12, r4
    and.w lr, r12, r1
    orn.w r1, r1, r11
    eor.w lr, lr, r1
    and.w r1, r5, r2
    orr.w r5, r6, r5
    eor.w r1, r5, r1
    eor.w r10, r1, r3
    eor.w r3, lr, r10
    mov.w r1, #0x0
    and.w r1, r9, r6
    orr.w r5, r6, r10
    eor.w lr, r1, r5
    eor.w r1, lr, r8
    and.w r5, r2, r10
    orr.w r8, r9, r2
    eor.w r8, r8, r5
    eor.w r4, r4, r8
    and.w lr, r3, r4
    orn.w r8, r4, r7
    eor.w lr, lr, r8
    eor.w lr, r12, lr
    and.w r12, r3, r1
    orr.w r5, r10, r1
    and.w r8, r4, r10
    eor.w r5, r8, r5
    eor.w r10, r2, r5
    orr.w r2, r4, r9
    and.w r9, r9, r1
    eor.w r2, r2, r9
    eor.w r2, r6, r2
    mov.w r9, #0x0
    orn.w r9, r1, r7
    eor.w r12, r12, r9
    eor.w r6, r11, r12
    ldrd r5, r8, [sp, #32]
    eor.w r5, r5, r10
    eor.w r8, r8, lr
    strd r5, r8, [sp, #32]
    ldrd r9, r11, [sp, #40]
    eor.w r9, r9, r4
    eor.w r11, r11, r3
    strd r9, r11, [sp, #40]
    ldrd r5, r8, [sp, #56]
    eor.w r5, r5, r1
    eor.w r8, r8, r7
    strd r5, r8, [sp, #56]
    ldrd r9, r11, [sp, #48]
    eor.w r9, r9, r2
    eor.w r11, r11, r6
    strd r9, r11, [sp, #48]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    strd r1, r2, [sp, #0]
    strd r1, r2, [sp, #8]
    strd r1, r2, [sp, #16]
    strd r1, r2, [sp, #24]
    ldr.w r1, [sp, #32]
    and.w r1, r1, #0x11111111
    ldr.w r2, [sp, #36]
    and.w r2, r2, #0x11111111
    ldr.w r3, [sp, #40]
    and.w r3, r3, #0x11111111
    ldr.w r4, [sp, #44]
    and.w r4, r4, #0x11111111
    orr.w r1, r1, r2, lsl #1
    orr.w r1, r1, r3, lsl #2
    orr.w r1, r1, r4, lsl #3
    eor.w r1, r1, #0x66666666
    ldr.w r2, [sp, #128]
    ldr.w r3, [sp, #132]
    ldr.w r4, [sp, #136]
    lsr.w r2, r2, #8
    orr.w r2, r2, r4, lsl #24
    orr.w r2, r3, r2, lsl #4
    bic.w r2, r2, #0xff000000
    and.w r1, r1, #0xff000000
    orr.w r1, r2, r1
    and.w r2, r1, #0xf0f0f0f
    str.w r2, [sp, #132]
    lsr.w r1, r1, #4
    and.w r1, r1, #0xf0f0f0f
    ldr.w r2, [sp, #128]
    and.w r2, r2, #0xff
    orr.w r2, r2, r1, lsl #8
    str.w r2, [sp, #128]
    lsr.w r1, r1, #24
    str.w r1, [sp, #136]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #48]
    and.w r1, r1, #0x11111111
    ldr.w r2, [sp, #52]
    and.w r2, r2, #0x11111111
    ldr.w r3, [sp, #56]
    and.w r3, r3, #0x11111111
    ldr.w r4, [sp, #60]
    and.w r4, r4, #0x11111111
    orr.w r1, r1, r2, lsl #1
    orr.w r1, r1, r3, lsl #2
    orr.w r1, r1, r4, lsl #3
    ldr.w r2, [sp, #144]
    ldr.w r3, [sp, #148]
    ldr.w r4, [sp, #152]
    lsr.w r2, r2, #8
    orr.w r2, r2, r4, lsl #24
    orr.w r2, r3, r2, lsl #4
    bic.w r2, r2, #0xff000000
    and.w r1, r1, #0xff000000
    orr.w r1, r2, r1
    and.w r2, r1, #0xf0f0f0f
    str.w r2, [sp, #148]
    lsr.w r1, r1, #4
    and.w r1, r1, #0xf0f0f0f
    ldr.w r2, [sp, #144]
    and.w r2, r2, #0xff
    orr.w r2, r2, r1, lsl #8
    str.w r2, [sp, #144]
    lsr.w r1, r1, #24
    str.w r1, [sp, #152]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #76]
    ldr.w r2, [sp, #160]
    ldr.w r2, [r2, #0]
    bic.w r2, r2, #0xff
    eor.w r1, r1, r2
    str.w r1, [sp, #32]
    ldr.w r1, [sp, #92]
    ldr.w r2, [sp, #128]
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #4]
    and.w r4, r3, #0xff
    eor.w r1, r1, r4
    eor.w r2, r2, r3, lsr #8
    strd r1, r2, [sp, #36]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #108]
    str.w r1, [sp, #48]
    ldr.w r1, [sp, #124]
    ldr.w r2, [sp, #144]
    strd r1, r2, [sp, #52]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #68]
    ldr.w r2, [sp, #80]
    ldr.w r3, [sp, #132]
    orr.w r2, r2, r3, lsl #8
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #8]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #0]
    ldr.w r1, [sp, #32]
    ldr.w r2, [sp, #76]
    ldr.w r3, [sp, #36]
    ldr.w r4, [sp, #40]
    lsr.w r2, r2, #24
    orr.w r2, r2, r3, lsl #8
    orr.w r2, r2, r4, lsl #16
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #12]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #4]
    ldr.w r1, [sp, #64]
    ldr.w r2, [sp, #80]
    lsr.w r1, r1, #8
    orr.w r1, r1, r2, lsl #24
    ldr.w r2, [sp, #72]
    ldr.w r3, [sp, #88]
    ldr.w r4, [sp, #32]
    lsr.w r2, r2, #24
    orr.w r2, r2, r3, lsl #8
    orr.w r2, r2, r4, lsl #16
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #16]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #8]
    ldr.w r1, [sp, #72]
    ldr.w r2, [sp, #88]
    lsr.w r1, r1, #8
    orr.w r1, r1, r2, lsl #24
    ldr.w r2, [sp, #68]
    ldr.w r3, [sp, #84]
    ldr.w r4, [sp, #72]
    lsr.w r2, r2, #24
    orr.w r2, r2, r3, lsl #8
    orr.w r2, r2, r4, lsl #16
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #20]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #12]
    ldr.w r1, [sp, #12]
    ldr.w r2, [sp, #8]
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #4]
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #0]
    bfi r1, r2, #24, #8
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #0]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #4]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #8]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #12]
    ldr.w r1, [sp, #12]
    lsr.w r1, r1, #8
    ldr.w r2, [sp, #4]
    lsr.w r2, r2, #8
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #8]
    lsr.w r2, r2, #8
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #0]
    lsr.w r2, r2, #8
    bfi r1, r2, #24, #8
    eor.w r1, r1, #0x66666666
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #32]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #36]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #40]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #44]
    ldr.w r1, [sp, #8]
    lsr.w r1, r1, #16
    ldr.w r2, [sp, #12]
    lsr.w r2, r2, #16
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #0]
    lsr.w r2, r2, #16
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #4]
    lsr.w r2, r2, #16
    bfi r1, r2, #24, #8
    eor.w r1, r1, #0x66666666
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #64]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #68]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #72]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #76]
    ldr.w r1, [sp, #8]
    lsr.w r1, r1, #24
    ldr.w r2, [sp, #0]
    lsr.w r2, r2, #24
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #12]
    lsr.w r2, r2, #24
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #4]
    lsr.w r2, r2, #24
    bfi r1, r2, #24, #8
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #96]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #100]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #104]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #108]
    ldr.w r1, [sp, #36]
    ldr.w r2, [sp, #160]
    ldr.w r2, [r2, #0]
    and.w r2, r2, #0xff
    eor.w r1, r1, r2
    ldr.w r2, [sp, #136]
    ldr.w r3, [sp, #132]
    ldr.w r4, [sp, #84]
    ldr.w r5, [sp, #72]
    ldr.w r6, [sp, #88]
    ldr.w r7, [sp, #32]
    ldr.w r8, [sp, #40]
    orr.w r2, r2, r3, lsl #8
    lsr.w r3, r3, #24
    str.w r2, [sp, #64]
    str.w r3, [sp, #80]
    orr.w r2, r4, r5, lsl #8
    lsr.w r3, r5, #24
    str.w r2, [sp, #68]
    str.w r3, [sp, #84]
    orr.w r2, r6, r7, lsl #8
    lsr.w r3, r7, #24
    str.w r2, [sp, #72]
    str.w r3, [sp, #88]
    orr.w r1, r1, r8, lsl #8
    lsr.w r2, r8, #24
    str.w r1, [sp, #76]
    str.w r2, [sp, #92]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    ldr.w r1, [sp, #100]
    ldr.w r2, [sp, #112]
    ldr.w r3, [sp, #148]
    orr.w r2, r2, r3, lsl #8
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #8]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #16]
    ldr.w r1, [sp, #48]
    ldr.w r2, [sp, #108]
    ldr.w r3, [sp, #52]
    ldr.w r4, [sp, #56]
    lsr.w r2, r2, #24
    orr.w r2, r2, r3, lsl #8
    orr.w r2, r2, r4, lsl #16
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #12]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #20]
    ldr.w r1, [sp, #96]
    ldr.w r2, [sp, #112]
    lsr.w r1, r1, #8
    orr.w r1, r1, r2, lsl #24
    ldr.w r2, [sp, #104]
    ldr.w r3, [sp, #120]
    ldr.w r4, [sp, #48]
    lsr.w r2, r2, #24
    orr.w r2, r2, r3, lsl #8
    orr.w r2, r2, r4, lsl #16
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #16]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #24]
    ldr.w r1, [sp, #104]
    ldr.w r2, [sp, #120]
    lsr.w r1, r1, #8
    orr.w r1, r1, r2, lsl #24
    ldr.w r2, [sp, #100]
    ldr.w r3, [sp, #116]
    ldr.w r4, [sp, #104]
    lsr.w r2, r2, #24
    orr.w r2, r2, r3, lsl #8
    orr.w r2, r2, r4, lsl #16
    ldr.w r3, [sp, #160]
    ldr.w r3, [r3, #20]
    eor.w r4, r1, r2
    and.w r3, r4, r3
    eor.w r1, r1, r3
    eor.w r2, r2, r3
    orr.w r1, r1, r2, lsl #4
    str.w r1, [sp, #28]
    ldr.w r1, [sp, #28]
    ldr.w r2, [sp, #24]
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #20]
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #16]
    bfi r1, r2, #24, #8
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #28]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #16]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #20]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #24]
    ldr.w r1, [sp, #28]
    lsr.w r1, r1, #8
    ldr.w r2, [sp, #20]
    lsr.w r2, r2, #8
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #24]
    lsr.w r2, r2, #8
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #16]
    lsr.w r2, r2, #8
    bfi r1, r2, #24, #8
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #60]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #48]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #52]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #56]
    ldr.w r1, [sp, #24]
    lsr.w r1, r1, #16
    ldr.w r2, [sp, #28]
    lsr.w r2, r2, #16
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #16]
    lsr.w r2, r2, #16
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #20]
    lsr.w r2, r2, #16
    bfi r1, r2, #24, #8
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #92]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #80]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #84]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #88]
    ldr.w r1, [sp, #24]
    lsr.w r1, r1, #24
    ldr.w r2, [sp, #16]
    lsr.w r2, r2, #24
    bfi r1, r2, #8, #8
    ldr.w r2, [sp, #28]
    lsr.w r2, r2, #24
    bfi r1, r2, #16, #8
    ldr.w r2, [sp, #20]
    lsr.w r2, r2, #24
    bfi r1, r2, #24, #8
    and.w r2, r1, #0x11111111
    lsr.w r3, r1, #1
    and.w r3, r3, #0x11111111
    lsr.w r4, r1, #2
    and.w r4, r4, #0x11111111
    lsr.w r1, r1, #3
    and.w r1, r1, #0x11111111
    orr.w r2, r2, r2, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #124]
    orr.w r2, r3, r3, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #112]
    orr.w r2, r4, r4, lsl #1
    orr.w r2, r2, r2, lsl #2
    str.w r2, [r0, #116]
    orr.w r1, r1, r1, lsl #1
    orr.w r1, r1, r1, lsl #2
    str.w r1, [r0, #120]
    ldr.w r1, [sp, #52]
    ldr.w r2, [sp, #152]
    ldr.w r3, [sp, #148]
    ldr.w r4, [sp, #116]
    ldr.w r5, [sp, #104]
    ldr.w r6, [sp, #120]
    ldr.w r7, [sp, #48]
    ldr.w r8, [sp, #56]
    orr.w r2, r2, r3, lsl #8
    lsr.w r3, r3, #24
    str.w r2, [sp, #96]
    str.w r3, [sp, #112]
    orr.w r2, r4, r5, lsl #8
    lsr.w r3, r5, #24
    str.w r2, [sp, #100]
    str.w r3, [sp, #116]
    orr.w r2, r6, r7, lsl #8
    lsr.w r3, r7, #24
    str.w r2, [sp, #104]
    str.w r3, [sp, #120]
    orr.w r1, r1, r8, lsl #8
    lsr.w r2, r8, #24
    str.w r1, [sp, #108]
    str.w r2, [sp, #124]
    ldr.w lr, [sp, #168]
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    strd r1, r2, [sp, #0]
    strd r1, r2, [sp, #8]
    strd r1, r2, [sp, #16]
    strd r1, r2, [sp, #24]
    strd r1, r2, [sp, #32]
    strd r1, r2, [sp, #40]
    strd r1, r2, [sp, #48]
    strd r1, r2, [sp, #56]
    strd r1, r2, [sp, #128]
    strd r1, r2, [sp, #136]
    strd r1, r2, [sp, #144]
    strd r1, r2, [sp, #152]
    ldr.w r1, [sp, #160]
    add.w r1, r1, #0x18
    str.w r1, [sp, #160]
    add.w r0, r0, #0x80
    ldr.w r12, [sp, #164]
    cmp.w r0, r12
    bne.w 2b
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    mov.w r1, #0x0
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r12, #0x0
    mov.w lr, #0x0
    strd r1, r2, [sp, #0]
    strd r1, r2, [sp, #8]
    strd r1, r2, [sp, #16]
    strd r1, r2, [sp, #24]
    strd r1, r2, [sp, #32]
    strd r1, r2, [sp, #40]
    strd r1, r2, [sp, #48]
    strd r1, r2, [sp, #56]
    strd r1, r2, [sp, #64]
    strd r1, r2, [sp, #72]
    strd r1, r2, [sp, #80]
    strd r1, r2, [sp, #88]
    strd r1, r2, [sp, #96]
    strd r1, r2, [sp, #104]
    strd r1, r2, [sp, #112]
    strd r1, r2, [sp, #120]
    strd r1, r2, [sp, #128]
    strd r1, r2, [sp, #136]
    strd r1, r2, [sp, #144]
    strd r1, r2, [sp, #152]
    add.w sp, sp, #0xb0
    ldmia.w sp!, {r4, r5, r6, r7, r8, r9, r10, r11, pc}
.size twine_masked_schedule_80, . - twine_masked_schedule_80

@ Adds masks to both shares of all round keys: r0 points to them, r1 to four words.
.section .text.twine_masked_refresh,"ax",%progbits
.global twine_masked_refresh
.hidden twine_masked_refresh
.type twine_masked_refresh,%function
.thumb_func
.p2align 2
twine_masked_refresh:
    stmdb.w sp!, {r4, r5, r6, r7, r8, r9, r10, r11, lr}
    sub.w sp, sp, #0x8
    add.w r2, r0, #0x480
    strd r1, r2, [sp, #0]
2:
    ldr.w r1, [sp, #0]
    ldmia.w r1, {r2, r3, r4, r5}
    ldr.w r6, [r0, #0]
    eor.w r6, r6, r2
    str.w r6, [r0, #0]
    ldr.w r7, [r0, #4]
    eor.w r7, r7, r3
    str.w r7, [r0, #4]
    ldr.w r8, [r0, #8]
    eor.w r8, r8, r4
    str.w r8, [r0, #8]
    ldr.w r9, [r0, #12]
    eor.w r9, r9, r5
    str.w r9, [r0, #12]
    ldr.w r12, [sp, #4]
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    ldr.w r1, [sp, #0]
    ldmia.w r1, {r2, r3, r4, r5}
    ldr.w r6, [r0, #28]
    eor.w r6, r6, r2
    str.w r6, [r0, #28]
    ldr.w r7, [r0, #16]
    eor.w r7, r7, r3
    str.w r7, [r0, #16]
    ldr.w r8, [r0, #20]
    eor.w r8, r8, r4
    str.w r8, [r0, #20]
    ldr.w r9, [r0, #24]
    eor.w r9, r9, r5
    str.w r9, [r0, #24]
    ldr.w r12, [sp, #4]
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r4, #0x0
    mov.w r5, #0x0
    mov.w r6, #0x0
    mov.w r7, #0x0
    mov.w r8, #0x0
    mov.w r9, #0x0
    mov.w r10, #0x0
    mov.w r11, #0x0
    add.w r0, r0, #0x20
    ldr.w r12, [sp, #4]
    cmp.w r0, r12
    bne.w 2b
    add.w sp, sp, #0x8
    ldmia.w sp!, {r4, r5, r6, r7, r8, r9, r10, r11, pc}
.size twine_masked_refresh, . - twine_masked_refresh

@ Adds blocks of one share, or public ones: r0 points to the sums, r1 and r2 to what is added, r3 to the end of the sums. There is at least one.
.section .text.twine_masked_add,"ax",%progbits
.global twine_masked_add
.hidden twine_masked_add
.type twine_masked_add,%function
.thumb_func
.p2align 2
twine_masked_add:
    stmdb.w sp!, {r4, r5, r6, r7, lr}
2:
    ldmia.w r1!, {r4, r5}
    ldmia.w r2!, {r6, r7}
    eor.w r4, r4, r6
    eor.w r5, r5, r7
    strd r4, r5, [r0, #0]
    add.w r0, r0, #0x8
    cmp.w r0, r3
    bne.w 2b
    ldmia.w sp!, {r4, r5, r6, r7, pc}
.size twine_masked_add, . - twine_masked_add

@ Keeps bits of blocks of one share: r0 points to the results, r1 to the blocks, r2 to public blocks with the bits to keep, r3 to the end of the results. There is at least one.
.section .text.twine_masked_select,"ax",%progbits
.global twine_masked_select
.hidden twine_masked_select
.type twine_masked_select,%function
.thumb_func
.p2align 2
twine_masked_select:
    stmdb.w sp!, {r4, r5, r6, r7, lr}
2:
    ldmia.w r1!, {r4, r5}
    ldmia.w r2!, {r6, r7}
    and.w r4, r4, r6
    and.w r5, r5, r7
    strd r4, r5, [r0, #0]
    add.w r0, r0, #0x8
    cmp.w r0, r3
    bne.w 2b
    ldmia.w sp!, {r4, r5, r6, r7, pc}
.size twine_masked_select, . - twine_masked_select

@ Makes each block of one share two times the block before it in GF(2^64): r0 points to the first one, r1 to the last one, which is another.
.section .text.twine_masked_double,"ax",%progbits
.global twine_masked_double
.hidden twine_masked_double
.type twine_masked_double,%function
.thumb_func
.p2align 2
twine_masked_double:
    stmdb.w sp!, {r4, lr}
2:
    ldrd r2, r3, [r0, #0]
    rev.w r2, r2
    rev.w r3, r3
    lsr.w r12, r2, #31
    lsl.w r2, r2, #1
    orr.w r2, r2, r3, lsr #31
    eor.w r12, r12, r12, lsl #1
    eor.w r12, r12, r12, lsl #3
    eor.w r3, r12, r3, lsl #1
    rev.w r2, r2
    rev.w r3, r3
    strd r2, r3, [r0, #8]
    add.w r0, r0, #0x8
    cmp.w r0, r1
    bne.w 2b
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r12, #0x0
    ldmia.w sp!, {r4, pc}
.size twine_masked_double, . - twine_masked_double

@ Multiplies blocks of one share by 16 in GF(2^64): r0 points to them, r1 to their end. There is at least one.
.section .text.twine_masked_times_16,"ax",%progbits
.global twine_masked_times_16
.hidden twine_masked_times_16
.type twine_masked_times_16,%function
.thumb_func
.p2align 2
twine_masked_times_16:
    stmdb.w sp!, {r4, lr}
2:
    ldrd r2, r3, [r0, #0]
    rev.w r2, r2
    rev.w r3, r3
    lsr.w r12, r2, #28
    lsl.w r2, r2, #4
    orr.w r2, r2, r3, lsr #28
    eor.w r12, r12, r12, lsl #1
    eor.w r12, r12, r12, lsl #3
    eor.w r3, r12, r3, lsl #4
    rev.w r2, r2
    rev.w r3, r3
    strd r2, r3, [r0, #0]
    add.w r0, r0, #0x8
    cmp.w r0, r1
    bne.w 2b
    mov.w r2, #0x0
    mov.w r3, #0x0
    mov.w r12, #0x0
    ldmia.w sp!, {r4, pc}
.size twine_masked_times_16, . - twine_masked_times_16
