/* A plugin for QEMU (7.0 or newer) that traces what a Cortex-M or a RISC-V core of 32 bits executes between the marks of the crate `qemu-trace`.
 *
 *   -plugin libtrace.so,out=FILE[,log=FILE[,only=N:N:...]]
 *
 * `out` gets a line for each region, in the order of execution: its number, the number of instructions, the hash of the
 * sequence of their addresses, the number of accesses to memory, and the hash of that sequence. `log` gets the sequences
 * themselves, in the format that README.md shows: those of the regions `only`, in ascending order, or of all.
 */
#define _POSIX_C_SOURCE 200809L /* strdup */

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What this needs of QEMU's plugin interface, version 1: distributions ship QEMU without the header. */
typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { QEMU_PLUGIN_CB_NO_REGS = 0, QEMU_PLUGIN_MEM_RW = 3 };
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t,
                                                  void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *), int flags,
                                                   void *data);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *,
                                             void (*)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *), int flags,
                                             int rw, void *data);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
extern bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t);
extern unsigned qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

/* The start of QEMU's description of itself. */
struct qemu_info {
    const char *target_name;
};

/* The marks, which no compiler makes. */
struct marks {
    uint32_t begin, end;
};
static const struct marks THUMB = {0x46d2, 0x46db};         /* mov r10, r10; mov r11, r11 */
static const struct marks RISC_V = {0x00104013, 0x00204013}; /* xori zero, zero, 1; xori zero, zero, 2 */

static bool is_risc_v;

static FILE *out, *log_file;
/* The rest of the regions to log; NULL for all. */
static const char *only;
static bool is_inside, is_logged;
static uint64_t region, instructions, accesses, pc_hash, address_hash;

/* FNV-1a over 64-bit words, with the high bits brought down. */
static uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 29;
}

static void begin(unsigned cpu, void *data) {
    (void)cpu, (void)data;
    is_inside = true;
    instructions = accesses = 0;
    pc_hash = address_hash = UINT64_C(0xcbf29ce484222325);
    is_logged = log_file && (!only || strtoull(only, NULL, 10) == region);
    if (is_logged)
        fprintf(log_file, "region %" PRIu64 "\n", region);
}

static void end(unsigned cpu, void *data) {
    (void)cpu, (void)data;
    if (!is_inside)
        return;
    is_inside = false;
    if (is_logged && only)
        only += strcspn(only, ":") + (strchr(only, ':') != NULL);
    fprintf(out, "%" PRIu64 " %" PRIu64 " %016" PRIx64 " %" PRIu64 " %016" PRIx64 "\n", region++, instructions, pc_hash,
            accesses, address_hash);
}

/* `data`: the address in the low half, the code in the high half. */
static void execute(unsigned cpu, void *data) {
    (void)cpu;
    if (!is_inside)
        return;
    uint32_t pc = (uint32_t)(uintptr_t)data;
    uint32_t code = (uint32_t)((uintptr_t)data >> 32);
    bool is_long = is_risc_v ? (code & 3) == 3 : code >> 16;
    instructions++;
    pc_hash = mix(pc_hash, pc);
    if (is_logged)
        fprintf(log_file, "%08" PRIx32 " %0*" PRIx32 "\n", pc, is_long ? 8 : 4, code);
}

static void access_memory(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
    (void)cpu, (void)data;
    if (!is_inside)
        return;
    bool is_store = qemu_plugin_mem_is_store(info);
    unsigned shift = qemu_plugin_mem_size_shift(info);
    accesses++;
    address_hash = mix(address_hash, address << 3 | shift << 1 | is_store);
    if (is_logged)
        fprintf(log_file, " %c%u %08" PRIx64 "\n", is_store ? 'w' : 'r', 1u << shift, address);
}

/* The code of an instruction: one or two little-endian halfwords, as the first one says. QEMU gives the last instruction of
 * a page the first halfword of the next page as well, at which it had looked. */
static uint32_t code_of(const uint8_t *bytes) {
    uint32_t code = bytes[0] | bytes[1] << 8;
    if (is_risc_v)
        return (code & 3) == 3 ? code | (uint32_t)(bytes[2] | bytes[3] << 8) << 16 : code;
    return code >> 11 >= 0x1d ? code << 16 | bytes[2] | bytes[3] << 8 : code;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    const struct marks *marks = is_risc_v ? &RISC_V : &THUMB;
    for (size_t i = 0, n = qemu_plugin_tb_n_insns(tb); i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint32_t code = code_of(qemu_plugin_insn_data(insn));
        void (*callback)(unsigned, void *) = code == marks->begin ? begin : code == marks->end ? end : execute;
        uintptr_t data = (uintptr_t)code << 32 | (uint32_t)qemu_plugin_insn_vaddr(insn);
        qemu_plugin_register_vcpu_insn_exec_cb(insn, callback, QEMU_PLUGIN_CB_NO_REGS, (void *)data);
        qemu_plugin_register_vcpu_mem_cb(insn, access_memory, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, NULL);
    }
}

static void finish(qemu_plugin_id_t id, void *data) {
    (void)id, (void)data;
    fclose(out);
    if (log_file)
        fclose(log_file);
}

static FILE *open_file(const char *path) {
    FILE *file = fopen(path, "w");
    if (!file)
        perror(path);
    return file;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv) {
    is_risc_v = strcmp(info->target_name, "riscv32") == 0;
    _Static_assert(sizeof(void *) == 8, "an instruction is kept in a pointer of 64 bits");
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "only=", 5) == 0) {
            only = strdup(argv[i] + 5);
            continue;
        }
        FILE **file = strncmp(argv[i], "out=", 4) == 0 ? &out : strncmp(argv[i], "log=", 4) == 0 ? &log_file : NULL;
        if (!file) {
            fprintf(stderr, "trace: unknown argument %s\n", argv[i]);
            return -1;
        }
        *file = open_file(argv[i] + 4);
        if (!*file)
            return -1;
    }
    if (!out) {
        fputs("trace: the argument out=FILE is missing\n", stderr);
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, finish, NULL);
    return 0;
}
