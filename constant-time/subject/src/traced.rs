//! Operations between instructions at which the tracer stops. Without the tracer, the first one ends this process.

use std::arch::asm;

use operations::{Buffers, Leak, Observer, SECRETS};

/// The blocks that the backend works on at once.
fn width() -> usize {
    match twine_cipher::backend() {
        "soft32" => 4,
        "soft64" => 8,
        "ssse3" => 16,
        "avx2" => 32,
        "avx512" => 64,
        other => panic!("the width of the backend {other} is not known here"),
    }
}

/// Tells the tracer.
struct Tracer<'a> {
    name: &'a str,
    /// Its number.
    secret: usize,
}

impl Observer for Tracer<'_> {
    #[inline(never)]
    fn observe(&mut self, work: &mut dyn FnMut()) {
        // SAFETY: the tracer reads the name and lets this process go on.
        unsafe {
            asm!("int3", in("rdi") self.name.as_ptr(), in("rsi") self.name.len(), in("rdx") self.secret);
        }
        work();
        // SAFETY: as above.
        unsafe { asm!("int3") };
    }
}

/// Operations with all secrets: all of them, or some.
pub(crate) fn run(all: bool) {
    let lengths = operations::lengths(width());
    let mut buffers = Buffers::new();
    let operations: Vec<_> =
        if all { operations::all(&lengths).collect() } else { operations::some(&lengths).collect() };
    for operation in operations {
        let name = operation.to_string();
        for secret in 0..SECRETS {
            let is_right = operation.run(secret, &mut buffers, &mut Tracer { name: &name, secret });
            assert!(is_right, "{name}: secret {secret}");
        }
    }
}

/// A deliberate leak with all secrets.
pub(crate) fn leak(leak: Leak) {
    let mut buffers = Buffers::new();
    for secret in 0..SECRETS {
        leak.run(secret, &mut buffers, &mut Tracer { name: leak.name(), secret });
    }
}
