//! Power that fails: no epoch comes twice, and the device always comes back.

use std::{
    collections::HashMap,
    env,
    fs::{self, File},
    io::{Read as _, Write as _},
    path::PathBuf,
    thread,
    time::Duration,
};

use smart_city_bridge::board::{Board, Said};
use smart_city_frame::{Epoch, Header, RootKey, Verdict, seal_epoch_request};
use smart_city_interface::memory::EPOCHS;

use crate::device::{Device, Made, NEW, ROOT, STREET, epoch_in, epoch_on, firmware, secure_symbol, stream};

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

/// All that a device ever said.
struct Heard {
    /// The greatest epoch that its console or a frame named.
    last: Epoch,
    frames: HashMap<(Epoch, [u8; 3]), Vec<u8>>,
}

impl Heard {
    /// Takes what a board said whose power is gone; returns whether it has used its epoch. No nonce has two frames.
    fn take(&mut self, said: &Said) -> bool {
        let named = said.console.iter().filter_map(|line| epoch_in(line));
        self.last = named.fold(self.last, Epoch::max);
        for packet in &said.packets {
            self.frame(&packet[2..]);
        }
        !said.packets.is_empty()
    }

    fn frame(&mut self, frame: &[u8]) {
        let Header { epoch, counter, .. } = Header::parse(frame).unwrap();
        self.last = self.last.max(epoch);
        let first = self.frames.entry((epoch, counter)).or_insert_with(|| frame.to_vec());
        assert_eq!(first[..], *frame, "{epoch:?} and counter {counter:?} were used twice");
    }
}

/// The pages of the epochs, which a board that runs sees as they are written here.
struct FlashFile(PathBuf);

impl FlashFile {
    fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0; EPOCHS.len as usize];
        File::open(&self.0).unwrap().read_exact(&mut bytes).unwrap();
        bytes
    }

    fn write(&self, bytes: &[u8]) {
        // Without making it shorter, as a board has it in its memory.
        File::options().write(true).open(&self.0).unwrap().write_all(bytes).unwrap();
    }
}

/// Flash that has no epoch for a while: the device goes on with the one that it has, and opens another as soon as it can.
#[test]
fn a_fault_of_flash_ends() {
    let made = Made::new("street", &STREET, NEW);
    let flash = FlashFile(made.folder.path().join("flash"));
    let no_epochs = vec![0; EPOCHS.len as usize];
    let provisioned = flash.read();
    flash.write(&no_epochs);
    let mut board = Board::start(&made.image, made.folder.path(), &[]).unwrap();
    assert_eq!(board.console("no new epoch").unwrap(), "no new epoch: no epoch is stored");
    flash.write(&provisioned);
    let link = made.link(Epoch(1));
    let mut device = Device { made, board, link };
    assert_eq!(device.reading().1, [0; 3]);

    // The gateway ends the epoch, by the only request that there is for it, and no other can be stored.
    let in_first = flash.read();
    flash.write(&no_epochs);
    let mut request = [0; 64];
    let request = seal_epoch_request(&RootKey::new(ROOT), NEW.id, Epoch(1), &mut request).unwrap();
    device.board.send(request).unwrap();
    assert_eq!(device.board.console("no new epoch").unwrap(), "no new epoch: no epoch is stored");
    assert_eq!(device.instruct(1, &[]).0.verdict, Verdict::Intact);
    flash.write(&in_first);
    loop {
        let Header { epoch, counter, .. } = Header::parse(&device.next().1).unwrap();
        if epoch > Epoch(1) {
            assert_eq!((epoch, counter), (Epoch(2), [0; 3]));
            break;
        }
    }
}

