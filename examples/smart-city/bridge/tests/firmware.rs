//! The firmware in QEMU.

use smart_city_bridge::{
    board::Board,
    image::{Image, Parts},
};
use smart_city_frame::*;
use std::path::{Path, PathBuf};

#[test]
fn life() {
    let folder = tempfile::tempdir().unwrap();
    let fw = PathBuf::from(std::env::var_os("SMART_CITY_FIRMWARE").unwrap());
    let stream = Stream { id: 1.try_into().unwrap(), class: Class::Internal };
    let parts = Parts {
        secure: &fw.join("secure"),
        application: &fw.join("street"),
        functions: &["lamp_on", "lamp_off", "lamp_dim", "crossing_walk", "crossing_stop", "set_interval"],
        id: DeviceId([1; 8]),
        root: [7; 16],
        streams: &[stream],
    };
    let image = Image::make(&parts, folder.path()).unwrap();
    for r in &image.regions {
        println!("{r:x?}");
    }
    let mut board = Board::start(&image, folder.path(), &[]).unwrap();
    println!("{}", board.console("device").unwrap());
    println!("{:x?}", board.receive().unwrap());
    let _: &Path = folder.path();
}
