//! What outlives the process: epochs, states of devices, and readings that are not delivered yet. In redb.

use std::path::Path;

use anyhow::Result;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use smart_city_frame::DeviceId;

use crate::{attestation::Status, audit::Head};

const DEVICES: TableDefinition<'_, [u8; 8], &[u8]> = TableDefinition::new("devices");
const OUTBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox");
const AUDIT: TableDefinition<'_, (), &[u8]> = TableDefinition::new("audit");

/// What is known of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// The newest epoch from which anything was accepted. Replay windows are not stored: after a start no more is
    /// accepted from it.
    pub epoch: Option<u16>,
    /// The region that was found altered, if the device is isolated for it.
    pub isolated: Option<u16>,
    /// The last attestation.
    pub status: Status,
    /// Its result, a JWT.
    pub result: Option<String>,
}

/// A reading that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The device's EUI-64.
    pub device: [u8; 8],
    /// The number of its stream.
    pub stream: u16,
    /// The frame's epoch.
    pub epoch: u16,
    /// The frame's counter.
    pub counter: u32,
    /// When it was accepted.
    pub time: jiff::Timestamp,
    /// What it says.
    pub payload: Vec<u8>,
}

/// What one transaction changes.
#[derive(Debug, Default)]
pub struct Changes {
    /// Devices of which something else is known now.
    pub devices: Vec<(DeviceId, DeviceRecord)>,
    /// Readings to deliver, by rising numbers.
    pub accepted: Vec<(u64, Reading)>,
    /// Readings that were delivered.
    pub delivered: Vec<u64>,
}

/// The database.
#[derive(Debug)]
pub struct Store {
    database: Database,
    head: Head,
}

/// What a store holds at a start.
#[derive(Debug, Default)]
pub struct Stored {
    /// All devices that were ever heard.
    pub devices: Vec<(DeviceId, DeviceRecord)>,
    /// Readings that may not have been delivered.
    pub outbox: Vec<(u64, Reading)>,
    /// The last record of the audit log.
    pub head: Head,
}

impl Store {
    /// Opens the store in `dir`, or makes it, and reads what it holds.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn open(dir: &Path) -> Result<(Self, Stored)> {
        let database = Database::create(dir.join("store.redb"))?;
        let write = database.begin_write()?;
        write.open_table(DEVICES)?;
        write.open_table(OUTBOX)?;
        write.open_table(AUDIT)?;
        write.commit()?;

        let read = database.begin_read()?;
        let mut stored = Stored::default();
        for entry in read.open_table(DEVICES)?.iter()? {
            let (id, record) = entry?;
            stored.devices.push((DeviceId(id.value()), parse(record.value())?));
        }
        for entry in read.open_table(OUTBOX)?.iter()? {
            let (number, reading) = entry?;
            stored.outbox.push((number.value(), parse(reading.value())?));
        }
        if let Some(head) = read.open_table(AUDIT)?.get(())? {
            stored.head = parse(head.value())?;
        }
        drop(read);
        let head = stored.head.clone();
        Ok((Self { database, head }, stored))
    }

    /// Readings that are not delivered, from a number on, at most `limit`.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn outbox(&self, from: u64, limit: usize) -> Result<Vec<(u64, Reading)>> {
        let read = self.database.begin_read()?;
        let table = read.open_table(OUTBOX)?;
        let readings = table.range(from..)?.take(limit).map(|entry| {
            let (number, reading) = entry?;
            Ok((number.value(), parse(reading.value())?))
        });
        readings.collect()
    }

    /// Makes all of `changes` durable, or nothing; with the head of the audit log.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn commit(&mut self, changes: &Changes, head: &Head) -> Result<()> {
        let Changes { devices, accepted, delivered } = changes;
        if devices.is_empty() && accepted.is_empty() && delivered.is_empty() && *head == self.head {
            return Ok(());
        }
        let write = self.database.begin_write()?;
        {
            let mut table = write.open_table(DEVICES)?;
            for (id, record) in devices {
                table.insert(id.0, serde_json::to_vec(record)?.as_slice())?;
            }
            let mut table = write.open_table(OUTBOX)?;
            for (number, reading) in accepted {
                table.insert(number, serde_json::to_vec(reading)?.as_slice())?;
            }
            for number in delivered {
                table.remove(number)?;
            }
            write.open_table(AUDIT)?.insert((), serde_json::to_vec(head)?.as_slice())?;
        }
        write.commit()?;
        self.head = head.clone();
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}
