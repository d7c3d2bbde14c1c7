//! What the CPU needs for the instructions of TWINE's vector backends, whatever the code around them.
//!
//! A call of few blocks is a chain of 36 rounds, each a byte shuffle and an XOR that wait for each other. A call of 64 blocks with
//! AVX-512 is 288 byte shuffles and 288 sums of three, each with a key that is broadcast from memory; these wait for little.

#[cfg(target_arch = "x86_64")]
mod x86 {
    use benches::clock::Clock;
    use core::arch::asm;

    /// Of one block or a batch of blocks.
    const ROUNDS: f64 = 36.0;

    const REPETITIONS: f64 = 100.0;

    /// What an eighth of the times are below.
    fn time(operation: impl Fn()) -> f64 {
        let mut times: Vec<f64> = (0..5000).filter_map(|_| Clock.time(&operation)).collect();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 8).copied().unwrap_or(f64::NAN)
    }

    #[allow(unsafe_code, reason = "instructions that must be just these")]
    pub(crate) fn main() {
        let nothing = time(|| ());
        if is_x86_feature_detected!("avx") {
            let round = || {
                // SAFETY: the CPU has AVX; the instructions change only what they name.
                unsafe {
                    asm!(
                        ".rept 100",
                        "vpshufb {x}, {table}, {x}",
                        "vpxor {x}, {x}, {key}",
                        ".endr",
                        x = out(xmm_reg) _,
                        table = out(xmm_reg) _,
                        key = out(xmm_reg) _,
                        options(nomem, nostack),
                    );
                }
            };
            let round = (time(round) - nothing) / REPETITIONS;
            println!("few blocks: {round:.2} cycles a round, {:.0} a call", ROUNDS * round);
        }
        if is_x86_feature_detected!("avx512bw") {
            let key = 0_u32;
            let columns = || {
                // SAFETY: the CPU has AVX-512; the instructions change only what they name, and read one word.
                unsafe {
                    asm!(
                        ".rept 100",
                        "vpshufb zmm0, zmm1, zmm2",
                        "vpternlogd zmm3, zmm0, dword ptr [{key}]{{1to16}}, 0x96",
                        "vpshufb zmm0, zmm1, zmm2",
                        "vpternlogd zmm4, zmm0, dword ptr [{key}]{{1to16}}, 0x96",
                        "vpshufb zmm0, zmm1, zmm2",
                        "vpternlogd zmm5, zmm0, dword ptr [{key}]{{1to16}}, 0x96",
                        "vpshufb zmm0, zmm1, zmm2",
                        "vpternlogd zmm6, zmm0, dword ptr [{key}]{{1to16}}, 0x96",
                        ".endr",
                        key = in(reg) &raw const key,
                        out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                        out("xmm4") _, out("xmm5") _, out("xmm6") _,
                        options(readonly, nostack),
                    );
                }
            };
            // Half of a round's columns.
            let round = 2.0 * (time(columns) - nothing) / REPETITIONS;
            println!(
                "64 blocks with AVX-512: {round:.2} cycles a round, {:.0} a call, {:.2} a byte",
                ROUNDS * round,
                ROUNDS * round / 512.0
            );
        }
    }
}

fn main() {
    #[cfg(target_arch = "x86_64")]
    x86::main();
    #[cfg(not(target_arch = "x86_64"))]
    println!("only for x86-64");
}
