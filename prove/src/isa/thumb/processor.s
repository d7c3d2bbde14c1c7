@ A program for 32-bit Arm on Linux that executes one Thumb instruction, or a few, on registers and memory that it is told.
@
@ It reads requests and writes answers until there are no more. A request: words that say what is put where (`header`), then for
@ each sample the registers r0 to r14, the flags, and the bytes of a window in memory. The answer: the same of each sample afterwards.
@ Which addresses there are is in `compare.rs`. All but the instructions in question is Arm code, which can store without a base register.

    .syntax unified
    .arm
    .text

    .set REGISTERS, 16
    .set WINDOW, 32
    .set SAMPLE, 4 * (REGISTERS + WINDOW)

@ The end of a page, so that what is on the next one is near.
    .space 0xc00

@ Where the instructions lead.
exit:
    str r0, saved
    ldr r0, =(saved + 4)
    stmia r0, {r1-r14}
    mrs r1, cpsr
    str r1, saved + 4 * 15
    ldr sp, stack
    ldr r10, sample
    ldr r11, remaining
    @ The answer takes the place of the sample.
    ldr r0, =saved
    mov r1, r10
    mov r2, #(4 * REGISTERS)
    bl copy
    ldr r0, window_at
    mov r2, #(4 * WINDOW)
    bl copy
    add r10, r10, #SAMPLE
    subs r11, r11, #1
    bne execute

    @ Nothing of the code stays.
    ldr r0, =zeros
    ldr r1, code_at
    mov r2, #32
    bl copy
    ldr r0, =zeros
    ldr r1, stub_at
    mov r2, #12
    bl copy
    ldr r0, =zeros
    ldr r1, trap_at
    mov r2, #2
    bl copy

    ldr r4, =samples
    bl size
    mov r5, r0
write:
    mov r0, #1
    mov r1, r4
    mov r2, r5
    mov r7, #4
    svc 0
    cmp r0, #0
    ble end
    add r4, r4, r0
    subs r5, r5, r0
    bne write

    .global _start
_start:
    ldr r4, =header
    mov r5, #72
    bl read
    ldr r4, =samples
    bl size
    mov r5, r0
    bl read
    ldr r0, =code
    ldr r1, code_at
    mov r2, #32
    bl copy
    ldr r0, =stub
    ldr r1, stub_at
    mov r2, #12
    bl copy
    ldr r0, =trap
    ldr r1, trap_at
    mov r2, #2
    bl copy
    @ The instructions are no data any more.
    ldr r0, =region
    ldr r1, =region_end
    mov r2, #0
    ldr r7, =0xf0002
    svc 0
    ldr r10, =samples
    ldr r11, count

execute:
    add r0, r10, #(4 * REGISTERS)
    ldr r1, window_at
    mov r2, #(4 * WINDOW)
    bl copy
    str sp, stack
    str r10, sample
    str r11, remaining
    ldr r0, [r10, #(4 * 15)]
    msr cpsr_f, r0
    ldr sp, [r10, #(4 * 13)]
    ldr lr, [r10, #(4 * 14)]
    ldmia r10, {r0-r12}
    ldr pc, entry

@ r2 bytes from r0 to r1, after which both are.
copy:
    ldrb r3, [r0], #1
    strb r3, [r1], #1
    subs r2, r2, #1
    bne copy
    bx lr

@ Bytes of all samples.
size:
    ldr r0, count
    mov r1, #SAMPLE
    mul r0, r1, r0
    bx lr

@ r5 bytes to r4.
read:
    mov r0, #0
    mov r1, r4
    mov r2, r5
    mov r7, #3
    svc 0
    cmp r0, #0
    ble end
    add r4, r4, r0
    subs r5, r5, r0
    bne read
    bx lr

end:
    mov r0, #0
    mov r7, #1
    svc 0

    .ltorg

@ On another page than the code, which need not be translated anew then.
    .balign 4096
saved: .space 4 * REGISTERS
stack: .word 0
sample: .word 0
remaining: .word 0
header:
entry: .word 0
window_at: .word 0
count: .word 0
code_at: .word 0
code: .space 32
stub_at: .word 0
stub: .space 12
trap_at: .word 0
trap: .word 0

    .bss
zeros: .space 32
samples: .space 256 * SAMPLE

@ Where the instructions are, with what they branch to.
    .section .region, "awx", %nobits
region: .space 0x2100000
region_end:
