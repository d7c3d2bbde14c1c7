//! What must be true of the devices with the firmware.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Result, bail, ensure};
use smart_city_frame::{ALL_REGIONS, Verdict};

use crate::{
    city::{DEVICES, FIRMWARE, STREET, USERS},
    stage::Stage,
};

/// The first device that runs the firmware.
const FIRST: usize = (DEVICES - FIRMWARE) as usize;

/// Switches the lamp on: a region.
pub const LAMP_ON: u16 = 1;
/// Switches it off.
pub const LAMP_OFF: u16 = 2;

impl Stage {
    /// The numbers of the devices that run the firmware.
    pub fn with_firmware(&self) -> impl Iterator<Item = usize> + use<> {
        (FIRST..).take(self.firmware.len())
    }

    /// Instructs a device with the firmware, and waits until it has examined the function; returns what it found. The function ran if it
    /// was intact, and else did not.
    ///
    /// # Errors
    /// If that takes too long.
    pub fn instruct_firmware(&mut self, index: usize, region: u16) -> Result<Verdict> {
        let before = self.firmware[index - FIRST].heard()?.attested();
        self.gateway.instruct(self.id(index), region)?;
        let (verdict, event) = self.firmware[index - FIRST].examined(region)?;
        self.attested(index, before)?;
        let expected = if verdict == Verdict::Intact { "Ran" } else { "Refused" };
        ensure!(event == expected, "the device {event}, but the function was {verdict:?}");
        Ok(verdict)
    }

    /// Has all regions of a device with the firmware measured, and waits until it has done so.
    ///
    /// # Errors
    /// If that takes too long, or if one is altered.
    pub fn examine_firmware(&mut self, index: usize) -> Result<()> {
        let before = self.firmware[index - FIRST].heard()?.attested();
        self.gateway.examine(self.id(index))?;
        let found = self.firmware[index - FIRST].examined(ALL_REGIONS)?;
        self.attested(index, before)?;
        ensure!(found == (Verdict::Intact, "Examined".to_owned()), "of all regions: {found:?}");
        Ok(())
    }

    /// Waits until the gateway has more evidence than before.
    fn attested(&mut self, index: usize, before: usize) -> Result<()> {
        self.until("the gateway had the evidence", |stage| {
            Ok(stage.firmware[index - FIRST].heard()?.attested() > before)
        })
    }

    /// Waits for a reading that is made from now on and says how bright the lamp is, in percent.
    ///
    /// # Errors
    /// If it says something else, or takes too long.
    pub fn lamp(&mut self, index: usize, brightness: u8) -> Result<()> {
        // One may have been made before the instruction.
        let enough = self.firmware[index - FIRST].heard()?.count() + 2;
        self.until("a device with the firmware sent readings", |stage| {
            Ok(stage.firmware[index - FIRST].heard()?.count() >= enough)
        })?;
        let is = self.firmware[index - FIRST].heard()?.brightness();
        ensure!(is == Some(brightness), "the lamp is {is:?}, not {brightness}");
        Ok(())
    }

    /// Alters a bit of the code of a device with the firmware, by its debug port.
    ///
    /// # Errors
    /// If that does not answer.
    pub fn patch_firmware(&mut self, index: usize, region: u16) -> Result<()> {
        self.firmware[index - FIRST].patch(region)
    }

    /// Has a device with the firmware recovered, and waits until it has restored its code and sends in a new epoch. Returns how many
    /// readings were lost with the epoch before.
    ///
    /// # Errors
    /// If that takes too long, or if the code is not intact then.
    pub fn recover_firmware(&mut self, index: usize) -> Result<usize> {
        let epoch = self.firmware[index - FIRST].heard()?.epoch();
        self.gateway.recover(self.id(index))?;
        let found = self.firmware[index - FIRST].examined(ALL_REGIONS)?;
        ensure!(found == (Verdict::Intact, "Restored".to_owned()), "after recovery: {found:?}");
        self.until("the device was answered in a new epoch", |stage| {
            Ok(stage.firmware[index - FIRST].heard()?.answered() > epoch)
        })?;
        Ok(self.firmware[index - FIRST].heard()?.lost().len())
    }

    /// Waits until all users have what they must have of the devices with the firmware: what has a receipt, if they may see it. Returns
    /// how many readings that is.
    ///
    /// # Errors
    /// What a user lacks, or has and must not have.
    pub fn firmware_delivered(&mut self) -> Result<usize> {
        let now = Instant::now();
        self.until("all readings of the firmware had receipts", |stage| {
            for device in &stage.firmware {
                if !device.heard()?.open(now).is_empty() {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        let mut count = 0;
        for index in self.with_firmware() {
            let must = self.firmware[index - FIRST].heard()?.stored();
            count += must.len();
            for (place, user) in USERS.iter().enumerate() {
                let must = if STREET.refusal(user).is_none() { must.clone() } else { BTreeSet::new() };
                // What is missing is told below.
                let _ = self.until("a user had its readings", |stage| {
                    Ok(stage.of_firmware(place, index).is_superset(&must))
                });
                let got = self.of_firmware(place, index);
                if let Some(number) = must.difference(&got).next() {
                    bail!("{} lacks reading {number} of {}", user.id, self.device(index).name);
                }
                // More may have come since; its receipts are on their way.
                let heard = self.firmware[index - FIRST].heard()?;
                let may = match STREET.refusal(user) {
                    None => &heard.stored() | &heard.open(Instant::now()),
                    Some(_) => BTreeSet::new(),
                };
                if let Some(number) = got.difference(&may).next() {
                    bail!("{} has reading {number} of {}", user.id, self.device(index).name);
                }
            }
        }
        Ok(count)
    }

    /// The numbers of the readings that a user has of a device with the firmware.
    fn of_firmware(&self, user: usize, index: usize) -> BTreeSet<u32> {
        let (device, inbox) = (self.id(index).to_string(), self.users[user].inbox());
        let readings = inbox.readings.iter();
        readings
            .filter(|reading| reading.device == device && reading.stream == STREET.name)
            .map(|reading| reading.number)
            .collect()
    }
}