/// Half of the cuts are within a change of flash, at a step by chance; half in whatever the device does later: at a time by chance, counted
/// from its start or, for every other one, from its first frame. After each it starts again, and sends.
#[test]
fn power_fails_anywhere() {
    let flash_step = secure_symbol("flash_step");
    let seed = u64::from(std::process::id()) << 20 | 0x5EED;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let made = Made::new("street", &STREET, NEW);
    let mut heard = Heard { last: Epoch(0), frames: HashMap::new() };
    let (mut within, mut erasing, mut anytime, mut used) = (0, 0, 0, 0);
    for cut in 0..cuts() {
        if cut % 2 == 0 {
            // At every other one a page is full, so that the other page is erased.
            let erases = cut % 4 == 0;
            if erases {
                heard.last.0 += made.image.fill_page().unwrap();
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
            let said = board.cut().unwrap();
            drop(debugger);
            // It uses no epoch that is not stored yet.
            let before = heard.last;
            assert!(!heard.take(&said) && heard.last == before, "{said:?}");
            within += 1;
            erasing += u32::from(erases && steps <= 512);
        } else {
            let mut board = Board::start(&made.image, made.folder.path(), &[]).unwrap();
            if cut % 4 == 1 {
                heard.frame(&board.receive().unwrap()[2..]);
                used += 1;
            }
            thread::sleep(Duration::from_millis(random.below(400)));
            let has_used = heard.take(&board.cut().unwrap());
            used += u32::from(has_used && cut % 4 != 1);
            anytime += 1;
        }
        let before = heard.last;
        let mut board = Board::start(&made.image, made.folder.path(), &[]).unwrap();
        let epoch = epoch_on(&mut board);
        // A cut costs an epoch at most.
        assert!(epoch > before && epoch.0 <= before.0 + 2, "{epoch:?} after {before:?}, cut {cut}");
        // Counters begin anew with the epoch.
        let mut packet = board.receive().unwrap();
        heard.frame(&packet[2..]);
        let opened = made.link(epoch).open_reading(NEW.id, stream(), &mut packet[2..]).unwrap().counter;
        assert_eq!(opened, [0; 3]);
        heard.take(&board.cut().unwrap());
        assert_eq!(heard.last, epoch);
    }
    println!(
        "{within} cuts within changes of flash, {erasing} of them within an erasure, {anytime} at any time, {used} of them after the \
         epoch was used"
    );
    assert!(used >= cuts() / 4, "{used} of {} cuts were after an epoch was used", cuts());
}

/// Power fails at each step of a restoration, of which 24 are taken, or all when there are many cuts. The device comes back, and the function is
/// refused, or as it was built; and then it is restored.
#[test]
fn power_fails_while_a_region_is_restored() {
    const LAMP_OFF: u16 = 2;
    let flash_step = secure_symbol("flash_step");
    let elf = fs::read(firmware("street")).unwrap();
    let as_built = Made::new("street", &STREET, NEW).code(LAMP_OFF).to_vec();
    let at = elf.windows(as_built.len()).position(|window| window == as_built).unwrap();
    let with_code = |made: &mut Made, code: &[u8]| {
        let mut altered = elf.clone();
        altered[at..at + code.len()].copy_from_slice(code);
        let path = made.folder.path().join("application");
        fs::write(&path, altered).unwrap();
        made.image.set_application(path);
    };
    // Each word is erased in 4 steps and programmed in 32.
    let words = Made::new("street", &STREET, NEW).region(LAMP_OFF);
    let words = (words.address + words.len).div_ceil(4) - words.address / 4;
    let steps = 36 * words;
    let stride = if cuts() > 100 { 1 } else { (steps / 24).max(1) };
    let (mut refused, mut whole) = (0, 0);
    for step in (1..steps).step_by(stride as usize).chain([steps]) {
        let mut made = Made::new("street", &STREET, NEW);
        let mut code = as_built.clone();
        // It differs in many bits.
        code.iter_mut().step_by(2).for_each(|byte| *byte ^= 0x5A);
        with_code(&mut made, &code);
        let region = made.region(LAMP_OFF);
        let mut board = Board::start(&made.image, made.folder.path(), &[]).unwrap();
        let link = made.link(epoch_on(&mut board));
        let mut device = Device { made, board, link };
        let (restore, _) = device.seal(0, &LAMP_OFF.to_be_bytes());
        let mut debugger = device.board.debug().unwrap();
        debugger.set_breakpoint(flash_step).unwrap();
        device.board.send(&restore).unwrap();
        for _ in 0..step {
            debugger.run().unwrap();
        }
        // What the flash has when power is gone.
        let torn = debugger.read(region.address, region.len).unwrap();
        device.board.cut().unwrap();
        drop(debugger);
        let mut made = device.made;
        with_code(&mut made, &torn);
        let mut board = Board::start(&made.image, made.folder.path(), &[]).unwrap();
        let link = made.link(epoch_on(&mut board));
        let mut device = Device { made, board, link };
        if torn == as_built {
            whole += 1;
            assert_eq!(device.instruct(LAMP_OFF, &[]).0.verdict, Verdict::Intact, "step {step}");
            continue;
        }
        refused += 1;
        // That it was altered at the start comes without a question.
        let mut of_start = device.next_evidence();
        assert_eq!(device.take_evidence(&mut of_start).unwrap().verdict, Verdict::Altered, "step {step}");
        assert_eq!(device.instruct(LAMP_OFF, &[]).0.verdict, Verdict::Altered, "step {step} of {steps}");
        let (evidence, is_as_built) = device.instruct(0, &LAMP_OFF.to_be_bytes());
        assert_eq!((evidence.verdict, is_as_built), (Verdict::Intact, true), "step {step} of {steps}");
        assert_eq!(device.instruct(LAMP_OFF, &[]).0.verdict, Verdict::Intact);
    }
    println!(
        "{refused} cuts within a restoration of {steps} steps left a function that was refused, {whole} a whole one"
    );
    assert!(refused > 10);
}
