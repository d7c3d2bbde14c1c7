//! The services as functions, for the non-secure world.
//!
//! Threads must call them one at a time, under a mutex: a switch of threads on the way in would mix up their returns.

use core::mem::transmute;

use crate::{Answer, FRAME_LEN, Refusal, Service};

type Entry = extern "C" fn(u32, u32, u32, u32) -> i32;

fn call(service: Service, arguments: [u32; 4]) -> Result<u32, Refusal> {
    let [a, b, c, d] = arguments;
    let thumb = service.address() as usize | 1;
    // SAFETY: it is the address of an entry point of the secure world, whose services are functions of up to four words.
    let entry = unsafe { transmute::<usize, Entry>(thumb) };
    Refusal::check(entry(a, b, c, d))
}

/// Seals a reading of a stream into `frame`, and returns the frame.
///
/// # Errors
/// See [`Refusal`].
pub fn seal_reading<'f>(
    stream: u16,
    reading: &[u8],
    frame: &'f mut [u8; FRAME_LEN],
) -> Result<&'f [u8], Refusal> {
    let arguments = [stream.into(), address(reading.as_ptr()), length(reading), address(frame.as_mut_ptr())];
    let len = call(Service::SealReading, arguments)?;
    frame.get(..len as usize).ok_or(Refusal::Length)
}

/// Has the secure world obey a frame from the gateway, and returns what happened and the answer in `buffer`.
///
/// The function that an instruction addresses is called before this returns, with its argument in `buffer`.
///
/// # Errors
/// See [`Refusal`].
pub fn receive<'a>(
    frame: &[u8],
    buffer: &'a mut [u8; FRAME_LEN],
) -> Result<(crate::Event, &'a [u8]), Refusal> {
    let arguments = [address(frame.as_ptr()), length(frame), address(buffer.as_mut_ptr()), 0];
    let returned = call(Service::Receive, arguments)?;
    let Answer { event, len } = Answer::from_returned(returned).ok_or(Refusal::Frame)?;
    Ok((event, buffer.get(..usize::from(len)).ok_or(Refusal::Length)?))
}

/// The epoch.
///
/// # Errors
/// See [`Refusal`].
pub fn epoch() -> Result<u32, Refusal> {
    call(Service::Epoch, [0; 4])
}

/// Opens a new epoch, of which a device has 65,535 in all: what an application does that has heard nothing from the gateway for long. There
/// are eight at once, and then one an hour.
///
/// # Errors
/// See [`Refusal`].
pub fn new_epoch() -> Result<u32, Refusal> {
    call(Service::NewEpoch, [0; 4])
}

/// Evidence of a region that was altered when the device started, in `frame`; empty if there is none, or it was given before in this epoch.
/// An application asks for it at its start and in each new epoch, and keeps it until its receipt.
///
/// # Errors
/// See [`Refusal`].
pub fn start_evidence(frame: &mut [u8; FRAME_LEN]) -> Result<&[u8], Refusal> {
    let len = call(Service::StartEvidence, [address(frame.as_mut_ptr()), 0, 0, 0])?;
    frame.get(..len as usize).ok_or(Refusal::Length)
}

fn address(pointer: *const u8) -> u32 {
    pointer.addr() as u32
}

fn length(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}
