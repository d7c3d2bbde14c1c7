//! What a device is given once, where only its secure world reads.

use core::{fmt, num::NonZeroU16};

use smart_city_detector::{AllowedValues, InvalidTable};
use smart_city_frame::{Class, DeviceId, RootKey, Stream};

/// Who a device is, and what it may do.
///
/// | bytes | |
/// |--:|---|
/// | 8 | `SC-PROV1` |
/// | 8 | EUI-64 |
/// | 16 | root key |
/// | 4 | [`Supervision`] |
/// | 2 | number of streams, s, big-endian |
/// | 2 | number of regions, r |
/// | 3 s | streams: number (2), class (1) |
/// | 18 r | allowed values: [`AllowedValues`] |
pub struct Provisioning<'a> {
    device: DeviceId,
    root: &'a [u8; 16],
    supervision: Supervision,
    streams: &'a [u8],
    allowed: AllowedValues<'a>,
}

const MAGIC: &[u8; 8] = b"SC-PROV1";

const HEADER_LEN: usize = 40;

const STREAM_LEN: usize = 3;

const REGION_LEN: usize = smart_city_detector::Region::ENTRY_LEN;

impl<'a> Provisioning<'a> {
    /// Takes the bytes that [`write`](Self::write) made; what follows them does not matter.
    ///
    /// # Errors
    /// See [`InvalidProvisioning`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InvalidProvisioning> {
        let invalid = InvalidProvisioning::Truncated;
        let (magic, rest) = bytes.split_first_chunk().ok_or(invalid)?;
        if magic != MAGIC {
            return Err(InvalidProvisioning::Missing);
        }
        let (device, rest) = rest.split_first_chunk().ok_or(invalid)?;
        let (root, rest) = rest.split_first_chunk().ok_or(invalid)?;
        let (&[p0, p1, w0, w1], rest) = rest.split_first_chunk().ok_or(invalid)?;
        let supervision =
            Supervision { pause: u16::from_be_bytes([p0, p1]), watchdog: u16::from_be_bytes([w0, w1]) };
        let (&[s0, s1, r0, r1], rest) = rest.split_first_chunk().ok_or(invalid)?;
        let streams_len = STREAM_LEN * usize::from(u16::from_be_bytes([s0, s1]));
        let regions_len = REGION_LEN * usize::from(u16::from_be_bytes([r0, r1]));
        let (streams, rest) = rest.split_at_checked(streams_len).ok_or(invalid)?;
        let table = rest.get(..regions_len).ok_or(invalid)?;
        for entry in streams.chunks_exact(STREAM_LEN) {
            stream_in(entry).ok_or(InvalidProvisioning::Stream)?;
        }
        let allowed = AllowedValues::new(table).map_err(InvalidProvisioning::Table)?;
        Ok(Self { device: DeviceId(*device), root, supervision, streams, allowed })
    }

    /// Writes a provisioning into `out` and returns its length. None if `out` is too short, or there are too many streams.
    #[must_use]
    pub fn write(
        device: DeviceId,
        root: &[u8; 16],
        supervision: Supervision,
        streams: &[Stream],
        table: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let mut at = HEADER_LEN;
        out.get_mut(..8)?.copy_from_slice(MAGIC);
        out.get_mut(8..16)?.copy_from_slice(&device.0);
        out.get_mut(16..32)?.copy_from_slice(root);
        out.get_mut(32..34)?.copy_from_slice(&supervision.pause.to_be_bytes());
        out.get_mut(34..36)?.copy_from_slice(&supervision.watchdog.to_be_bytes());
        out.get_mut(36..38)?.copy_from_slice(&u16::try_from(streams.len()).ok()?.to_be_bytes());
        out.get_mut(38..at)?.copy_from_slice(&u16::try_from(table.len() / REGION_LEN).ok()?.to_be_bytes());
        for stream in streams {
            let [high, low] = stream.id.get().to_be_bytes();
            out.get_mut(at..at + STREAM_LEN)?.copy_from_slice(&[high, low, stream.class as u8]);
            at += STREAM_LEN;
        }
        out.get_mut(at..at + table.len())?.copy_from_slice(table);
        Some(at + table.len())
    }

    /// The device.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// Its root key.
    #[must_use]
    pub fn root_key(&self) -> RootKey {
        RootKey::new(*self.root)
    }

    /// How its application is looked after.
    #[must_use]
    pub const fn supervision(&self) -> Supervision {
        self.supervision
    }

    /// Its regions.
    #[must_use]
    pub const fn allowed(&self) -> AllowedValues<'a> {
        self.allowed
    }

    /// Its stream with this number.
    #[must_use]
    pub fn stream(&self, id: u16) -> Option<Stream> {
        let mut streams = self.streams.chunks_exact(STREAM_LEN).filter_map(stream_in);
        streams.find(|stream| stream.id.get() == id)
    }
}

fn stream_in(entry: &[u8]) -> Option<Stream> {
    let &[high, low, class] = entry else { return None };
    let class = match class {
        0 => Class::Public,
        1 => Class::Internal,
        2 => Class::Confidential,
        _ => return None,
    };
    Some(Stream { id: NonZeroU16::new(u16::from_be_bytes([high, low]))?, class })
}

impl fmt::Debug for Provisioning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provisioning").field("device", &self.device).finish_non_exhaustive()
    }
}

/// What a device does about an application that crashes or hangs. Each start takes an epoch, of which a root key has 65,535.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Supervision {
    /// How long the device waits after a restart by a fault, in tenths of a second: twice as long after each further one, up to an hour. 0:
    /// not at all.
    pub pause: u16,
    /// After how many seconds without a service the device starts anew. 0: never.
    pub watchdog: u16,
}

/// Why bytes are no provisioning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidProvisioning {
    /// They begin otherwise: the device was not provisioned.
    Missing,
    /// They end too early.
    Truncated,
    /// A stream has the number 0 or no known class.
    Stream,
    /// The table of allowed values is none.
    Table(InvalidTable),
}

impl fmt::Display for InvalidProvisioning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the device was not provisioned"),
            Self::Truncated => f.write_str("the provisioning ends too early"),
            Self::Stream => f.write_str("a stream has no number or no class"),
            Self::Table(error) => write!(f, "the table of allowed values: {error}"),
        }
    }
}

impl core::error::Error for InvalidProvisioning {}
