//! What the secure world does for the other one. See [`smart_city_interface::Service`].

use smart_city_interface::{Answer, Refusal};

use crate::{
    board,
    device::Device,
    nonsecure::{Buffer, Copied},
};

/// There from the start of the other world on.
static mut DEVICE: Option<Device> = None;

/// Before the other world starts.
pub(crate) fn open(device: Device) {
    // SAFETY: no service runs yet.
    unsafe { (&raw mut DEVICE).write(Some(device)) };
}

fn with(service: impl FnOnce(&mut Device) -> Result<i32, Refusal>) -> i32 {
    let device = &raw mut DEVICE;
    // SAFETY: the gate lets one service in at a time, and no handler of an exception here uses it.
    let device = unsafe { &mut *device };
    board::feed_watchdog();
    device.as_mut().ok_or(Refusal::NoEpoch).and_then(service).unwrap_or_else(|refusal| refusal as i32)
}

#[unsafe(no_mangle)]
extern "C" fn SealReading(stream: u32, reading: u32, len: u32, frame: u32) -> i32 {
    with(|device| {
        let buffer = Buffer::check(frame)?;
        let mut reading = Copied::take(reading, len)?;
        let stream = u16::try_from(stream).map_err(|_| Refusal::Stream)?;
        let mut sealed = [0; smart_city_interface::FRAME_LEN];
        let frame = device.seal_reading(stream, reading.bytes(), &mut sealed)?;
        buffer.write(frame);
        Ok(frame.len() as i32)
    })
}

#[unsafe(no_mangle)]
extern "C" fn Receive(frame: u32, len: u32, answer: u32) -> i32 {
    with(|device| {
        let buffer = Buffer::check(answer)?;
        let mut frame = Copied::take(frame, len)?;
        let mut bytes = [0; smart_city_interface::FRAME_LEN];
        let (event, answer) = device.receive(frame.bytes(), buffer, &mut bytes)?;
        buffer.write(answer);
        Ok(Answer { event, len: answer.len() as u8 }.to_returned())
    })
}

#[unsafe(no_mangle)]
extern "C" fn Epoch() -> i32 {
    with(|device| device.epoch().map(i32::from))
}

#[unsafe(no_mangle)]
extern "C" fn NewEpoch() -> i32 {
    with(|device| device.unasked_epoch().map(i32::from))
}

#[unsafe(no_mangle)]
extern "C" fn StartEvidence(frame: u32) -> i32 {
    with(|device| {
        let buffer = Buffer::check(frame)?;
        let mut sealed = [0; smart_city_interface::FRAME_LEN];
        let frame = device.start_evidence(&mut sealed)?;
        buffer.write(frame);
        Ok(frame.len() as i32)
    })
}
