//! Operations between instructions at which the tracer stops. Without the tracer, the first one ends this process.

use std::arch::asm;

use operations::{Buffers, CAPACITY, Leak, Observer};

/// The bytes of messages: a part of a block, a block and a part, and a batch of pairs, a pair, and an odd chunk.
fn lengths() -> [usize; 3] {
    let width = match twine_cipher::backend() {
        "soft32" => 4,
        "soft64" => 8,
        "ssse3" => 16,
        "avx2" => 32,
        "avx512" => 64,
        other => panic!("the width of the backend {other} is not known here"),
    };
    [5, 13, 16 * width + 16 + 9]
}

/// Tells the tracer.
struct Tracer<'a> {
    name: &'a str,
}

impl Observer for Tracer<'_> {
    #[inline(never)]
    fn observe(&mut self, secret: usize, work: &mut dyn FnMut()) {
        // SAFETY: the tracer reads the name and lets this process go on.
        unsafe {
            asm!("int3", in("rdi") self.name.as_ptr(), in("rsi") self.name.len(), in("rdx") secret);
        }
        work();
        // SAFETY: as above.
        unsafe { asm!("int3") };
    }
}

/// Operations with all secrets: all of them, or some.
pub(crate) fn run(all: bool) {
    let lengths = lengths();
    assert!(lengths.iter().all(|len| *len <= CAPACITY));
    let mut buffers = Buffers::new();
    let operations: Vec<_> =
        if all { operations::all(&lengths).collect() } else { operations::some(&lengths).collect() };
    for operation in operations {
        operations::run(operation, &mut buffers, &mut Tracer { name: &operation.to_string() });
    }
}

/// A deliberate leak with all secrets.
pub(crate) fn leak(leak: Leak) {
    operations::run_leak(leak, &mut Buffers::new(), &mut Tracer { name: leak.name() });
}
