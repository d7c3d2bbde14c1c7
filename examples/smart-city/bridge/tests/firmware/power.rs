//! Power that fails: no epoch comes twice, and the device always comes back.

use std::{env, fs, thread, time::Duration};

use smart_city_bridge::board::Board;
use smart_city_frame::Epoch;

use crate::device::{Made, NEW, STREET, epoch_on, firmware, stream, symbol};

/// How often it fails: `SMART_CITY_CUTS`, or a number for every run of the tests.
fn cuts() -> u32 {
    env::var("SMART_CITY_CUTS").map_or(30, |number| number.parse().unwrap())
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Half of the cuts are within a change of flash, at a step by chance; half at a time by chance, in whatever the device does then. After each
/// it starts again, and sends.
#[test]
fn power_fails_anywhere() {
    let flash_step = symbol(&fs::read(firmware("secure")).unwrap(), "flash_step");
    let seed = u64::from(std::process::id()) << 20 | 0x5EED;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let made = Made::new("street", &STREET, NEW);
    let mut last = Epoch(0);
    let (mut within, mut erasing, mut anytime) = (0, 0, 0);
    for cut in 0..cuts() {
        if cut % 2 == 0 {
            // At every other one a page is full, so that the other page is erased.
            let erases = cut % 4 == 0;
            if erases {
                last.0 += made.image.fill_page().unwrap();
            }
            let options = ["-S".to_owned()];
            let mut board = Board::start(&made.image, made.folder.path(), &options).unwrap();
            let mut debugger = board.debug().unwrap();
            debugger.set_breakpoint(flash_step).unwrap();
            // A word that is programmed takes 32 steps, and a page that is erased before takes 512.
            let steps = 1 + random.below(if erases { 544 } else { 32 });
            for _ in 0..steps {
                debugger.run().unwrap();
            }
            board.cut().unwrap();
            drop(debugger);
            within += 1;
            erasing += u32::from(erases && steps <= 512);
        } else {
            let board = Board::start(&made.image, made.folder.path(), &[]).unwrap();
            thread::sleep(Duration::from_millis(random.below(400)));
            board.cut().unwrap();
            anytime += 1;
        }
        let mut board = Board::start(&made.image, made.folder.path(), &[]).unwrap();
        let epoch = epoch_on(&mut board);
        // A cut costs an epoch at most.
        assert!(epoch > last && epoch.0 <= last.0 + 2, "{epoch:?} after {last:?}, cut {cut}");
        last = epoch;
        // Counters begin anew with the epoch.
        let mut packet = board.receive().unwrap();
        let opened = made.link(epoch).open_reading(NEW.id, stream(), &mut packet[2..]).unwrap().counter;
        assert_eq!(opened, [0; 3]);
    }
    println!(
        "{within} cuts within changes of flash, {erasing} of them within an erasure, {anytime} at any time"
    );
}
